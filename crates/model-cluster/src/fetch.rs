//! Unit: slot of a node, one a URL. Shares: the connections of its node. Ends: every URL is
//! answered.

use std::time::Instant;

use anyhow::Context;
use suite::Result;
use suite::fetch::{Body, Job, Outcome};

use crate::http::Client;
use crate::protocol::{Answer, Task};
use crate::session::Session;
use crate::shares::Shares;

pub async fn run(job: &Job, session: &mut Session) -> Result<Outcome> {
    let started = Instant::now();
    let urls = job.targets.iter().cloned();
    let mut workers = Shares::deal(session, urls.map(Task::Fetch)).await?;
    let mut outcome = Outcome::default();
    while let Some(answer) = workers.answer().await? {
        match answer {
            Answer::Body(body) => outcome.add(body, started.elapsed()),
            other => return Err(other.unexpected()),
        }
    }
    Ok(outcome)
}

pub(crate) async fn perform(url: &str, client: &Client) -> Result<Answer> {
    let body = fetch(client, url).await.with_context(|| url.to_owned())?;
    Ok(Answer::Body(body))
}

/// Reads a body to its end, and returns its length and checksum.
async fn fetch(client: &Client, url: &str) -> Result<Body> {
    let mut response = client.get(url).await?;
    let mut body = Body::default();
    while let Some(piece) = response.piece().await? {
        body.push(&piece);
    }
    client.idle.keep(response);
    Ok(body)
}
