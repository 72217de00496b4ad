//! Unit: task. Shares: a bounded channel. Ends: the channel closes when the
//! last producer drops its sender.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context;
use async_std::channel::{Receiver, Sender, bounded};
use async_std::task;
use suite::Result;
use suite::pipeline::{Channel, Item, Job, Level, Outcome, Tally};

use crate::pipeline_common;

pub async fn run(job: Job) -> Result<Outcome> {
    match job.channel {
        Channel::Own => own(job).await,
        Channel::Common => pipeline_common::run(job).await,
    }
}

/// With async-channel 1, which is async-std's.
async fn own(job: Job) -> Result<Outcome> {
    let (queue, items) = bounded(job.capacity);
    // Nothing is ever sent here: it closes when the last consumer is done, and
    // that is what the producers wait for.
    let (processing, all_processed) = bounded(1);
    let level = Arc::new(Level::new(&job));
    let processed = Arc::new(AtomicU64::new(0));

    let consumers: Vec<_> = (0..job.consumers)
        .map(|_| {
            let (job, items, processing) = (job.clone(), items.clone(), processing.clone());
            let (level, processed) = (level.clone(), processed.clone());
            task::spawn(consume(job, items, level, processed, processing))
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

    let tallies = crate::join_all(consumers).await;
    let tally = tallies.into_iter().fold(Tally::new(&job), Tally::merge);
    let released = crate::join_all(producers).await;
    let released: Vec<u64> = released.into_iter().collect::<Result<_>>()?;
    let released = released.into_iter().min().unwrap_or(0);
    Ok(tally.outcome(released, level.high_water()))
}

/// Sends this producer's items, then waits until all items are processed.
async fn produce(
    job: &Job,
    producer: usize,
    queue: Sender<Item>,
    level: &Level,
    all_processed: Receiver<Infallible>,
) -> Result<()> {
    for sequence in 0..job.share(producer) {
        if job.produce_us > 0 {
            task::sleep(Duration::from_micros(job.produce_us)).await;
        }
        let producer = producer as u32;
        queue
            .send(Item { producer, sequence })
            .await
            .context("every consumer has gone")?;
        level.put(1);
    }
    drop(queue);
    let Err(_closed) = all_processed.recv().await;
    Ok(())
}

/// Processes items until there are no more.
async fn consume(
    job: Job,
    items: Receiver<Item>,
    level: Arc<Level>,
    processed: Arc<AtomicU64>,
    processing: Sender<Infallible>,
) -> Tally {
    let mut tally = Tally::new(&job);
    loop {
        level.take(1);
        match items.recv().await {
            Ok(item) => tally.process(item),
            Err(_closed) => break,
        }
    }
    processed.fetch_add(tally.received(), Relaxed);
    drop(processing);
    tally
}
