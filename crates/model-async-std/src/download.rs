//! Unit: task, as many as the limit. Shares: the list of files still to fetch,
//! and the client. Ends: the list is empty and every task is awaited.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use async_std::fs::{self, File};
use async_std::io::WriteExt;
use async_std::task;
use suite::Result;
use suite::download::{Job, Outcome, Source};
use surf::Client;

use crate::http;

pub async fn run(mut job: Job, client: Client) -> Result<Outcome> {
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
            let (job, client, next) = (job.clone(), client.clone(), next.clone());
            task::spawn(async move {
                let mut outcome = Outcome::default();
                while let Some(source) = next() {
                    outcome.add(download(&job, &client, &source).await?);
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
async fn download(job: &Job, client: &Client, source: &Source) -> Result<u64> {
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

async fn stream(client: &Client, url: &str, part: &Path) -> Result<u64> {
    let mut response = http::get(client, url).await?;
    let mut file = File::create(part).await?;
    let bytes = http::copy_body(&mut response, &mut file).await?;
    file.flush().await?;
    Ok(bytes)
}
