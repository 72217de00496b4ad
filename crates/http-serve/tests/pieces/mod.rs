//! The bytes of a connection, read in pieces. The fuzz target has the same.

use http_serve::{Refusal, Request, Requests};

/// What comes of these bytes, read in pieces that end there; and whether a part of a request
/// is left.
pub fn read(bytes: &[u8], ends: &[usize]) -> (Vec<Result<Request, Refusal>>, bool) {
    let (mut requests, mut all, mut at) = (Requests::default(), Vec::new(), 0);
    for end in ends.iter().chain([&bytes.len()]) {
        while at < *end {
            let room = requests.room();
            let count = room.len().min(end - at);
            room[..count].copy_from_slice(&bytes[at..at + count]);
            requests.filled(count);
            at += count;
            while let Some(next) = requests.next() {
                all.push(next);
            }
        }
    }
    (all, requests.has_begun())
}
