//! Parts of a job, for units that share no memory, and so cannot tell each other whose turn it is.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use super::{Job, Ledger, Turn};

/// Some of a job's slots, with operations that no other part has.
///
/// When all in flight are cancelled, that is after the last operation of the last part:
/// [`Operation::sent`](super::Operation::sent) is true for the last of each part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    job: Job,
    address: SocketAddr,
    /// How many parts the job has.
    parts: u64,
    slots: Range<u64>,
    /// Which it has of those operations that are not the first of a slot.
    others: Range<u64>,
}

impl Job {
    /// Divides the job into parts whose slots differ by one at most. There are no more parts than
    /// slots. Operations are in proportion to slots.
    ///
    /// # Panics
    ///
    /// If the address is not filled in: preparing a job does that.
    pub fn parts(&self, most: u64) -> Vec<Part> {
        let slots = self.slots();
        let (parts, others) = (most.clamp(1, slots), self.begun() - slots);
        let first_slot = |part: u64| slots * part / parts;
        let first_other = |part: u64| others * first_slot(part) / slots;
        let part = |part: u64| Part {
            job: self.clone(),
            address: self.address(),
            parts,
            slots: first_slot(part)..first_slot(part + 1),
            others: first_other(part)..first_other(part + 1),
        };
        (0..parts).map(part).collect()
    }
}

impl Part {
    /// How many parts the job has.
    pub fn parts(&self) -> u64 {
        self.parts
    }

    /// Its slots, of those of the job.
    pub fn slots(&self) -> Range<u64> {
        self.slots.clone()
    }

    /// What its slots share. The job in it has as many slots as the whole, and ends with the last
    /// operation of this part.
    pub fn ledger(&self) -> Arc<Ledger> {
        let last = self.last();
        let job = Job {
            operations: last,
            cancel_after: match self.job.cancel_after {
                0 => 0,
                _ => last,
            },
            address: Some(self.address),
            ..self.job.clone()
        };
        let turn = Turn {
            taken: AtomicU64::new(self.others.start),
            begun: AtomicU64::new(self.begun_before()),
        };
        Ledger::with_turn(&job, turn)
    }

    /// How many of its operations have begun, by its ledger.
    pub fn begun(&self, ledger: &Ledger) -> u64 {
        ledger.turn.begun.load(Relaxed) - self.begun_before()
    }

    /// The number of its last operation, if it has others than the first of each slot.
    fn last(&self) -> u64 {
        self.job.slots() + self.others.end
    }

    /// What the count of those that have begun starts with, so that it ends with the last.
    fn begun_before(&self) -> u64 {
        let length = |range: &Range<u64>| range.end - range.start;
        self.last() - length(&self.slots) - length(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, Seen, Slot, Tally};
    use super::*;
    use crate::{Preset, splitmix64};

    /// Plays the operations of a part, one of each slot in turn: what came of them, how many have
    /// begun, and after how many the last was said to be sent.
    fn played(part: &Part) -> (Tally, u64, Option<u64>) {
        let ledger = part.ledger();
        let slots = part.slots();
        let mut slots: Vec<_> = slots.map(|slot| Slot::new(&ledger, slot)).collect();
        let (mut sent, mut last) = (0, None);
        loop {
            let before = sent;
            for slot in &mut slots {
                if let Some(operation) = slot.begin() {
                    sent += 1;
                    if operation.sent() {
                        assert_eq!(last, None, "only one is the last");
                        last = Some(sent);
                    }
                    let value = splitmix64(operation.number);
                    operation.end(Some(value));
                }
            }
            if sent == before {
                break;
            }
        }
        drop(slots);
        (ledger.tally(), part.begun(&ledger), last)
    }

    fn are_the_whole(parts: &[Part], job: &Job) {
        let (mut total, mut operations) = (Tally::default(), 0);
        for part in parts {
            assert_eq!(part.parts(), parts.len() as u64);
            assert_eq!(part.ledger().job().slots(), job.slots());
            let (tally, begun, last) = played(part);
            assert_eq!(last, (job.cancel_after > 0).then_some(begun));
            total.add(tally);
            operations += begun;
        }
        let outcome = Outcome {
            operations,
            seen: Seen {
                connections: job.slots(),
                requests: operations,
                most_at_once: job.slots(),
                ..Seen::default()
            },
            ..total.outcome(&Turn::default(), None)
        };
        job.check(&outcome).expect("right");
    }

    #[test]
    fn parts_are_the_whole_job() {
        for (operations, limit, cancel_after) in [
            (1, 1, 0),
            (7, 3, 0),
            (3, 8, 0),
            (200, 20, 0),
            (50, 5, 1),
            (50, 5, 25),
            (9, 5, 8),
            (100, 100, 100),
        ] {
            let job = Job {
                operations,
                limit,
                cancel_after,
                late_per_mille: 0,
                address: Some(([127, 0, 0, 1], 1).into()),
                ..Job::preset(Preset::Article)
            };
            for most in 1..7 {
                let parts = job.parts(most);
                assert_eq!(parts.len() as u64, most.min(job.slots()));
                are_the_whole(&parts, &job);
            }
        }
    }
}
