//! Unit: child process, as many as the limit. Shares: nothing. Ends: every file
//! is answered.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use suite::Result;
use suite::download::{Job, Outcome, Source};

use crate::children::Children;
use crate::http;
use crate::worker::{self, Answer, Worker};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    job.sources
        .iter()
        .try_for_each(|source| http::check_length(&source.url))?;
    // A child has one request under way, whatever has been dealt to it ahead.
    download(job, children).inspect_err(|_| {
        // The children have ended: nobody else removes what they leave.
        for source in &job.sources {
            let _ = fs::remove_file(job.paths(source).1);
        }
    })
}

fn download(job: &Job, children: &mut Children) -> Result<Outcome> {
    let files = job.sources.iter().map(|source| Task::new(job, source));
    let workers = children.deal(job.limit, files, worker::Task::Download)?;
    let mut workers = workers.lingering();
    let mut outcome = Outcome::default();
    while let Some(answer) = workers.answer(None)? {
        outcome.add(answer.number()?);
    }
    Ok(outcome)
}

/// Stream this file to disk: how many bytes has it?
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    url: String,
    path: PathBuf,
    /// Its path until it is complete.
    part: PathBuf,
}

impl Task {
    fn new(job: &Job, source: &Source) -> Self {
        let (path, part) = job.paths(source);
        Self {
            url: source.url.clone(),
            path,
            part,
        }
    }

    pub fn perform(self, worker: &Worker) -> Result<Answer> {
        self.stream(worker)
            .map(Answer::Number)
            .inspect_err(|_| drop(fs::remove_file(&self.part))) // there may be none
            .with_context(|| self.to_string())
    }

    fn stream(&self, worker: &Worker) -> Result<u64> {
        let mut body = http::get(&worker.agent, &self.url)?;
        // Truncates what a child before this one may have left.
        let mut file = File::create(&self.part)?;
        let bytes = io::copy(&mut body, &mut file)?;
        fs::rename(&self.part, &self.path)?;
        Ok(bytes)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path.display(), self.url)
    }
}
