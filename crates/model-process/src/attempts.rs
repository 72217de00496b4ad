//! A download at the child's side, and what is said between the two: one file at
//! a time, attempt after attempt, as long as nobody has to be asked or waited for.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Error, bail};
use http_ureq::{Client, Response};
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use suite::Unsupported;
use transfer::{Body, DiskError, Finish, Next, Options, Partial, Parts, Rate, Session, Take};
use transfer::{Transfer, Trouble, tls_config};

use crate::worker::{self, LONGEST_TEXT, Worker};

/// So much of a body that is of no use is read, to keep its connection.
const DRAIN_BYTES: usize = 16 * 1024;
/// So much of a body is taken at once from what the connection has read: a stack
/// for more would be a stack in every child.
const PIECE_BYTES: usize = 8 * 1024;

/// What a child is told once, with its first file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Terms {
    /// Its path, which need not be text.
    directory: OsString,
    options: Options,
}

impl Terms {
    pub fn of(session: &Session) -> anyhow::Result<Self> {
        let options = session.options.clone();
        let headers = options.headers.iter();
        let bytes: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
        if bytes + options.user_agent.len() > LONGEST_TEXT {
            bail!(Unsupported(format!(
                "headers of {bytes} bytes: at most {LONGEST_TEXT} are sent to a child"
            )));
        }
        let directory = session.parts().path().into();
        Ok(Self { directory, options })
    }
}

/// Download this file, as far as that goes now.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task {
    pub terms: Option<Box<Terms>>,
    pub transfer: Box<Transfer>,
    /// Its number, if it was dealt while the child had another file.
    pub ahead: Option<u64>,
}

/// How far that was.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It has every byte.
    Finished(Finish),
    /// It has not, and goes on like this.
    Left(Box<Transfer>, Next),
    /// The disk refuses.
    Refused(Refusal),
    /// The parent had taken it back.
    TakenBack,
}

/// A [`DiskError`], in a message.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refusal {
    path: OsString,
    errno: Option<i32>,
    text: String,
}

impl From<DiskError> for Refusal {
    fn from(error: DiskError) -> Self {
        Self {
            path: error.path.into(),
            errno: error.source.raw_os_error(),
            text: error.source.to_string(),
        }
    }
}

impl From<Refusal> for DiskError {
    fn from(refusal: Refusal) -> Self {
        let other = || io::Error::other(refusal.text);
        Self {
            path: refusal.path.into(),
            source: (refusal.errno).map_or_else(other, io::Error::from_raw_os_error),
        }
    }
}

impl Task {
    pub fn perform(mut self, worker: &mut Worker) -> anyhow::Result<worker::Answer> {
        let meter = &worker.memory.meters[worker.unit];
        let answer = match self.ahead {
            Some(number) if !meter.claim(number) => Answer::TakenBack,
            // What has come of the last one may be a reason to wait.
            Some(_) if !worker.goes_well => Answer::Left(self.transfer, Next::Now),
            _ => {
                let answer = match download(self.terms, &mut self.transfer, worker) {
                    Ok(Outcome::Finished(finish)) => Answer::Finished(finish),
                    Ok(Outcome::Left(next)) => left(self.transfer, next),
                    Err(error) => match error.downcast::<DiskError>()? {
                        crowded if crowded.is_crowded() => left(self.transfer, Next::Crowded),
                        refused => Answer::Refused(refused.into()),
                    },
                };
                worker.goes_well = matches!(answer, Answer::Finished(_));
                if let Answer::Left(_, Next::Crowded) = answer {
                    worker.client.close_idle();
                }
                answer
            }
        };
        Ok(worker::Answer::Download(Box::new(answer)))
    }
}

fn download(
    terms: Option<Box<Terms>>,
    transfer: &mut Transfer,
    worker: &mut Worker,
) -> anyhow::Result<Outcome> {
    if let Some(terms) = terms {
        let Terms { directory, options } = *terms;
        // Whom to trust is a download's own, and so are connections over TLS.
        if worker.attempts.as_ref().is_some_and(Attempts::used_tls) {
            worker.client = Client::new(1);
        }
        worker.attempts = None;
        worker.attempts = Some(Attempts::new(directory.as_ref(), options)?);
    }
    let attempts = worker
        .attempts
        .as_ref()
        .context("a child was told too little")?;
    Ok(attempts.download(transfer, worker)?)
}

/// What a server has said can be too long for a message.
fn left(transfer: Box<Transfer>, mut next: Next) -> Answer {
    if let Next::Failed(why) = &mut next {
        worker::cut(why);
    }
    Answer::Left(transfer, next)
}

/// What a child needs for every file of a download.
pub struct Attempts {
    options: Options,
    parts: Arc<Parts>,
    tls: OnceCell<Arc<ClientConfig>>,
}

/// How far a file has come.
pub enum Outcome {
    /// It has every byte.
    Finished(Finish),
    /// It has not, and goes on like this.
    Left(Next),
}

impl Attempts {
    pub fn new(directory: &Path, options: Options) -> anyhow::Result<Self> {
        let tls = OnceCell::new();
        if options.cacert.is_some() {
            let _ = tls.set(tls_config(&options).map_err(Error::msg)?);
        }
        Ok(Self {
            parts: Arc::new(Parts::open(directory)?),
            options,
            tls,
        })
    }

    /// Whether there may be connections that were made because of whom this
    /// download trusts.
    pub fn used_tls(&self) -> bool {
        self.tls.get().is_some()
    }

    /// Downloads a file, as far as that goes now.
    pub fn download(&self, transfer: &mut Transfer, worker: &Worker) -> Result<Outcome, DiskError> {
        loop {
            match self.attempt(transfer, worker)? {
                Outcome::Left(Next::Now) => {}
                outcome => return Ok(outcome),
            }
        }
    }

    /// One request, and what came of it.
    fn attempt(&self, transfer: &mut Transfer, worker: &Worker) -> Result<Outcome, DiskError> {
        let Self { options, parts, .. } = self;
        if transfer.is_whole() {
            let partial = parts.begin(transfer, transfer.part.bytes);
            return finish(transfer, partial);
        }
        let response = match self.send(transfer, &worker.client) {
            Ok(response) => response,
            Err(trouble) => return Ok(Outcome::Left(transfer.failed(trouble, options))),
        };
        let (now, date) = (Instant::now(), SystemTime::now());
        match transfer.answered(&response.head, options, now, date) {
            transfer::Answer::Body(body) => self.receive(transfer, worker, response, body),
            transfer::Answer::Next(next) => {
                response.drain(DRAIN_BYTES);
                if next != Next::Complete {
                    return Ok(Outcome::Left(next));
                }
                let partial = parts.begin(transfer, transfer.part.bytes);
                finish(transfer, partial)
            }
        }
    }

    fn send(&self, transfer: &Transfer, client: &Client) -> Result<Response, Trouble> {
        let request = transfer.request(&self.options);
        client.send(&request, &self.options, || {
            let config = || tls_config(&self.options).expect("without a file nothing can be wrong");
            self.tls.get_or_init(config).clone()
        })
    }

    /// Writes a body to where it belongs.
    fn receive(
        &self,
        transfer: &mut Transfer,
        worker: &Worker,
        mut response: Response,
        mut body: Body,
    ) -> Result<Outcome, DiskError> {
        let options = &self.options;
        let shared = &*worker.memory;
        let mut partial = self.parts.begin(transfer, body.offset);
        let mut buffer = [0; PIECE_BYTES];
        let trouble = loop {
            let piece = match response.piece(&mut buffer) {
                Ok(0) => break None,
                Ok(read) => &buffer[..read],
                Err(trouble) => break Some(trouble),
            };
            let bytes = match transfer.received(&mut body, piece.len(), options, Instant::now()) {
                Ok(Take::All) => piece.len(),
                Ok(Take::Last(bytes)) => bytes,
                Err(trouble) => break Some(trouble),
            };
            partial.push(&piece[..bytes]);
            let total = transfer.part.total;
            shared.meters[worker.unit].received(bytes as u64, body.position(), total);
            if bytes < piece.len() {
                break None;
            }
            if let Some(rate) = options.rate {
                thread::sleep(Rate::reserve_in(&shared.rate, bytes as u64, rate));
            }
            if partial.is_due() {
                flush(transfer, &mut partial)?;
            }
        };
        // Read to its end it was kept, and else this closes it.
        drop(response);
        let next = match trouble {
            None => match transfer.ended(&body, options) {
                Next::Complete => return finish(transfer, partial),
                short => {
                    flush(transfer, &mut partial)?;
                    short
                }
            },
            // What has come is kept: the next attempt, or run, goes on from there.
            Some(trouble) => {
                flush(transfer, &mut partial)?;
                transfer.failed(trouble, options)
            }
        };
        Ok(Outcome::Left(next))
    }
}

/// Writes what has come so far.
fn flush(transfer: &mut Transfer, partial: &mut Partial) -> Result<(), DiskError> {
    let flushed = partial.flush();
    transfer.written(partial.bytes());
    flushed
}

/// Writes the rest of a file that has every byte.
fn finish(transfer: &mut Transfer, partial: Partial) -> Result<Outcome, DiskError> {
    let written = partial.bytes();
    let finished = partial.finish().map(Outcome::Finished);
    finished.inspect_err(|_| transfer.written(written))
}
