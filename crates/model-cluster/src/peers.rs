//! Units that work with each other. Each waits until all are running, and all end when one of them
//! is lost. The part of a lost unit cannot be repeated alone, so all are repeated.

use std::fmt;

use anyhow::{Context, bail};
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use async_nats::{Message, Subscriber};
use futures_lite::StreamExt;
use serde::{Deserialize, Serialize};
use suite::Result;
use tokio::sync::watch;

use crate::happening::Happening;
use crate::node::Node;
use crate::protocol::{self, Answer, ShareId, Task, What};
use crate::session::{LONGEST_WAIT, MAX_DEATHS, Session};
use crate::shares::Shares;

/// The parent's notice to the units of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunNotice {
    pub(crate) run: u64,
    /// Whether all units are running and can start. `false` means that the run is over.
    pub(crate) all_ready: bool,
}

/// A unit is lost, and what it did together with others cannot be completed: the cause.
#[derive(Debug)]
pub(crate) struct Lost(String);

impl Lost {
    pub(crate) fn by(cause: impl fmt::Display) -> Self {
        Self(format!("{cause:#}"))
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a unit is lost: {}", self.0)
    }
}

impl std::error::Error for Lost {}

impl Session {
    /// Tells the units of this job that all are running, or that the run is over.
    pub(crate) async fn tell_units(&self, all_ready: bool) -> Result<()> {
        self.tell_run(self.run(), all_ready).await
    }

    async fn tell_run(&self, run: u64, all_ready: bool) -> Result<()> {
        let notice = protocol::encode(&RunNotice { run, all_ready })?;
        let subject = self.subjects.notices.clone();
        Ok(self.client.publish(subject, notice.into()).await?)
    }

    /// Handles a unit that waits for the others. A unit of an earlier run is told that its run is
    /// over.
    pub(crate) async fn unit_waiting(&self, id: ShareId) -> Result<Happening> {
        if id.run != self.run() {
            self.tell_run(id.run, false).await?;
        }
        Ok(Happening::Waiting(id))
    }

    /// Returns the key-value bucket that all units share, and makes it if necessary. async-nats'
    /// own function needs information that a server of version 2.9 does not send.
    pub(crate) async fn bucket(&self) -> Result<Store> {
        let bucket = &self.subjects.bucket;
        let stream = self.jetstream.create_stream(Config {
            name: format!("KV_{bucket}"),
            subjects: vec![format!("$KV.{bucket}.>")],
            storage: self.storage.into(),
            max_messages_per_subject: 1,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            allow_direct: true,
            max_age: LONGEST_WAIT,
            ..Config::default()
        });
        stream.await.context("a bucket of the NATS server")?;
        Ok(self.jetstream.get_key_value(bucket).await?)
    }

    /// Makes an empty queue for units.
    pub(crate) async fn queue(&self) -> Result<()> {
        let stream = self.jetstream.create_stream(Config {
            name: self.subjects.queue_stream.clone(),
            subjects: vec![self.subjects.queue.clone()],
            storage: self.storage.into(),
            max_age: LONGEST_WAIT,
            ..Config::default()
        });
        let stream = stream.await.context("a stream of the NATS server")?;
        stream.purge().await?;
        Ok(())
    }
}

/// Runs units that work with each other. When one is lost, all begin again.
pub(crate) async fn all_or_retry(
    session: &mut Session,
    tasks: impl Fn() -> Vec<Task>,
) -> Result<Vec<Answer>> {
    all_or_retry_with(session, async |_| Ok(()), tasks).await
}

/// Like [`all_or_retry`]; `prepare` makes what the units share, before each run.
pub(crate) async fn all_or_retry_with(
    session: &mut Session,
    prepare: impl AsyncFn(&Session) -> Result<()>,
    tasks: impl Fn() -> Vec<Task>,
) -> Result<Vec<Answer>> {
    let mut attempts = 0;
    loop {
        prepare(session).await?;
        attempts += 1;
        let answers = attempt(session, tasks()).await;
        // Otherwise the other units would wait for a lost or failed one, and one that was delivered
        // twice for all. An error of the attempt is more useful than an error of this call.
        let told = session.tell_units(false).await;
        match answers {
            Err(error) if error.is::<Lost>() && attempts <= MAX_DEATHS => {
                eprintln!("{error}; all begin again");
                told?;
            }
            Err(error) if error.is::<Lost>() => {
                return Err(error.context(format!("given up after {attempts} attempts")));
            }
            answers => return answers,
        }
    }
}

async fn attempt(session: &mut Session, tasks: Vec<Task>) -> Result<Vec<Answer>> {
    let mut workers = Shares::deal_together(session, tasks).await?;
    let mut answers = Vec::new();
    while let Some(answer) = workers.answer().await? {
        match answer {
            Answer::PeerGone => bail!(Lost::by("its connection to the others")),
            Answer::Lost(cause) => bail!(Lost::by(cause)),
            answer => answers.push(answer),
        }
    }
    Ok(answers)
}

/// The other units of a run, from the view of one unit.
pub(crate) struct Peers {
    run: u64,
    notices: Subscriber,
    connections: watch::Receiver<()>,
}

impl Peers {
    /// Reports this unit as running, and watches for lost units from now on. Returns `None` if
    /// there is no parent.
    pub(crate) async fn join(node: &Node, id: ShareId) -> Result<Option<Self>> {
        let mut connections = node.connections.clone();
        connections.mark_unchanged();
        let peers = Self {
            run: id.run,
            notices: node.client.subscribe(node.subjects.notices.clone()).await?,
            connections,
        };
        Ok(node.tell(What::Waiting(id)).await?.then_some(peers))
    }

    /// Waits until all units are running. Units must subscribe to their subjects before. Returns
    /// `None` if one is lost.
    pub(crate) async fn gather(node: &Node, id: ShareId) -> Result<Option<Self>> {
        let Some(mut peers) = Self::join(node, id).await? else {
            return Ok(None);
        };
        let all_ready = tokio::select! {
            all_ready = next_notice(&mut peers.notices, peers.run) => all_ready,
            _ = peers.connections.changed() => false,
        };
        Ok(all_ready.then_some(peers))
    }

    /// Returns the next message; `None` if a unit is lost, or if a message may have been lost.
    pub(crate) async fn next(&mut self, messages: &mut Subscriber) -> Option<Message> {
        tokio::select! {
            biased;
            message = messages.next() => message,
            _ = next_notice(&mut self.notices, self.run) => None,
            _ = self.connections.changed() => None,
        }
    }

    /// Waits for `working`. Returns `None` if a unit is lost before.
    pub(crate) async fn unless_lost<T>(&mut self, working: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = working => Some(done),
            _ = next_notice(&mut self.notices, self.run) => None,
            _ = self.connections.changed() => None,
        }
    }

    /// Waits for the answer of `working`. It is [`Answer::PeerGone`] if a unit is lost, and
    /// [`Answer::Lost`] if the work fails with [`Lost`].
    pub(crate) async fn answer(
        &mut self,
        working: impl Future<Output = Result<Answer>>,
    ) -> Result<Answer> {
        match self.unless_lost(working).await {
            Some(Err(error)) if error.is::<Lost>() => Ok(Answer::Lost(error.to_string())),
            Some(answer) => answer,
            None => Ok(Answer::PeerGone),
        }
    }
}

/// Waits for the parent's next notice to this run, and returns its `all_ready`. `false` if the
/// connection has ended.
async fn next_notice(notices: &mut Subscriber, run: u64) -> bool {
    while let Some(message) = notices.next().await {
        match protocol::decode::<RunNotice>(&message.payload) {
            Ok(notice) if notice.run == run => return notice.all_ready,
            _ => {}
        }
    }
    false
}
