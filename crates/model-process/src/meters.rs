//! How far the files are that the children download: each child says so in
//! shared memory, and the parent looks when somebody asks.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use transfer::{Gauge, Session, Transfer};

use crate::shared::Memory;

/// A child's side. Nobody else writes while the child has a file.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Meter {
    /// Bytes of bodies that have come since the file was dealt.
    received: AtomicU64,
    /// The place in the file where the next byte belongs.
    position: AtomicU64,
    /// Bytes of the whole file; 0 if the server has not said.
    total: AtomicU64,
}

impl Meter {
    /// A file is about to be dealt.
    fn reset(&self, transfer: &Transfer) {
        self.received.store(0, Relaxed);
        self.position.store(transfer.part.bytes, Relaxed);
        self.total.store(transfer.part.total.unwrap_or(0), Relaxed);
    }

    /// Bytes of a body have come, up to a place in its file.
    pub fn received(&self, bytes: u64, position: u64, total: Option<u64>) {
        self.received.fetch_add(bytes, Relaxed);
        self.position.store(position, Relaxed);
        self.total.store(total.unwrap_or(0), Relaxed);
    }
}

/// The parent's side: the files that are running, by the places of the children.
pub struct Meters {
    memory: Arc<Memory>,
    running: Mutex<Vec<Option<Running>>>,
}

struct Running {
    gauge: Arc<Gauge>,
    /// What the session has been told of already.
    received: u64,
}

impl Meters {
    pub fn new(memory: Arc<Memory>, units: usize) -> Self {
        let mut running = Vec::new();
        running.resize_with(units, || None);
        Self {
            memory,
            running: Mutex::new(running),
        }
    }

    /// A file is about to be dealt to the child in this place.
    pub fn begin(&self, unit: usize, transfer: &Transfer, session: &Session) {
        self.memory.meters[unit].reset(transfer);
        let gauge = session.begin(transfer);
        self.running()[unit] = Some(Running { gauge, received: 0 });
    }

    /// The child has answered, or died. The kernel handed that over, and what
    /// the child wrote before with it.
    pub fn end(&self, unit: usize, session: &Session) {
        self.look_at(unit, session);
        if let Some(running) = self.running()[unit].take() {
            session.rest(&running.gauge);
        }
    }

    /// Tells the session how far all files are.
    pub fn look(&self, session: &Session) {
        let units = self.running().len();
        (0..units).for_each(|unit| self.look_at(unit, session));
    }

    fn look_at(&self, unit: usize, session: &Session) {
        if let Some(running) = &mut self.running()[unit] {
            let meter = &self.memory.meters[unit];
            let received = meter.received.load(Relaxed);
            let position = meter.position.load(Relaxed);
            let total = Some(meter.total.load(Relaxed)).filter(|&total| total > 0);
            let new = received.saturating_sub(running.received);
            running.received = received;
            session.received(&running.gauge, new, position, total);
        }
    }

    fn running(&self) -> MutexGuard<'_, Vec<Option<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
