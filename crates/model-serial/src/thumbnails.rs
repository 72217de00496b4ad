//! Unit: none. Shares: nothing. Ends: the list does.

use std::fs;
use std::path::Path;

use suite::Result;
use suite::thumbnails::{Job, Outcome, Summary, thumbnail};

pub fn run(job: &Job) -> Result<Outcome> {
    let mut tally = job.tally();
    for (file, path) in job.paths.iter().enumerate() {
        let summary = shrink(job, path);
        tally.add(file, summary.map_err(|error| error.to_string()));
    }
    Ok(job.outcome(tally))
}

fn shrink(job: &Job, path: &Path) -> Result<Summary> {
    let file = fs::read(path)?;
    Ok(thumbnail(&file, job.edge)?.summary())
}
