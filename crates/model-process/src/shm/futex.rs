//! Sleeping until a word in shared memory changes.
//!
//! Not `PRIVATE`: sleeper and waker are different processes.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Acquire;

use rustix::thread::futex::{self, Flags};

/// Sleeps while `word` is `seen`. May return early: check the word again.
pub(crate) fn wait(word: &AtomicU32, seen: u32) {
    // The errors say that the word has changed or that a signal came; in both
    // cases the caller checks again.
    let _ = futex::wait(word, Flags::empty(), seen, None);
}

/// Sleeps until `word`, which only grows, is at least `least`. Returns its value.
pub(crate) fn wait_until_at_least(word: &AtomicU32, least: u32) -> u32 {
    loop {
        let seen = word.load(Acquire);
        if seen >= least {
            return seen;
        }
        wait(word, seen);
    }
}

/// Wakes at most this many of the processes that sleep on `word`.
pub(crate) fn wake(word: &AtomicU32, sleepers: u32) {
    // It fails only for an invalid address.
    let _ = futex::wake(word, Flags::empty(), sleepers);
}

/// Every sleeper. (The kernel takes a signed count.)
pub(crate) const ALL: u32 = i32::MAX as u32;
