//! Unit: slot of a node, which pulls a few files at a time. Shares: nothing. Ends: every file is
//! answered.

use std::fs::File;

use suite::Result;
use suite::files::{Examination, Job, Outcome, Summary, examine};

use crate::listed_file::ListedFile;
use crate::node::{Node, unblock};
use crate::protocol::{Answer, Task};
use crate::session::Session;
use crate::shares::Shares;

/// The most files in one share: a node that dies loses little.
const MAX_FILES: usize = 16;

pub async fn run(job: &Job, session: &mut Session) -> Result<Outcome> {
    job.needs_no_runtime()?;
    session.offer(&job.paths);
    let shares = shares(job, session.units());
    let mut workers = Shares::deal(session, shares.into_iter().map(Task::Files)).await?;
    let mut tally = job.tally();
    while let Some(answer) = workers.answer().await? {
        match answer {
            Answer::Files(summaries) => {
                for (file, summary) in summaries {
                    tally.add(file, summary);
                }
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(job.outcome(tally))
}

/// A file at a time to begin with, where the big ones are, and several where they are small: a
/// share costs several messages. Fewer again towards the end, where no slot should wait for one
/// that has many left.
fn shares(job: &Job, workers: usize) -> Vec<Vec<ListedFile>> {
    let mut shares = Vec::new();
    let mut first = 0;
    while let left @ 1.. = job.paths.len() - first {
        let files = (first.min(left) / (4 * workers))
            .clamp(1, MAX_FILES)
            .min(left);
        let places = first..first + files;
        shares.push(
            places
                .map(|place| ListedFile::of(&job.paths, place))
                .collect(),
        );
        first += files;
    }
    shares
}

pub(crate) async fn perform(files: Vec<ListedFile>, node: &Node) -> Result<Answer> {
    let read = unblock(move || {
        let examine = |file: ListedFile| {
            let summary = file
                .is_here()
                .then(|| File::open(file.path()).and_then(examine));
            (file.place, summary)
        };
        files.into_iter().map(examine).collect::<Vec<_>>()
    });
    let mut summaries = Vec::new();
    for (place, summary) in read.await? {
        let summary = match summary {
            Some(summary) => summary.map_err(|error| error.to_string()),
            None => from_parent(place, node).await?,
        };
        summaries.push((place, summary));
    }
    Ok(Answer::Files(summaries))
}

async fn from_parent(place: usize, node: &Node) -> Result<std::result::Result<Summary, String>> {
    let (mut examination, mut offset) = (Examination::default(), 0);
    loop {
        match node.piece(place, offset).await? {
            Ok(piece) if piece.is_empty() => return Ok(Ok(examination.finish())),
            Ok(piece) => {
                examination.add(&piece);
                offset += piece.len() as u64;
            }
            Err(error) => return Ok(Err(error)),
        }
    }
}
