//! Unit: task, as many as the limit. Shares: the list of files still to fetch.
//! Ends: the list is empty and every task is awaited.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use http_body_util::BodyExt;
use smol::Executor;
use smol::fs::{self, File};
use smol::io::AsyncWriteExt;
use suite::Result;
use suite::download::{Job, Outcome, Source};

use crate::http::Client;

pub async fn run(mut job: Job, executor: Arc<Executor<'static>>) -> Result<Outcome> {
    let limit = job.limit.min(job.sources.len());
    let sources = Arc::new(Mutex::new(std::mem::take(&mut job.sources).into_iter()));
    let next = move || {
        sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()
    };
    let workers: Vec<_> = (0..limit)
        .map(|_| {
            let (job, next) = (job.clone(), next.clone());
            let mut client = Client::new(executor.clone());
            executor.spawn(async move {
                let mut outcome = Outcome::default();
                while let Some(source) = next() {
                    outcome.add(download(&job, &mut client, &source).await?);
                }
                anyhow::Ok(outcome)
            })
        })
        .collect();
    let mut outcome = Outcome::default();
    for worker in workers {
        outcome.merge(worker.await?);
    }
    Ok(outcome)
}

/// Streams one file to disk; returns its length in bytes. Until the file is
/// complete it has another name.
async fn download(job: &Job, client: &mut Client, source: &Source) -> Result<u64> {
    let (path, part) = job.paths(source);
    let complete = async {
        let bytes = stream(client, &source.url, &part).await?;
        fs::rename(&part, &path).await?;
        anyhow::Ok(bytes)
    };
    match complete.await {
        Ok(bytes) => Ok(bytes),
        Err(error) => {
            let _ = fs::remove_file(&part).await; // there may be none yet
            Err(error).with_context(|| format!("{} ({})", path.display(), source.url))
        }
    }
}

async fn stream(client: &mut Client, url: &str, part: &Path) -> Result<u64> {
    let mut body = client.get(url).await?;
    let mut file = File::create(part).await?;
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        if let Some(piece) = frame?.data_ref() {
            file.write_all(piece).await?;
            bytes += piece.len() as u64;
        }
    }
    file.flush().await?;
    Ok(bytes)
}
