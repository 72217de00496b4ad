//! Unit: task, one a URL. Shares: the client. Ends: every task is awaited.

use std::time::Instant;

use anyhow::Context;
use async_std::task;
use futures_lite::AsyncBufReadExt;
use suite::Result;
use suite::fetch::{Body, Job, Outcome};

use crate::http::{self, Client};

pub async fn run(job: Job, client: Client) -> Result<Outcome> {
    let started = Instant::now();
    let workers: Vec<_> = job
        .targets
        .into_iter()
        .map(|url| {
            let client = client.clone();
            task::spawn(async move {
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
    loop {
        let piece = http::piece(&mut response).await?;
        if piece.is_empty() {
            return Ok(body);
        }
        body.push(piece);
        let length = piece.len();
        response.consume(length);
    }
}
