//! Unit: none. Shares: nothing. Ends: the list does.

use std::fs::File;

use suite::Result;
use suite::files::{Job, Outcome, examine};

pub fn run(job: &Job) -> Result<Outcome> {
    job.needs_no_runtime()?;
    let mut tally = job.tally();
    for (file, path) in job.paths.iter().enumerate() {
        let summary = File::open(path).and_then(examine);
        tally.add(file, summary.map_err(|error| error.to_string()));
    }
    Ok(job.outcome(tally))
}
