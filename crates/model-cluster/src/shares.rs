//! The shares of a job. They are published to the server, which delivers each to the node that
//! pulls next. They are published again when a node or the server loses them. The first answer to
//! each share counts.

pub(crate) mod rolling;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::bail;
use async_nats::jetstream::context::PublishAckFuture;
use suite::{Result, Unsupported, WrongAnswer};
use tokio::time::Instant;

use crate::happening::Happening;
use crate::losses::Losses;
use crate::peers::Lost;
use crate::protocol::{self, Answer, CONSUMER, Share, ShareId, Task};
use crate::session::{MAX_DEATHS, PATIENCE, Session};
use crate::since::Since;

/// The number of shares that are published before the parent waits for confirmations.
const MOST_UNCONFIRMED: usize = 256;

/// The longest time between two checks of nodes and server.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// A job's shares while nodes work on them. Dropping it early ends the nodes that still have one.
pub(crate) struct Shares<'a> {
    session: &'a mut Session,
    run: u64,
    dealt: Vec<Dealt>,
    unanswered: usize,
    /// Whether the units of these shares work with each other. Then all are lost if one is.
    together: bool,
    /// Units that are running and wait for the others.
    waiting_units: BTreeSet<usize>,
    /// When to check next whether the server still has the unanswered shares.
    check_at: Instant,
    /// Tracks how long the server has not answered.
    silent: Since,
    /// Tracks how long there has been no node.
    no_node: Since,
    /// Tracks how long the server has had shares that it no longer delivers, while nothing is
    /// answered.
    stuck: Since,
    losses: Losses,
}

struct Dealt {
    task: Task,
    attempt: u32,
    /// The sequence number of its message in the stream, once the server has it.
    sequence: Option<u64>,
    /// The node that reported last that it works on it.
    node: Option<String>,
    /// The number of nodes that died while they worked on it.
    deaths: u32,
    /// The checksum of the first answer, if there is one.
    answer: Option<u32>,
}

impl<'a> Shares<'a> {
    /// Publishes these tasks for the nodes of `session`.
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
            waiting_units: BTreeSet::new(),
            dealt,
            silent: Since::new(PATIENCE),
            no_node: Since::new(PATIENCE),
            stuck: Since::new(PATIENCE),
            losses: Losses::default(),
        };
        if shares.publish_all().await.is_err() {
            // Check at once what the server has.
            shares.check_at = Instant::now();
        }
        Ok(shares)
    }

    /// Like [`deal`](Self::deal), for tasks whose units work with each other. When one is lost, all
    /// are: the error is [`Lost`].
    pub(crate) async fn deal_together(
        session: &'a mut Session,
        tasks: impl IntoIterator<Item = Task>,
    ) -> Result<Self> {
        let tasks: Vec<_> = tasks.into_iter().collect();
        let most = session.units();
        if tasks.len() > most {
            // Each occupies a slot until all are done.
            bail!(Unsupported(format!(
                "{most} units at most work with each other"
            )));
        }
        let mut shares = Self::deal(session, tasks).await?;
        shares.together = true;
        Ok(shares)
    }

    /// Returns the next answer, in any order; `None` when all have arrived. If a share fails, the
    /// whole job fails.
    pub(crate) async fn answer(&mut self) -> Result<Option<Answer>> {
        self.answer_by(None).await
    }

    /// Like [`answer`](Self::answer), but also returns `None` if no answer has arrived by
    /// `deadline`.
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
                Happening::Waiting(id) if id.run == self.run => {
                    // A unit that did not receive the reply reports again; the signal to start is
                    // sent only once.
                    let is_new = self.waiting_units.insert(id.share);
                    if is_new && self.waiting_units.len() == self.dealt.len() {
                        self.session.tell_units(true).await?;
                    }
                }
                Happening::Connected if self.together => {
                    bail!(Lost::by("the connection to the NATS server was down"));
                }
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
                Happening::Ready | Happening::Waiting(_) | Happening::Download(_) => {}
            }
        }
        Ok(None)
    }

    /// Whether all shares have been answered.
    pub(crate) fn is_done(&self) -> bool {
        self.unanswered == 0
    }

    /// An upper limit of the number of shares that were begun more than once.
    pub(crate) fn restarts(&self) -> usize {
        self.losses.restarts()
    }

    /// The shares without an answer.
    fn open(&self) -> impl Iterator<Item = &Dealt> {
        self.dealt.iter().filter(|dealt| dealt.answer.is_none())
    }

    /// Takes an answer if it is the first to its share. A second answer has to be the same.
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
            self.stuck.ends();
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
            bail!(Lost::by(format_args!("{} was delivered twice", dealt.task)));
        }
        dealt.node = Some(node.clone());
        // The event of its end can arrive before its last messages.
        if is_dead {
            self.died(&node, "an unknown cause").await?;
        }
        Ok(())
    }

    /// A node that this parent started has died. The share it worked on is published again at once.
    /// Shares that it had pulled but not begun are delivered again when the ack timeout has passed.
    async fn died(&mut self, node: &str, status: &str) -> Result<()> {
        for share in 0..self.dealt.len() {
            let dealt = &mut self.dealt[share];
            if dealt.answer.is_some() || dealt.node.as_deref() != Some(node) {
                continue;
            }
            if self.together {
                bail!(Lost::by(format_args!(
                    "{}: its node died by {status}",
                    dealt.task
                )));
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
            if self.again(share).await.is_err() {
                // If the server still has the shares, it delivers them again when the ack timeout
                // has passed.
                self.check_at = Instant::now();
                return Ok(());
            }
            if let Some(before) = before {
                let stream = &self.session.subjects.stream;
                let stream = self.session.jetstream.get_stream_no_info(stream).await;
                // If this fails, the old message is answered again, and that answer is not counted.
                if let Ok(stream) = stream {
                    let _ = stream.delete_message(before).await;
                }
            }
        }
        Ok(())
    }

    /// Publishes a share again, with the next attempt number.
    async fn again(&mut self, share: usize) -> Result<()> {
        self.losses.republished += 1;
        self.dealt[share].attempt += 1;
        self.dealt[share].node = None;
        let confirmation = self.publish(share).await?;
        self.confirm(share, confirmation).await
    }

    /// Publishes all unanswered shares. Stops at the first that the server does not confirm in
    /// time.
    async fn publish_all(&mut self) -> Result<()> {
        let is_open = |dealt: &Dealt| dealt.answer.is_none() && dealt.task.is_of_parent();
        let open: Vec<usize> = (0..self.dealt.len())
            .filter(|&share| is_open(&self.dealt[share]))
            .collect();
        for some in open.chunks(MOST_UNCONFIRMED) {
            let mut confirmations = Vec::with_capacity(some.len());
            for &share in some {
                confirmations.push((share, self.publish(share).await?));
            }
            for (share, confirmation) in confirmations {
                self.confirm(share, confirmation).await?;
            }
        }
        Ok(())
    }

    async fn publish(&mut self, share: usize) -> Result<PublishAckFuture> {
        let dealt = &self.dealt[share];
        let share = Share {
            id: ShareId {
                run: self.run,
                share,
                attempt: dealt.attempt,
            },
            task: dealt.task.clone(),
        };
        let subject = self.session.subjects.shares.clone();
        let jetstream = &self.session.jetstream;
        Ok(jetstream.send_publish(subject, share.message()?).await?)
    }

    /// Waits until the server confirms a share.
    async fn confirm(&mut self, share: usize, confirmation: PublishAckFuture) -> Result<()> {
        self.dealt[share].sequence = Some(confirmation.await?.sequence);
        Ok(())
    }

    /// Checks whether the server still has all unanswered shares. Shares that are answered but not
    /// acked are counted too, so a loss may be detected only at the next check.
    async fn check(&mut self) -> Result<()> {
        self.check_at = Instant::now() + self.session.ack_wait.min(CHECK_INTERVAL);
        let has_nodes = self.session.give_up_silent().await?;
        if self.no_node.is_too_long(!has_nodes) {
            let first = self.open().next().map(|dealt| dealt.task.to_string());
            bail!(
                "no node is left, and {} shares are not answered, the first: {}",
                self.unanswered,
                first.unwrap_or_default()
            );
        }
        let is_lost = |dealt: &&Dealt| !self.session.is_ready(dealt.node.as_deref());
        // The others occupy all slots, so its share would never get one.
        if let Some(dealt) = self.open().find(is_lost).filter(|_| self.together) {
            bail!(Lost::by(format_args!("{}: its node is silent", dealt.task)));
        }
        let checked = self.look_and_repair().await;
        let is_silent = self.silent.is_too_long(checked.is_err());
        match checked {
            Err(error) if error.is::<Lost>() => Err(error),
            Err(error) if is_silent => Err(error.context(format!(
                "the NATS server has not answered for {PATIENCE:?}, {} of {} shares are not answered",
                self.unanswered,
                self.dealt.len()
            ))),
            _ => Ok(()),
        }
    }

    async fn look_and_repair(&mut self) -> Result<()> {
        // Creates the stream again if the server has lost it with its memory.
        let mut stream = self.session.stream().await?;
        // This order matters: a share acked between the two requests is then missing from the
        // second number only, and does not look stuck.
        let consumer = stream.consumer_info(CONSUMER).await?;
        let deliverable = consumer.num_pending + consumer.num_ack_pending as u64;
        let waiting = stream.info().await?.state.messages;
        // The server announces shares that it no longer delivers, but the announcement is lost if
        // the connection is down.
        let is_stuck = self.stuck.is_too_long(waiting > deliverable);
        // Units of a tree publish shares too, and the parent does not know how many so far.
        let all_dealt = self.dealt.iter().all(|dealt| dealt.task.is_of_parent());
        let is_missing = all_dealt && waiting < self.unanswered as u64;
        if !is_missing && !is_stuck {
            return Ok(());
        }
        if self.together {
            bail!(Lost::by("the NATS server has lost shares"));
        }
        // It is not known which are missing, so all are published again.
        self.stuck.ends();
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
