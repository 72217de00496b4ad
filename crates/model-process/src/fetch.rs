//! Unit: child process, one a URL. Shares: nothing. Ends: every URL is answered.

use std::io;
use std::time::Instant;

use anyhow::Context;
use http_ureq::Client;
use suite::Result;
use suite::fetch::{Job, Outcome};

use crate::http;
use crate::pool::{Answer, Children, Chunks, Task, WorkerContext};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    let started = Instant::now();
    job.targets
        .iter()
        .try_for_each(|url| http::check_length(url))?;
    let urls = job.targets.iter().cloned();
    let mut workers = Chunks::dispatch(children, urls.len(), urls, Task::Fetch, String::clone)?;
    let mut outcome = Outcome::default();
    while let Some(answer) = workers.answer(None)? {
        outcome.add(answer.number()?, started.elapsed());
    }
    Ok(outcome)
}

pub(crate) fn perform(url: &str, context: &WorkerContext) -> Result<Answer> {
    let bytes = fetch(&context.client, url).with_context(|| url.to_owned())?;
    Ok(Answer::Number(bytes))
}

/// Reads a body to its end; returns its length in bytes.
fn fetch(client: &Client, url: &str) -> Result<u64> {
    let mut body = http::get(client, url)?;
    Ok(io::copy(&mut body, &mut io::sink())?)
}
