//! Unit: task, one a URL. Shares: the client. Ends: every task is awaited.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use smol::Executor;
use suite::Result;
use suite::fetch::{Job, Outcome};

use crate::http::Client;

pub async fn run(job: Job, executor: Arc<Executor<'static>>, client: Client) -> Result<Outcome> {
    let started = Instant::now();
    let workers: Vec<_> = job
        .targets
        .into_iter()
        .map(|url| {
            let client = client.clone();
            executor.spawn(async move {
                let bytes = fetch(&client, &url).await.context(url)?;
                anyhow::Ok((bytes, started.elapsed()))
            })
        })
        .collect();
    let mut outcome = Outcome::default();
    for body in crate::join_all(workers).await {
        let (bytes, time) = body?;
        outcome.add(bytes, time);
    }
    Ok(outcome)
}

/// Reads a body to its end; returns its length in bytes.
async fn fetch(client: &Client, url: &str) -> Result<u64> {
    let mut response = client.get(url).await?;
    let mut bytes = 0;
    while let Some(piece) = response.piece().await? {
        bytes += piece.len() as u64;
    }
    client.idle.keep(response);
    Ok(bytes)
}
