//! Unit: task. Shares: a bounded channel to each consumer. Ends: a channel closes when
//! the last producer drops its sender.
//!
//! tokio's own channel has one receiver, so each consumer has a channel, and producers
//! take them in turn. flume, which its maintainers name where consumers share a queue,
//! takes twice as long here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context;
use suite::Result;
use suite::pipeline::{Channel, Item, Job, Level, Outcome, Tally};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::pipeline_common;

pub async fn run(job: Job) -> Result<Outcome> {
    match job.channel {
        Channel::Own => own(job).await,
        Channel::Common => pipeline_common::run(job).await,
    }
}

async fn own(job: Job) -> Result<Outcome> {
    // Nothing is ever sent here: it closes when the last consumer is done, and
    // that is what the producers wait for.
    let (processing, all_processed) = watch::channel(());
    let level = Arc::new(Level::new(&job));
    let processed = Arc::new(AtomicU64::new(0));

    let mut consumers = JoinSet::new();
    let mut queues = Vec::new();
    // A channel holds one item at least: a smaller queue has fewer consumers.
    let channels = job.consumers.min(job.capacity);
    for consumer in 0..channels {
        // Together, they hold what the queue may.
        let capacity = job.capacity / channels + usize::from(consumer < job.capacity % channels);
        let (queue, items) = channel(capacity);
        queues.push(queue);
        let (job, processing) = (job.clone(), processing.clone());
        let (level, processed) = (level.clone(), processed.clone());
        consumers.spawn(consume(job, items, level, processed, processing));
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

    let tallies = consumers.join_all().await;
    let tally = tallies.into_iter().fold(Tally::new(&job), Tally::merge);
    let released = producers.join_all().await;
    let released: Vec<u64> = released.into_iter().collect::<Result<_>>()?;
    let released = released.into_iter().min().unwrap_or(0);
    Ok(tally.outcome(released, level.high_water()))
}

/// Sends this producer's items, then waits until all items are processed.
async fn produce(
    job: &Job,
    producer: usize,
    queues: Vec<Sender<Item>>,
    level: &Level,
    mut all_processed: watch::Receiver<()>,
) -> Result<()> {
    // Each producer starts with another consumer.
    let mut turns = queues.iter().cycle().skip(producer % queues.len());
    for sequence in 0..job.share(producer) {
        if job.produce_us > 0 {
            sleep(Duration::from_micros(job.produce_us)).await;
        }
        let producer = producer as u32;
        let queue = turns.next().context("there is a queue")?;
        queue
            .send(Item { producer, sequence })
            .await
            .context("a consumer has gone")?;
        level.put(1);
    }
    drop(queues);
    let _closed = all_processed.changed().await;
    Ok(())
}

/// Processes items until there are no more.
async fn consume(
    job: Job,
    mut items: Receiver<Item>,
    level: Arc<Level>,
    processed: Arc<AtomicU64>,
    processing: watch::Sender<()>,
) -> Tally {
    let mut tally = Tally::new(&job);
    loop {
        level.take(1);
        match items.recv().await {
            Some(item) => tally.process(item),
            None => break,
        }
    }
    processed.fetch_add(tally.received(), Relaxed);
    drop(processing);
    tally
}
