//! Unit: child process of a pool, dealt a few files at a time. Shares: nothing.
//! Ends: every file is answered.

use std::ffi::OsString;
use std::fs::File;

use suite::Result;
use suite::files::{Job, Outcome, examine};

use crate::pool::protocol::FilesTask;
use crate::pool::{Answer, Children, Chunks, Task};

/// The most files in one chunk: their paths have to fit into a message.
const MAX_FILES: usize = 16;

pub fn run(job: &Job, children: &mut Children, most: usize) -> Result<Outcome> {
    job.needs_no_runtime()?;
    let describe = |task: &FilesTask| format!("{:?}", task.paths);
    let mut workers = Chunks::dispatch(children, most, chunks(job, most), Task::Files, describe)?;
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
/// are small: a chunk costs two messages. Fewer again towards the end, where no
/// child should wait for one that has many left.
fn chunks(job: &Job, workers: usize) -> Vec<FilesTask> {
    let mut chunks = Vec::new();
    let mut first = 0;
    while let left @ 1.. = job.paths.len() - first {
        let files = (first.min(left) / (4 * workers)).clamp(1, MAX_FILES);
        let paths = job.paths[first..].iter().take(files);
        chunks.push(FilesTask {
            first,
            paths: paths.map(OsString::from).collect(),
        });
        first += files;
    }
    chunks
}

pub(crate) fn perform(task: &FilesTask) -> Answer {
    let examine = |path| {
        let summary = File::open(path).and_then(examine);
        summary.map_err(|error| error.to_string())
    };
    Answer::Files(task.first, task.paths.iter().map(examine).collect())
}
