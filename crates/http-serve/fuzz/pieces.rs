//! Any bytes, in any pieces: what comes of them is the same as when they come at once.

#![no_main]

#[path = "../tests/pieces/mod.rs"]
mod pieces;

use libfuzzer_sys::fuzz_target;
use pieces::read;

fuzz_target!(|input: (Vec<u8>, Vec<u16>)| {
    let (bytes, ends) = input;
    let mut ends: Vec<_> = (ends.iter().map(|end| usize::from(*end) % (bytes.len() + 1))).collect();
    ends.sort_unstable();
    assert_eq!(read(&bytes, &ends), read(&bytes, &[]));
});
