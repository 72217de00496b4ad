//! Unit: child process of a pool, dealt a few files at a time. Shares: nothing.
//! Ends: every file is answered.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};
use suite::Result;
use suite::files::{Job, Outcome, examine};

use crate::children::Children;
use crate::worker::{self, Answer};

/// The most files in one share: their paths have to fit into a message.
const MOST_FILES: usize = 16;

pub fn run(job: &Job, children: &mut Children, most: usize) -> Result<Outcome> {
    let mut workers = children.deal(most, shares(job, most), worker::Task::Files)?;
    let mut tally = job.tally();
    while let Some(answer) = workers.answer(None)? {
        match answer {
            Answer::Files(first, summaries) => {
                for (file, summary) in (first..).zip(summaries) {
                    tally.add(file, summary);
                }
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(job.outcome(tally))
}

/// A file at a time to begin with, where the big ones are, and several where they
/// are small: a share costs two messages. Fewer again towards the end, where
/// nobody should wait for one who has many left.
fn shares(job: &Job, workers: usize) -> Vec<Task> {
    let mut shares = Vec::new();
    let mut first = 0;
    while let left @ 1.. = job.paths.len() - first {
        let files = (first.min(left) / (4 * workers)).clamp(1, MOST_FILES);
        let paths = job.paths[first..].iter().take(files);
        shares.push(Task {
            first,
            paths: paths.map(OsString::from).collect(),
        });
        first += files;
    }
    shares
}

/// What is in the files in these places of the list?
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    first: usize,
    /// Their paths, which need not be text.
    paths: Vec<OsString>,
}

impl Task {
    pub fn perform(self) -> Result<Answer> {
        let examine = |path| {
            let summary = File::open(path).and_then(examine);
            summary.map_err(|error| error.to_string())
        };
        let summaries = self.paths.iter().map(examine).collect();
        Ok(Answer::Files(self.first, summaries))
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.paths.iter().map(|path| Path::new(path).display());
        f.debug_list().entries(paths).finish()
    }
}
