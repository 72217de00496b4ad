//! Unit: thread. Shares: an mpsc channel, and an `AtomicU64`. Ends: the marker.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use anyhow::Context;
use suite::exchange::{Job, Message, Outcome, Transcript};
use suite::{PhaseClock, Result};

pub fn run(job: &Job) -> Result<Outcome> {
    let clock = PhaseClock::begin();
    let (queue, messages) = channel();
    let shared = AtomicU64::new(job.before());
    let outcome = thread::scope(|scope| {
        let (shared, clock) = (&shared, &clock);
        let writer = crate::spawn(scope, move || write(job, queue, shared))?;
        let reader = crate::spawn(scope, move || clock.time(|| read(messages, shared)))?;
        clock.started();
        crate::join(writer)?;
        crate::join(reader)
    })?;
    Ok(Outcome {
        phases: clock.phases(),
        ..outcome
    })
}

/// `None` is the end marker.
fn write(job: &Job, queue: Sender<Option<Message>>, shared: &AtomicU64) -> Result<()> {
    for sequence in 0..job.messages {
        queue
            .send(Some(job.message(sequence)))
            .context("the reader has gone")?;
    }
    // Relaxed: the channel orders this store before the read after the marker.
    shared.store(job.value, Relaxed);
    queue.send(None).context("the reader has gone")
}

fn read(messages: Receiver<Option<Message>>, shared: &AtomicU64) -> Result<Outcome> {
    let mut transcript = Transcript::default();
    while let Some(message) = messages.recv().context("the writer has gone")? {
        transcript.collect(&message);
    }
    Ok(transcript.outcome(shared.load(Relaxed)))
}
