//! Unit: child process, one a URL. Shares: nothing. Ends: every URL is answered.

use std::io;
use std::time::Instant;

use anyhow::Context;
use http_ureq::Client;
use suite::Result;
use suite::fetch::{Body, Job, Outcome};

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
        outcome.add(answer.body()?, started.elapsed());
    }
    Ok(outcome)
}

pub(crate) fn perform(url: &str, context: &WorkerContext) -> Result<Answer> {
    let body = fetch(&context.client, url).with_context(|| url.to_owned())?;
    Ok(Answer::Body(body))
}

/// Reads a body to its end, and keeps its length and its checksum.
fn fetch(client: &Client, url: &str) -> Result<Body> {
    let mut body = Body::default();
    io::copy(&mut http::get(client, url)?, &mut body)?;
    Ok(body)
}
