//! Unit: blocking call, as many as there are cores for. Shares: the files that
//! are left. Ends: the `JoinSet` drains.
//!
//! Not `tokio::fs`: each piece of a file is a call to the same pool there, and
//! hashing it would keep a worker from all other tasks.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use suite::Result;
use suite::files::{Job, Outcome, examine};
use tokio::task::JoinSet;

pub async fn run(job: Job, units: usize) -> Result<Outcome> {
    let files = Arc::new(Mutex::new(0..job.paths.len()));
    let next = move || files.lock().unwrap_or_else(PoisonError::into_inner).next();
    let mut workers = JoinSet::new();
    for _ in 0..units {
        let (next, paths) = (next.clone(), job.paths.clone());
        workers.spawn_blocking(move || {
            let mut summaries = Vec::new();
            while let Some(file) = next() {
                let summary = File::open(&paths[file]).and_then(examine);
                summaries.push((file, summary));
            }
            summaries
        });
    }
    let mut tally = job.tally();
    for (file, summary) in workers.join_all().await.into_iter().flatten() {
        tally.add(file, summary.map_err(|error| error.to_string()));
    }
    Ok(job.outcome(tally))
}
