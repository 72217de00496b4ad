//! Unit: task, one a URL. Shares: the client. Ends: the `JoinSet` drains.

use std::time::Instant;

use anyhow::Context;
use suite::Result;
use suite::fetch::{Body, Job, Outcome};
use tokio::task::JoinSet;

use crate::http::Client;

pub async fn run(job: Job, client: Client) -> Result<Outcome> {
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for url in job.targets {
        let client = client.clone();
        workers.spawn(async move {
            let body = fetch(&client, &url).await.context(url)?;
            anyhow::Ok((body, started.elapsed()))
        });
    }
    let mut outcome = Outcome::default();
    for fetched in workers.join_all().await {
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
