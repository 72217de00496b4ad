//! HTTP/1.1 for this model: ureq, as the downloads speak it. `fetch` takes a 200
//! for an answer, and nothing else.

use anyhow::{Result, ensure};
use http_ureq::{Client, Response};

use crate::pool::protocol::MAX_TEXT_BYTES;

/// The body of a response whose status is 200.
pub fn get(client: &Client, url: &str) -> Result<Response> {
    let response = client.get(url)?;
    let status = response.head.status;
    ensure!(status == 200, "the server answered {status}");
    Ok(response)
}

/// Refuses a URL that does not fit into a task.
pub fn check_length(url: &str) -> Result<()> {
    ensure!(
        url.len() <= MAX_TEXT_BYTES,
        "{}...: a URL of {} bytes, at most {MAX_TEXT_BYTES} are sent to a child",
        &url[..url.floor_char_boundary(64)],
        url.len()
    );
    Ok(())
}
