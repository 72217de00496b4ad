//! Unit: thread. Shares: a bounded crossbeam channel. Ends: the channel closes
//! when the last producer drops its sender.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, bounded};
use suite::pipeline::{Item, Job, Level, Message, Outcome, Tally};
use suite::{PhaseClock, Result};

pub fn run(job: &Job) -> Result<Outcome> {
    job.needs_own_channel()?;
    crate::check_units(job.producers + job.consumers)?;
    match job.batch {
        1 => run_with::<Item>(job),
        _ => run_with::<Vec<Item>>(job),
    }
}

fn run_with<M: Message>(job: &Job) -> Result<Outcome> {
    let clock = PhaseClock::begin();
    let (queue, items) = bounded::<M>(job.messages_held());
    // Nothing is ever sent here: it closes when the last consumer is done, and
    // that is what the producers wait for.
    let (processing, all_processed) = bounded(0);
    let level = Level::new(job);
    let processed = AtomicU64::new(0);

    let (tally, released) = thread::scope(|scope| {
        let consumers = (0..job.consumers)
            .map(|_| {
                let (items, processing) = (items.clone(), processing.clone());
                let (level, processed, clock) = (&level, &processed, &clock);
                crate::spawn(scope, move || {
                    clock.time(|| consume(job, items, level, processed, processing))
                })
            })
            .collect::<Result<Vec<_>>>();
        drop((items, processing)); // or neither channel would ever close
        let producers = (0..job.producers)
            .map(|producer| {
                let (queue, all_processed) = (queue.clone(), all_processed.clone());
                let (level, processed) = (&level, &processed);
                crate::spawn(scope, move || {
                    produce(job, producer, queue, level, &all_processed)?;
                    Ok(processed.load(Relaxed))
                })
            })
            .collect::<Result<Vec<_>>>();
        drop(queue);
        clock.started();

        let tally = consumers?
            .into_iter()
            .map(crate::join)
            .fold(Tally::new(job), Tally::merge);
        let released: Result<Vec<u64>> = producers?.into_iter().map(crate::join).collect();
        anyhow::Ok((tally, released?))
    })?;

    let released = released.into_iter().min().unwrap_or(0);
    Ok(Outcome {
        phases: clock.phases(),
        ..tally.outcome(released, level.high_water())
    })
}

/// Sends this producer's items, then waits until all items are processed.
fn produce<M: Message>(
    job: &Job,
    producer: usize,
    queue: Sender<M>,
    level: &Level,
    all_processed: &Receiver<Infallible>,
) -> Result<()> {
    for message in job.messages::<M>(producer) {
        let items = message.items();
        if let Some(pause) = job.pause(items) {
            thread::sleep(pause);
        }
        queue
            .send(message)
            .ok()
            .context("every consumer has gone")?;
        level.put(items);
    }
    drop(queue);
    let Err(_closed) = all_processed.recv();
    Ok(())
}

/// Processes items until there are no more.
fn consume<M: Message>(
    job: &Job,
    items: Receiver<M>,
    level: &Level,
    processed: &AtomicU64,
    processing: Sender<Infallible>,
) -> Tally {
    let mut tally = Tally::new(job);
    loop {
        level.take(job.batch);
        match items.recv() {
            Ok(message) => tally.process_all(message),
            Err(_closed) => break,
        }
    }
    processed.fetch_add(tally.received(), Relaxed);
    drop(processing);
    tally
}
