//! A counting semaphore in shared memory: how many items a queue still takes.
//!
//! ipc-channel has no capacity of its own: a send waits only for the kernel's
//! buffer.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::futex;

/// Credits that are free, and how many processes wait for some.
///
/// Sequentially consistent where one side writes `free` and reads `waiting`
/// while the other does the opposite: one of the two has to see the other.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Credits {
    free: AtomicU32,
    waiting: AtomicU32,
}

impl Credits {
    /// So many are free, and nobody waits: for the next job.
    pub fn reset(&self, free: u32) {
        self.free.store(free, SeqCst);
        self.waiting.store(0, SeqCst);
    }

    /// Waits until there are some and takes them, but no more than `most`.
    /// Returns how many.
    pub fn take(&self, most: u32) -> u32 {
        let mut free = self.free.load(Relaxed);
        loop {
            if free == 0 {
                self.waiting.fetch_add(1, SeqCst);
                futex::wait(&self.free, 0);
                self.waiting.fetch_sub(1, SeqCst);
                free = self.free.load(Relaxed);
                continue;
            }
            let taken = free.min(most);
            match self
                .free
                .compare_exchange_weak(free, free - taken, SeqCst, Relaxed)
            {
                Ok(_) => {
                    // Who gives wakes one; what that one leaves is for the next.
                    if free > taken {
                        self.wake_one();
                    }
                    return taken;
                }
                Err(now) => free = now,
            }
        }
    }

    /// Gives credits back.
    pub fn give(&self, credits: u32) {
        self.free.fetch_add(credits, SeqCst);
        self.wake_one();
    }

    fn wake_one(&self) {
        if self.waiting.load(SeqCst) > 0 {
            futex::wake(&self.free, 1);
        }
    }
}
