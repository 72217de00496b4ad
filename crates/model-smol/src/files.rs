//! Unit: blocking call, as many as there are cores for. Shares: the files that
//! are left. Ends: every call is awaited.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use smol::unblock;
use suite::Result;
use suite::files::{Job, Outcome, examine};

/// Each call takes file after file: with a call a file, handing them over took
/// as much time as a second core saves.
pub async fn run(job: Job, units: usize) -> Result<Outcome> {
    let files = Arc::new(Mutex::new(0..job.paths.len()));
    let next = move || files.lock().unwrap_or_else(PoisonError::into_inner).next();
    let mut workers = Vec::with_capacity(units);
    for _ in 0..units {
        let (paths, next) = (job.paths.clone(), next.clone());
        workers.push(unblock(move || {
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
