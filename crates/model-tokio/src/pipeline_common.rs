//! Unit: task. Shares: a bounded channel of async-channel 2. Ends: the channel closes
//! when the last producer drops its sender.
//!
//! The same channel for all models of tasks: what is left is the executor.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Context;
use async_channel::{Receiver, Sender, bounded};
use suite::pipeline::{Job, Level, Message, Outcome, Tally};
use suite::{PhaseClock, Result};
use tokio::task::JoinSet;
use tokio::time::sleep;

pub async fn run<M: Message>(job: Job) -> Result<Outcome> {
    let clock = Arc::new(PhaseClock::begin());
    let (queue, items) = bounded::<M>(job.messages_held());
    // Nothing is ever sent here: it closes when the last consumer is done, and
    // that is what the producers wait for.
    let (processing, all_processed) = bounded(1);
    let level = Arc::new(Level::new(&job));
    let processed = Arc::new(AtomicU64::new(0));

    let mut consumers = JoinSet::new();
    for _ in 0..job.consumers {
        let (job, items, processing) = (job.clone(), items.clone(), processing.clone());
        let (level, processed) = (level.clone(), processed.clone());
        let consume = consume(job, items, level, processed, processing);
        consumers.spawn(clock.clone().timed(consume));
    }
    drop((items, processing)); // or neither channel would ever close
    let mut producers = JoinSet::new();
    for producer in 0..job.producers {
        let (job, queue, all_processed) = (job.clone(), queue.clone(), all_processed.clone());
        let (level, processed) = (level.clone(), processed.clone());
        producers.spawn(async move {
            produce(&job, producer, queue, &level, all_processed).await?;
            anyhow::Ok(processed.load(Relaxed))
        });
    }
    drop(queue);
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
    queue: Sender<M>,
    level: &Level,
    all_processed: Receiver<Infallible>,
) -> Result<()> {
    for message in job.messages::<M>(producer) {
        let items = message.items();
        if let Some(pause) = job.pause(items) {
            sleep(pause).await;
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
