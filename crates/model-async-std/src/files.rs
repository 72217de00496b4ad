//! Unit: blocking call, as many as there are cores for. Shares: the files that
//! are left. Ends: every call is awaited.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use async_std::task;
use suite::Result;
use suite::files::{Job, Outcome, examine};

/// Each call takes file after file: to hand over every single one takes as long as
/// the second core saves. async-std's own files hand over every read, and leave the
/// hashing to the workers.
pub async fn run(job: Job, units: usize) -> Result<Outcome> {
    let files = Arc::new(Mutex::new(0..job.paths.len()));
    let next = move || files.lock().unwrap_or_else(PoisonError::into_inner).next();
    let mut workers = Vec::with_capacity(units);
    for _ in 0..units {
        let (paths, next) = (job.paths.clone(), next.clone());
        workers.push(task::spawn_blocking(move || {
            let mut summaries = Vec::new();
            while let Some(file) = next() {
                summaries.push((file, File::open(&paths[file]).and_then(examine)));
            }
            summaries
        }));
    }
    let mut tally = job.tally();
    for (file, summary) in crate::join_all(workers).await.into_iter().flatten() {
        tally.add(file, summary.map_err(|error| error.to_string()));
    }
    Ok(job.outcome(tally))
}
