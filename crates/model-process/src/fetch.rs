//! Unit: child process, one a URL. Shares: nothing. Ends: every URL is answered.

use std::fmt;
use std::io;
use std::time::Instant;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use suite::Result;
use suite::fetch::{Job, Outcome};

use crate::children::Children;
use crate::http;
use crate::worker::{self, Answer, Worker};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    let started = Instant::now();
    job.targets
        .iter()
        .try_for_each(|url| http::check_length(url))?;
    let urls = job.targets.iter().cloned().map(Task);
    let mut workers = children.deal(job.targets.len(), urls, worker::Task::Fetch)?;
    let mut outcome = Outcome::default();
    while let Some(answer) = workers.answer(None)? {
        outcome.add(answer.number()?, started.elapsed());
    }
    Ok(outcome)
}

/// Read this URL's body to its end: how many bytes has it?
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task(String);

impl Task {
    pub fn perform(self, worker: &Worker) -> Result<Answer> {
        let fetch = || {
            let mut body = http::get(&worker.client, &self.0)?;
            anyhow::Ok(io::copy(&mut body, &mut io::sink())?)
        };
        fetch().map(Answer::Number).context(self.0.clone())
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
