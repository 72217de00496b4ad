//! Units that work with each other: each waits until all are there, and all end when one of them
//! is lost. A lost unit's part cannot be done again on its own: the whole is.

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

/// What the parent tells the units of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct News {
    pub(crate) run: u64,
    /// All are there; or it is over.
    pub(crate) go: bool,
}

/// A unit is lost, and what it did together with others cannot be completed.
#[derive(Debug)]
pub(crate) struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a unit is lost")
    }
}

impl std::error::Error for Lost {}

impl Session {
    /// Tells the units of this job that all are there, or that it is over.
    pub(crate) async fn tell_units(&self, go: bool) -> Result<()> {
        self.tell_run(self.run(), go).await
    }

    async fn tell_run(&self, run: u64, go: bool) -> Result<()> {
        let news = protocol::encode(&News { run, go })?;
        let subject = self.subjects.news.clone();
        Ok(self.client.publish(subject, news.into()).await?)
    }

    /// A unit waits for others. One of an earlier run is told that they are gone.
    pub(crate) async fn stands(&self, id: ShareId) -> Result<Happening> {
        if id.run != self.run() {
            self.tell_run(id.run, false).await?;
        }
        Ok(Happening::Stands(id))
    }

    /// Where units keep what all of them can read, which is made if it is not there. async-nats'
    /// own way asks for more than a server of version 2.9 can tell.
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

    /// An empty queue for units.
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

/// Has units work with each other; after a loss all begin again.
pub(crate) async fn all_or_retry(
    session: &mut Session,
    tasks: impl Fn() -> Vec<Task>,
) -> Result<Vec<Answer>> {
    all_or_retry_with(session, async |_| Ok(()), tasks).await
}

/// The same for units that share something, which has to be made before each run.
pub(crate) async fn all_or_retry_with(
    session: &mut Session,
    prepare: impl AsyncFn(&Session) -> Result<()>,
    tasks: impl Fn() -> Vec<Task>,
) -> Result<Vec<Answer>> {
    for _ in 0..=MAX_DEATHS {
        prepare(session).await?;
        match attempt(session, tasks()).await {
            Err(error) if error.is::<Lost>() => {
                eprintln!("units: one is lost, and all begin again");
                session.tell_units(false).await?;
            }
            Err(error) => {
                // The others would wait for the one that has failed. Why it has says more than
                // that they cannot be told.
                let _ = session.tell_units(false).await;
                return Err(error);
            }
            answers => return answers,
        }
    }
    bail!("given up: in {} attempts a unit was lost", MAX_DEATHS + 1)
}

async fn attempt(session: &mut Session, tasks: Vec<Task>) -> Result<Vec<Answer>> {
    let mut workers = Shares::deal_together(session, tasks).await?;
    let mut answers = Vec::new();
    while let Some(answer) = workers.answer().await? {
        match answer {
            Answer::PeerGone => bail!(Lost),
            answer => answers.push(answer),
        }
    }
    Ok(answers)
}

/// The others, as a unit sees them.
pub(crate) struct Peers {
    run: u64,
    news: Subscriber,
    connections: watch::Receiver<()>,
}

impl Peers {
    /// Hears of it from now on when one is lost; none if there is no parent.
    pub(crate) async fn join(node: &Node, id: ShareId) -> Result<Option<Self>> {
        let mut connections = node.connections.clone();
        connections.mark_unchanged();
        let peers = Self {
            run: id.run,
            news: node.client.subscribe(node.subjects.news.clone()).await?,
            connections,
        };
        Ok(node.tell(What::Stands(id)).await?.then_some(peers))
    }

    /// Waits until all units are there, which subscribe to what they will be sent before; none
    /// if one is lost.
    pub(crate) async fn gather(node: &Node, id: ShareId) -> Result<Option<Self>> {
        let Some(mut peers) = Self::join(node, id).await? else {
            return Ok(None);
        };
        let is_going = tokio::select! {
            is_going = go(&mut peers.news, peers.run) => is_going,
            _ = peers.connections.changed() => false,
        };
        Ok(is_going.then_some(peers))
    }

    /// What comes next; none if a unit is lost, or something that was sent may be.
    pub(crate) async fn next(&mut self, messages: &mut Subscriber) -> Option<Message> {
        tokio::select! {
            biased;
            message = messages.next() => message,
            _ = go(&mut self.news, self.run) => None,
            _ = self.connections.changed() => None,
        }
    }

    /// Works, unless a unit is lost.
    pub(crate) async fn unless_lost<T>(&mut self, working: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = working => Some(done),
            _ = go(&mut self.news, self.run) => None,
            _ = self.connections.changed() => None,
        }
    }

    /// The answer that this work comes to, unless a unit is lost, or the work finds that out.
    pub(crate) async fn answer(
        &mut self,
        working: impl Future<Output = Result<Answer>>,
    ) -> Result<Answer> {
        match self.unless_lost(working).await {
            Some(Err(error)) if error.is::<Lost>() => Ok(Answer::PeerGone),
            Some(answer) => answer,
            None => Ok(Answer::PeerGone),
        }
    }
}

/// What the parent tells this run.
async fn go(news: &mut Subscriber, run: u64) -> bool {
    while let Some(message) = news.next().await {
        match protocol::decode::<News>(&message.payload) {
            Ok(news) if news.run == run => return news.go,
            _ => {}
        }
    }
    false
}
