//! Unit: child process of a pool, dealt an image at a time. Shares: nothing.
//! Ends: every image is answered.

use std::fs;
use std::path::Path;

use suite::Result;
use suite::thumbnails::{Job, Outcome, Summary, thumbnail};

use crate::pool::protocol::ThumbnailTask;
use crate::pool::{Answer, Children, Chunks, Task};

pub fn run(job: &Job, children: &mut Children, most: usize) -> Result<Outcome> {
    let images = job
        .paths
        .iter()
        .enumerate()
        .map(|(file, path)| ThumbnailTask {
            file,
            path: path.into(),
            edge: job.edge,
        });
    let describe = |task: &ThumbnailTask| task.path.display().to_string();
    let mut workers = Chunks::dispatch(children, most, images, Task::Thumbnails, describe)?;
    let mut tally = job.tally();
    while let Some(answer) = workers.answer(None)? {
        match answer {
            Answer::Thumbnail(file, summary) => tally.add(file, summary),
            other => return Err(other.unexpected()),
        }
    }
    Ok(job.outcome(tally))
}

pub(crate) fn perform(task: &ThumbnailTask) -> Answer {
    let summary = shrink(task.edge, task.path.as_ref());
    Answer::Thumbnail(task.file, summary.map_err(|error| error.to_string()))
}

fn shrink(edge: u32, path: &Path) -> Result<Summary> {
    let file = fs::read(path)?;
    Ok(thumbnail(&file, edge)?.summary())
}
