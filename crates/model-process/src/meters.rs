//! How far the files are that the children download: each child says so in
//! shared memory, and the parent looks when somebody asks.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use transfer::{Gauge, Session, Transfer};

use crate::shared::Memory;

/// A child's side. Nobody else writes to the first three.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Meter {
    /// Bytes of bodies that have ever come to the children of this place.
    received: AtomicU64,
    /// The place in the file where the next byte belongs.
    position: AtomicU64,
    /// Bytes of the whole file; 0 if the server has not said.
    total: AtomicU64,
    /// The task that was dealt ahead, while the child may still begin with it and
    /// the parent may still take it back; 0 if there is none.
    ahead: AtomicU64,
}

impl Meter {
    /// Bytes of a body have come, up to a place in its file.
    pub fn received(&self, bytes: u64, position: u64, total: Option<u64>) {
        self.received.fetch_add(bytes, Relaxed);
        self.position.store(position, Relaxed);
        self.total.store(total.unwrap_or(0), Relaxed);
    }

    /// Deals this task ahead.
    pub fn deal(&self, task: u64) {
        self.ahead.store(task, Relaxed);
    }

    /// Whether there is a task that was dealt ahead and not claimed.
    pub fn is_dealt(&self) -> bool {
        self.ahead.load(Relaxed) != 0
    }

    /// Claims a task that was dealt ahead: true for the child, which begins with
    /// it, or for the parent, which takes it back, and never for both.
    pub fn claim(&self, task: u64) -> bool {
        let claimed = self.ahead.compare_exchange(task, 0, Relaxed, Relaxed);
        claimed.is_ok()
    }
}

/// The parent's side: the files that are running, by the places of the children.
pub struct Meters {
    memory: Arc<Memory>,
    running: Mutex<Vec<Running>>,
}

#[derive(Default)]
struct Running {
    gauge: Option<Arc<Gauge>>,
    /// What the session has been told of already.
    received: u64,
}

impl Meters {
    pub fn new(memory: Arc<Memory>, units: usize) -> Self {
        let before = |unit: usize| Running {
            gauge: None,
            received: memory.meters[unit].received.load(Relaxed),
        };
        Self {
            running: Mutex::new((0..units).map(before).collect()),
            memory,
        }
    }

    /// The child in this place begins with a file.
    pub fn begin(&self, unit: usize, transfer: &Transfer, session: &Session) {
        self.running()[unit].gauge = Some(session.begin(transfer));
    }

    /// The child has answered, or died. The kernel handed that over, and what
    /// the child wrote before with it.
    pub fn end(&self, unit: usize, session: &Session) {
        self.look_at(unit, session);
        if let Some(gauge) = self.running()[unit].gauge.take() {
            session.rest(&gauge);
        }
    }

    /// Tells the session how far all files are.
    pub fn look(&self, session: &Session) {
        let units = self.running().len();
        (0..units).for_each(|unit| self.look_at(unit, session));
    }

    fn look_at(&self, unit: usize, session: &Session) {
        let running = &mut self.running()[unit];
        if let Some(gauge) = &running.gauge {
            let meter = &self.memory.meters[unit];
            let received = meter.received.load(Relaxed);
            let position = meter.position.load(Relaxed);
            let total = Some(meter.total.load(Relaxed)).filter(|&total| total > 0);
            let new = received.saturating_sub(running.received);
            running.received = received;
            session.received(gauge, new, position, total);
        }
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
