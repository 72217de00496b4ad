//! A counting semaphore in shared memory: how many more items a queue takes.
//!
//! ipc-channel has no capacity of its own: a send waits only for the kernel's
//! buffer.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::shm::futex;

/// Free permits, and how many processes wait for one.
///
/// Sequentially consistent where one side writes `free` and reads `waiting`
/// while the other does the opposite: one of the two has to see the other.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Semaphore {
    free: AtomicU32,
    waiting: AtomicU32,
}

impl Semaphore {
    /// Prepares it for the next job: no process waits.
    pub(crate) fn reset(&self, free: u32) {
        self.free.store(free, SeqCst);
        self.waiting.store(0, SeqCst);
    }

    /// Waits for a free permit, and takes up to `max` of those there are. Returns
    /// how many.
    pub(crate) fn acquire_up_to(&self, max: u32) -> u32 {
        let mut free = self.free.load(Relaxed);
        loop {
            if free == 0 {
                self.waiting.fetch_add(1, SeqCst);
                futex::wait(&self.free, 0);
                self.waiting.fetch_sub(1, SeqCst);
                free = self.free.load(Relaxed);
                continue;
            }
            let taken = free.min(max);
            match self
                .free
                .compare_exchange_weak(free, free - taken, SeqCst, Relaxed)
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
        self.free.fetch_add(permits, SeqCst);
        self.wake_one();
    }

    fn wake_one(&self) {
        if self.waiting.load(SeqCst) > 0 {
            futex::wake(&self.free, 1);
        }
    }
}
