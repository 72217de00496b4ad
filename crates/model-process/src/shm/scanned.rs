//! What is known of a scan's ports: the children find it out, and it outlives them.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicU64};

use suite::scan::{Found, Ports};

/// The states of a port.
const NOT_SCANNED: u8 = 0;
const LEFT: u8 = 1;
const OPEN: u8 = 2;
const CLOSED: u8 = 3;
const FILTERED: u8 = 4;
/// The child in the first place has taken it; of those in other places, their number is added.
const TAKEN: u8 = 5;

/// The most children that can scan: each needs a number of its own.
pub(crate) const MOST_CHILDREN: usize = (u8::MAX - TAKEN) as usize;

/// The state of every port.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct ScannedPorts {
    attempts: AtomicU64,
    states: [AtomicU8; 1 << 16],
}

impl ScannedPorts {
    /// Begins a scan of these ports. No child may be at work.
    pub(crate) fn begin(&self, ports: &Ports) {
        self.attempts.store(0, Relaxed);
        self.set(0..=u16::MAX, NOT_SCANNED);
        self.set(ports.iter(), LEFT);
    }

    /// Takes one port after the other for the child in this place: first those that one before
    /// it had taken and not got to know the state of, then those that are left. None is given
    /// to two children.
    pub(crate) fn take(&self, unit: usize) -> impl Iterator<Item = u16> {
        let taken = TAKEN + unit as u8;
        let inherited = self.ports_in(taken).into_iter();
        inherited.chain((0..=u16::MAX).filter(move |port| {
            let state = &self.states[usize::from(*port)];
            state.load(Relaxed) == LEFT
                && state.compare_exchange(LEFT, taken, AcqRel, Relaxed).is_ok()
        }))
    }

    /// Adds what a child has found of the ports that it has taken. Those that failed stay taken,
    /// as there is no room for the reason.
    pub(crate) fn add(&self, found: &Found) {
        // First: a port in a known state has been tried.
        self.attempts.fetch_add(found.attempts, Relaxed);
        self.set(found.open.iter().copied(), OPEN);
        self.set(found.closed.iter().copied(), CLOSED);
        self.set(found.filtered.iter().copied(), FILTERED);
    }

    /// What all children have added.
    pub(crate) fn found(&self) -> Found {
        Found {
            open: self.ports_in(OPEN),
            closed: self.ports_in(CLOSED),
            filtered: self.ports_in(FILTERED),
            attempts: self.attempts.load(Relaxed),
            ..Found::default()
        }
    }

    fn ports_in(&self, state: u8) -> Vec<u16> {
        (0..=u16::MAX)
            .filter(|port| self.states[usize::from(*port)].load(Acquire) == state)
            .collect()
    }

    fn set(&self, ports: impl Iterator<Item = u16>, state: u8) {
        for port in ports {
            self.states[usize::from(port)].store(state, Release);
        }
    }
}
