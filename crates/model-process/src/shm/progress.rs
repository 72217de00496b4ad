//! How far one child's download is, and which task it has queued; or what it has sent.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The counters of the child in one place. Only that child writes the
/// first three.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct ProgressCounters {
    /// Bytes of bodies that the children in this place have ever received, and of files that they
    /// have sent.
    received: AtomicU64,
    /// The offset in the file of the next byte.
    position: AtomicU64,
    /// Bytes of the whole file; 0 if the server has not said.
    total: AtomicU64,
    /// The number of the task that waits behind the current one, as long as the
    /// child may still start it and the parent may still withdraw it; else 0.
    queued: AtomicU64,
}

impl ProgressCounters {
    /// Adds bytes of a body, the last of which ends before `position`.
    pub(crate) fn add(&self, bytes: u64, position: u64, total: Option<u64>) {
        self.received.fetch_add(bytes, Relaxed);
        self.position.store(position, Relaxed);
        self.total.store(total.unwrap_or(0), Relaxed);
    }

    /// The bytes received, the position and the total.
    pub(crate) fn read(&self) -> (u64, u64, Option<u64>) {
        let total = Some(self.total.load(Relaxed)).filter(|&total| total > 0);
        (
            self.received.load(Relaxed),
            self.position.load(Relaxed),
            total,
        )
    }

    pub(crate) fn queue(&self, task: u64) {
        self.queued.store(task, Relaxed);
    }

    /// Whether a task is queued that neither side has claimed.
    pub(crate) fn has_queued(&self) -> bool {
        self.queued.load(Relaxed) != 0
    }

    /// Claims the queued task: the child to start it, or the parent to withdraw
    /// it. True for only one of them.
    pub(crate) fn claim(&self, task: u64) -> bool {
        self.queued
            .compare_exchange(task, 0, Relaxed, Relaxed)
            .is_ok()
    }
}
