//! Unit: task, as many as the limit. Shares: the list of files still to fetch,
//! and the client. Ends: the list is empty and the `JoinSet` drains.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use reqwest::Client;
use suite::Result;
use suite::download::{Job, Outcome, Source};
use tokio::task::{JoinSet, spawn_blocking};

use crate::http;

/// A body goes to the disk in pieces of at least this size, or whole.
const PIECE_BYTES: usize = 64 * 1024;

pub async fn run(mut job: Job, client: Client) -> Result<Outcome> {
    let limit = job.limit.min(job.sources.len());
    let queue = Arc::new(Queue::new(std::mem::take(&mut job.sources)));
    let mut workers = JoinSet::new();
    for _ in 0..limit {
        let (job, client, queue) = (job.clone(), client.clone(), queue.clone());
        workers.spawn(async move {
            let mut outcome = Outcome::default();
            while let Some(source) = queue.next() {
                let bytes = download(&job, &client, &source).await;
                outcome.add(bytes.inspect_err(|_| queue.clear())?);
            }
            anyhow::Ok(outcome)
        });
    }
    let mut outcome = Outcome::default();
    for completed in workers.join_all().await {
        outcome.merge(completed?);
    }
    Ok(outcome)
}

/// The files still to fetch. A failure empties the list: the other workers
/// finish the file that they have begun, and stop.
struct Queue(Mutex<std::vec::IntoIter<Source>>);

impl Queue {
    fn new(sources: Vec<Source>) -> Self {
        Self(Mutex::new(sources.into_iter()))
    }

    fn next(&self) -> Option<Source> {
        self.list().next()
    }

    fn clear(&self) {
        *self.list() = Vec::new().into_iter();
    }

    fn list(&self) -> MutexGuard<'_, std::vec::IntoIter<Source>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Streams one file to disk; returns its length in bytes. Until the file is
/// complete it has another name.
async fn download(job: &Job, client: &Client, source: &Source) -> Result<u64> {
    let (path, part) = job.paths(source);
    let streamed = stream(client, &source.url, part.clone(), path.clone()).await;
    if streamed.is_err() {
        let _ = spawn_blocking(move || fs::remove_file(part)).await; // there may be none
    }
    streamed.with_context(|| format!("{} ({})", path.display(), source.url))
}

async fn stream(client: &Client, url: &str, part: PathBuf, path: PathBuf) -> Result<u64> {
    let mut response = http::get(client, url).await?;
    let mut file = Partial::new(part);
    let mut bytes = 0;
    while let Some(data) = response.chunk().await? {
        bytes += data.len() as u64;
        file.piece.extend_from_slice(&data);
        if file.piece.len() >= PIECE_BYTES {
            file = spawn_blocking(move || file.write()).await??;
        }
    }
    spawn_blocking(move || file.write()?.finish(&path)).await??;
    Ok(bytes)
}

/// A file under its temporary name.
struct Partial {
    path: PathBuf,
    file: Option<File>,
    /// What goes to the disk with the next write. Every call into the blocking
    /// pool costs a hop to another thread and back: a few large ones are the
    /// idiom, and a small file takes one.
    piece: Vec<u8>,
}

impl Partial {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            piece: Vec::new(),
        }
    }

    fn write(mut self) -> io::Result<Self> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => File::create(&self.path)?,
        };
        file.write_all(&self.piece)?;
        self.piece.clear();
        self.file = Some(file);
        Ok(self)
    }

    fn finish(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)
    }
}
