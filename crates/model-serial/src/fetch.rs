//! Unit: none. Shares: one connection, in turn. Ends: the last body does.

use std::io;
use std::time::Instant;

use anyhow::Context;
use http_ureq::Client;
use suite::Result;
use suite::fetch::{Body, Job, Outcome};

use crate::http;

pub fn run(job: &Job, client: &Client) -> Result<Outcome> {
    let started = Instant::now();
    let mut outcome = Outcome::default();
    for url in &job.targets {
        let body = fetch(client, url).with_context(|| url.clone())?;
        outcome.add(body, started.elapsed());
    }
    Ok(outcome)
}

/// Reads a body to its end, and keeps its length and its checksum.
fn fetch(client: &Client, url: &str) -> Result<Body> {
    let mut body = Body::default();
    io::copy(&mut http::get(client, url)?, &mut body)?;
    Ok(body)
}
