//! What has come of a run so far, and who is told of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::Key;
use crate::list::BadLine;
use crate::partial::Finished;

/// Is told what happens. All of it may be called by any thread at any time.
pub trait Observer: Send + Sync {
    /// A line of the list asks for nothing that can be had.
    fn bad_line(&self, _bad: &BadLine) {}
    /// Something that the user should know, and that is no failure.
    fn note(&self, _text: &str) {}
    /// A file has begun, or has been taken up again.
    fn begun(&self, _progress: &Arc<FileProgress>) {}
    /// It has ended, one way or another, or waits.
    fn ended(&self, _progress: &Arc<FileProgress>) {}
    /// A file has every byte, and waits for its name.
    fn whole(&self, _file: &Finished) {}
    /// A file is complete, under its name; `before` says that it was already.
    fn complete(&self, _file: &Finished, _before: bool) {}
    /// A file has failed.
    fn failed(&self, _failure: &Failure) {}
}

/// A file that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where it was to come from.
    pub url: String,
    /// What it would have been called.
    pub name: String,
    /// Why.
    pub reason: String,
    /// How often it was tried again.
    pub retries: u32,
}

/// How far a file is that is running.
#[derive(Debug)]
pub struct FileProgress {
    /// What it is known by.
    pub key: Key,
    /// When the queue first gave it out.
    pub taken_up: Instant,
    /// Its name.
    pub name: String,
    /// Bytes of it that are there.
    pub bytes: AtomicU64,
    /// Bytes that it has; 0 if that is not known.
    pub total: AtomicU64,
}

/// What has come of a run so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Files that are complete, under their names.
    pub complete: u64,
    /// Those of them that were so before.
    pub before: u64,
    /// Files, and lines of the list, that have failed.
    pub failed: u64,
    /// Lines that named a URL of an earlier line.
    pub repeated: u64,
    /// Bytes of the files that are complete.
    pub bytes: u64,
    /// Bytes of bodies that were received.
    pub received: u64,
    /// Files that the list has asked for so far, failed and repeated ones
    /// included.
    pub listed: u64,
    /// Whether the list has ended.
    pub list_ended: bool,
}

/// A [`Tally`] that is being counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) complete: AtomicU64,
    pub(crate) before: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) listed: AtomicU64,
    pub(crate) list_ended: AtomicBool,
}

impl Counts {
    pub(crate) fn tally(&self) -> Tally {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Tally {
            complete: load(&self.complete),
            before: load(&self.before),
            failed: load(&self.failed),
            repeated: load(&self.repeated),
            bytes: load(&self.bytes),
            received: load(&self.received),
            listed: load(&self.listed),
            list_ended: self.list_ended.load(Ordering::Relaxed),
        }
    }
}

pub(crate) fn add(count: &AtomicU64, amount: u64) {
    count.fetch_add(amount, Ordering::Relaxed);
}
