//! Unit: thread, one a URL. Shares: the agent. Ends: the scope joins.

use std::io;
use std::thread;

use anyhow::Context;
use suite::Result;
use suite::fetch::{Job, Outcome};
use ureq::Agent;

use crate::http;

pub fn run(job: &Job, agent: &Agent) -> Result<Outcome> {
    thread::scope(|scope| {
        let workers = job
            .targets
            .iter()
            .map(|url| {
                crate::spawn(scope, move || {
                    fetch(agent, url).with_context(|| url.clone())
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut outcome = Outcome::default();
        for worker in workers {
            outcome.add(crate::join(worker)?);
        }
        Ok(outcome)
    })
}

/// Reads a body to its end; returns its length in bytes.
fn fetch(agent: &Agent, url: &str) -> Result<u64> {
    let mut body = http::get(agent, url)?;
    Ok(io::copy(&mut body, &mut io::sink())?)
}
