//! Unit: task. Shares: a bounded channel to each consumer. Ends: a channel closes when
//! the last producer drops its sender.
//!
//! tokio's own channel has one receiver, so each consumer has a channel, and producers
//! take them in turn. flume, which its maintainers name where consumers share a queue,
//! takes twice as long here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Context;
use suite::pipeline::{Channel, Item, Job, Level, Message, Outcome, Tally};
use suite::{PhaseClock, Result};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::pipeline_common;

pub async fn run(job: Job) -> Result<Outcome> {
    match (job.channel, job.batch) {
        (Channel::Own, 1) => run_with::<Item>(job).await,
        (Channel::Own, _) => run_with::<Vec<Item>>(job).await,
        (Channel::Common, 1) => pipeline_common::run::<Item>(job).await,
        (Channel::Common, _) => pipeline_common::run::<Vec<Item>>(job).await,
    }
}

async fn run_with<M: Message>(job: Job) -> Result<Outcome> {
    let clock = Arc::new(PhaseClock::begin());
    // Nothing is ever sent here: it closes when the last consumer is done, and
    // that is what the producers wait for.
    let (processing, all_processed) = watch::channel(());
    let level = Arc::new(Level::new(&job));
    let processed = Arc::new(AtomicU64::new(0));

    let mut consumers = JoinSet::new();
    let mut queues = Vec::new();
    // A channel holds one message at least: a smaller queue has fewer consumers.
    let held = job.messages_held();
    let channels = job.consumers.min(held);
    for consumer in 0..channels {
        // Together, they hold what the queue may.
        let (queue, items) =
            channel::<M>(held / channels + usize::from(consumer < held % channels));
        queues.push(queue);
        let (job, processing) = (job.clone(), processing.clone());
        let (level, processed) = (level.clone(), processed.clone());
        let consume = consume(job, items, level, processed, processing);
        consumers.spawn(clock.clone().timed(consume));
    }
    drop(processing); // or its channel would never close
    let mut producers = JoinSet::new();
    for producer in 0..job.producers {
        let (job, queues, all_processed) = (job.clone(), queues.clone(), all_processed.clone());
        let (level, processed) = (level.clone(), processed.clone());
        producers.spawn(async move {
            produce(&job, producer, queues, &level, all_processed).await?;
            anyhow::Ok(processed.load(Relaxed))
        });
    }
    drop(queues); // or the queues would never close
    clock.started();

    let tallies = consumers.join_all().await;
    let tally = tallies.into_iter().fold(Tally::new(&job), Tally::merge);
    let released = producers.join_all().await;
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
    queues: Vec<Sender<M>>,
    level: &Level,
    mut all_processed: watch::Receiver<()>,
) -> Result<()> {
    // Each producer starts with another consumer.
    let mut turns = queues.iter().cycle().skip(producer % queues.len());
    for message in job.messages::<M>(producer) {
        let items = message.items();
        if let Some(pause) = job.pause(items) {
            sleep(pause).await;
        }
        let queue = turns.next().context("there is a queue")?;
        queue
            .send(message)
            .await
            .ok()
            .context("a consumer has gone")?;
        level.put(items);
    }
    drop(queues);
    let _closed = all_processed.changed().await;
    Ok(())
}

/// Processes items until there are no more.
async fn consume<M: Message>(
    job: Job,
    mut items: Receiver<M>,
    level: Arc<Level>,
    processed: Arc<AtomicU64>,
    processing: watch::Sender<()>,
) -> Tally {
    let mut tally = Tally::new(&job);
    loop {
        level.take(job.batch);
        match items.recv().await {
            Some(message) => tally.process_all(message),
            None => break,
        }
    }
    processed.fetch_add(tally.received(), Relaxed);
    drop(processing);
    tally
}
