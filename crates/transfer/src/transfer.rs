//! One file on its way: what to ask, what an answer means, where its bytes go,
//! whether and when to try again.
//!
//! A [`Transfer`] does no I/O and looks at no clock. A driver goes
//! round: send [`Transfer::request`], tell it the head ([`Transfer::answered`]);
//! while it wants a body, tell it each piece ([`Transfer::received`]) and write
//! what it says; tell it the end ([`Transfer::ended`]) or what went wrong
//! ([`Transfer::failed`]); and do what the [`Next`] says.

use std::time::{Duration, Instant};

use http::header::HeaderValue;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::answer::Validator;
use crate::body::{Accepted, Body};
use crate::gzip::Gzip;
use crate::list::Entry;
use crate::request::Request;
use crate::{AttemptError, Key, Options, Sha};

mod answered;

/// An attempt that brings a file so much further gives a spent retry back: a
/// long file over a bad line is not given up while it grows.
const PROGRESS_BYTES: u64 = 256 * 1024;

/// One file to download, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The URL as listed.
    pub url: Url,
    /// What it is known by on the disk.
    pub key: Key,
    /// The name it shall have.
    pub name: String,
    /// What its bytes have to be.
    pub sha256: Option<Sha>,
    /// What is on the disk of it.
    pub part: Part,
    /// Where the next request goes: elsewhere after a redirect.
    target: Url,
    redirects: u32,
    /// Retries that are used up; progress gives them back.
    failures: u32,
    /// Retries in all.
    retried: u32,
    /// The last attempt ended without an answer, which was forgiven.
    forgiven: bool,
    /// The server has answered a range wrongly: it is not asked for one again.
    whole_only: bool,
    /// The body that comes, or has come, is gzipped.
    pub(crate) gzip: Option<Gzip>,
    /// The last attempt has failed, so kept connections may be closed at the other end.
    fresh: bool,
    /// How often the server has asked to wait.
    waits: u32,
    /// The most bytes that were ever on the disk.
    furthest: u64,
    /// When the queue first gave it out; only where that happened.
    #[serde(skip)]
    pub(crate) taken_up: Option<Instant>,
}

/// The part of a file that is on the disk, and what it is part of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Bytes on the disk, from the first on.
    pub bytes: u64,
    /// Bytes of the whole file, if the server has said.
    pub total: Option<u64>,
    /// The state of the file that they belong to.
    pub validator: Validator,
}

/// What a head means.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// The body belongs into the file, from [`Body::offset`] on.
    Body(Body),
    /// The body is of no use.
    Next(Next),
}

/// How it goes on with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// The next request can be sent at once.
    Now,
    /// So can it, but to another host, which has limits of its own.
    Elsewhere,
    /// It can be sent after so long.
    After(Duration),
    /// The whole host is to be left alone for so long, this file included.
    HostAfter(Duration),
    /// It can be sent when others have closed what they have open.
    TooManyOpenFiles,
    /// Every byte is there.
    Complete,
    /// It has failed, for this reason, for good.
    Failed(String),
}

impl Transfer {
    /// A file of the list, of which `part` is on the disk.
    pub fn new(entry: Entry, part: Part) -> Self {
        Self {
            target: entry.url.clone(),
            url: entry.url,
            key: entry.key,
            name: entry.name,
            sha256: entry.sha256,
            furthest: part.bytes,
            taken_up: None,
            part,
            redirects: 0,
            failures: 0,
            retried: 0,
            forgiven: false,
            whole_only: false,
            gzip: None,
            fresh: false,
            waits: 0,
        }
    }

    /// Whether nothing is left to ask for: an earlier run had every byte.
    pub fn is_whole(&self) -> bool {
        self.part.bytes > 0 && self.part.total == Some(self.part.bytes)
    }

    /// Which host the next request goes to, for limits that are a host's.
    pub fn host(&self) -> &str {
        self.target.host_str().unwrap_or_default()
    }

    /// How often it has been tried again.
    pub fn retries(&self) -> u32 {
        self.retried
    }

    /// What the rest can be asked for with, if only the rest is wanted: without
    /// a strong validator, nothing tells that it belongs to the same file.
    fn condition(&self) -> Option<HeaderValue> {
        let strong = self.part.validator.strong();
        strong
            .filter(|_| self.part.bytes > 0 && !self.whole_only)
            .and_then(|strong| HeaderValue::from_str(strong).ok())
    }

    /// Bytes of its texts, for messages of limited size.
    pub fn text_bytes(&self) -> usize {
        let validator = &self.part.validator;
        let headers = [&validator.etag, &validator.last_modified];
        let header_bytes: usize = headers.into_iter().flatten().map(String::len).sum();
        self.url.as_str().len() + self.target.as_str().len() + self.name.len() + header_bytes
    }

    /// What to ask for next.
    pub fn request(&self, options: &Options) -> Request {
        let rest = self
            .condition()
            .map(|condition| (self.part.bytes, condition));
        Request {
            fresh: self.fresh,
            ..Request::new(&self.target, &self.url, rest, options)
        }
    }

    /// A piece of the body has come, of this many bytes.
    ///
    /// # Errors
    ///
    /// [`AttemptError::TooLarge`] and [`AttemptError::TooSlow`], to be told to
    /// [`failed`](Self::failed) when what came before has been written.
    pub fn received(
        &mut self,
        body: &mut Body,
        bytes: usize,
        options: &Options,
        now: Instant,
    ) -> Result<Accepted, AttemptError> {
        body.received(bytes, options, now)
    }

    /// The body has ended as HTTP ends one. If that is not the end of the file,
    /// what was received is to be written, and told to [`written`](Self::written),
    /// as after a failure: only what that was told of counts as being there.
    pub fn ended(&mut self, body: &Body, options: &Options) -> Next {
        let got = body.position();
        self.progress(got);
        let announced = self.part.total.or(body.end).unwrap_or(got);
        if got == announced {
            self.part.total = Some(announced);
            return Next::Complete;
        }
        if got > announced {
            let why = format!("{got} bytes came of a file that has {announced}");
            return self.begin_again(why, options);
        }
        // A server may send less than the rest (RFC 9110, 15.3.7).
        if body.end == Some(got) && got > body.offset {
            return Next::Now;
        }
        self.failed(AttemptError::Short { got, announced }, options)
    }

    /// This many bytes of the file are on the disk now.
    pub fn written(&mut self, bytes: u64) {
        self.part.bytes = bytes;
        self.progress(bytes);
    }

    /// It was never so far before: that gives spent retries back.
    fn progress(&mut self, bytes: u64) {
        let steps = bytes.saturating_sub(self.furthest) / PROGRESS_BYTES;
        if steps > 0 {
            self.furthest = bytes;
            let steps = u32::try_from(steps).unwrap_or(u32::MAX);
            self.failures = self.failures.saturating_sub(steps);
        }
    }

    /// An attempt has failed.
    pub fn failed(&mut self, error: AttemptError, options: &Options) -> Next {
        let forgiven = error == AttemptError::NoAnswer && !self.forgiven;
        self.forgiven = error == AttemptError::NoAnswer;
        self.fresh = true;
        match &error {
            _ if forgiven => return Next::Now,
            AttemptError::TooManyOpenFiles => return Next::TooManyOpenFiles,
            AttemptError::Certificate(_) | AttemptError::TooLarge(_) => {
                return Next::Failed(error.to_string());
            }
            _ => {}
        }
        self.start_over();
        if self.failures >= options.retries {
            // It may be the range that a server cannot answer.
            let no_answer = matches!(error, AttemptError::Status(_) | AttemptError::NoAnswer);
            if no_answer && self.condition().is_some() {
                self.whole_only = true;
                return Next::Now;
            }
            let tries = match self.retried {
                0 => String::new(),
                retries => format!(" ({} attempts)", u64::from(retries) + 1),
            };
            return Next::Failed(format!("{error}{tries}"));
        }
        self.failures += 1;
        self.retried = self.retried.saturating_add(1);
        Next::After(self.backoff(options))
    }

    /// The next request is for the listed URL again.
    fn start_over(&mut self) {
        // Bytes that nothing can be joined to are not worth keeping.
        if self.condition().is_none() && !self.is_whole() {
            self.part.bytes = 0;
        }
        // Redirects may lead elsewhere by now.
        self.target = self.url.clone();
        self.redirects = 0;
    }

    /// How long to wait: doubling, with a jitter that keeps files which failed
    /// together from coming back together.
    fn backoff(&self, options: &Options) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        let wait = options.backoff.saturating_mul(1 << doublings);
        let half = wait.min(options.backoff_most) / 2;
        let seed = options.seed ^ self.key.0 as u64 ^ u64::from(self.retried);
        half + half.mul_f64(fastrand::Rng::with_seed(seed).f64())
    }

    /// Nothing of what is on the disk is to be used. What is known of the file's
    /// length stays: an answer that contradicts it is no better for being repeated.
    /// To ask for all of it where a part was asked for is no retry.
    fn begin_again(&mut self, why: String, options: &Options) -> Next {
        let asked_for_part = self.condition().is_some();
        self.whole_only = true;
        self.part.bytes = 0;
        match asked_for_part {
            true => Next::Now,
            false => self.failed(AttemptError::WrongRange(why), options),
        }
    }
}
