//! Unit: thread of a rayon pool. Shares: the list. Ends: the list does.

use std::fs::File;

use rayon::ThreadPool;
use rayon::iter::{ParallelBridge, ParallelIterator};
use suite::Result;
use suite::files::{Job, Outcome, examine};

pub fn run(job: &Job, pool: &ThreadPool) -> Result<Outcome> {
    job.needs_no_runtime()?;
    // A bridge hands out one file after the other. `par_iter` would halve the
    // list, and could come to a big file last.
    let files = job.paths.iter().enumerate().par_bridge();
    let summaries: Vec<_> = pool.install(|| {
        files
            .map(|(file, path)| (file, File::open(path).and_then(examine)))
            .collect()
    });
    let mut tally = job.tally();
    for (file, summary) in summaries {
        tally.add(file, summary.map_err(|error| error.to_string()));
    }
    Ok(job.outcome(tally))
}
