//! Unit: blocking call, as many as there are cores for. Shares: the files that
//! are left. Ends: every call is awaited.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_std::task;
use suite::Result;
use suite::thumbnails::{Job, Outcome, Summary, thumbnail};

pub async fn run(job: Job, units: usize) -> Result<Outcome> {
    let files = Arc::new(Mutex::new(0..job.paths.len()));
    let next = move || files.lock().unwrap_or_else(PoisonError::into_inner).next();
    let mut workers = Vec::with_capacity(units);
    for _ in 0..units {
        let (job, next) = (job.clone(), next.clone());
        workers.push(task::spawn_blocking(move || {
            let mut summaries = Vec::new();
            while let Some(file) = next() {
                summaries.push((file, shrink(&job, &job.paths[file])));
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

fn shrink(job: &Job, path: &Path) -> Result<Summary> {
    let file = fs::read(path)?;
    Ok(thumbnail(&file, job.edge)?.summary())
}
