//! A counting semaphore in shared memory: how many more items a queue takes.
//!
//! ipc-channel has no capacity of its own: a send waits only for the kernel's
//! buffer.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use crate::shm::futex::Word;

/// Free permits, and how many processes wait for one.
///
/// One side writes `free` and reads `waiting` while the other does the opposite. A fence
/// stands between the two on either side, so that one of them sees the other.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Semaphore<W = AtomicU32> {
    free: W,
    waiting: W,
}

impl<W: Word> Semaphore<W> {
    /// Prepares it for the next job: no process waits.
    pub(crate) fn reset(&self, free: u32) {
        self.free.store(free, Relaxed);
        self.waiting.store(0, Relaxed);
    }

    /// Waits for a free permit, and takes up to `max` of those there are. Returns
    /// how many.
    pub(crate) fn acquire_up_to(&self, max: u32) -> u32 {
        let mut free = self.free.load(Relaxed);
        loop {
            if free == 0 {
                self.waiting.fetch_add(1, Relaxed);
                W::fence(SeqCst);
                self.free.wait(0);
                self.waiting.fetch_sub(1, Relaxed);
                free = self.free.load(Relaxed);
                continue;
            }
            let taken = free.min(max);
            match self
                .free
                .compare_exchange(free, free - taken, Acquire, Relaxed)
            {
                Ok(_) => {
                    // A release wakes one process; what it leaves is for the next.
                    if free > taken {
                        self.wake_one();
                    }
                    return taken;
                }
                Err(now) => free = now,
            }
        }
    }

    pub(crate) fn release(&self, permits: u32) {
        self.free.fetch_add(permits, Release);
        self.wake_one();
    }

    #[cfg(test)]
    pub(crate) fn free(&self) -> u32 {
        self.free.load(Acquire)
    }

    fn wake_one(&self) {
        W::fence(SeqCst);
        if self.waiting.load(Relaxed) > 0 {
            self.free.wake(1);
        }
    }
}
