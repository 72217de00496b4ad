//! Sleeping until a word in shared memory changes.
//!
//! Not `PRIVATE`: sleeper and waker are different processes.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Acquire;

use rustix::thread::futex::{self, Flags};

/// Sleeps, unless `word` is no longer `seen`. May return for no reason: look
/// at the word again.
pub fn wait(word: &AtomicU32, seen: u32) {
    // The errors say that the word has changed or that a signal came; either
    // way the caller looks again.
    let _ = futex::wait(word, Flags::empty(), seen, None);
}

/// Sleeps until `word`, which only grows, has come to `least`. Returns it.
pub fn wait_for(word: &AtomicU32, least: u32) -> u32 {
    loop {
        let seen = word.load(Acquire);
        if seen >= least {
            return seen;
        }
        wait(word, seen);
    }
}

/// Wakes at most so many of the processes that sleep on `word`.
pub fn wake(word: &AtomicU32, sleepers: u32) {
    // It fails only for an address that is none.
    let _ = futex::wake(word, Flags::empty(), sleepers);
}

/// All that sleep. (The kernel counts them in a signed number.)
pub const EVERYBODY: u32 = i32::MAX as u32;
