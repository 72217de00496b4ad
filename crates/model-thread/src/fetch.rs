//! Unit: thread, one a URL. Shares: the client. Ends: the scope joins.

use std::io;
use std::thread;
use std::time::Instant;

use anyhow::Context;
use http_ureq::Client;
use suite::Result;
use suite::fetch::{Job, Outcome};

use crate::http;

pub fn run(job: &Job, client: &Client) -> Result<Outcome> {
    let started = Instant::now();
    thread::scope(|scope| {
        let workers = job
            .targets
            .iter()
            .map(|url| {
                crate::spawn(scope, move || {
                    let bytes = fetch(client, url).with_context(|| url.clone())?;
                    anyhow::Ok((bytes, started.elapsed()))
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut outcome = Outcome::default();
        for worker in workers {
            let (bytes, time) = crate::join(worker)?;
            outcome.add(bytes, time);
        }
        Ok(outcome)
    })
}

/// Reads a body to its end; returns its length in bytes.
fn fetch(client: &Client, url: &str) -> Result<u64> {
    let mut body = http::get(client, url)?;
    Ok(io::copy(&mut body, &mut io::sink())?)
}
