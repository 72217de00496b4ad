//! HTTP/1.1 for this model: surf, with the same decisions as its siblings: no
//! proxy, no redirects, and only a 200 is an answer.

use anyhow::{Context, Result, ensure};
use async_std::io::{self, ReadExt};
use suite::Setup;
use surf::{Client, Config, Response, Url};

/// As much of an error's body is read.
const ERROR_BYTES: u64 = 1024 * 1024;

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

/// A response whose status is 200.
pub async fn get(client: &Client, url: &str) -> Result<Response> {
    let url = Url::parse(url).context("not a URL")?;
    let mut response = client.get(url).await.map_err(surf::Error::into_inner)?;
    let status = response.status();
    if status != 200 {
        // A body left unread would poison its connection for the next request.
        // (One without an end would keep us here.)
        io::copy(&mut (&mut response).take(ERROR_BYTES), &mut io::sink()).await?;
    }
    ensure!(status == 200, "the server answered {status}");
    // It would take such a body for an empty one.
    let framed = ["content-length", "transfer-encoding"];
    ensure!(
        framed.iter().any(|&name| response.header(name).is_some()),
        "async-h1 reads no body that only the connection's end ends"
    );
    Ok(response)
}

/// Refuses a body that ended early: async-h1 takes a connection that closes for
/// the end of the body.
pub fn check_whole(response: &Response, bytes: u64) -> Result<()> {
    if let Some(announced) = response.len() {
        ensure!(
            bytes == announced as u64,
            "the connection closed after {bytes} of {announced} bytes"
        );
    }
    Ok(())
}
