//! The shares of a job: published, dealt by the server to whichever node pulls next, published
//! again when a node or the server loses them. The first answer to each counts.

use std::collections::BTreeSet;

use anyhow::bail;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use suite::{Result, WrongAnswer};
use tokio::time::Instant;

use crate::happening::Happening;
use crate::losses::Losses;
use crate::peers::Lost;
use crate::protocol::{self, Answer, Share, ShareId, Task};
use crate::session::{MAX_DEATHS, PATIENCE, Session};

/// How many are published before the server's word on the first is awaited.
const MOST_UNCONFIRMED: usize = 256;

/// A job's shares on their way through the nodes. Dropping it early ends the nodes that still
/// have one.
pub(crate) struct Shares<'a> {
    session: &'a mut Session,
    run: u64,
    dealt: Vec<Dealt>,
    unanswered: usize,
    /// Whether they work with each other: then all are lost with one.
    together: bool,
    /// Which of these are there.
    standing: BTreeSet<usize>,
    /// When to see whether the server still has what is not answered.
    check_at: Instant,
    /// Since when the server has not answered.
    silent_since: Option<Instant>,
    /// Since when there is no node.
    deserted_since: Option<Instant>,
    losses: Losses,
}

struct Dealt {
    task: Task,
    attempt: u32,
    /// Which message of the stream it is, once the server has it.
    sequence: Option<u64>,
    /// The node that works on it, as it said so last.
    node: Option<String>,
    /// Nodes that died while they worked on it.
    deaths: u32,
    /// The checksum of the first answer.
    answer: Option<u32>,
}

impl<'a> Shares<'a> {
    /// Deals these tasks to the nodes of `session`.
    pub(crate) async fn deal(
        session: &'a mut Session,
        tasks: impl IntoIterator<Item = Task>,
    ) -> Result<Self> {
        let run = session.begin().await?;
        let dealt = |task| Dealt {
            task,
            attempt: 0,
            sequence: None,
            node: None,
            deaths: 0,
            answer: None,
        };
        let dealt: Vec<_> = tasks.into_iter().map(dealt).collect();
        let mut shares = Self {
            check_at: Instant::now() + session.ack_wait,
            session,
            run,
            unanswered: dealt.len(),
            together: false,
            standing: BTreeSet::new(),
            dealt,
            silent_since: None,
            deserted_since: None,
            losses: Losses::default(),
        };
        shares.publish_all().await?;
        Ok(shares)
    }

    /// The same for tasks that work with each other. When one is lost, all are: the error is
    /// [`Lost`].
    pub(crate) async fn deal_together(
        session: &'a mut Session,
        tasks: impl IntoIterator<Item = Task>,
    ) -> Result<Self> {
        let mut shares = Self::deal(session, tasks).await?;
        shares.together = true;
        Ok(shares)
    }

    /// The next answer, in any order; `None` when all have arrived. A share that fails fails the
    /// whole.
    pub(crate) async fn answer(&mut self) -> Result<Option<Answer>> {
        self.answer_by(None).await
    }

    /// The same, but `None` also when none has arrived by `deadline`.
    pub(crate) async fn answer_by(
        &mut self,
        deadline: Option<std::time::Instant>,
    ) -> Result<Option<Answer>> {
        let deadline = deadline.map(Instant::from_std);
        while self.unanswered > 0 {
            let until = deadline.map_or(self.check_at, |deadline| deadline.min(self.check_at));
            match self.session.next(until).await? {
                Happening::Answered {
                    node,
                    id,
                    deliveries,
                    result,
                } => {
                    if let Some(answer) = self.count(&node, id, deliveries, result)? {
                        return Ok(Some(answer));
                    }
                }
                Happening::Taken { node, id } => self.taken(node, id).await?,
                Happening::Stands(id) if id.run == self.run => {
                    self.standing.insert(id.share);
                    if self.standing.len() == self.dealt.len() {
                        self.session.tell_units(true).await?;
                    }
                }
                Happening::Stands(_) => {}
                Happening::Connected if self.together => bail!(Lost),
                Happening::Exit { node, status } => self.died(&node, &status).await?,
                Happening::GivenUp { sequence } => {
                    let given_up = |dealt: &&Dealt| dealt.sequence == Some(sequence);
                    if let Some(dealt) = self.open().find(given_up) {
                        bail!(
                            "{}: given up after it was delivered {MAX_DEATHS} times and never answered",
                            dealt.task
                        );
                    }
                }
                Happening::Connected => self.check().await?,
                Happening::Deadline if until == self.check_at => self.check().await?,
                Happening::Deadline => break,
                Happening::Ready => {}
            }
        }
        Ok(None)
    }

    /// Whether all have been answered.
    pub(crate) fn is_done(&self) -> bool {
        self.unanswered == 0
    }

    /// How many have been begun more than once, at most.
    pub(crate) fn restarts(&self) -> usize {
        self.losses.restarts()
    }

    /// Those that have no answer.
    fn open(&self) -> impl Iterator<Item = &Dealt> {
        self.dealt.iter().filter(|dealt| dealt.answer.is_none())
    }

    /// Takes an answer, if it is the first to its share. A second has to be the same.
    fn count(
        &mut self,
        node: &str,
        id: ShareId,
        deliveries: u64,
        result: std::result::Result<Answer, String>,
    ) -> Result<Option<Answer>> {
        if id.run != self.run {
            self.losses.late += 1;
            return Ok(None);
        }
        let Some(dealt) = self.dealt.get_mut(id.share) else {
            bail!("node {node} has answered share {id}, which was never dealt");
        };
        self.losses.redelivered += usize::from(deliveries > 1);
        let answer = match result {
            Ok(answer) => answer,
            Err(_) if dealt.answer.is_some() => return Ok(None),
            Err(error) => bail!("{}: {error}", dealt.task),
        };
        let checksum = crc32fast::hash(&protocol::encode(&answer)?);
        let Some(first) = dealt.answer else {
            dealt.answer = Some(checksum);
            self.unanswered -= 1;
            return Ok(Some(answer));
        };
        self.losses.repeated += 1;
        if first != checksum && dealt.task.is_repeatable() {
            bail!(WrongAnswer {
                what: "the second answer to a share",
                got: format!("{answer:?} (node {node}; {})", dealt.task),
                expected: "what was answered first".to_owned(),
            });
        }
        Ok(None)
    }

    /// A node has begun to work on a share.
    async fn taken(&mut self, node: String, id: ShareId) -> Result<()> {
        if id.run != self.run {
            return Ok(());
        }
        let is_dead = self.session.is_dead(&node);
        let Some(dealt) = self.dealt.get_mut(id.share) else {
            return Ok(());
        };
        if id.attempt != dealt.attempt || dealt.answer.is_some() {
            return Ok(());
        }
        if self.together && dealt.node.is_some() {
            bail!(Lost);
        }
        dealt.node = Some(node.clone());
        // The news of its death can be faster than what it said before.
        if is_dead {
            self.died(&node, "an unknown cause").await?;
        }
        Ok(())
    }

    /// A node of ours has died: what it worked on is published again at once. What it had pulled
    /// and not begun is delivered again when the wait for an ack is over.
    async fn died(&mut self, node: &str, status: &str) -> Result<()> {
        for share in 0..self.dealt.len() {
            let dealt = &mut self.dealt[share];
            if dealt.answer.is_some() || dealt.node.as_deref() != Some(node) {
                continue;
            }
            if self.together {
                bail!(Lost);
            }
            dealt.deaths += 1;
            if dealt.deaths > MAX_DEATHS {
                bail!(
                    "{}: given up after {} nodes died of it, the last by {status}",
                    dealt.task,
                    dealt.deaths
                );
            }
            let before = dealt.sequence.take();
            self.again(share).await?;
            if let Some(before) = before {
                let stream = &self.session.subjects.stream;
                let stream = self.session.jetstream.get_stream_no_info(stream).await;
                // What is left is answered again, which is not counted.
                if let Ok(stream) = stream {
                    let _ = stream.delete_message(before).await;
                }
            }
        }
        Ok(())
    }

    /// Publishes a share under the next attempt.
    async fn again(&mut self, share: usize) -> Result<()> {
        self.losses.republished += 1;
        self.dealt[share].attempt += 1;
        self.dealt[share].node = None;
        let confirmation = self.publish(share).await?;
        self.confirm(share, confirmation).await;
        Ok(())
    }

    /// Publishes what has no answer.
    async fn publish_all(&mut self) -> Result<()> {
        let open: Vec<usize> = (0..self.dealt.len())
            .filter(|&share| self.dealt[share].answer.is_none())
            .collect();
        for some in open.chunks(MOST_UNCONFIRMED) {
            let mut confirmations = Vec::with_capacity(some.len());
            for &share in some {
                confirmations.push((share, self.publish(share).await?));
            }
            for (share, confirmation) in confirmations {
                self.confirm(share, confirmation).await;
            }
        }
        Ok(())
    }

    async fn publish(&mut self, share: usize) -> Result<PublishAckFuture> {
        let dealt = &self.dealt[share];
        let id = ShareId {
            run: self.run,
            share,
            attempt: dealt.attempt,
        };
        let payload = protocol::encode(&Share {
            id,
            task: dealt.task.clone(),
        })?;
        let message = PublishMessage::build()
            .message_id(id.to_string())
            .payload(payload.into());
        let subject = self.session.subjects.shares.clone();
        Ok(self
            .session
            .jetstream
            .send_publish(subject, message)
            .await?)
    }

    /// Waits until the server has a share. If it does not say so, that is looked into soon.
    async fn confirm(&mut self, share: usize, confirmation: PublishAckFuture) {
        match confirmation.await {
            Ok(ack) => self.dealt[share].sequence = Some(ack.sequence),
            Err(_) => self.check_at = Instant::now(),
        }
    }

    /// Sees whether the server still has what is not answered. What is answered and not acked is
    /// counted too: then a loss is found the next time.
    async fn check(&mut self) -> Result<()> {
        let now = Instant::now();
        self.check_at = now + self.session.ack_wait;
        if self.session.give_up_silent().await? {
            self.deserted_since = None;
        } else if now - *self.deserted_since.get_or_insert(now) > PATIENCE {
            let first = self.open().next().map(|dealt| dealt.task.to_string());
            bail!(
                "no node is left, and {} shares are not answered, the first: {}",
                self.unanswered,
                first.unwrap_or_default()
            );
        }
        let checked = self.look_and_repair().await;
        let Err(error) = checked else {
            self.silent_since = None;
            return Ok(());
        };
        if error.is::<Lost>() {
            return Err(error);
        }
        let since = *self.silent_since.get_or_insert(now);
        if now - since > PATIENCE {
            return Err(error.context(format!(
                "the NATS server has not answered for {PATIENCE:?}, {} of {} shares are not answered",
                self.unanswered,
                self.dealt.len()
            )));
        }
        Ok(())
    }

    async fn look_and_repair(&mut self) -> Result<()> {
        // Makes it anew, if it has gone with the server's memory.
        let mut stream = self.session.stream().await?;
        let waiting = stream.info().await?.state.messages;
        if waiting >= self.unanswered as u64 {
            return Ok(());
        }
        if self.together {
            bail!(Lost);
        }
        // Which are missing cannot be told: all are published again.
        stream.purge().await?;
        for dealt in &mut self.dealt {
            dealt.attempt += u32::from(dealt.answer.is_none());
        }
        self.losses.republished += self.unanswered;
        self.publish_all().await
    }
}

impl Drop for Shares<'_> {
    fn drop(&mut self) {
        self.losses.report();
        let failed = self.unanswered > 0;
        if failed || self.restarts() > 0 {
            self.session.leave(failed);
        }
    }
}
