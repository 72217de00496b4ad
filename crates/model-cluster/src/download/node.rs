//! The node's side of a download. A node fetches one file at a time, and makes requests until the
//! file ends or has to wait. It sends the bytes to the parent.

use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use anyhow::Context;
use async_nats::jetstream;
use http_hyper::{Deadline, Response};
use suite::Result;
use tokio::time::{MissedTickBehavior, interval_at, sleep_until};
use tokio_rustls::rustls::ClientConfig;
use transfer::{
    Accepted, Answer, AttemptError, Body, Next, Options, Transfer, tls_config_trusting,
};

use super::messages::{Begun, Common, Ended, Report};
use super::outbox::{Gone, Outbox};
use crate::http::overdue;
use crate::node::{Node, Point};
use crate::protocol::{self, ShareId, What};

/// The maximum number of bytes of an unused body that are read to keep its connection.
const DRAIN_BYTES: usize = 16 * 1024;

/// State that a node keeps between files.
#[derive(Default)]
pub(crate) struct Downloads {
    /// The number of questions to the parent so far.
    questions: AtomicU64,
    /// The common data of a job's files, with the number of the job.
    known: Mutex<Option<(u64, Arc<Known>)>>,
}

/// The common data of a download's files, as a node uses them.
pub(crate) struct Known {
    pub(crate) options: Options,
    authorities: Option<Vec<u8>>,
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Known {
    /// The TLS configuration with the trusted certificates.
    pub(crate) fn tls(&self) -> std::result::Result<Arc<ClientConfig>, AttemptError> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let config = tls_config_trusting(self.authorities.as_deref());
        let config = config.map_err(AttemptError::Connect)?;
        Ok(self.tls.get_or_init(|| config).clone())
    }
}

impl Downloads {
    fn question(&self) -> u64 {
        self.questions.fetch_add(1, Ordering::Relaxed)
    }

    fn known(&self, run: u64) -> Option<Arc<Known>> {
        let known = self.lock();
        let (of, known) = known.as_ref()?;
        (*of == run).then(|| known.clone())
    }

    fn learn(&self, run: u64, common: Common) -> Arc<Known> {
        let known = Arc::new(Known {
            options: common.options,
            authorities: common.authorities,
            tls: OnceLock::new(),
        });
        *self.lock() = Some((run, known.clone()));
        known
    }

    fn lock(&self) -> MutexGuard<'_, Option<(u64, Arc<Known>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Works on a share that was pulled. Returns whether there is still a parent.
pub(crate) async fn perform(
    message: &jetstream::Message,
    id: ShareId,
    node: &Node,
) -> Result<bool> {
    let deliveries = message.info().map_err(protocol::boxed)?.delivered;
    let known = node.downloads.known(id.run);
    let begins = What::Download(Report::Begins {
        id,
        question: node.downloads.question(),
        knows: known.is_some(),
    });
    let Some(answer) = node.ask(begins).await? else {
        return Ok(false);
    };
    // From now on the parent makes sure that the file is not lost. If this ack is lost, the share
    // is delivered again, and the parent replies that there is nothing to do.
    let _ = message.ack().await;
    node.die_at(Point::AfterAck);
    let begun: Begun = protocol::decode(&answer.payload)?;
    let Some(mut assignment) = begun else {
        return Ok(true);
    };
    let known = match assignment.common.take() {
        Some(common) => {
            // Connections of an earlier download may have been made with other trusted
            // certificates.
            node.http.idle.clear_secure();
            Some(node.downloads.learn(id.run, common))
        }
        None => known,
    };
    let mut fetch = Fetch {
        node,
        known: known.context("the parent has not told what all files have in common")?,
        outbox: Outbox::new(node, id, &assignment),
        transfer: assignment.transfer,
    };
    let fetched = beat(node, id, fetch.go_on()).await?;
    let next = match fetched {
        Ok(next) => Ok(Some(next)),
        Err(error) => match error.downcast_ref::<Gone>() {
            Some(Gone::Unwanted) => return Ok(true),
            Some(Gone::CutOff) => Ok(None),
            None => Err(format!("{error:#}")),
        },
    };
    if next == Ok(Some(Next::TooManyOpenFiles)) {
        node.http.idle.clear();
    }
    let chunks = fetch.outbox.sent();
    let ended = |next| {
        protocol::Answer::Download(Ended {
            chunks,
            transfer: fetch.transfer,
            next,
        })
    };
    let answered = What::Answered {
        id,
        deliveries: deliveries.unsigned_abs(),
        result: next.map(ended),
    };
    let heard = node.tell(answered).await?;
    node.die_at(Point::AfterAnswer);
    Ok(heard)
}

/// Sends regular heartbeats to the parent while a file is being fetched.
async fn beat<T>(node: &Node, id: ShareId, fetching: impl Future<Output = T>) -> Result<T> {
    let in_progress = protocol::encode(&node.says(What::Download(Report::InProgress(id))))?;
    let first = tokio::time::Instant::now() + node.heartbeat;
    let mut beats = interval_at(first, node.heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut fetching = pin!(fetching);
    loop {
        tokio::select! {
            done = &mut fetching => return Ok(done),
            _ = beats.tick() => {
                let parent = node.subjects.parent.clone();
                node.client.publish(parent, in_progress.clone().into()).await?;
            }
        }
    }
}

/// A file that is being fetched.
struct Fetch<'a> {
    node: &'a Node,
    known: Arc<Known>,
    outbox: Outbox<'a>,
    transfer: Box<Transfer>,
}

impl Fetch<'_> {
    /// Downloads the file, as far as possible now.
    async fn go_on(&mut self) -> Result<Next> {
        while !self.transfer.is_whole() {
            match self.attempt().await? {
                Next::Now => {}
                next => return Ok(next),
            }
        }
        Ok(Next::Complete)
    }

    /// Makes one request, and handles the response.
    async fn attempt(&mut self) -> Result<Next> {
        let known = self.known.clone();
        let (options, client) = (&known.options, &self.node.http);
        let request = self.transfer.request(options);
        let deadline = Deadline::new(options.idle_timeout);
        let mut late = pin!(overdue(&deadline));
        let sent = tokio::select! {
            biased;
            sent = client.send(&request, &deadline, &known) => sent,
            error = &mut late => Err(error),
        };
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return Ok(self.transfer.failed(error, options)),
        };
        let (now, date) = (Instant::now(), SystemTime::now());
        match self.transfer.answered(&response.head, options, now, date) {
            Answer::Body(body) => self.receive(response, body, &deadline, late).await,
            Answer::Next(next) => {
                deadline.begin();
                let _ = tokio::select! {
                    biased;
                    drained = response.drain(DRAIN_BYTES) => drained,
                    error = &mut late => Err(error),
                };
                client.idle.keep(response);
                Ok(next)
            }
        }
    }

    /// Sends a body to the parent.
    async fn receive(
        &mut self,
        mut response: Response,
        mut body: Body,
        deadline: &Deadline,
        mut late: Pin<&mut (impl Future<Output = AttemptError> + Send)>,
    ) -> Result<Next> {
        let known = self.known.clone();
        let options = &known.options;
        let outbox = &mut self.outbox;
        outbox.begin(&self.transfer, body.offset)?;
        let ended = loop {
            deadline.begin();
            let piece = tokio::select! {
                biased;
                piece = response.piece() => piece,
                error = &mut late => Err(error),
                () = until(outbox.due()) => {
                    outbox.send().await?;
                    continue;
                }
            };
            let piece = match piece {
                Ok(Some(piece)) => piece,
                Ok(None) => {
                    self.node.http.idle.keep(response);
                    break Ok(());
                }
                Err(error) => break Err(error),
            };
            body.shared_by(outbox.sharing());
            let now = Instant::now();
            let received = self.transfer.received(&mut body, piece.len(), options, now);
            let (bytes, last) = match received {
                Ok(Accepted::All) => (piece.len(), false),
                Ok(Accepted::Last(bytes)) => (bytes, true),
                Err(error) => break Err(error),
            };
            outbox.push(&piece[..bytes]).await?;
            if last {
                break Ok(());
            }
            if options.rate.is_some() {
                outbox.send_and_wait().await?;
            }
        };
        // Received bytes are kept: the next attempt or run continues from there.
        let position = outbox.position();
        let next = match ended {
            Ok(()) => match self.transfer.ended(&body, options) {
                Next::Complete => Next::Complete,
                short => {
                    self.transfer.written(position);
                    short
                }
            },
            Err(error) => {
                self.transfer.written(position);
                self.transfer.failed(error, options)
            }
        };
        outbox.end(next == Next::Now).await?;
        Ok(next)
    }
}

/// Waits until `when`; without limit if it is `None`.
async fn until(when: Option<tokio::time::Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => pending().await,
    }
}
