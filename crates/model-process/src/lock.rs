//! A lock in shared memory that outlives its holder.
//!
//! A futex mutex whose word is the holder's process number: taking a free lock
//! is one compare-and-swap, and whoever reaps a dead child can see whether it
//! died with the lock and give it back. The alternative, a robust pthread mutex,
//! has the kernel do that; it would need libc and `unsafe` at every step, for
//! the same fast path.

use std::hint;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::futex;

/// 0 when free, else the holder's process number, with [`WAITED_FOR`].
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Lock(AtomicU32);

/// Somebody may be asleep. Linux gives no process a number this high.
const WAITED_FOR: u32 = 1 << 31;

/// How often to look before going to sleep: a holder that runs is done by then.
const GLANCES: u32 = 100;

impl Lock {
    /// Does something as `me`, a process number, while nobody else does.
    #[inline]
    pub fn hold<T>(&self, me: u32, critical: impl FnOnce() -> T) -> T {
        if self.take(0, me).is_err() {
            self.queue_up(me);
        }
        // There is no guard to drop: a child that panics in here dies, and then
        // the lock is given back for it.
        let result = critical();
        if self.0.swap(0, Release) & WAITED_FOR != 0 {
            futex::wake(&self.0, 1);
        }
        result
    }

    /// `dead` has been reaped: gives back what it held and, as it may also have
    /// died between being woken and taking the lock, lets others look again.
    pub fn outlive(&self, dead: u32) {
        for word in [dead, dead | WAITED_FOR] {
            // Fails when somebody else holds it.
            let _ = self.0.compare_exchange(word, 0, Release, Relaxed);
        }
        futex::wake(&self.0, futex::EVERYBODY);
    }

    fn take(&self, free: u32, word: u32) -> Result<u32, u32> {
        self.0.compare_exchange(free, word, Acquire, Relaxed)
    }

    #[cold]
    fn queue_up(&self, me: u32) {
        let mut word = me;
        loop {
            let seen = self.glance();
            let waited_for = seen | WAITED_FOR;
            if seen == 0 {
                if self.take(0, word).is_ok() {
                    return;
                }
            } else if seen == waited_for
                || self
                    .0
                    .compare_exchange(seen, waited_for, Relaxed, Relaxed)
                    .is_ok()
            {
                futex::wait(&self.0, waited_for);
                // Others may still be asleep, and nobody else remembers them.
                word = me | WAITED_FOR;
            }
        }
    }

    /// Looks until the lock is free or there is a queue for it, but not for long.
    fn glance(&self) -> u32 {
        let mut glances = GLANCES;
        loop {
            let seen = self.0.load(Relaxed);
            if seen == 0 || seen & WAITED_FOR != 0 || glances == 0 {
                return seen;
            }
            hint::spin_loop();
            glances -= 1;
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
        let (lock, counter) = (Lock::default(), AtomicU64::new(0));
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
    fn a_dead_holder_is_outlived_by_all_who_wait() {
        let lock = Lock::default();
        lock.0.store(7, Relaxed);
        lock.outlive(8); // holds nothing
        assert_eq!(lock.0.load(Relaxed) & !WAITED_FOR, 7);
        thread::scope(|scope| {
            for me in 1..=4 {
                let lock = &lock;
                scope.spawn(move || lock.hold(me, || ()));
            }
            while lock.0.load(Relaxed) != 7 | WAITED_FOR {
                thread::yield_now();
            }
            lock.outlive(7);
        });
        assert_eq!(lock.0.into_inner(), 0);
    }
}
