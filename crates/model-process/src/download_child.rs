//! A download at the child's side: one file at a time, attempt after attempt, as
//! long as there is no need to ask the parent or to wait.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Error};
use http_ureq::{Client, Response};
use rustls::ClientConfig;
use transfer::{Accepted, Body, DiskError, Finish, Next, Options, Partial, Parts, Rate};
use transfer::{AttemptError, Transfer, tls_config};

use crate::pool::protocol::{self, DownloadAnswer, DownloadSetup, DownloadTask};
use crate::pool::{Answer, WorkerContext};

/// So much of a body that is of no use is read, to keep its connection.
const DRAIN_BYTES: usize = 16 * 1024;
/// Bodies are taken in pieces of this size: all that a connection reads at once.
const PIECE_BYTES: usize = 64 * 1024;

/// What a child keeps from file to file.
#[derive(Default)]
pub(crate) struct Downloader {
    /// None before the first file.
    attempts: Option<Attempts>,
    /// The last file has not been finished.
    failed: bool,
    /// Empty before the first file.
    buffer: Vec<u8>,
}

impl Downloader {
    pub(crate) fn perform(
        &mut self,
        mut task: DownloadTask,
        context: &mut WorkerContext,
    ) -> anyhow::Result<Answer> {
        let progress = &context.memory.progress[context.unit];
        let answer = match task.queued {
            Some(number) if !progress.claim(number) => DownloadAnswer::Withdrawn,
            // What went wrong with the last file may be a reason to wait.
            Some(_) if self.failed => DownloadAnswer::Unfinished(task.transfer, Next::Now),
            _ => {
                let answer = match self.download(task.setup, &mut task.transfer, context) {
                    Ok(Outcome::Finished(finish)) => DownloadAnswer::Finished(finish),
                    Ok(Outcome::Unfinished(next)) => unfinished(task.transfer, next),
                    Err(error) => match error.downcast::<DiskError>()? {
                        crowded if crowded.is_too_many_open_files() => {
                            unfinished(task.transfer, Next::TooManyOpenFiles)
                        }
                        refused => DownloadAnswer::Refused(refused.into()),
                    },
                };
                self.failed = !matches!(answer, DownloadAnswer::Finished(_));
                if let DownloadAnswer::Unfinished(_, Next::TooManyOpenFiles) = answer {
                    context.client.close_idle();
                }
                answer
            }
        };
        Ok(Answer::Download(Box::new(answer)))
    }

    /// Downloads a file, as far as that is possible now.
    fn download(
        &mut self,
        setup: Option<Box<DownloadSetup>>,
        transfer: &mut Transfer,
        context: &mut WorkerContext,
    ) -> anyhow::Result<Outcome> {
        if let Some(setup) = setup {
            let DownloadSetup { directory, options } = *setup;
            // Which certificates are trusted is a download's own setting, and so
            // are the connections that were made with it.
            let before = self.attempts.take();
            if before.is_some_and(|attempts| attempts.tls.get().is_some()) {
                context.client = Client::new(1);
            }
            self.attempts = Some(Attempts::new(directory.as_ref(), options)?);
            self.buffer.resize(PIECE_BYTES, 0);
        }
        let attempts = self.attempts.as_ref().context("a child has no setup")?;
        loop {
            match attempts.attempt(transfer, context, &mut self.buffer)? {
                Outcome::Unfinished(Next::Now) => {}
                outcome => return Ok(outcome),
            }
        }
    }
}

/// What a server has said can be too long for a message.
fn unfinished(transfer: Box<Transfer>, mut next: Next) -> DownloadAnswer {
    if let Next::Failed(why) = &mut next {
        protocol::truncate(why);
    }
    DownloadAnswer::Unfinished(transfer, next)
}

/// What a child needs for every file of a download.
struct Attempts {
    options: Options,
    parts: Arc<Parts>,
    tls: OnceCell<Arc<ClientConfig>>,
}

/// How far a file has come.
enum Outcome {
    /// Every byte is there.
    Finished(Finish),
    /// Bytes are missing. What happens next is [`Next`].
    Unfinished(Next),
}

impl Attempts {
    fn new(directory: &Path, options: Options) -> anyhow::Result<Self> {
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

    /// One request, and what came of it.
    fn attempt(
        &self,
        transfer: &mut Transfer,
        context: &WorkerContext,
        buffer: &mut [u8],
    ) -> Result<Outcome, DiskError> {
        let Self { options, parts, .. } = self;
        if transfer.is_whole() {
            let partial = parts.begin(transfer, transfer.part.bytes);
            return finish(transfer, partial);
        }
        let response = match self.send(transfer, &context.client) {
            Ok(response) => response,
            Err(error) => return Ok(Outcome::Unfinished(transfer.failed(error, options))),
        };
        let (now, date) = (Instant::now(), SystemTime::now());
        match transfer.answered(&response.head, options, now, date) {
            transfer::Answer::Body(body) => self.receive(transfer, context, response, body, buffer),
            transfer::Answer::Next(next) => {
                response.drain(DRAIN_BYTES);
                if next != Next::Complete {
                    return Ok(Outcome::Unfinished(next));
                }
                let partial = parts.begin(transfer, transfer.part.bytes);
                finish(transfer, partial)
            }
        }
    }

    fn send(&self, transfer: &Transfer, client: &Client) -> Result<Response, AttemptError> {
        let request = transfer.request(&self.options);
        client.send(&request, &self.options, || {
            let config = || tls_config(&self.options).expect("only a file can be wrong");
            self.tls.get_or_init(config).clone()
        })
    }

    /// Writes a body to where it belongs.
    fn receive(
        &self,
        transfer: &mut Transfer,
        context: &WorkerContext,
        mut response: Response,
        mut body: Body,
        buffer: &mut [u8],
    ) -> Result<Outcome, DiskError> {
        let options = &self.options;
        let shared = &*context.memory;
        let mut partial = self.parts.begin(transfer, body.offset);
        let ended = loop {
            let piece = match response.piece(buffer) {
                Ok(0) => break Ok(()),
                Ok(read) => &buffer[..read],
                Err(error) => break Err(error),
            };
            body.shared_by(shared.in_flight.load(Ordering::Relaxed) as usize);
            let (bytes, last) =
                match transfer.received(&mut body, piece.len(), options, Instant::now()) {
                    Ok(Accepted::All) => (piece.len(), false),
                    Ok(Accepted::Last(bytes)) => (bytes, true),
                    Err(error) => break Err(error),
                };
            partial.push(&piece[..bytes]);
            let total = transfer.part.total;
            shared.progress[context.unit].add(bytes as u64, body.position(), total);
            if last {
                break Ok(());
            }
            if let Some(rate) = options.rate {
                thread::sleep(Rate::reserve_in(&shared.rate, bytes as u64, rate));
            }
            if partial.is_due() {
                flush(transfer, &mut partial)?;
            }
        };
        drop(response); // read to its end it was kept, and else this closes it
        let next = match ended {
            Ok(()) => match transfer.ended(&body, options) {
                Next::Complete => return finish(transfer, partial),
                short => {
                    flush(transfer, &mut partial)?;
                    short
                }
            },
            // What has come is kept: the next attempt, or run, goes on from there.
            Err(error) => {
                flush(transfer, &mut partial)?;
                transfer.failed(error, options)
            }
        };
        Ok(Outcome::Unfinished(next))
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
