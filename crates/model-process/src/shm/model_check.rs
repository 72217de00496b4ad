//! The lock, the semaphore and the counts under [loom], which runs them in every order that
//! the memory model allows: there is mutual exclusion and no lost wake-up, also when a
//! process dies at any step.
//!
//! [loom]: https://docs.rs/loom

use std::cell::Cell;
use std::sync::atomic::Ordering::{self, Relaxed, Release};

use loom::model::Builder;
use loom::sync::atomic;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::futex::{ALL, Word};
use super::lock::Lock;
use super::semaphore::Semaphore;

/// A futex word in loom's terms: the kernel compares the word and queues the sleeper under a
/// lock that a waker takes too.
#[derive(Debug)]
struct Modeled {
    value: atomic::AtomicU32,
    queue: Mutex<()>,
    woken: Condvar,
}

impl Default for Modeled {
    fn default() -> Self {
        Self {
            value: atomic::AtomicU32::new(0),
            queue: Mutex::new(()),
            woken: Condvar::new(),
        }
    }
}

loom::thread_local! {
    /// After how many steps this thread's process dies; none for one that does not.
    static STEPS: Cell<Option<u32>> = Cell::new(None);
}

/// Counts a step, and says whether it is done. A process that has died does nothing more
/// that others could see.
fn lives() -> bool {
    STEPS.with(|steps| {
        let left = steps.get();
        steps.set(left.map(|left| left.saturating_sub(1)));
        left != Some(0)
    })
}

impl Word for Modeled {
    const SPINS: u32 = 0;

    fn load(&self, order: Ordering) -> u32 {
        if lives() { self.value.load(order) } else { 0 }
    }

    fn store(&self, value: u32, order: Ordering) {
        if lives() {
            self.value.store(value, order);
        }
    }

    fn swap(&self, value: u32, order: Ordering) -> u32 {
        if lives() {
            self.value.swap(value, order)
        } else {
            0
        }
    }

    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        if lives() {
            self.value.fetch_add(value, order)
        } else {
            0
        }
    }

    fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
        if lives() {
            self.value.fetch_sub(value, order)
        } else {
            0
        }
    }

    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        match lives() {
            true => self.value.compare_exchange(current, new, success, failure),
            // So that its loops end.
            false => Ok(current),
        }
    }

    fn fence(order: Ordering) {
        atomic::fence(order);
    }

    fn wait(&self, seen: u32) {
        if lives() {
            let queue = self.queue.lock().expect("no thread panics");
            if self.value.load(Relaxed) == seen {
                drop(self.woken.wait(queue));
            }
        }
    }

    fn wake(&self, sleepers: u32) {
        if lives() {
            let _queue = self.queue.lock().expect("no thread panics");
            match sleepers {
                ALL => self.woken.notify_all(),
                sleepers => (0..sleepers).for_each(|_| self.woken.notify_one()),
            }
        }
    }
}

/// Runs the model in every order with at most this many preemptions.
fn in_every_order(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// A lock, and what it guards. The accesses are relaxed: only the lock orders them, so that
/// loom gives an old value, or finds two holders, where the lock does not do its work.
#[derive(Default)]
struct Guarded {
    lock: Lock<Modeled>,
    held: atomic::AtomicBool,
    total: atomic::AtomicU32,
}

impl Guarded {
    /// Adds 1 as process `me`, which dies after this many steps, if it does.
    fn add(&self, me: u32, steps: Option<u32>) {
        STEPS.with(|left| left.set(steps));
        self.lock.hold(me, || {
            if STEPS.with(Cell::get) != Some(0) {
                assert!(!self.held.swap(true, Relaxed), "there are two holders");
                self.total.store(self.total.load(Relaxed) + 1, Relaxed);
                self.held.store(false, Relaxed);
            }
        });
        STEPS.with(|left| left.set(None));
    }
}

#[test]
fn the_lock_excludes_others_and_loses_no_wake_up() {
    in_every_order(3, || {
        let guarded = Arc::new(Guarded::default());
        let others = [1, 2].map(|me| {
            let guarded = guarded.clone();
            thread::spawn(move || guarded.add(me, None))
        });
        guarded.add(3, None);
        for other in others {
            other.join().expect("it ends");
        }
        assert_eq!(guarded.total.load(Relaxed), 3);
    });
}

#[test]
fn a_holder_that_dies_at_any_step_is_outlived() {
    // More steps than an addition takes.
    for steps in 0..12 {
        in_every_order(2, move || {
            let guarded = Arc::new(Guarded::default());
            let dies = guarded.clone();
            let dies = thread::spawn(move || dies.add(1, Some(steps)));
            let lives = guarded.clone();
            let lives = thread::spawn(move || lives.add(2, None));
            dies.join().expect("it ends");
            guarded.lock.release_dead_holder(1);
            guarded.add(3, None);
            lives.join().expect("it ends");
            assert!((2..=3).contains(&guarded.total.load(Relaxed)));
        });
    }
}

#[test]
fn permits_are_never_lost_or_doubled_and_no_wake_up_is_lost() {
    // Who takes how many at most; and what is released, in turn.
    for (takers, releases) in [
        (vec![1, 1], vec![2]),
        (vec![1, 1], vec![1, 1]),
        (vec![2, 1], vec![3]),
        (vec![1], vec![1]),
    ] {
        in_every_order(3, move || {
            let semaphore = Arc::new(Semaphore::<Modeled>::default());
            let takers = takers.iter().map(|&most| {
                let semaphore = semaphore.clone();
                thread::spawn(move || {
                    let taken = semaphore.acquire_up_to(most);
                    assert!((1..=most).contains(&taken));
                    taken
                })
            });
            let takers: Vec<_> = takers.collect();
            for permits in &releases {
                semaphore.release(*permits);
            }
            let taken: u32 = takers
                .into_iter()
                .map(|taker| taker.join().expect("it ends"))
                .sum();
            let released: u32 = releases.iter().sum();
            assert_eq!(semaphore.free(), released - taken);
        });
    }
}

#[test]
fn the_last_to_count_wakes_all_that_wait_for_it() {
    in_every_order(3, || {
        let count = Arc::new(Modeled::default());
        let arrive = |count: &Modeled| {
            if count.fetch_add(1, Release) + 1 == 3 {
                count.wake(ALL);
            }
            assert_eq!(count.wait_until_at_least(3), 3);
        };
        let others = [1, 2].map(|_| {
            let count = count.clone();
            thread::spawn(move || arrive(&count))
        });
        arrive(&count);
        for other in others {
            other.join().expect("it ends");
        }
    });
}
