//! Windows: rounds in succession that are checked together for background load.
//!
//! A window is closed at the first end of a round after [`WINDOW`]; the last one of a
//! comparison is waited for. Nothing is read while a round runs.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use lab::background_load::{LoadMonitor, WINDOW};
use lab::cpu_time::Reading;

use crate::experiment::Experiment;
use crate::series::Checkpoint;

/// Rounds that are checked together.
#[derive(Debug)]
pub(crate) struct Window {
    /// The reading at its begin; none where the load cannot be known.
    pub(crate) opened: Option<Reading>,
    /// The rounds, by the index of their experiment.
    pub(crate) rounds: BTreeMap<usize, ExperimentRounds>,
}

/// The rounds of one experiment in a window.
#[derive(Debug)]
pub(crate) struct ExperimentRounds {
    /// How much of each series had been measured before the first.
    pub(crate) before: Vec<Checkpoint>,
    pub(crate) numbers: Vec<u32>,
}

impl Window {
    pub(crate) fn open(monitor: &mut LoadMonitor) -> Self {
        Self {
            opened: monitor.open(),
            rounds: BTreeMap::new(),
        }
    }

    /// Adds a round that is about to begin.
    pub(crate) fn add(&mut self, index: usize, experiment: &Experiment, number: u32) {
        let rounds = self
            .rounds
            .entry(index)
            .or_insert_with(|| ExperimentRounds {
                before: experiment.checkpoints(),
                numbers: Vec::new(),
            });
        rounds.numbers.push(number);
    }

    /// Whether it has lasted as long as a window has to.
    pub(crate) fn is_full(&self) -> bool {
        self.length() >= WINDOW
    }

    /// Waits until it is full, unless it is empty.
    pub(crate) fn wait_until_full(&self) {
        if !self.rounds.is_empty() && self.opened.is_some() {
            thread::sleep(WINDOW.saturating_sub(self.length()));
        }
    }

    pub(crate) fn length(&self) -> Duration {
        self.opened
            .map_or(Duration::ZERO, |opened| opened.elapsed())
    }

    pub(crate) fn is_noisy(&self, monitor: &mut LoadMonitor) -> bool {
        self.opened.is_some_and(|opened| monitor.disturbed(&opened))
    }
}
