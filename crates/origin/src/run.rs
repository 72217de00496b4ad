//! One run at an origin, as its client sees it.

use std::time::Duration;

use anyhow::Context;
use serde::de::DeserializeOwned;

use crate::{
    api::{File, Opened, Shape, Stats},
    client::exchange,
};

/// How long an origin may keep a request waiting.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for opening a run, when large images may have to be made first.
const PATIENCE_TO_OPEN: Duration = Duration::from_secs(30);
/// The same for closing one: nothing depends on it.
const PATIENCE_TO_CLOSE: Duration = Duration::from_secs(1);

/// One run at an origin: its own delay, link and counters, so that one origin can
/// serve any job and two runs never see each other's figures.
///
/// Each call is a request on a connection of its own, which no figure counts; it
/// fails rather than wait for an origin that is silent for ten seconds (thirty
/// for [`open`](Run::open), when images may have to be made). Errors name the URL.
/// An origin that speaks TLS is reached at its `http://` address
/// ([`Origin::plain_url`](crate::Origin::plain_url)): these calls know no TLS. Its
/// [`files`](Run::files) then still have `https://` URLs.
///
/// Dropping a run closes it at the origin, if that is still there.
#[derive(Debug)]
pub struct Run {
    url: String,
}

impl Run {
    /// Opens a run; its images are ready when this returns.
    pub fn open(origin_url: &str, shape: &Shape) -> anyhow::Result<Run> {
        let runs = format!("{}/runs", origin_url.trim_end_matches('/'));
        let body = serde_json::to_vec(shape).context("cannot write a run's shape as JSON")?;
        let opened: Opened = read(&runs, &exchange("POST", &runs, &body, PATIENCE_TO_OPEN)?)?;
        Ok(Run {
            url: format!("{runs}/{}", opened.id),
        })
    }

    /// The images of the run, in order.
    pub fn files(&self) -> anyhow::Result<Vec<File>> {
        self.ask("GET", "files")
    }

    /// Where a `GET` is answered after `ms` milliseconds (at most
    /// [`MAX_DELAY_MS`](crate::MAX_DELAY_MS)) with a body of
    /// [`DELAY_BODY_BYTES`](crate::DELAY_BODY_BYTES). The run's own delay is not added.
    pub fn delay_url(&self, ms: u64) -> String {
        format!("{}/delay/{ms}", self.url)
    }

    /// What the origin has seen of this run since it was opened or last reset.
    pub fn stats(&self) -> anyhow::Result<Stats> {
        self.ask("GET", "stats")
    }

    /// The figures so far, which are then zeroed: several iterations can share a run.
    pub fn reset(&self) -> anyhow::Result<Stats> {
        self.ask("POST", "reset")
    }

    fn ask<T: DeserializeOwned>(&self, method: &str, what: &str) -> anyhow::Result<T> {
        let url = format!("{}/{what}", self.url);
        read(&url, &exchange(method, &url, &[], PATIENCE)?)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Best effort: an origin that is gone has forgotten the run too.
        let _ = exchange("DELETE", &self.url, &[], PATIENCE_TO_CLOSE);
    }
}

pub(crate) fn read<T: DeserializeOwned>(url: &str, answer: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(answer).with_context(|| format!("origin {url}: not the answer expected"))
}
