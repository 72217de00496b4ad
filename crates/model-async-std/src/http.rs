//! HTTP/1.1 for this model: surf, with the same decisions as its siblings: no
//! proxy, no redirects, and only a success is an answer.

use anyhow::{Context, Result, ensure};
use async_std::io::{self, Write};
use suite::Setup;
use surf::{Client, Config, Response, Url};

/// A client that keeps a connection for each of a job's units.
pub fn client(setup: &Setup) -> Result<Client> {
    Config::new()
        .set_max_connections_per_host(setup.units)
        .set_tcp_no_delay(true)
        // It would cover the head of a response only; the others have none.
        .set_timeout(None)
        .try_into()
        .context("an HTTP client")
}

/// A response whose status is a success.
pub async fn get(client: &Client, url: &str) -> Result<Response> {
    let url = Url::parse(url).context("not a URL")?;
    let mut response = client.get(url).await.map_err(surf::Error::into_inner)?;
    let status = response.status();
    if !status.is_success() {
        // A body left unread would poison its connection for the next request.
        copy_body(&mut response, io::sink()).await?;
    }
    ensure!(status.is_success(), "the server answered {status}");
    Ok(response)
}

/// Copies a body to its end; returns its length in bytes.
pub async fn copy_body(response: &mut Response, mut into: impl Write + Unpin) -> Result<u64> {
    let announced = response.len();
    let bytes = io::copy(response, &mut into).await?;
    // async-h1 takes a connection that closes early for the end of the body.
    if let Some(announced) = announced {
        ensure!(
            bytes == announced as u64,
            "connection closed after {bytes} of {announced} bytes"
        );
    }
    Ok(bytes)
}
