//! Unit: none. Shares: one connection, in turn. Ends: the last body does.

use std::io;
use std::time::Instant;

use anyhow::Context;
use http_ureq::Client;
use suite::Result;
use suite::fetch::{Job, Outcome};

use crate::http;

pub fn run(job: &Job, client: &Client) -> Result<Outcome> {
    let started = Instant::now();
    let mut outcome = Outcome::default();
    for url in &job.targets {
        let bytes = fetch(client, url).with_context(|| url.clone())?;
        outcome.add(bytes, started.elapsed());
    }
    Ok(outcome)
}

/// Reads a body to its end; returns its length in bytes.
fn fetch(client: &Client, url: &str) -> Result<u64> {
    let mut body = http::get(client, url)?;
    Ok(io::copy(&mut body, &mut io::sink())?)
}
