//! HTTP/1.1 for this model: ureq, with the same decisions as its siblings: no
//! proxy, and redirects are not followed here.

use anyhow::{Result, ensure};
use http_ureq::{Client, Response};
use transfer::{AttemptError, Request, Session};

/// A client that keeps its one connection.
pub fn client() -> Client {
    Client::new(1)
}

/// The answer to a request: its head has come, its body is to be read.
pub fn send(
    client: &Client,
    request: &Request,
    session: &Session,
) -> Result<Response, AttemptError> {
    client.send(request, &session.options, || session.tls())
}

/// The answer to a request for a URL, if its status is 200.
pub fn get(client: &Client, url: &str) -> Result<Response> {
    let response = client.get(url)?;
    let status = response.head.status;
    ensure!(status == 200, "the server answered {status}");
    Ok(response)
}
