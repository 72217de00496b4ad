//! Unit: thread, one a URL. Shares: the client. Ends: the scope joins.

use std::io;
use std::thread;
use std::time::Instant;

use anyhow::Context;
use http_ureq::Client;
use suite::Result;
use suite::fetch::{Body, Job, Outcome};

use crate::http;

pub fn run(job: &Job, client: &Client) -> Result<Outcome> {
    let started = Instant::now();
    thread::scope(|scope| {
        let workers = job
            .targets
            .iter()
            .map(|url| {
                crate::spawn(scope, move || {
                    let body = fetch(client, url).with_context(|| url.clone())?;
                    anyhow::Ok((body, started.elapsed()))
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut outcome = Outcome::default();
        for worker in workers {
            let (body, time) = crate::join(worker)?;
            outcome.add(body, time);
        }
        Ok(outcome)
    })
}

/// Reads a body to its end, and keeps its length and its checksum.
fn fetch(client: &Client, url: &str) -> Result<Body> {
    let mut body = Body::default();
    io::copy(&mut http::get(client, url)?, &mut body)?;
    Ok(body)
}
