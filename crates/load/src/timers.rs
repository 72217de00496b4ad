//! What is due when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Timers, each with what it is for.
pub(crate) struct Timers<T> {
    begun: Instant,
    /// When, in nanoseconds from then.
    heap: BinaryHeap<Reverse<(u64, T)>>,
}

impl<T: Ord> Timers<T> {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            heap: BinaryHeap::new(),
        }
    }

    pub(crate) fn start(&mut self, time: Duration, what: T) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let due = self.now_ns().saturating_add(ns);
        self.heap.push(Reverse((due, what)));
    }

    /// The first that is due by now.
    pub(crate) fn pop_due(&mut self) -> Option<T> {
        let Reverse((due, _)) = self.heap.peek()?;
        if *due > self.now_ns() {
            return None;
        }
        self.heap.pop().map(|Reverse((_, what))| what)
    }

    /// How long until the next one is due.
    pub(crate) fn until_next(&self) -> Option<Duration> {
        let Reverse((due, _)) = self.heap.peek()?;
        Some(Duration::from_nanos(due.saturating_sub(self.now_ns())))
    }

    pub(crate) fn clear(&mut self) {
        self.heap.clear();
    }

    fn now_ns(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }
}
