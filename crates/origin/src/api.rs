//! What the origin and its clients say to each other, as JSON.

use std::collections::BTreeMap;

use load::splitmix64;
use serde::{Deserialize, Serialize};

use crate::images::{IMAGE_BYTES, MIXED_SET_BYTES};

/// Bytes in the body that a delay URL answers with.
pub const DELAY_BODY_BYTES: u64 = 4096;

/// That body: another one for each delay.
pub fn delay_body(ms: u64) -> Vec<u8> {
    let words = (0..DELAY_BODY_BYTES / 8).map(|word| splitmix64(ms << 32 | word));
    words.flat_map(u64::to_le_bytes).collect()
}

/// The most images that a run can have.
pub const MAX_IMAGES: u64 = 1_000_000;

/// The longest delay of a request, in milliseconds: an hour.
pub const MAX_DELAY_MS: u64 = 3_600_000;

/// The fastest link, in Mbit/s.
pub const MAX_MBIT_PER_S: u64 = 100_000;

/// What one run of a job wants of the origin.
///
/// In JSON every key can be left out, and then is 0.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// How many images there are: 0 to [`MAX_IMAGES`]. Image *k* has the bytes of
    /// image *k* mod 100 (mod fewer, where 100 would come to more than 64 MiB).
    pub images: u64,
    /// Bytes of each image: 1,024 to 67,108,864; or 0 for the mixed set, 100
    /// images of 20 to 300 KiB that come to 12,500,000 bytes.
    pub image_bytes: u64,
    /// How long the origin waits before it answers a request for an image, in
    /// milliseconds: 0 to [`MAX_DELAY_MS`].
    pub delay_ms: u64,
    /// The rate of the link that all connections of the run share, in Mbit/s: 1 to
    /// [`MAX_MBIT_PER_S`]; or 0 for no limit. It carries bodies; heads are free.
    pub mbit_per_s: u64,
}

impl Shape {
    /// Says what is wrong with a shape, and what is allowed.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (least, most) = (IMAGE_BYTES.start(), IMAGE_BYTES.end());
        if self.images > MAX_IMAGES {
            return Err(format!("images is {}: at most {MAX_IMAGES}", self.images));
        }
        if self.image_bytes != 0 && !IMAGE_BYTES.contains(&self.image_bytes) {
            return Err(format!(
                "image_bytes is {}: {least} to {most}, or 0 for the mixed set \
                 (100 images of {MIXED_SET_BYTES} bytes in all)",
                self.image_bytes
            ));
        }
        if self.delay_ms > MAX_DELAY_MS {
            return Err(format!(
                "delay_ms is {}: at most {MAX_DELAY_MS}",
                self.delay_ms
            ));
        }
        if self.mbit_per_s > MAX_MBIT_PER_S {
            return Err(format!(
                "mbit_per_s is {}: at most {MAX_MBIT_PER_S}, or 0 for no limit",
                self.mbit_per_s
            ));
        }
        Ok(())
    }
}

/// The origin's answer to a new run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Opened {
    pub id: u64,
}

/// One image of a run.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is, absolute.
    pub url: String,
    /// Its name, "0017.jpg": distinct within the run.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256 in lowercase hexadecimal.
    pub sha256: String,
}

/// What the origin has seen of a run since it was opened or last reset.
///
/// Requests for images and delays count; those of [`Run`](crate::Run) itself do not.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections that carried at least one of the requests.
    pub connections: u64,
    /// Requests whose head arrived whole.
    pub requests: u64,
    /// The most requests at work at one time: from when a head has been read until
    /// just before the last piece of the answer goes to the kernel. So a client
    /// that waits for each answer is never seen above its own limit. A request
    /// whose client has gone counts until its delay is over.
    pub peak_in_flight: u64,
    /// Bytes of bodies given to the kernel. A piece is counted before it is
    /// given, so a client that has an answer finds all of it here.
    pub bytes_sent: u64,
    /// Processor time of the whole origin process since it started, user and
    /// system, in nanoseconds. A reset does not zero it.
    pub cpu_ns: u64,
    /// The part of it since this run was opened or last reset. Of one run alone if
    /// no other is at work; that of asking for these figures is in it.
    pub run_cpu_ns: u64,
}

/// A request for a fault URL, as the origin saw it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct FaultRequest {
    /// The fault's name.
    pub fault: String,
    /// "GET" or "HEAD".
    pub method: String,
    /// The path and the query, as they came.
    pub path: String,
    /// When its head had arrived, in milliseconds since the origin started.
    pub at_ms: u64,
    /// The number of the connection that it came over, counted from 1.
    pub connection: u64,
    /// Its `Range`, if it has one; and so on. One that comes several times is one
    /// list, with commas.
    pub range: Option<String>,
    /// Its `If-Range`.
    pub if_range: Option<String>,
    /// Its `Authorization`.
    pub authorization: Option<String>,
    /// Its `Accept-Encoding`.
    pub accept_encoding: Option<String>,
    /// Its `User-Agent`.
    pub user_agent: Option<String>,
    /// All its other headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Bytes given to the kernel after the answer's head, with what frames chunks;
    /// and those of a head without an end.
    /// A piece (64 KiB, or up to twice that at the end) is counted before it is
    /// given, so a client that has it finds it here.
    pub body_bytes_sent: u64,
}
