//! Unit: child process. Shares: a channel to each consumer, and in shared memory
//! the credits that bound them. Ends: a consumer's channel closes when the last
//! producer drops its end.

use std::mem;
use std::ops::Range;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::thread;

use ipc_channel::IpcError;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use suite::pipeline::{Job, Message, Outcome, Tally};
use suite::{PhaseClock, Result};

use crate::pool::protocol::{Batch, PipelineTask};
use crate::pool::{Answer, Children, Task, WorkerContext};
use crate::shm::futex::{self, Word};

/// The most items in one message: a few kilobytes.
const MAX_ITEMS: usize = 256;

/// The most channels in one message: the kernel passes no more than 253
/// descriptors at once, and ipc-channel no more than 64.
const MAX_CHANNELS: usize = 60;

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    job.needs_own_channel()?;
    let producers = 0..job.producers;
    let consumers = job.producers..job.producers + job.consumers;
    children.run_all_or_retry(consumers.end, |children| {
        attempt(job, producers.clone(), consumers.clone(), children)
    })
}

fn attempt(
    job: &Job,
    producers: Range<usize>,
    consumers: Range<usize>,
    children: &mut Children,
) -> Result<Outcome> {
    let shared = &children.memory;
    shared.room.reset(job.capacity as u32);
    shared.level.begin(job);
    shared.processed.store(0, Relaxed);
    let clock = PhaseClock::begin();

    let mut queues = Vec::new();
    for consumer in consumers {
        let (queue, items) = ipc::channel::<Batch>()?;
        let consume = PipelineTask::Consume(job.clone(), items);
        children.send(consumer, Task::Pipeline(consume))?;
        queues.push(queue);
    }
    for producer in producers.clone() {
        for (chunk, queues) in queues.chunks(MAX_CHANNELS).enumerate() {
            let connect = PipelineTask::Connect(chunk * MAX_CHANNELS, queues.to_vec());
            children.send(producer, Task::Pipeline(connect))?;
            // One at a time: the kernel limits how many descriptors are in flight.
            children.answer()?;
        }
    }
    drop(queues); // or the channels would never close
    for producer in producers.clone() {
        let produce = PipelineTask::Produce(job.clone(), producer);
        children.send(producer, Task::Pipeline(produce))?;
    }

    clock.started();

    let mut tally = Tally::new(job);
    let mut released = u64::MAX;
    for _ in 0..job.producers + job.consumers {
        match children.answer()? {
            Answer::Pipeline(consumed) => tally = tally.merge(consumed),
            Answer::Number(processed) => released = released.min(processed),
            other => return Err(other.unexpected()),
        }
    }
    clock.worked();
    let high_water = children.memory.level.high_water();
    Ok(Outcome {
        phases: clock.phases(),
        ..tally.outcome(released, high_water)
    })
}

pub(crate) fn perform(
    task: PipelineTask,
    consumers: &mut Vec<IpcSender<Batch>>,
    context: &WorkerContext,
) -> Result<Answer> {
    match task {
        PipelineTask::Connect(known, queues) => {
            // What is beyond is left from an attempt that was given up.
            consumers.truncate(known);
            consumers.extend(queues);
            Ok(Answer::Done)
        }
        PipelineTask::Produce(job, producer) => {
            Ok(produce(&job, producer, mem::take(consumers), context))
        }
        PipelineTask::Consume(job, items) => consume(&job, &items, context),
    }
}

/// Sends this producer's items to the consumers in turn, then waits until all
/// items are processed.
fn produce(
    job: &Job,
    producer: usize,
    queues: Vec<IpcSender<Batch>>,
    context: &WorkerContext,
) -> Answer {
    let shared = &*context.memory;
    // Each producer starts with another consumer.
    let mut turns = queues.iter().cycle().skip(producer % queues.len().max(1));
    // An item that takes time is sent at once. Those that take none are sent
    // together, as many as the queue has room for: a message an item would be a
    // system call an item, at either end.
    let max = match (job.produce_us, job.batch) {
        (0, 1) => job.capacity.min(MAX_ITEMS),
        (_, batch) => batch,
    };
    let share = job.share(producer);
    let mut sequence = 0;
    while sequence < share {
        let wanted = (share - sequence).min(max as u64) as u32;
        if let Some(pause) = job.pause(wanted as usize) {
            thread::sleep(pause);
        }
        let items = shared.room.acquire_up_to(wanted);
        let batch = Batch::of(producer, sequence..sequence + u64::from(items));
        if turns.next().is_none_or(|queue| queue.send(batch).is_err()) {
            return Answer::PeerGone;
        }
        shared.level.put(items as usize);
        sequence += u64::from(items);
    }
    drop(queues);

    let processed = shared.processed.wait_until_at_least(job.items as u32);
    Answer::Number(processed.into())
}

/// Processes items until there are no more.
fn consume(job: &Job, items: &IpcReceiver<Batch>, context: &WorkerContext) -> Result<Answer> {
    let shared = &*context.memory;
    let mut tally = Tally::new(job);
    loop {
        let batch = match items.recv() {
            Err(IpcError::Disconnected) => return Ok(Answer::Pipeline(tally)),
            batch => batch?,
        };
        let size = batch.len() as u32;
        // In this order, so that the level never reads above the capacity.
        shared.level.take(batch.len());
        shared.room.release(size);
        tally.process_all(batch);
        let before = shared.processed.fetch_add(size, Release);
        if u64::from(before + size) == job.items {
            shared.processed.wake(futex::ALL);
        }
    }
}
