//! Unit: slot of a node, which pulls a few files at a time. Shares: nothing. Ends: every file is
//! answered.

use suite::Result;
use suite::files::{Examination, Job, Outcome, Summary, examine};

use crate::listed_file::ListedFile;
use crate::node::{Node, unblock};
use crate::protocol::{Answer, Task};
use crate::session::Session;
use crate::shares::Shares;

/// The maximum number of files in one share. It is small, so that little is lost with a node.
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

/// Splits the list into shares. The first shares have one file each, because large files come
/// first; later ones have several, because a share costs several messages. Towards the end they get
/// smaller again, so that no slot waits for one with many files left.
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
        let summarize = |file: ListedFile| {
            let opened = file.open();
            let summary = opened.and_then(|opened| examine(opened).ok());
            (file.place, summary)
        };
        files.into_iter().map(summarize).collect::<Vec<_>>()
    });
    let mut summaries = Vec::new();
    for (place, summary) in read.await? {
        let summary = match summary {
            Some(summary) => Ok(summary),
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
