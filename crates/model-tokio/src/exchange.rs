//! Unit: task. Shares: an mpsc channel, and an `Arc<AtomicU64>`. Ends: the
//! marker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Context;
use suite::exchange::{Job, Message, Outcome, Transcript};
use suite::{PhaseClock, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub async fn run(job: Job) -> Result<Outcome> {
    let clock = Arc::new(PhaseClock::begin());
    let (queue, messages) = unbounded_channel();
    let shared = Arc::new(AtomicU64::new(job.before()));
    let writer = tokio::spawn(write(job, queue, shared.clone()));
    let reader = tokio::spawn(clock.clone().timed(read(messages, shared)));
    clock.started();
    let (written, read) = (writer.await, reader.await);
    written??;
    Ok(Outcome {
        phases: clock.phases(),
        ..read??
    })
}

/// `None` is the end marker.
async fn write(
    job: Job,
    queue: UnboundedSender<Option<Message>>,
    shared: Arc<AtomicU64>,
) -> Result<()> {
    for sequence in 0..job.messages {
        queue
            .send(Some(job.message(sequence)))
            .context("the reader has gone")?;
    }
    // Relaxed: the channel orders this store before the read after the marker.
    shared.store(job.value, Relaxed);
    queue.send(None).context("the reader has gone")
}

async fn read(
    mut messages: UnboundedReceiver<Option<Message>>,
    shared: Arc<AtomicU64>,
) -> Result<Outcome> {
    let mut transcript = Transcript::default();
    while let Some(message) = messages.recv().await.context("the writer has gone")? {
        transcript.collect(&message);
    }
    Ok(transcript.outcome(shared.load(Relaxed)))
}
