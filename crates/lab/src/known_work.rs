//! Calibration load: work of a known kind, to measure the error of the readings of
//! [`background_load`](crate::background_load).

use std::hint;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// None: it waits.
    Waiting,
    /// Every core computes.
    Computing,
    /// Two threads hand a token to each other, and sleep in between.
    HandingOver,
}

impl Work {
    /// Does it for so long.
    pub(crate) fn work(self, length: Duration) {
        let end = Instant::now() + length;
        match self {
            Work::Waiting => thread::sleep(length),
            Work::Computing => compute(end),
            Work::HandingOver => hand_over(end),
        }
    }
}

fn compute(end: Instant) {
    thread::scope(|threads| {
        for _ in 0..runner::cores() {
            threads.spawn(|| {
                while Instant::now() < end {
                    hint::spin_loop();
                }
            });
        }
    });
}

fn hand_over(end: Instant) {
    let (there, arrived) = mpsc::sync_channel::<()>(1);
    let (back, returned) = mpsc::sync_channel::<()>(1);
    thread::scope(|threads| {
        threads.spawn(
            move || {
                while arrived.recv().is_ok() && back.send(()).is_ok() {}
            },
        );
        while Instant::now() < end && there.send(()).is_ok() && returned.recv().is_ok() {}
        // The other one ends when its channel has no sender.
        drop(there);
    });
}
