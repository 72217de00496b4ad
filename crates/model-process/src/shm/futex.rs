//! Sleeping until a word in shared memory changes.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{self, Acquire, Release};

use rustix::thread::futex::{self, Flags};

/// Every sleeper. (The kernel takes a signed count.)
pub(crate) const ALL: u32 = i32::MAX as u32;

/// A word that others can sleep on: an atomic in shared memory and the kernel's futex, or
/// what a model checker has in their place, which runs the same code on top.
pub(crate) trait Word: Default {
    /// How often to look at it before going to sleep.
    const SPINS: u32;

    /// As that of the atomic; so are the following.
    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
    fn swap(&self, value: u32, order: Ordering) -> u32;
    fn fetch_add(&self, value: u32, order: Ordering) -> u32;
    fn fetch_sub(&self, value: u32, order: Ordering) -> u32;
    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32>;

    /// That of `std::sync::atomic`.
    fn fence(order: Ordering);

    /// Sleeps while the word is `seen`. May return early: check the word again.
    fn wait(&self, seen: u32);

    /// Wakes at most this many of those that sleep on it.
    fn wake(&self, sleepers: u32);

    /// Waits until all of these are here, one of which calls this. The last wakes the others; if
    /// one fails or dies before, the parent kills them.
    fn meet(&self, all: u32) {
        if self.fetch_add(1, Release) + 1 == all {
            self.wake(ALL);
        }
        self.wait_until_at_least(all);
    }

    /// Sleeps until the word, which only grows, is at least `least`. Returns its value.
    fn wait_until_at_least(&self, least: u32) -> u32 {
        loop {
            let seen = self.load(Acquire);
            if seen >= least {
                return seen;
            }
            self.wait(seen);
        }
    }
}

impl Word for AtomicU32 {
    /// A holder that runs is done by then.
    const SPINS: u32 = 100;

    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }

    #[inline]
    fn store(&self, value: u32, order: Ordering) {
        self.store(value, order);
    }

    #[inline]
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.swap(value, order)
    }

    #[inline]
    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.fetch_add(value, order)
    }

    #[inline]
    fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
        self.fetch_sub(value, order)
    }

    #[inline]
    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.compare_exchange(current, new, success, failure)
    }

    #[inline]
    fn fence(order: Ordering) {
        std::sync::atomic::fence(order);
    }

    // Not `PRIVATE`, both of them: sleeper and waker are different processes.

    fn wait(&self, seen: u32) {
        // The errors say that the word has changed or that a signal came; in both
        // cases the caller checks again.
        let _ = futex::wait(self, Flags::empty(), seen, None);
    }

    fn wake(&self, sleepers: u32) {
        // It fails only for an invalid address.
        let _ = futex::wake(self, Flags::empty(), sleepers);
    }
}
