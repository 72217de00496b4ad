//! `pipeline`: producers and consumers share a queue of limited capacity.
//!
//! Shows what handing over an item costs, and that a queue can push back: a
//! producer that is too fast waits.

use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Invalid, Phases, Preset, Unsupported, WrongAnswer, splitmix64};

/// Which channel the queue is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// The one that the model's users would take.
    #[default]
    Own,
    /// async-channel 2, in every model of tasks: so that executors can be compared
    /// without their channels. The other models have none in common.
    Common,
}

/// Who produces and consumes how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Units that produce.
    pub producers: usize,
    /// Units that consume.
    pub consumers: usize,
    /// Items in all, over all producers.
    pub items: u64,
    /// The most items that the queue may hold.
    pub capacity: usize,
    /// How long a producer waits before each item, in microseconds.
    pub produce_us: u64,
    /// Which channel the queue is.
    #[serde(default)]
    pub channel: Channel,
    /// The most items that are handed over at once: see [`Message`].
    #[serde(default = "one")]
    pub batch: usize,
    /// Switches off the count of what the queue holds (its [`Level`]) while the job is
    /// timed. All units share the cache line of that count: it took a third of one model's
    /// time and a tenth of another's.
    #[serde(skip)]
    pub unwatched: bool,
}

/// One item: who made it, and which of that producer's items it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Which producer, from 0.
    pub producer: u32,
    /// Which of its items, from 0.
    pub sequence: u64,
}

/// What the queue carries: an item, or a batch of them.
pub trait Message: IntoIterator<Item = Item> + Send + 'static {
    /// These of a producer's items: as many as a message holds.
    fn of(producer: usize, sequences: Range<u64>) -> Self;

    /// How many items it holds.
    fn items(&self) -> usize;
}

impl IntoIterator for Item {
    type Item = Item;
    type IntoIter = iter::Once<Item>;

    fn into_iter(self) -> Self::IntoIter {
        iter::once(self)
    }
}

impl Message for Item {
    fn of(producer: usize, sequences: Range<u64>) -> Self {
        Self {
            producer: producer as u32,
            sequence: sequences.start,
        }
    }

    fn items(&self) -> usize {
        1
    }
}

impl Message for Vec<Item> {
    fn of(producer: usize, sequences: Range<u64>) -> Self {
        let producer = producer as u32;
        sequences
            .map(|sequence| Item { producer, sequence })
            .collect()
    }

    fn items(&self) -> usize {
        self.len()
    }
}

fn one() -> usize {
    1
}

/// What came out at the other end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Items that consumers processed.
    pub received: u64,
    /// Which items these were, whatever their order: see [`Tally`].
    pub fingerprint: u64,
    /// Whether every consumer saw each producer's items in order.
    pub in_order: bool,
    /// Items that had been processed when the first producer that waited for
    /// the end of all processing went on.
    pub processed_before_release: u64,
    /// The most items that the queue ever held: see [`Level`].
    pub high_water: u64,
    /// Where the time went.
    #[serde(default)]
    pub phases: Phases,
}

/// What one consumer has processed.
///
/// Tallies of several consumers add up with [`Tally::merge`]. The fingerprint
/// is a sum of one well-mixed number an item: the order does not matter, and an
/// item lost, doubled or forged changes it (but for one chance in 2⁶⁴).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tally {
    received: u64,
    fingerprint: u64,
    in_order: bool,
    /// The next sequence number that each producer can come with, or more.
    next: Vec<u64>,
}

impl Tally {
    /// Nothing processed yet, of a job's many producers.
    pub fn new(job: &Job) -> Self {
        Self {
            received: 0,
            fingerprint: 0,
            in_order: true,
            next: vec![0; job.producers],
        }
    }

    /// Processes what a message holds.
    #[inline]
    pub fn process_all(&mut self, message: impl Message) {
        for item in message {
            self.process(item);
        }
    }

    /// Processes one item: the whole work that a consumer does for it.
    #[inline]
    pub fn process(&mut self, item: Item) {
        self.received += 1;
        self.fingerprint = self.fingerprint.wrapping_add(item.mixed());
        match self.next.get_mut(item.producer as usize) {
            Some(next) => {
                self.in_order &= item.sequence >= *next;
                *next = item.sequence + 1;
            }
            None => self.in_order = false,
        }
    }

    /// Items processed so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// This consumer's tally and another's, together.
    pub fn merge(mut self, other: Tally) -> Tally {
        self.received += other.received;
        self.fingerprint = self.fingerprint.wrapping_add(other.fingerprint);
        self.in_order &= other.in_order;
        self
    }

    /// The outcome, when all tallies are merged.
    pub fn outcome(self, processed_before_release: u64, high_water: u64) -> Outcome {
        Outcome {
            received: self.received,
            fingerprint: self.fingerprint,
            in_order: self.in_order,
            processed_before_release,
            high_water,
            phases: Phases::default(),
        }
    }
}

impl Item {
    #[inline]
    fn mixed(self) -> u64 {
        splitmix64(self.sequence.wrapping_add(u64::from(self.producer) << 40))
    }
}

/// How many items the queue holds, and the most that it ever held.
///
/// Counted as puts completed less takes begun, so it never counts an item that
/// is still on its way in or already on its way out: a queue that keeps its
/// capacity never reads above it. A channel's own `len` would be the very thing
/// under test.
#[derive(Debug, Default)]
#[repr(C)] // the process model keeps one in shared memory
pub struct Level {
    unwatched: AtomicBool,
    now: AtomicI64,
    high: AtomicI64,
}

impl Level {
    /// Of an empty queue; watched, if the job says so.
    pub fn new(job: &Job) -> Self {
        let level = Self::default();
        level.begin(job);
        level
    }

    /// `items` have been put into the queue.
    #[inline]
    pub fn put(&self, items: usize) {
        if self.unwatched.load(Ordering::Relaxed) {
            return;
        }
        let now = self.now.fetch_add(items as i64, Ordering::Relaxed) + items as i64;
        // Read first: after a while the mark is rarely passed, and a cache line
        // that is only read can stay with all cores.
        if now > self.high.load(Ordering::Relaxed) {
            self.high.fetch_max(now, Ordering::Relaxed);
        }
    }

    /// A consumer begins to take `items` out of the queue.
    #[inline]
    pub fn take(&self, items: usize) {
        if self.unwatched.load(Ordering::Relaxed) {
            return;
        }
        self.now.fetch_sub(items as i64, Ordering::Relaxed);
    }

    /// The most items that the queue ever held.
    pub fn high_water(&self) -> u64 {
        self.high.load(Ordering::Relaxed).max(0) as u64
    }

    /// Forgets everything, for this job.
    pub fn begin(&self, job: &Job) {
        self.reset();
        self.unwatched.store(job.unwatched, Ordering::Relaxed);
    }

    pub(crate) fn reset(&self) {
        self.now.store(0, Ordering::Relaxed);
        self.high.store(0, Ordering::Relaxed);
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Article => Self {
                producers: 1,
                consumers: 1,
                items: 3,
                capacity: 10,
                produce_us: 100_000,
                channel: Channel::Own,
                batch: 1,
                unwatched: false,
            },
            Preset::Heavy => Self {
                producers: 4,
                consumers: 4,
                items: 2_000_000,
                capacity: 256,
                produce_us: 0,
                channel: Channel::Own,
                batch: 1,
                unwatched: false,
            },
        }
    }

    /// How many of the items this producer makes: all make the same number, the
    /// first ones take what is left over.
    pub fn share(&self, producer: usize) -> u64 {
        let producers = self.producers as u64;
        self.items / producers + u64::from((producer as u64) < self.items % producers)
    }

    /// A producer's items, in the messages in which it sends them.
    pub fn messages<M: Message>(&self, producer: usize) -> impl Iterator<Item = M> + use<M> {
        let (share, batch) = (self.share(producer), self.batch);
        let end = move |first: u64| share.min(first + batch as u64);
        (0..share)
            .step_by(batch)
            .map(move |first| M::of(producer, first..end(first)))
    }

    /// The most messages that the queue may hold.
    pub fn messages_held(&self) -> usize {
        self.capacity / self.batch
    }

    /// How long a producer waits before it sends this many items.
    pub fn pause(&self, items: usize) -> Option<Duration> {
        (self.produce_us > 0).then(|| Duration::from_micros(self.produce_us * items as u64))
    }

    /// Refuses a channel that only models of tasks have.
    pub fn needs_own_channel(&self) -> Result<(), Unsupported> {
        match self.channel {
            Channel::Own => Ok(()),
            Channel::Common => Err(Unsupported(
                "only models of tasks have a channel in common".to_owned(),
            )),
        }
    }

    pub(crate) fn units(&self) -> usize {
        self.producers + self.consumers
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("producers", self.producers as u64, 1, 10_000)?;
        Invalid::unless_within("consumers", self.consumers as u64, 1, 10_000)?;
        Invalid::unless_within("items", self.items, 0, 1_000_000_000)?;
        Invalid::unless_within("capacity", self.capacity as u64, 1, 1_000_000)?;
        Invalid::unless_within("batch", self.batch as u64, 1, self.capacity as u64)?;
        Invalid::unless_within("produce_us", self.produce_us, 0, 60_000_000)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        let mut job = self.clone();
        if self.produce_us > 0 {
            job.produce_us = (self.produce_us / divisor).max(1);
        } else {
            job.items = (self.items / divisor).max(1);
        }
        job
    }

    /// Every item once, in order, all processed before a producer that waited
    /// for that went on, and never more in the queue than it may hold.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        WrongAnswer::unless(
            outcome.received == self.items,
            "received",
            outcome.received,
            self.items,
        )?;
        let fingerprint = (0..self.producers)
            .flat_map(|producer| {
                (0..self.share(producer)).map(move |sequence| Item {
                    producer: producer as u32,
                    sequence,
                })
            })
            .fold(0u64, |sum, item| sum.wrapping_add(item.mixed()));
        WrongAnswer::unless(
            outcome.fingerprint == fingerprint,
            "fingerprint",
            outcome.fingerprint,
            format!("{fingerprint} (each item exactly once)"),
        )?;
        WrongAnswer::unless(outcome.in_order, "in_order", outcome.in_order, true)?;
        WrongAnswer::unless(
            outcome.processed_before_release == self.items,
            "processed_before_release",
            outcome.processed_before_release,
            self.items,
        )?;
        WrongAnswer::unless(
            outcome.high_water <= self.capacity as u64,
            "high_water",
            outcome.high_water,
            format!("at most {}", self.capacity),
        )
    }

    pub(crate) fn summary(&self, outcome: &Outcome, _elapsed: Duration) -> String {
        format!(
            "{} items, all in order; the queue held {} at most, of {} allowed",
            outcome.received, outcome.high_water, self.capacity
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(job: &Job) -> Vec<Item> {
        (0..job.producers)
            .flat_map(|producer| {
                (0..job.share(producer)).map(move |sequence| Item {
                    producer: producer as u32,
                    sequence,
                })
            })
            .collect()
    }

    fn messages<M: Message>(job: &Job) -> Vec<Item> {
        let producers = 0..job.producers;
        producers
            .flat_map(|producer| job.messages::<M>(producer))
            .flatten()
            .collect()
    }

    fn checked(job: &Job, items: &[Item]) -> Result<(), WrongAnswer> {
        let mut tally = Tally::new(job);
        for &item in items {
            tally.process(item);
        }
        job.check(&tally.outcome(job.items, 0))
    }

    proptest! {
        #[test]
        fn shares_add_up(producers in 1usize..50, total in 0u64..10_000) {
            let job = Job { producers, items: total, ..Job::preset(Preset::Article) };
            prop_assert_eq!((0..producers).map(|p| job.share(p)).sum::<u64>(), total);
        }

        #[test]
        fn messages_hold_every_item(producers in 1usize..5, total in 0u64..500, batch in 1usize..20) {
            let job = Job { producers, items: total, batch, capacity: 20, ..Job::preset(Preset::Article) };
            prop_assert_eq!(messages::<Vec<Item>>(&job), items(&job));
            prop_assert_eq!(messages::<Item>(&Job { batch: 1, ..job.clone() }), items(&job));
            for message in job.messages::<Vec<Item>>(0) {
                prop_assert!((1..=batch).contains(&message.items()));
            }
        }

        #[test]
        fn an_item_lost_doubled_or_out_of_order_is_found(
            producers in 1usize..5,
            total in 2u64..200,
            at in 0usize..200,
        ) {
            let job = Job { producers, items: total, ..Job::preset(Preset::Article) };
            let all = items(&job);
            prop_assert!(checked(&job, &all).is_ok());

            let at = at % all.len();
            let mut lost = all.clone();
            lost.remove(at);
            prop_assert!(checked(&job, &lost).is_err());

            let mut doubled_for_lost = all.clone();
            doubled_for_lost[at] = all[(at + 1) % all.len()];
            prop_assert!(checked(&job, &doubled_for_lost).is_err());

            let same = (at + 1) % all.len();
            if all[at].producer == all[same].producer {
                let mut swapped = all.clone();
                swapped.swap(at, same);
                prop_assert!(checked(&job, &swapped).is_err());
            }
        }
    }

    #[test]
    fn the_level_remembers_its_highest() {
        let level = Level::default();
        level.take(1); // a consumer that waits has begun its take
        level.put(2);
        level.take(1);
        level.put(3);
        assert_eq!(level.high_water(), 3);
        level.reset();
        assert_eq!(level.high_water(), 0);
    }
}
