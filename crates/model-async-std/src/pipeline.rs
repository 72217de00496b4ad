//! Unit: task. Shares: a bounded channel. Ends: the channel closes when the
//! last producer drops its sender.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Context;
use async_std::channel::{Receiver, Sender, bounded};
use async_std::task;
use suite::pipeline::{Channel, Item, Job, Level, Message, Outcome, Tally};
use suite::{PhaseClock, Result};

use crate::pipeline_common;

pub async fn run(job: Job) -> Result<Outcome> {
    match (job.channel, job.batch) {
        (Channel::Own, 1) => run_with::<Item>(job).await,
        (Channel::Own, _) => run_with::<Vec<Item>>(job).await,
        (Channel::Common, 1) => pipeline_common::run::<Item>(job).await,
        (Channel::Common, _) => pipeline_common::run::<Vec<Item>>(job).await,
    }
}

/// With async-channel 1, which is async-std's.
async fn run_with<M: Message>(job: Job) -> Result<Outcome> {
    let clock = Arc::new(PhaseClock::begin());
    let (queue, items) = bounded::<M>(job.messages_held());
    // Nothing is ever sent here: it closes when the last consumer is done, and
    // that is what the producers wait for.
    let (processing, all_processed) = bounded(1);
    let level = Arc::new(Level::new(&job));
    let processed = Arc::new(AtomicU64::new(0));

    let consumers: Vec<_> = (0..job.consumers)
        .map(|_| {
            let (job, items, processing) = (job.clone(), items.clone(), processing.clone());
            let (level, processed) = (level.clone(), processed.clone());
            let consume = consume(job, items, level, processed, processing);
            task::spawn(clock.clone().timed(consume))
        })
        .collect();
    drop((items, processing)); // or neither channel would ever close
    let producers: Vec<_> = (0..job.producers)
        .map(|producer| {
            let (job, queue, all_processed) = (job.clone(), queue.clone(), all_processed.clone());
            let (level, processed) = (level.clone(), processed.clone());
            task::spawn(async move {
                produce(&job, producer, queue, &level, all_processed).await?;
                anyhow::Ok(processed.load(Relaxed))
            })
        })
        .collect();
    drop(queue);
    clock.started();

    let tallies = crate::join_all(consumers).await;
    let tally = tallies.into_iter().fold(Tally::new(&job), Tally::merge);
    let released = crate::join_all(producers).await;
    let released: Vec<u64> = released.into_iter().collect::<Result<_>>()?;
    let released = released.into_iter().min().unwrap_or(0);
    Ok(Outcome {
        phases: clock.phases(),
        ..tally.outcome(released, level.high_water())
    })
}

/// Sends this producer's items, then waits until all items are processed.
async fn produce<M: Message>(
    job: &Job,
    producer: usize,
    queue: Sender<M>,
    level: &Level,
    all_processed: Receiver<Infallible>,
) -> Result<()> {
    for message in job.messages::<M>(producer) {
        let items = message.items();
        if let Some(pause) = job.pause(items) {
            task::sleep(pause).await;
        }
        queue
            .send(message)
            .await
            .ok()
            .context("every consumer has gone")?;
        level.put(items);
    }
    drop(queue);
    let Err(_closed) = all_processed.recv().await;
    Ok(())
}

/// Processes items until there are no more.
async fn consume<M: Message>(
    job: Job,
    items: Receiver<M>,
    level: Arc<Level>,
    processed: Arc<AtomicU64>,
    processing: Sender<Infallible>,
) -> Tally {
    let mut tally = Tally::new(&job);
    loop {
        level.take(job.batch);
        match items.recv().await {
            Ok(message) => tally.process_all(message),
            Err(_closed) => break,
        }
    }
    processed.fetch_add(tally.received(), Relaxed);
    drop(processing);
    tally
}
