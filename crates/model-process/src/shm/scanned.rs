//! What is known of a scan's ports: the children find it out, and it outlives them.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicU64};

use suite::scan::{Found, Ports};

/// The states of a port.
const NOT_SCANNED: u8 = 0;
const UNKNOWN: u8 = 1;
const OPEN: u8 = 2;
const CLOSED: u8 = 3;
const FILTERED: u8 = 4;

/// The state of every port. Only the child with a port in its share writes that one's.
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
        self.states
            .iter()
            .for_each(|state| state.store(NOT_SCANNED, Relaxed));
        self.set(ports.iter(), UNKNOWN);
    }

    /// The ports of one of this number of shares whose states are not known. Shares are
    /// interleaved, as ports in one state often lie next to each other.
    pub(crate) fn share(&self, share: usize, shares: usize) -> Ports {
        let scanned = (0..=u16::MAX).filter(|port| self.state(*port) != NOT_SCANNED);
        scanned
            .skip(share)
            .step_by(shares)
            .filter(|port| self.state(*port) == UNKNOWN)
            .collect()
    }

    /// Adds what a child has found. Ports that failed stay unknown, as there is no room for the
    /// reason.
    pub(crate) fn add(&self, found: &Found) {
        // First, as ports in a known state have been attempted.
        self.attempts.fetch_add(found.attempts, Relaxed);
        self.set(found.open.iter().copied(), OPEN);
        self.set(found.closed.iter().copied(), CLOSED);
        self.set(found.filtered.iter().copied(), FILTERED);
    }

    /// What all children have added.
    pub(crate) fn found(&self) -> Found {
        let ports_in = |state| {
            (0..=u16::MAX)
                .filter(|port| self.state(*port) == state)
                .collect()
        };
        Found {
            open: ports_in(OPEN),
            closed: ports_in(CLOSED),
            filtered: ports_in(FILTERED),
            attempts: self.attempts.load(Relaxed),
            ..Found::default()
        }
    }

    fn state(&self, port: u16) -> u8 {
        self.states[usize::from(port)].load(Acquire)
    }

    fn set(&self, ports: impl Iterator<Item = u16>, state: u8) {
        for port in ports {
            self.states[usize::from(port)].store(state, Release);
        }
    }
}
