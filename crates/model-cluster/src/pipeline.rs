//! Unit: slot of a node. Shares: a work queue of the server, where each producer has a subject.
//! Ends: consumers tell what they have processed, and the first producer tells them when that is
//! all.
//!
//! The server refuses messages when the queue is full. A producer tries again when a consumer
//! reports more processed items. It publishes one message at a time: with two in transit, the
//! server could refuse the first and store the second.

use std::error::Error as _;
use std::fmt::Display;
use std::time::Duration;

use anyhow::{Context, bail};
use async_nats::Subscriber;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use async_nats::jetstream::{self, ErrorCode};
use futures_lite::{StreamExt, future};
use suite::pipeline::{Item, Job, Outcome, Tally};
use suite::{PhaseClock, Result, Unsupported};
use tokio::time::{sleep, timeout};

use crate::node::Node;
use crate::options::Storage;
use crate::peers::{self, Lost, Peers};
use crate::protocol::{self, Answer, CONSUMER, ShareId, Subjects, Task};
use crate::session::{LONGEST_WAIT, Session};

/// Each message takes some tenths of a millisecond, and a producer sends them one after the other.
const MOST_MESSAGES: u64 = 10_000;

/// How long a producer waits for a progress report after a refusal before it tries again: at first,
/// and at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Used in place of a unit number, for the subject where consumers report how many items they have
/// processed.
const PROCESSED: usize = usize::MAX;

/// The same for the subject where the first producer reports that all items are processed.
const ALL_PROCESSED: usize = usize::MAX - 1;

pub async fn run(job: &Job, session: &mut Session) -> Result<Outcome> {
    job.needs_own_channel()?;
    let messages = |producer| job.share(producer).div_ceil(job.batch as u64);
    let messages: u64 = (0..job.producers).map(messages).sum();
    if messages > MOST_MESSAGES {
        let text = format!("{MOST_MESSAGES} messages at most: each goes over the network");
        return Err(Unsupported(text).into());
    }
    let clock = PhaseClock::begin();
    let tasks = || {
        let producers = (0..job.producers).map(|producer| Task::Produce(job.clone(), producer));
        let consumers = (0..job.consumers).map(|_| Task::Consume(job.clone()));
        producers.chain(consumers).collect()
    };
    let prepare = async |session: &Session| make_queue(job, session).await;
    let answers = peers::all_or_retry_with(session, prepare, tasks).await?;
    clock.worked();
    let mut tally = Tally::new(job);
    let (mut released, mut held) = (u64::MAX, 0);
    for answer in answers {
        match answer {
            Answer::Number(processed) => released = released.min(processed),
            Answer::Consumed(consumed, most) => {
                tally = tally.merge(consumed);
                held = held.max(most);
            }
            other => return Err(other.unexpected()),
        }
    }
    // The queue is counted in messages. A producer's last message can have fewer items.
    let high_water = job.items.min(held * job.batch as u64);
    Ok(Outcome {
        phases: clock.phases(),
        ..tally.outcome(released, high_water)
    })
}

/// Makes an empty queue for the next run. Its subjects contain the number of the run, so late
/// messages of earlier runs are not stored.
async fn make_queue(job: &Job, session: &Session) -> Result<()> {
    let name = session.subjects.queue_stream.clone();
    // This fails before the first run, when there is no stream.
    let _ = session.jetstream.delete_stream(&name).await;
    let stream = session.jetstream.create_stream(Config {
        name,
        subjects: vec![partition(&session.subjects, session.run() + 1, "*")],
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        max_messages: job.messages_held() as i64,
        storage: session.storage.into(),
        max_age: LONGEST_WAIT,
        ..Config::default()
    });
    let stream = stream.await.context("a stream of the NATS server")?;
    let consumer = stream.create_consumer(pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        ack_policy: AckPolicy::Explicit,
        // No message is delivered twice in a run, so the order is kept: when a consumer is lost,
        // all units begin again.
        ack_wait: LONGEST_WAIT,
        max_ack_pending: -1,
        // Each consumer may have two pull requests open; the server's default limit is 512.
        max_waiting: 2 * job.consumers.max(256) as i64,
        memory_storage: session.storage == Storage::Memory,
        ..pull::Config::default()
    });
    consumer.await.context("a consumer of the NATS server")?;
    Ok(())
}

/// The subject of a producer's items in a run.
fn partition(subjects: &Subjects, run: u64, producer: impl Display) -> String {
    format!("{}.{run}.{producer}", subjects.queue)
}

/// Publishes this producer's items to the queue, then waits until all items are processed.
pub(crate) async fn produce(
    job: &Job,
    producer: usize,
    id: ShareId,
    node: &Node,
) -> Result<Answer> {
    let told = node.subjects.unit(id.run, PROCESSED);
    let mut processed = Processed {
        told: node.client.subscribe(told).await?,
        items: 0,
    };
    let Some(mut peers) = Peers::gather(node, id).await? else {
        return Ok(Answer::PeerGone);
    };
    let subject = partition(&node.subjects, id.run, producer);
    let producing = async {
        for message in job.messages::<Vec<Item>>(producer) {
            if let Some(pause) = job.pause(message.len()) {
                sleep(pause).await;
            }
            let message = protocol::encode(&message)?;
            let mut pause = SHORTEST_PAUSE;
            loop {
                // Earlier reports say nothing about the current room in the queue.
                processed.catch_up().await?;
                if put(&subject, &message, node).await? {
                    break;
                }
                pause = match timeout(pause, processed.next()).await {
                    Ok(told) => {
                        told?;
                        SHORTEST_PAUSE
                    }
                    // The server may forward a report before it has handled the ack that freed the
                    // room, and no other report may follow.
                    Err(_) => LONGEST_PAUSE.min(2 * pause),
                };
            }
        }
        while processed.items < job.items {
            processed.next().await?;
        }
        if producer == 0 {
            let subject = node.subjects.unit(id.run, ALL_PROCESSED);
            let mut echo = node.client.subscribe(subject.clone()).await?;
            node.client.publish(subject, "".into()).await?;
            // By now the server has also forwarded it to the consumers.
            echo.next().await;
        }
        anyhow::Ok(Answer::Number(processed.items))
    };
    peers.answer(producing).await
}

/// Processes items until there are no more.
pub(crate) async fn consume(job: &Job, id: ShareId, node: &Node) -> Result<Answer> {
    let subject = node.subjects.unit(id.run, ALL_PROCESSED);
    let mut all_processed = node.client.subscribe(subject).await?;
    let Some(mut peers) = Peers::gather(node, id).await? else {
        return Ok(Answer::PeerGone);
    };
    let told = node.subjects.unit(id.run, PROCESSED);
    // Together, consumers request as many messages as the queue can hold.
    let most = job.messages_held().div_ceil(job.consumers);
    let consuming = async {
        let queue = &node.subjects.queue_stream;
        let queue = node.jetstream.get_consumer_from_stream(CONSUMER, queue);
        let queue: PullConsumer = queue.await.map_err(Lost::by)?;
        let messages = queue.stream().max_messages_per_batch(most).messages();
        let mut messages = messages.await.map_err(Lost::by)?;
        let mut tally = Tally::new(job);
        let (mut held, mut untold) = (0, 0u64);
        loop {
            let message = match future::poll_once(messages.next()).await {
                Some(message) => message,
                None => {
                    tell(&mut untold, &told, node).await?;
                    tokio::select! {
                        message = messages.next() => message,
                        _ = all_processed.next() => break,
                    }
                }
            };
            let message = message.context("the queue has ended")?.map_err(Lost::by)?;
            // The queue is fullest just before a message is taken. Each message says how many are
            // left after it.
            held = held.max(message.info().map_err(protocol::boxed)?.pending + 1);
            let items: Vec<Item> = protocol::decode(&message.payload)?;
            untold += items.len() as u64;
            tally.process_all(items);
            message.ack().await.map_err(protocol::boxed)?;
            // With many messages available, producers should not wait until all are processed.
            if untold >= (most * job.batch).div_ceil(2) as u64 {
                tell(&mut untold, &told, node).await?;
            }
        }
        anyhow::Ok(Answer::Consumed(tally, held))
    };
    peers.answer(consuming).await
}

/// Reports to the producers how many items were processed since the last report.
async fn tell(untold: &mut u64, subject: &str, node: &Node) -> Result<()> {
    if *untold > 0 {
        let items = protocol::encode(untold)?;
        let subject = subject.to_owned();
        node.client.publish(subject, items.into()).await?;
        *untold = 0;
    }
    Ok(())
}

/// Publishes a message to the queue. Returns `false` if the queue is full.
async fn put(subject: &str, message: &[u8], node: &Node) -> Result<bool> {
    let (subject, message) = (subject.to_owned(), message.to_vec());
    let put = match node.jetstream.publish(subject, message.into()).await {
        Ok(confirmation) => confirmation.await,
        Err(error) => Err(error),
    };
    let Err(error) = put else { return Ok(true) };
    if is_full(&error) {
        return Ok(false);
    }
    match error.kind() {
        // The message may or may not be stored.
        PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::StreamNotFound => bail!(Lost::by(error)),
        _ => Err(error).context("the queue"),
    }
}

/// Whether the server has refused a message because the queue is full.
fn is_full(error: &PublishError) -> bool {
    let refusal = error.source();
    let refusal = refusal.and_then(|refusal| refusal.downcast_ref::<jetstream::Error>());
    refusal.is_some_and(|refusal| {
        refusal.error_code() == ErrorCode::STREAM_STORE_FAILED
            // A full disk has the same error code.
            && refusal.to_string().starts_with("maximum messages exceeded")
    })
}

/// How many items consumers have processed, as reported to a producer.
struct Processed {
    told: Subscriber,
    items: u64,
}

impl Processed {
    /// Waits for the next report.
    async fn next(&mut self) -> Result<()> {
        let told = self.told.next().await;
        let told = told.context("the connection has ended")?;
        let items: u64 = protocol::decode(&told.payload)?;
        self.items += items;
        Ok(())
    }

    /// Counts all reports that have arrived.
    async fn catch_up(&mut self) -> Result<()> {
        while let Some(told) = future::poll_once(self.next()).await {
            told?;
        }
        Ok(())
    }
}
