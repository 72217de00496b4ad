//! Unit: thread, as many as the limit. Shares: the list of files still to
//! fetch, and the agent. Ends: the list is empty and the scope joins.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Context;
use suite::Result;
use suite::download::{Job, Outcome, Source};
use ureq::Agent;

use crate::http;

pub fn run(job: &Job, agent: &Agent) -> Result<Outcome> {
    let queue = Queue::new(&job.sources);
    thread::scope(|scope| {
        let workers = (0..job.limit.min(job.sources.len()))
            .map(|_| {
                crate::spawn(scope, || {
                    let mut outcome = Outcome::default();
                    while let Some(source) = queue.next() {
                        let bytes = download(job, agent, source);
                        outcome.add(bytes.inspect_err(|_| queue.clear())?);
                    }
                    anyhow::Ok(outcome)
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut outcome = Outcome::default();
        for worker in workers {
            outcome.merge(crate::join(worker)?);
        }
        Ok(outcome)
    })
}

/// The files still to fetch. A failure empties the list: the other workers
/// finish the file that they have begun, and stop.
struct Queue<'a>(Mutex<std::slice::Iter<'a, Source>>);

impl<'a> Queue<'a> {
    fn new(sources: &'a [Source]) -> Self {
        Self(Mutex::new(sources.iter()))
    }

    fn next(&self) -> Option<&'a Source> {
        self.list().next()
    }

    fn clear(&self) {
        *self.list() = [].iter();
    }

    fn list(&self) -> MutexGuard<'_, std::slice::Iter<'a, Source>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
