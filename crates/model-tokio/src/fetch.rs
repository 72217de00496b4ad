//! Unit: task, one a URL. Shares: the client. Ends: the `JoinSet` drains.

use std::time::Instant;

use anyhow::Context;
use suite::Result;
use suite::fetch::{Job, Outcome};
use tokio::task::JoinSet;

use crate::http::Client;

pub async fn run(job: Job, client: Client) -> Result<Outcome> {
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for url in job.targets {
        let client = client.clone();
        workers.spawn(async move {
            let bytes = fetch(&client, &url).await.context(url)?;
            anyhow::Ok((bytes, started.elapsed()))
        });
    }
    let mut outcome = Outcome::default();
    for body in workers.join_all().await {
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
