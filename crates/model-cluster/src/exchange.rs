//! Unit: slot of a node, a writer and a reader. Shares: a stream of the server, and an integer in
//! its store. Ends: the marker.

use anyhow::Context;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures_lite::StreamExt;
use suite::exchange::{Job, Message, Outcome, Transcript};
use suite::{PhaseClock, Result};

use crate::node::Node;
use crate::peers::{self, Peers};
use crate::protocol::{self, Answer, ShareId, Task};
use crate::session::Session;

/// The key of the integer. Each attempt has a different one, so none sees what another has stored.
fn key(run: u64) -> String {
    format!("integer-{run}")
}

/// The number of messages that the writer sends before it waits for confirmations.
const MOST_UNCONFIRMED: usize = 256;

pub async fn run(job: &Job, session: &mut Session) -> Result<Outcome> {
    let clock = PhaseClock::begin();
    let prepare = async |session: &Session| {
        session.bucket().await?;
        session.queue().await
    };
    let tasks = || vec![Task::Write(job.clone()), Task::Read];
    let answers = peers::all_or_retry_with(session, prepare, tasks).await?;
    clock.worked();
    let read = answers.into_iter().find_map(|answer| match answer {
        Answer::Exchange(outcome) => Some(outcome),
        _ => None,
    });
    Ok(Outcome {
        phases: clock.phases(),
        ..read.context("the reader has read nothing")?
    })
}

pub(crate) async fn write(job: &Job, id: ShareId, node: &Node) -> Result<Answer> {
    let Some(mut peers) = Peers::gather(node, id).await? else {
        return Ok(Answer::PeerGone);
    };
    let writing = async {
        let store = node.bucket().await?;
        let mut confirmations = Vec::new();
        for sequence in 0..job.messages {
            confirmations.push(send(Some(job.message(sequence)), id, node).await?);
            if confirmations.len() == MOST_UNCONFIRMED {
                for confirmation in confirmations.drain(..) {
                    confirmation.await?;
                }
            }
        }
        for confirmation in confirmations {
            confirmation.await?;
        }
        // The write has to be confirmed before the marker is sent.
        let value = job.value.to_le_bytes().to_vec();
        store.put(key(id.run), value.into()).await?;
        send(None, id, node).await?.await?;
        anyhow::Ok(())
    };
    // An unconfirmed message may or may not be stored, so the whole exchange is repeated.
    match peers.unless_lost(writing).await {
        Some(Ok(())) => Ok(Answer::Done),
        Some(Err(error)) => Ok(Answer::Lost(format!("{error:#}"))),
        None => Ok(Answer::PeerGone),
    }
}

async fn send(
    message: Option<Message>,
    id: ShareId,
    node: &Node,
) -> Result<async_nats::jetstream::context::PublishAckFuture> {
    let message = protocol::encode(&(id.run, message))?;
    let queue = node.subjects.queue.clone();
    Ok(node.jetstream.publish(queue, message.into()).await?)
}

pub(crate) async fn read(id: ShareId, node: &Node) -> Result<Answer> {
    let Some(mut peers) = Peers::gather(node, id).await? else {
        return Ok(Answer::PeerGone);
    };
    let reading = async {
        let store = node.bucket().await?;
        let queue = &node.subjects.queue_stream;
        let stream = node.jetstream.get_stream(queue).await?;
        // A consumer reads the stream from its beginning by default.
        let consumer = pull::Config {
            ack_policy: AckPolicy::None,
            memory_storage: true,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(consumer).await?;
        let mut messages = consumer.messages().await?;
        let mut transcript = Transcript::default();
        loop {
            let message = messages.next().await.context("the stream has ended")?;
            let (run, message): (u64, Option<Message>) = protocol::decode(&message?.payload)?;
            match message {
                // A message of an earlier attempt.
                _ if run != id.run => {}
                Some(message) => transcript.collect(&message),
                None => break,
            }
        }
        anyhow::Ok((transcript, store.get(key(id.run)).await?))
    };
    let (transcript, value) = match peers.unless_lost(reading).await {
        Some(Ok(read)) => read,
        Some(Err(error)) => return Ok(Answer::Lost(format!("{error:#}"))),
        None => return Ok(Answer::PeerGone),
    };
    // This is no loss: the order is what the job is about.
    let value = value.context("the integer was not stored before the marker")?;
    let value = (*value).try_into().context("the integer")?;
    Ok(Answer::Exchange(
        transcript.outcome(u64::from_le_bytes(value)),
    ))
}
