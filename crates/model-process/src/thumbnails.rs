//! Unit: child process of a pool, dealt an image at a time. Shares: nothing.
//! Ends: every image is answered.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use suite::Result;
use suite::thumbnails::{Job, Outcome, Summary, thumbnail};

use crate::children::Children;
use crate::worker::{self, Answer};

pub fn run(job: &Job, children: &mut Children, most: usize) -> Result<Outcome> {
    let images = job.paths.iter().enumerate().map(|(file, path)| Task {
        file,
        path: path.into(),
        edge: job.edge,
    });
    let mut workers = children.deal(most, images, worker::Task::Thumbnails)?;
    let mut tally = job.tally();
    while let Some(answer) = workers.answer(None)? {
        match answer {
            Answer::Image(file, summary) => tally.add(file, summary),
            other => return Err(other.unexpected()),
        }
    }
    Ok(job.outcome(tally))
}

/// Make the image in this place of the list fit a square of `edge` pixels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    file: usize,
    /// Its path, which need not be text.
    path: OsString,
    edge: u32,
}

impl Task {
    pub fn perform(self) -> Result<Answer> {
        let summary = self.shrink().map_err(|error| error.to_string());
        Ok(Answer::Image(self.file, summary))
    }

    fn shrink(&self) -> Result<Summary> {
        let file = fs::read(&self.path)?;
        Ok(thumbnail(&file, self.edge)?.summary())
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Path::new(&self.path).display().fmt(f)
    }
}
