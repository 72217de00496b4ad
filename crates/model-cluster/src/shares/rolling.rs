//! Shares that are dealt as the job goes on, each in a place. A place is free for the next when a
//! node has begun with its share: from then on it is the job's to see to that one.

use std::iter;
use std::time::Duration;

use async_nats::Subject;
use async_nats::connection::State;
use http_hyper::Bytes;
use serde::Serialize;
use suite::Result;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::{Dealt, Shares};
use crate::download::messages::Report;
use crate::happening::{Download, Happening};
use crate::protocol::{self, Answer, ShareId, Task};
use crate::session::Session;

/// What the job has to see to.
pub(crate) enum News {
    /// A node says this of a share, with bytes of its file, and perhaps where to answer.
    Said {
        node: String,
        report: Report,
        bytes: Bytes,
        reply: Option<Subject>,
    },
    /// A node has answered; whether that counts is the job's to tell.
    Answered {
        id: ShareId,
        result: std::result::Result<Answer, String>,
    },
    /// The share in this place was delivered as often as may be, and no node has begun with it.
    GivenUp(usize),
    /// A node of ours has ended.
    Died { node: String, status: String },
    /// It is time to see whether nodes are silent.
    Checked,
    /// Nothing could be heard for some time: silence counts from now on.
    Unheard,
    /// Something else, or nothing until the time had come.
    Nothing,
}

/// What was published: its place, its attempt, and which message it is, if the server has it.
type Published = (usize, u32, Option<u64>);

/// A job's shares on their way to the nodes.
pub(crate) struct Rolling<'a> {
    shares: Shares<'a>,
    /// What the server has not confirmed yet.
    unconfirmed: JoinSet<Published>,
}

impl<'a> Rolling<'a> {
    /// Begins a job with so many places, all of them free.
    pub(crate) async fn begin(session: &'a mut Session, places: usize) -> Result<Self> {
        let mut shares = Shares::deal(session, iter::empty()).await?;
        let free = || Dealt {
            task: Task::Download(String::new()),
            attempt: 0,
            sequence: None,
            node: None,
            deaths: 0,
            answer: Some(0),
        };
        shares.dealt = iter::repeat_with(free).take(places).collect();
        Ok(Self {
            shares,
            unconfirmed: JoinSet::new(),
        })
    }

    /// Deals a task in a place that is free.
    pub(crate) async fn put(&mut self, place: usize, task: Task) -> Result<()> {
        let dealt = &mut self.shares.dealt[place];
        let attempt = dealt.attempt + 1;
        *dealt = Dealt {
            task,
            attempt,
            sequence: None,
            node: None,
            deaths: 0,
            answer: None,
        };
        self.shares.unanswered += 1;
        let Ok(confirmation) = self.shares.publish(place).await else {
            // What the server has is looked into at once.
            self.shares.check_at = Instant::now();
            return Ok(());
        };
        self.unconfirmed.spawn(async move {
            let confirmed = confirmation.await;
            (place, attempt, confirmed.ok().map(|ack| ack.sequence))
        });
        Ok(())
    }

    /// Whether the node that asks is to begin with a share: of those that ask, the first is. Its
    /// place is free then.
    pub(crate) fn begins(&mut self, id: ShareId) -> bool {
        let is_open = |dealt: &Dealt| dealt.attempt == id.attempt && dealt.answer.is_none();
        let dealt = self.shares.dealt.get(id.share);
        let is_first = id.run == self.shares.run && dealt.is_some_and(is_open);
        if is_first {
            self.free(id.share);
        }
        is_first
    }

    fn free(&mut self, place: usize) {
        // Here it says only that the share is no longer on its way.
        self.shares.dealt[place].answer = Some(0);
        self.shares.unanswered -= 1;
        self.shares.stuck.ends();
    }

    /// Waits for news, until `until` if that is given.
    pub(crate) async fn next(&mut self, until: Option<std::time::Instant>) -> Result<News> {
        while let Some(published) = self.unconfirmed.try_join_next() {
            self.confirm(published);
        }
        let check_at = self.shares.check_at;
        let until = until.map_or(check_at, |until| check_at.min(Instant::from_std(until)));
        Ok(match self.shares.session.next(until).await? {
            Happening::Download(Download::Said {
                node,
                report,
                bytes,
                reply,
            }) => News::Said {
                node,
                report,
                bytes,
                reply,
            },
            Happening::Answered { id, .. } if id.run != self.shares.run => {
                self.shares.losses.late += 1;
                News::Nothing
            }
            Happening::Answered {
                id,
                deliveries,
                result,
                ..
            } => {
                self.shares.losses.redelivered += usize::from(deliveries > 1);
                News::Answered { id, result }
            }
            Happening::Exit { node, status } => News::Died { node, status },
            Happening::GivenUp { sequence } => self.given_up(sequence),
            Happening::Connected => {
                self.check().await?;
                self.unheard()
            }
            Happening::Deadline if until == check_at => self.check().await?,
            Happening::Deadline
            | Happening::Ready
            | Happening::Taken { .. }
            | Happening::Stands(_)
            | Happening::Download(Download::Wake) => News::Nothing,
        })
    }

    /// The server has confirmed a share, or has not in time.
    fn confirm(&mut self, published: std::result::Result<Published, JoinError>) {
        let Ok((place, attempt, Some(sequence))) = published else {
            // What the server has is looked into at once.
            self.shares.check_at = Instant::now();
            return;
        };
        let dealt = &mut self.shares.dealt[place];
        if dealt.attempt == attempt {
            dealt.sequence = Some(sequence);
        }
    }

    fn given_up(&mut self, sequence: u64) -> News {
        let is_it = |dealt: &Dealt| dealt.answer.is_none() && dealt.sequence == Some(sequence);
        match self.shares.dealt.iter().position(is_it) {
            Some(place) => {
                self.free(place);
                News::GivenUp(place)
            }
            None => News::Nothing,
        }
    }

    /// Sees whether the server still has what no node has begun with.
    async fn check(&mut self) -> Result<News> {
        // What is on its way to the server would be taken for lost.
        while let Some(published) = self.unconfirmed.join_next().await {
            self.confirm(published);
        }
        // If this program was stopped itself, nothing was heard for that time.
        let is_late = self.shares.check_at.elapsed() > self.shares.session.ack_wait / 2;
        self.shares.check().await?;
        Ok(match is_late {
            true => self.unheard(),
            false => News::Checked,
        })
    }

    fn unheard(&mut self) -> News {
        self.shares.session.forgive_silence();
        News::Unheard
    }

    /// Whether a node of ours has died.
    pub(crate) fn is_dead(&self, node: &str) -> bool {
        self.shares.session.is_dead(node)
    }

    /// Whether anything can be heard.
    pub(crate) fn is_connected(&self) -> bool {
        self.shares.session.client.connection_state() == State::Connected
    }

    /// For how long a node may be silent about what it has.
    pub(crate) fn ack_wait(&self) -> Duration {
        self.shares.session.ack_wait
    }

    /// A share that a node has begun with is lost, and will be dealt again.
    pub(crate) fn count_loss(&mut self) {
        self.shares.losses.republished += 1;
    }

    /// Answers to what a node has said, if it has said where.
    pub(crate) async fn reply(&self, to: Option<&Subject>, value: &impl Serialize) -> Result<()> {
        let Some(to) = to else { return Ok(()) };
        let payload = protocol::encode(value)?;
        let client = &self.shares.session.client;
        Ok(client.publish(to.clone(), payload.into()).await?)
    }

    /// Ends the nodes of ours: they have shares that are not wanted any more.
    pub(crate) fn abandon(&mut self) {
        self.shares.session.leave(true);
    }
}
