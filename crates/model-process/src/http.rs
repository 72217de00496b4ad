//! HTTP/1.1 for this model: ureq, with the same decisions as its siblings: no
//! proxy, no redirects, and only a 200 is an answer.

use std::io::BufReader;

use anyhow::{Result, ensure};
use ureq::{Agent, BodyReader};

use crate::worker::LONGEST_TEXT;

/// Bodies are read in pieces of this size.
const PIECE_BYTES: usize = 32 * 1024;

/// A child's agent. It keeps the one connection that a child has use for.
pub fn agent() -> Agent {
    Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        // Of 128 KiB each if left alone, for every connection. Measured with 20
        // threads: 5 MiB less, no slower.
        .input_buffer_size(PIECE_BYTES)
        .output_buffer_size(4 * 1024)
        .http_status_as_error(false)
        .build()
        .into()
}

/// The body of a response whose status is 200.
pub fn get(agent: &Agent, url: &str) -> Result<BufReader<BodyReader<'static>>> {
    let response = agent.get(url).call()?;
    let status = response.status();
    ensure!(status == 200, "the server answered {status}");
    let body = response.into_body().into_reader();
    Ok(BufReader::with_capacity(PIECE_BYTES, body))
}

/// Refuses a URL that does not fit into a task.
pub fn check_length(url: &str) -> Result<()> {
    ensure!(
        url.len() <= LONGEST_TEXT,
        "{}...: a URL of {} bytes, at most {LONGEST_TEXT} are sent to a child",
        &url[..url.floor_char_boundary(64)],
        url.len()
    );
    Ok(())
}
