//! Shares that are published while the job runs, each in a place. A place is free again when a node
//! has begun with its share; from then on the job itself handles the loss of that share.

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

/// Events that the job has to handle.
pub(crate) enum ShareEvent {
    /// A node's report about a share, with bytes of its file, and a reply subject if it expects an
    /// answer.
    Said {
        node: String,
        report: Report,
        bytes: Bytes,
        reply: Option<Subject>,
    },
    /// A node has answered. The job decides whether the answer is valid.
    Answered {
        id: ShareId,
        result: std::result::Result<Answer, String>,
    },
    /// The share in this place was delivered as often as allowed, and no node has begun with it.
    GivenUp(usize),
    /// A node that this parent started has ended.
    Died { node: String, status: String },
    /// It is time to check whether nodes are silent.
    CheckSilence,
    /// No node could be heard for some time: silence is measured from now on.
    ResetSilence,
    /// Another event, or none before the deadline.
    Nothing,
}

/// A published share: its place, its attempt, and its sequence number in the stream, if the server
/// has confirmed it.
type Published = (usize, u32, Option<u64>);

/// A job's shares until nodes begin with them.
pub(crate) struct Rolling<'a> {
    shares: Shares<'a>,
    /// Shares that the server has not confirmed yet.
    unconfirmed: JoinSet<Published>,
}

impl<'a> Rolling<'a> {
    /// Begins a job with this number of places, all of them free.
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

    /// Publishes a task in a free place.
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
            // Check at once what the server has.
            self.shares.check_at = Instant::now();
            return Ok(());
        };
        self.unconfirmed.spawn(async move {
            let confirmed = confirmation.await;
            (place, attempt, confirmed.ok().map(|ack| ack.sequence))
        });
        Ok(())
    }

    /// Whether the node that asks may begin with a share: only the first that asks may. Frees the
    /// share's place then.
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
        // In this mode, an answer means only that a node has begun with the share.
        self.shares.dealt[place].answer = Some(0);
        self.shares.unanswered -= 1;
        self.shares.stuck.ends();
    }

    /// Waits for the next event, until `until` if given.
    pub(crate) async fn next(&mut self, until: Option<std::time::Instant>) -> Result<ShareEvent> {
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
            }) => ShareEvent::Said {
                node,
                report,
                bytes,
                reply,
            },
            Happening::Answered { id, .. } if id.run != self.shares.run => {
                self.shares.losses.late += 1;
                ShareEvent::Nothing
            }
            Happening::Answered {
                id,
                deliveries,
                result,
                ..
            } => {
                self.shares.losses.redelivered += usize::from(deliveries > 1);
                ShareEvent::Answered { id, result }
            }
            Happening::Exit { node, status } => ShareEvent::Died { node, status },
            Happening::GivenUp { sequence } => self.given_up(sequence),
            Happening::Connected => {
                self.check().await?;
                self.reset_silence()
            }
            Happening::Deadline if until == check_at => self.check().await?,
            Happening::Deadline
            | Happening::Ready
            | Happening::Taken { .. }
            | Happening::Waiting(_)
            | Happening::Download(Download::Wake) => ShareEvent::Nothing,
        })
    }

    /// Handles the confirmation of a share, or its timeout.
    fn confirm(&mut self, published: std::result::Result<Published, JoinError>) {
        let Ok((place, attempt, Some(sequence))) = published else {
            // Check at once what the server has.
            self.shares.check_at = Instant::now();
            return;
        };
        let dealt = &mut self.shares.dealt[place];
        if dealt.attempt == attempt {
            dealt.sequence = Some(sequence);
        }
    }

    fn given_up(&mut self, sequence: u64) -> ShareEvent {
        let is_it = |dealt: &Dealt| dealt.answer.is_none() && dealt.sequence == Some(sequence);
        match self.shares.dealt.iter().position(is_it) {
            Some(place) => {
                self.free(place);
                ShareEvent::GivenUp(place)
            }
            None => ShareEvent::Nothing,
        }
    }

    /// Checks whether the server still has the shares that no node has begun with.
    async fn check(&mut self) -> Result<ShareEvent> {
        // Otherwise shares that are still being published would look lost.
        while let Some(published) = self.unconfirmed.join_next().await {
            self.confirm(published);
        }
        // If this process was stopped, it could hear no node during that time.
        let is_late = self.shares.check_at.elapsed() > self.shares.session.ack_wait / 2;
        self.shares.check().await?;
        Ok(match is_late {
            true => self.reset_silence(),
            false => ShareEvent::CheckSilence,
        })
    }

    fn reset_silence(&mut self) -> ShareEvent {
        self.shares.session.reset_silence();
        ShareEvent::ResetSilence
    }

    /// Whether this is a node that this parent started and that has ended.
    pub(crate) fn is_dead(&self, node: &str) -> bool {
        self.shares.session.is_dead(node)
    }

    /// Whether the parent is connected to the server.
    pub(crate) fn is_connected(&self) -> bool {
        self.shares.session.client.connection_state() == State::Connected
    }

    /// How long a node may be silent about a share.
    pub(crate) fn ack_wait(&self) -> Duration {
        self.shares.session.ack_wait
    }

    /// Counts a lost share that a node had begun with.
    pub(crate) fn count_loss(&mut self) {
        self.shares.losses.republished += 1;
    }

    /// Replies to a node's report, if it has a reply subject.
    pub(crate) async fn reply(&self, to: Option<&Subject>, value: &impl Serialize) -> Result<()> {
        let Some(to) = to else { return Ok(()) };
        let payload = protocol::encode(value)?;
        let client = &self.shares.session.client;
        Ok(client.publish(to.clone(), payload.into()).await?)
    }

    /// Ends the nodes that this parent started: their shares are no longer needed.
    pub(crate) fn abandon(&mut self) {
        self.shares.session.leave(true);
    }
}
