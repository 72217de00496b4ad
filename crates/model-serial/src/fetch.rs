//! Unit: none. Shares: one connection, in turn. Ends: the last body does.

use std::io;

use anyhow::Context;
use suite::Result;
use suite::fetch::{Job, Outcome};
use ureq::Agent;

use crate::http;

pub fn run(job: &Job, agent: &Agent) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for url in &job.targets {
        outcome.add(fetch(agent, url).with_context(|| url.clone())?);
    }
    Ok(outcome)
}

/// Reads a body to its end; returns its length in bytes.
fn fetch(agent: &Agent, url: &str) -> Result<u64> {
    let mut body = http::get(agent, url)?;
    Ok(io::copy(&mut body, &mut io::sink())?)
}
