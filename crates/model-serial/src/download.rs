//! Unit: none. Shares: one connection, in turn. Ends: the last file does.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::Context;
use suite::Result;
use suite::download::{Job, Outcome, Source};
use ureq::Agent;

use crate::http;

pub fn run(job: &Job, agent: &Agent) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for source in &job.sources {
        outcome.add(download(job, agent, source)?);
    }
    Ok(outcome)
}

/// Streams one file to disk; returns its length in bytes. Until the file is
/// complete it has another name.
fn download(job: &Job, agent: &Agent, source: &Source) -> Result<u64> {
    let (path, part) = job.paths(source);
    stream(agent, &source.url, &part)
        .and_then(|bytes| {
            fs::rename(&part, &path)?;
            Ok(bytes)
        })
        .inspect_err(|_| drop(fs::remove_file(&part))) // there may be none
        .with_context(|| format!("{} ({})", path.display(), source.url))
}

fn stream(agent: &Agent, url: &str, part: &Path) -> Result<u64> {
    let mut body = http::get(agent, url)?;
    let mut file = File::create(part)?;
    Ok(io::copy(&mut body, &mut file)?)
}
