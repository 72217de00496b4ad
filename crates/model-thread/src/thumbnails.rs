//! Unit: thread of a rayon pool. Shares: the list. Ends: the list does.

use std::fs;
use std::path::Path;

use rayon::ThreadPool;
use rayon::iter::{ParallelBridge, ParallelIterator};
use suite::Result;
use suite::thumbnails::{Job, Outcome, Summary, thumbnail};

pub fn run(job: &Job, pool: &ThreadPool) -> Result<Outcome> {
    // One after the other, the biggest first: see `files`.
    let files = job.paths.iter().enumerate().par_bridge();
    let summaries: Vec<_> = pool.install(|| {
        files
            .map(|(file, path)| (file, shrink(job, path)))
            .collect()
    });
    let mut tally = job.tally();
    for (file, summary) in summaries {
        tally.add(file, summary.map_err(|error| error.to_string()));
    }
    Ok(job.outcome(tally))
}

fn shrink(job: &Job, path: &Path) -> Result<Summary> {
    let file = fs::read(path)?;
    Ok(thumbnail(&file, job.edge)?.summary())
}
