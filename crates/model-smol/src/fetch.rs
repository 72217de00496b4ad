//! Unit: task, one a URL. Shares: the client. Ends: every task is awaited.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use smol::Executor;
use suite::Result;
use suite::fetch::{Body, Job, Outcome};

use crate::http::Client;

pub async fn run(job: Job, executor: Arc<Executor<'static>>, client: Client) -> Result<Outcome> {
    let started = Instant::now();
    let workers: Vec<_> = job
        .targets
        .into_iter()
        .map(|url| {
            let client = client.clone();
            executor.spawn(async move {
                let body = fetch(&client, &url).await.context(url)?;
                anyhow::Ok((body, started.elapsed()))
            })
        })
        .collect();
    let mut outcome = Outcome::default();
    for fetched in crate::join_all(workers).await {
        let (body, time) = fetched?;
        outcome.add(body, time);
    }
    Ok(outcome)
}

/// Reads a body to its end, and keeps its length and its checksum.
async fn fetch(client: &Client, url: &str) -> Result<Body> {
    let mut response = client.get(url).await?;
    let mut body = Body::default();
    while let Some(piece) = response.piece().await? {
        body.push(&piece);
    }
    client.idle.keep(response);
    Ok(body)
}
