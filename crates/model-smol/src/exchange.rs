//! Unit: task. Shares: a channel, and an `Arc<AtomicU64>`. Ends: the marker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Context;
use smol::Executor;
use smol::channel::{Receiver, Sender, unbounded};
use suite::exchange::{Job, Message, Outcome, Transcript};
use suite::{PhaseClock, Result};

pub async fn run(job: Job, executor: Arc<Executor<'static>>) -> Result<Outcome> {
    let clock = Arc::new(PhaseClock::begin());
    let (queue, messages) = unbounded();
    let shared = Arc::new(AtomicU64::new(job.before()));
    let writer = executor.spawn(write(job, queue, shared.clone()));
    let reader = executor.spawn(clock.clone().timed(read(messages, shared)));
    clock.started();
    let (written, read) = (writer.await, reader.await);
    written?;
    Ok(Outcome {
        phases: clock.phases(),
        ..read?
    })
}

/// `None` is the end marker.
async fn write(job: Job, queue: Sender<Option<Message>>, shared: Arc<AtomicU64>) -> Result<()> {
    for sequence in 0..job.messages {
        queue
            .send(Some(job.message(sequence)))
            .await
            .context("the reader has gone")?;
    }
    // Relaxed: the channel orders this store before the read after the marker.
    shared.store(job.value, Relaxed);
    queue.send(None).await.context("the reader has gone")
}

async fn read(messages: Receiver<Option<Message>>, shared: Arc<AtomicU64>) -> Result<Outcome> {
    let mut transcript = Transcript::default();
    while let Some(message) = messages.recv().await.context("the writer has gone")? {
        transcript.collect(&message);
    }
    Ok(transcript.outcome(shared.load(Relaxed)))
}
