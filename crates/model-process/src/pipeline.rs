//! Unit: child process. Shares: a channel to each consumer, and in shared memory
//! the credits that bound them. Ends: a consumer's channel closes when the last
//! producer drops its end.

use std::ops::Range;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::thread;
use std::time::Duration;

use ipc_channel::IpcError;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use serde::{Deserialize, Serialize};
use suite::Result;
use suite::pipeline::{Item, Job, Outcome, Tally};

use crate::children::Children;
use crate::futex;
use crate::worker::{self, Answer, Worker};

/// What travels in one message.
pub type Batch = Vec<Item>;

/// The most items in one message: a few kilobytes.
const MOST_ITEMS: usize = 256;

/// The most channels in one message: the kernel passes no more than 253
/// descriptors at once, and ipc-channel no more than 64.
const MOST_CHANNELS: usize = 60;

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    let producers = 0..job.producers;
    let consumers = job.producers..job.producers + job.consumers;
    children.together(consumers.end, |children| {
        attempt(job, producers.clone(), consumers.clone(), children)
    })
}

fn attempt(
    job: &Job,
    producers: Range<usize>,
    consumers: Range<usize>,
    children: &mut Children,
) -> Result<Outcome> {
    let shared = children.shared();
    shared.credits.reset(job.capacity as u32);
    shared.level.reset();
    shared.processed.store(0, Relaxed);

    let mut queues = Vec::new();
    for consumer in consumers {
        let (queue, items) = ipc::channel::<Batch>()?;
        let consume = Task::Consume(job.clone(), items);
        children.send(consumer, worker::Task::Pipeline(consume))?;
        queues.push(queue);
    }
    for producer in producers.clone() {
        for (chunk, queues) in queues.chunks(MOST_CHANNELS).enumerate() {
            let lay = Task::Lay(chunk * MOST_CHANNELS, queues.to_vec());
            children.send(producer, worker::Task::Pipeline(lay))?;
            // One at a time: the kernel has only so many descriptors on their way.
            children.answer()?;
        }
    }
    drop(queues); // or the channels would never close
    for producer in producers.clone() {
        let produce = Task::Produce(job.clone(), producer);
        children.send(producer, worker::Task::Pipeline(produce))?;
    }

    let mut tally = Tally::new(job);
    let mut released = u64::MAX;
    for _ in 0..job.producers + job.consumers {
        match children.answer()? {
            Answer::Tally(consumed) => tally = tally.merge(consumed),
            Answer::Number(processed) => released = released.min(processed),
            other => return Err(other.unexpected()),
        }
    }
    let high_water = children.shared().level.high_water();
    Ok(tally.outcome(released, high_water))
}

/// What to be, and what is needed for it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    /// Items will go to so many consumers that are known already, and these.
    Lay(usize, Vec<IpcSender<Batch>>),
    /// Be the job's producer of this number.
    Produce(Job, usize),
    /// Be a consumer of what comes here.
    Consume(Job, IpcReceiver<Batch>),
}

impl Task {
    pub fn perform(self, worker: &mut Worker) -> Result<Answer> {
        match self {
            Task::Lay(known, queues) => {
                // What is beyond is left from an attempt that came to nothing.
                worker.consumers.truncate(known);
                worker.consumers.extend(queues);
                Ok(Answer::Done)
            }
            Task::Produce(job, producer) => Ok(produce(&job, producer, worker)),
            Task::Consume(job, items) => consume(&job, &items, worker),
        }
    }
}

/// Sends this producer's items to the consumers in turn, then waits until all
/// items are processed.
fn produce(job: &Job, producer: usize, worker: &mut Worker) -> Answer {
    let shared = &*worker.memory;
    let queues = std::mem::take(&mut worker.consumers);
    // Each producer starts with another consumer.
    let mut turns = queues.iter().cycle().skip(producer % queues.len().max(1));
    // An item that takes time goes off at once. Those that take none go together,
    // as many as the queue has room for: a message an item would be a system call
    // an item, at either end.
    let most = match job.produce_us {
        0 => job.capacity.min(MOST_ITEMS),
        _ => 1,
    };
    let share = job.share(producer);
    let mut sequence = 0;
    while sequence < share {
        if job.produce_us > 0 {
            thread::sleep(Duration::from_micros(job.produce_us));
        }
        let items = shared
            .credits
            .take((share - sequence).min(most as u64) as u32);
        let batch: Batch = (sequence..sequence + u64::from(items))
            .map(|sequence| Item {
                producer: producer as u32,
                sequence,
            })
            .collect();
        if turns.next().is_none_or(|queue| queue.send(batch).is_err()) {
            return Answer::Deserted;
        }
        shared.level.put(items as usize);
        sequence += u64::from(items);
    }
    drop(queues);

    let processed = futex::wait_for(&shared.processed, job.items as u32);
    Answer::Number(processed.into())
}

/// Processes items until there are no more.
fn consume(job: &Job, items: &IpcReceiver<Batch>, worker: &Worker) -> Result<Answer> {
    let shared = &*worker.memory;
    let mut tally = Tally::new(job);
    loop {
        let batch = match items.recv() {
            Err(IpcError::Disconnected) => return Ok(Answer::Tally(tally)),
            batch => batch?,
        };
        let size = batch.len() as u32;
        // In this order, so that the level never reads above the capacity.
        shared.level.take(batch.len());
        shared.credits.give(size);
        for item in batch {
            tally.process(item);
        }
        let before = shared.processed.fetch_add(size, Release);
        if u64::from(before + size) == job.items {
            futex::wake(&shared.processed, futex::EVERYBODY);
        }
    }
}
