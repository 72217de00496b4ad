//! HTTP/1.1 for this model: reqwest, with the same decisions as its siblings:
//! no proxy, no redirects, and only a 200 is an answer.

use anyhow::{Context, Result, ensure};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use suite::Setup;

/// A client that keeps a connection for each of a job's units.
pub fn client(setup: &Setup) -> Result<Client> {
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .pool_max_idle_per_host(setup.units)
        .build()
        .context("an HTTP client")
}

/// A response whose status is 200.
pub async fn get(client: &Client, url: &str) -> Result<Response> {
    let response = client.get(url).send().await?;
    let status = response.status();
    ensure!(status == 200, "the server answered {status}");
    Ok(response)
}
