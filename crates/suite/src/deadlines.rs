//! `deadlines`: operations wait for an answer, each has a deadline, and at one point all that
//! is in flight may be cancelled.
//!
//! Shows what a deadline costs that does not fire, how late those fire that do, and how
//! quickly a model gets rid of what is under way.
//!
//! A *slot* is a unit with a connection of its own, to a responder that is none of the
//! models. It does one operation after the other, so at most as many are in flight as there
//! are slots. What goes over a connection is the same for every model:
//!
//! - All connections are open before the first slot begins. Its first request is the *gate*,
//!   which the responder answers when every slot has come: so all of them are seen to be in
//!   flight at once.
//! - An operation's request says after what time the responder is to answer. That of one in
//!   time is below a twentieth of the deadline, that of a late one four times the deadline or more;
//!   every second late one gets no answer at all.
//! - The answer to an operation that was cut still comes over that connection, and the next
//!   operation passes over it. A read that was cut may have read a part of it: what has come
//!   lies in [`Answers`], which is not dropped with the read.

use std::borrow::Borrow;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{Invalid, Preset, WrongAnswer, completion, splitmix64};

mod part;
mod slot;

pub use part::Part;
pub use slot::{Answers, Operation, Slot};

/// Bytes of a request, and of an answer: two numbers.
const FRAME_BYTES: usize = 16;

/// The time of a request that the responder does not answer.
const NEVER: u64 = u64::MAX;

/// What times are drawn from if there is no deadline, in milliseconds: those of the presets'.
const USUAL_DEADLINE_MS: u64 = 50;

/// From this number of operations on, at least one of those in time has its answer: no delay cuts
/// all of them.
const SOME_ARE_ANSWERED: u64 = 10;

/// Late operations with a deadline of this or more are in flight until they are cancelled, in
/// milliseconds: no machine is so slow.
const STUCK_MS: u64 = 60_000;

/// How many operations there are, and which of them are late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Operations in all.
    pub operations: u64,
    /// The most that are in flight at once.
    pub limit: usize,
    /// Of 1,000 operations, how many take longer than the deadline.
    pub late_per_mille: u64,
    /// How long an operation may take, in milliseconds; 0 for as long as it takes.
    pub deadline_ms: u64,
    /// When this number of operations have begun, no other begins and all in flight are cancelled; 0 for never.
    pub cancel_after: u64,
    /// Where the responder listens. Filled in when the job is prepared.
    #[serde(skip)]
    pub address: Option<SocketAddr>,
}

/// How late those deadlines were that fired, in nanoseconds: at which share of them, at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lateness {
    /// Half of them.
    pub p50: u64,
    /// 99 %.
    pub p99: u64,
    /// All of them.
    pub max: u64,
}

/// What the responder has seen of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Connections that asked something.
    pub connections: u64,
    /// Requests. More than there are operations are those of a model that began again.
    pub requests: u64,
    /// The most connections with a request under way at once.
    pub most_at_once: u64,
    /// Connections that were left open.
    pub open: u64,
    /// Its processor time, in nanoseconds: it is no part of the model.
    pub cpu_ns: u64,
}

/// What came of all operations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Slots, each a unit with a connection.
    pub slots: u64,
    /// Operations that have begun.
    pub operations: u64,
    /// Those in time that have their answer.
    pub answered: u64,
    /// Late ones that were cut.
    pub cut: u64,
    /// Those in time that were cut all the same, as the machine was busy.
    pub missed: u64,
    /// Late ones whose answer was there before the deadline had fired, as the machine was busy.
    pub overslept: u64,
    /// What was in flight when all was cancelled.
    pub cancelled: u64,
    /// The sum of all values: those of answers as they came, and of other operations as they
    /// would have come.
    pub sum: u64,
    /// Operations that were cut before their deadline.
    pub early: u64,
    /// Answers that cannot be.
    pub wrong: u64,
    /// Operations whose guard was dropped: each, once.
    pub ended: u64,
    /// How late the deadlines fired. Reported, not checked.
    pub lateness_ns: Lateness,
    /// From when the last operation had begun until all had ended, if all in flight were
    /// cancelled; else 0. Reported, not checked.
    pub cancel_ns: u64,
    /// What the responder has seen. Filled in when the answer is checked.
    pub seen: Seen,
}

/// What has come of some operations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    slots: u64,
    answered: u64,
    cut: u64,
    missed: u64,
    overslept: u64,
    cancelled: u64,
    sum: u64,
    early: u64,
    wrong: u64,
    ended: u64,
    late_by_ns: Vec<u64>,
}

impl Tally {
    /// Adds what has come of others.
    pub fn add(&mut self, other: Self) {
        self.slots += other.slots;
        self.answered += other.answered;
        self.cut += other.cut;
        self.missed += other.missed;
        self.overslept += other.overslept;
        self.cancelled += other.cancelled;
        self.sum = self.sum.wrapping_add(other.sum);
        self.early += other.early;
        self.wrong += other.wrong;
        self.ended += other.ended;
        self.late_by_ns.extend(other.late_by_ns);
    }

    /// The outcome, when all slots have ended.
    pub fn outcome(mut self, turn: &Turn, cancel: Option<Duration>) -> Outcome {
        Outcome {
            slots: self.slots,
            operations: turn.begun.load(Relaxed),
            answered: self.answered,
            cut: self.cut,
            missed: self.missed,
            overslept: self.overslept,
            cancelled: self.cancelled,
            sum: self.sum,
            early: self.early,
            wrong: self.wrong,
            ended: self.ended,
            lateness_ns: Lateness::of(&mut self.late_by_ns),
            cancel_ns: cancel.map_or(0, completion::nanoseconds),
            seen: Seen::default(),
        }
    }
}

impl Lateness {
    fn of(late_by_ns: &mut [u64]) -> Self {
        late_by_ns.sort_unstable();
        // The nearest rank.
        let at = |share: f64| {
            let rank = (share * late_by_ns.len() as f64).ceil() as usize;
            late_by_ns.get(rank.saturating_sub(1)).copied().unwrap_or(0)
        };
        Self {
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

/// Whose turn it is: which operation is next, and how many have begun.
#[derive(Debug, Default)]
#[repr(C)] // the process model keeps one in shared memory
pub struct Turn {
    taken: AtomicU64,
    begun: AtomicU64,
}

impl Turn {
    /// Forgets everything, for the next job.
    pub fn reset(&self) {
        self.taken.store(0, Relaxed);
        self.begun.store(0, Relaxed);
    }
}

/// What all slots of a job share. The process model has the turn elsewhere.
#[derive(Debug)]
pub struct Ledger<T = Turn> {
    job: Job,
    turn: T,
    total: Mutex<Tally>,
    /// When the last operation had begun, if all in flight are cancelled then.
    cancelled: OnceLock<Instant>,
}

impl Ledger {
    /// For one run of `job`.
    pub fn new(job: &Job) -> Arc<Self> {
        Self::with_turn(job, Turn::default())
    }

    /// What came of it, when all slots have been dropped.
    pub fn outcome(&self) -> Outcome {
        let cancel = self.cancelled.get().map(Instant::elapsed);
        self.tally().outcome(&self.turn, cancel)
    }
}

impl<T: Borrow<Turn>> Ledger<T> {
    /// With this turn.
    pub fn with_turn(job: &Job, turn: T) -> Arc<Self> {
        Arc::new(Self {
            job: job.clone(),
            turn,
            total: Mutex::default(),
            cancelled: OnceLock::new(),
        })
    }

    /// The job.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Whether the last operation has begun, and all in flight are to be cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.get().is_some()
    }

    /// What has come of the slots that have been dropped.
    pub fn tally(&self) -> Tally {
        let total = self.total.lock();
        total.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, tally: Tally) {
        let total = self.total.lock();
        total.unwrap_or_else(PoisonError::into_inner).add(tally);
    }

    /// The number of the next operation, of this number of slots.
    fn next(&self, slots: u64) -> Option<u64> {
        let taken = self.turn.borrow().taken.fetch_add(1, Relaxed);
        // The first of each slot is its own.
        Some(taken + slots + 1).filter(|number| *number <= self.job.begun())
    }

    /// An operation's request has been sent. True for the last one, if all are cancelled then.
    fn sent(&self) -> bool {
        let begun = self.turn.borrow().begun.fetch_add(1, AcqRel) + 1;
        let is_last = self.job.cancel_after > 0 && begun == self.job.begun();
        if is_last {
            // Nothing else sets it.
            let _ = self.cancelled.set(Instant::now());
        }
        is_last
    }
}

/// How long the responder takes for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// So many microseconds, and that is in time.
    InTime(u64),
    /// So many microseconds, and that is too long.
    Late(u64),
    /// There is no answer.
    Never,
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let (operations, limit, late_per_mille) = match preset {
            Preset::Article => (20, 10, 100),
            // As many at once as there can be children, and few enough that opening their
            // connections is the smaller part.
            Preset::Heavy => (10_000, 250, 10),
        };
        Self {
            operations,
            limit,
            late_per_mille,
            deadline_ms: USUAL_DEADLINE_MS,
            cancel_after: 0,
            address: None,
        }
    }

    /// Where the responder listens.
    ///
    /// # Panics
    ///
    /// If the address is not filled in: preparing a job does that.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("a prepared job has a responder")
    }

    /// One connection, for an error that it is the context of.
    pub fn named(&self, slot: u64) -> String {
        let (number, all, responder) = (slot + 1, self.slots(), self.address());
        format!("connection {number} of {all} to {responder}")
    }

    /// How many operations begin.
    pub fn begun(&self) -> u64 {
        match self.cancel_after {
            0 => self.operations,
            cancel_after => cancel_after,
        }
    }

    /// How many are in flight at once, each in a slot of its own.
    pub fn slots(&self) -> u64 {
        self.begun().min(self.limit as u64)
    }

    pub(crate) fn units(&self) -> usize {
        self.limit
            .min(usize::try_from(self.begun()).unwrap_or(usize::MAX))
    }

    /// The time that all operations take one after the other, about.
    pub fn one_by_one(&self) -> Duration {
        let late = self.begun() * self.late_per_mille / 1_000;
        let in_time = (self.begun() - late) as f64 / 40.0;
        Duration::from_micros(self.times_from_us()).mul_f64(in_time + late as f64)
    }

    fn deadline(&self) -> Option<Duration> {
        Some(self.deadline_ms)
            .filter(|deadline| *deadline > 0)
            .map(Duration::from_millis)
    }

    /// What times are drawn from, in microseconds.
    fn times_from_us(&self) -> u64 {
        let deadline = self
            .deadline()
            .map_or(USUAL_DEADLINE_MS, |_| self.deadline_ms);
        deadline * 1_000
    }

    /// How many operations up to this one are late. They are spread evenly.
    fn late_up_to(&self, number: u64) -> u64 {
        number * self.late_per_mille / 1_000
    }

    /// How long this operation takes, counted from 1.
    fn takes(&self, number: u64) -> Takes {
        let from = self.times_from_us();
        let random = splitmix64(!number);
        let late = self.late_up_to(number);
        if late == self.late_up_to(number - 1) {
            Takes::InTime(random % (from / 20))
        } else if late.is_multiple_of(2) {
            Takes::Never
        } else {
            Takes::Late(4 * from + random % (4 * from))
        }
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("operations", self.operations, 1, 10_000_000)?;
        Invalid::unless_within("limit", self.limit as u64, 1, 10_000)?;
        Invalid::unless_within("deadline_ms", self.deadline_ms, 0, 600_000)?;
        let most_late = if self.deadline_ms == 0 { 0 } else { 1_000 };
        Invalid::unless_within("late_per_mille", self.late_per_mille, 0, most_late)?;
        Invalid::unless_within("cancel_after", self.cancel_after, 0, self.operations)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        let less = |count: u64| (count / divisor).max(1);
        let operations = less(self.operations);
        Self {
            operations,
            limit: self
                .limit
                .min(usize::try_from(operations).unwrap_or(usize::MAX)),
            cancel_after: match self.cancel_after {
                0 => 0,
                cancel_after => less(cancel_after),
            },
            ..self.clone()
        }
    }

    /// Each operation has ended once, with its value if it was in time, and no deadline has
    /// fired early; and the responder has seen as many at once as the model says.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        let begun = self.begun();
        let sum = (1..=begun).map(splitmix64).fold(0, u64::wrapping_add);
        let results = [
            outcome.answered,
            outcome.cut,
            outcome.missed,
            outcome.overslept,
            outcome.cancelled,
        ];
        for (what, got, right) in [
            ("operations", outcome.operations, begun),
            ("ended", outcome.ended, begun),
            ("early", outcome.early, 0),
            ("wrong", outcome.wrong, 0),
            ("sum", outcome.sum, sum),
            ("the sum of all results", results.iter().sum(), begun),
            ("connections left open", outcome.seen.open, 0),
        ] {
            WrongAnswer::unless(got == right, what, got, right)?;
        }
        let late = self.late_up_to(begun);
        // A model of one thing after the other has one slot, and says so.
        let slots = if outcome.slots == 1 { 1 } else { self.slots() };
        let cancelled = if self.cancel_after > 0 { slots } else { 0 };
        // Others may have ended by themselves before they were reached.
        let are_stuck = late == slots && late == begun && self.deadline_ms >= STUCK_MS;
        let stuck = if are_stuck { cancelled } else { 0 };
        let cut = if self.deadline_ms > 0 { begun } else { 0 };
        for (what, got, least, most) in [
            (
                "answered",
                outcome.answered + outcome.missed,
                0,
                begun - late,
            ),
            ("cut", outcome.cut + outcome.overslept, 0, late),
            ("cut and missed", outcome.cut + outcome.missed, 0, cut),
            // Every second late one has no answer.
            ("overslept", outcome.overslept, 0, late.div_ceil(2)),
            ("cancelled", outcome.cancelled, stuck, cancelled),
            ("slots", outcome.slots, slots, slots),
            ("connections", outcome.seen.connections, slots, u64::MAX),
            ("requests", outcome.seen.requests, begun, u64::MAX),
            ("most_at_once", outcome.seen.most_at_once, slots, slots),
        ] {
            let right = || match most {
                u64::MAX => format!("at least {least}"),
                _ => format!("from {least} to {most}"),
            };
            WrongAnswer::unless((least..=most).contains(&got), what, got, right())?;
        }
        let some = self.cancel_after == 0 && begun - late >= SOME_ARE_ANSWERED;
        WrongAnswer::unless(
            outcome.answered > 0 || !some,
            "answered",
            outcome.answered,
            "some of those in time",
        )
    }

    pub(crate) fn summary(&self, outcome: &Outcome, elapsed: Duration) -> String {
        let time = Duration::from_nanos;
        let mut text = format!(
            "{} operations, {} at once: {} answered, {} cut; {:.3?} an operation",
            outcome.operations,
            outcome.slots,
            outcome.answered,
            outcome.cut,
            elapsed.div_f64(outcome.operations.max(1) as f64)
        );
        if outcome.missed + outcome.overslept > 0 {
            text += &format!(
                "\nas the machine was busy, {} were cut that would have been in time, and {} \
                 late ones were answered",
                outcome.missed, outcome.overslept
            );
        }
        let Lateness { p50, p99, max } = outcome.lateness_ns;
        if max > 0 {
            text += &format!(
                "\ndeadlines fired late by {:.3?} (median), {:.3?} (p99), {:.3?} at most",
                time(p50),
                time(p99),
                time(max)
            );
        }
        if outcome.cancelled > 0 {
            text += &format!(
                "\n{} in flight were cancelled, and had ended {:.3?} later",
                outcome.cancelled,
                time(outcome.cancel_ns)
            );
        }
        text
    }
}

#[cfg(test)]
mod tests;
