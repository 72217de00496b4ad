//! One file on its way: what to ask, what an answer means, where its bytes go,
//! whether and when to try again.
//!
//! A [`Transfer`] does no I/O and looks at no clock. A driver goes
//! round: send [`Transfer::request`], tell it the head ([`Transfer::answered`]);
//! while it wants a body, tell it each piece ([`Transfer::received`]) and write
//! what it says; tell it the end ([`Transfer::ended`]) or what went wrong
//! ([`Transfer::failed`]); and do what the [`Next`] says.

use std::time::{Duration, Instant, SystemTime};

use http::header::{HeaderValue, LOCATION};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::answer::{Agreement, ContentRange, Head, Validator};
use crate::body::{Accepted, Body};
use crate::list::Entry;
use crate::request::Request;
use crate::{AttemptError, Key, Options, Sha};

/// An attempt that brings a file so much further gives a spent retry back: a
/// long file over a bad line is not given up while it grows.
const PROGRESS_BYTES: u64 = 256 * 1024;

/// So often a server may ask for a wait before that counts as a failure.
const MOST_WAITS: u32 = 10;

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
    /// The last attempt has failed: the connections that are kept may all be dead.
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

    /// What the head of the answer means.
    pub fn answered(
        &mut self,
        head: &Head,
        options: &Options,
        now: Instant,
        date: SystemTime,
    ) -> Answer {
        // Those in a row are forgiven once; this is the end of the row.
        self.forgiven = false;
        self.fresh = false;
        let meaning = match head.status {
            200 => self.whole(head, options, now),
            206 => self.partial(head, options, now),
            416 => Err(self.outside(head, options)),
            301 | 302 | 303 | 307 | 308 => Err(self.redirected(head, options)),
            408 | 425 | 429 | 500 | 502 | 503 | 504 => Err(self.put_off(head, options, date)),
            // That there is no such part of it for us says nothing of the file.
            _ if self.condition().is_some() => {
                self.whole_only = true;
                Err(Next::Now)
            }
            status => Err(Next::Failed(format!("the server answered {status}"))),
        };
        match meaning {
            Ok(body) => Answer::Body(body),
            Err(next) => Answer::Next(next),
        }
    }

    /// 200: the whole file, whatever was asked for; unless it says something else
    /// than what is known, or than its own length. A file has one length a
    /// validator.
    fn whole(&mut self, head: &Head, options: &Options, now: Instant) -> Result<Body, Next> {
        check_encoding(head)?;
        let length = match head.length() {
            Ok(length) => length,
            Err(why) => return Err(self.failed(AttemptError::Protocol(why), options)),
        };
        let validator = head.validator();
        let same = validator.strong().is_some() && validator.strong() == self.known_by();
        let known = self.part.total.filter(|_| same);
        let is_all = match head.content_range() {
            Some(ContentRange::Bytes { first, last, total }) => {
                first == 0 && [total, length].iter().flatten().all(|all| *all == last + 1)
            }
            Some(ContentRange::Outside(total)) => length.is_none_or(|length| length == total),
            None => true,
        };
        let wrong = match (known, length) {
            _ if !is_all => "a part of the file came in the place of all of it".to_owned(),
            (Some(known), Some(length)) if known != length => {
                format!("{length} bytes are announced of a file that has {known}")
            }
            _ => {
                let total = length.or(known);
                check_size(total, options)?;
                self.part = Part {
                    bytes: 0,
                    total,
                    validator,
                };
                return Ok(Body::new(0, length, head.ends_unseen(), now));
            }
        };
        Err(self.begin_again(wrong, options))
    }

    /// What the state of the file is known by, of which bytes were announced.
    fn known_by(&self) -> Option<&str> {
        self.part.validator.strong()
    }

    /// 206: the rest, if it is just what was asked for, of just that file.
    fn partial(&mut self, head: &Head, options: &Options, now: Instant) -> Result<Body, Next> {
        check_encoding(head)?;
        let (asked, known) = (self.part.bytes, self.part.total);
        let wrong = match head.content_range() {
            // Some call a part what is all of it.
            Some(ContentRange::Bytes {
                first: 0,
                last,
                total,
            }) if self.condition().is_none() && total == Some(last + 1) => {
                return self.whole(head, options, now);
            }
            _ if self.condition().is_none() => {
                "a part of the file came, which was not asked for".to_owned()
            }
            Some(ContentRange::Bytes { first, last, total }) => {
                let fits = head
                    .length()
                    .is_ok_and(|length| length.is_none_or(|length| length == last - first + 1));
                let changed = !self.part.validator.continues(&head.validator())
                    || total.is_some() && known.is_some() && total != known
                    || known.is_some_and(|known| last >= known);
                match total.or(known) {
                    _ if first != asked => {
                        format!("bytes from {first} on came, not from {asked} on")
                    }
                    _ if !fits => "the range and the length of the answer differ".to_owned(),
                    _ if changed => "the file has changed between two attempts".to_owned(),
                    // Its end need not be the file's.
                    None => "a part of the file came that does not say of how much".to_owned(),
                    Some(total) => {
                        self.part.total = Some(total);
                        check_size(self.part.total, options)?;
                        let end = Some(last + 1);
                        return Ok(Body::new(first, end, head.ends_unseen(), now));
                    }
                }
            }
            _ => "a part of the file came that does not say which".to_owned(),
        };
        Err(self.begin_again(wrong, options))
    }

    /// 416: there is nothing from there on. Complete only if it is the same file.
    fn outside(&mut self, head: &Head, options: &Options) -> Next {
        let all = Some(ContentRange::Outside(self.part.bytes));
        let ends_here = head.content_range() == all
            && self.part.total.is_none_or(|total| total == self.part.bytes);
        let same = match self.part.validator.agrees(&head.validator()) {
            Agreement::Same => true,
            // Many servers leave everything out here. They were asked on the
            // condition that it is the same file, and every byte that was ever
            // announced of it is there.
            Agreement::Unknown => self.is_whole(),
            Agreement::Contradicted => false,
        };
        if self.condition().is_some() && ends_here && same {
            self.part.total = Some(self.part.bytes);
            return Next::Complete;
        }
        let why = "the server has nothing from there on, so the file has changed";
        self.begin_again(why.to_owned(), options)
    }

    /// 3xx: elsewhere, by the same means, and not for ever.
    fn redirected(&mut self, head: &Head, options: &Options) -> Next {
        if self.redirects >= options.max_redirects {
            return Next::Failed(format!("more than {} redirects", options.max_redirects));
        }
        let location = head.headers.get(LOCATION);
        // Not `to_str`: some send what is to be percent-encoded as it is.
        let Some(location) = location.and_then(|at| std::str::from_utf8(at.as_bytes()).ok()) else {
            return Next::Failed(format!(
                "the server answered {}, and not where",
                head.status
            ));
        };
        let target = match self.target.join(location) {
            Ok(target) => target,
            Err(wrong) => return Next::Failed(format!("redirected to {location:?}: {wrong}")),
        };
        if target.scheme() != self.url.scheme() {
            return Next::Failed(format!(
                "redirected from {} to {}, which is refused",
                self.url.scheme(),
                target.scheme()
            ));
        }
        self.redirects += 1;
        let next = match target.host_str() == self.target.host_str() {
            true => Next::Now,
            false => Next::Elsewhere,
        };
        self.target = target;
        self.target.set_fragment(None);
        next
    }

    /// 429, 5xx and the like: not now. A wait that the server asks for is no
    /// failure, for some times.
    fn put_off(&mut self, head: &Head, options: &Options, date: SystemTime) -> Next {
        let asked = match head.status {
            429 | 503 => head.retry_after(date),
            _ => None,
        };
        let Some(asked) = asked else {
            return self.failed(AttemptError::Status(head.status), options);
        };
        let asked = asked.min(options.retry_after_most);
        if self.waits < MOST_WAITS {
            self.waits += 1;
            self.retried = self.retried.saturating_add(1);
            self.start_over();
            return Next::HostAfter(asked.max(self.backoff(options)));
        }
        match self.failed(AttemptError::Status(head.status), options) {
            Next::After(backoff) => Next::HostAfter(asked.max(backoff)),
            next => next,
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

/// Refuses a body that is not the file's own bytes.
fn check_encoding(head: &Head) -> Result<(), Next> {
    match head.encoding() {
        None => Ok(()),
        Some(encoding) => Err(Next::Failed(format!(
            "the server encoded the file as {encoding:?}, which was not asked for"
        ))),
    }
}

/// Refuses a file that is larger than any may be.
fn check_size(bytes: Option<u64>, options: &Options) -> Result<(), Next> {
    match (bytes, options.max_size) {
        (Some(bytes), Some(most)) if bytes > most => {
            Err(Next::Failed(AttemptError::TooLarge(most).to_string()))
        }
        _ => Ok(()),
    }
}
