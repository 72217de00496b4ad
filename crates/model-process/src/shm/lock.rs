//! A lock in shared memory that can be released when its holder has died.
//!
//! A futex mutex whose word is the holder's process number: taking a free lock is
//! one compare-and-swap, and the thread that reaps a dead child can see whether
//! the child held the lock, and release it. The alternative, a robust pthread
//! mutex, has the kernel do that; it would need libc and `unsafe` at every step,
//! for the same fast path.
//!
//! A model checker runs it in every order of its steps: see `model_check`.

use std::hint;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::shm::futex::{self, Word};

/// 0 when free, else the holder's process number, with [`CONTENDED`].
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct Lock<W = AtomicU32>(W);

/// A process may be asleep. Linux gives no process a number this high.
const CONTENDED: u32 = 1 << 31;

impl<W: Word> Lock<W> {
    /// Runs `critical` as `me`, a process number, while no other process holds
    /// the lock.
    #[inline]
    pub(crate) fn hold<T>(&self, me: u32, critical: impl FnOnce() -> T) -> T {
        if self.try_acquire(me).is_err() {
            self.acquire_slow(me);
        }
        // No guard: a child that panics in here dies, and the lock is released
        // for it.
        let result = critical();
        if self.0.swap(0, Release) & CONTENDED != 0 {
            self.0.wake(1);
        }
        result
    }

    /// Releases what `dead`, a reaped process, held. It may also have died after
    /// it was woken and before it took the lock: so all others check again.
    pub(crate) fn release_dead_holder(&self, dead: u32) {
        for word in [dead, dead | CONTENDED] {
            // Fails when another process holds it.
            let _ = self.0.compare_exchange(word, 0, Release, Relaxed);
        }
        self.0.wake(futex::ALL);
    }

    fn try_acquire(&self, word: u32) -> Result<u32, u32> {
        self.0.compare_exchange(0, word, Acquire, Relaxed)
    }

    #[cold]
    fn acquire_slow(&self, me: u32) {
        let mut word = me;
        loop {
            let seen = self.spin();
            let contended = seen | CONTENDED;
            if seen == 0 {
                if self.try_acquire(word).is_ok() {
                    return;
                }
            } else if seen == contended
                || self
                    .0
                    .compare_exchange(seen, contended, Relaxed, Relaxed)
                    .is_ok()
            {
                self.0.wait(contended);
                // Others may still be asleep, and only this bit says so.
                word = me | CONTENDED;
            }
        }
    }

    /// Waits until the lock is free or contended, but not for long.
    fn spin(&self) -> u32 {
        let mut spins = W::SPINS;
        loop {
            let seen = self.0.load(Relaxed);
            if seen == 0 || seen & CONTENDED != 0 || spins == 0 {
                return seen;
            }
            hint::spin_loop();
            spins -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::thread;

    use super::*;

    #[test]
    fn nothing_is_lost() {
        let (lock, counter) = (Lock::<AtomicU32>::default(), AtomicU64::new(0));
        thread::scope(|scope| {
            for me in 1..=4 {
                let (lock, counter) = (&lock, &counter);
                scope.spawn(move || {
                    for _ in 0..50_000 {
                        lock.hold(me, || counter.store(counter.load(Relaxed) + 1, Relaxed));
                    }
                });
            }
        });
        assert_eq!(counter.into_inner(), 200_000);
    }

    #[test]
    fn a_dead_holder_is_released_for_all_that_wait() {
        let lock = Lock::<AtomicU32>::default();
        lock.0.store(7, Relaxed);
        lock.release_dead_holder(8); // holds nothing
        assert_eq!(lock.0.load(Relaxed) & !CONTENDED, 7);
        thread::scope(|scope| {
            for me in 1..=4 {
                let lock = &lock;
                scope.spawn(move || lock.hold(me, || ()));
            }
            while lock.0.load(Relaxed) != 7 | CONTENDED {
                thread::yield_now();
            }
            lock.release_dead_holder(7);
        });
        assert_eq!(lock.0.into_inner(), 0);
    }
}
