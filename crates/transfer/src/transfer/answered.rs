//! What the head of an answer means for a file.

use std::borrow::Cow;
use std::time::{Instant, SystemTime};

use http::header::{LOCATION, SET_COOKIE};

use super::{Answer, Next, Part, Transfer};
use crate::answer::{Agreement, Coding, ContentRange, Head, Validator};
use crate::body::Body;
use crate::gzip::Gzip;
use crate::{AttemptError, Options};

/// How often a server may ask for a wait before that counts as a failure.
const MOST_WAITS: u32 = 10;

impl Transfer {
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
            401 => Err(Next::Failed(
                "the server answered 401: it wants credentials, or others; only Basic is supported, as \
                 user:password@ in a URL, and what a --header says"
                    .to_owned(),
            )),
            407 => Err(Next::Failed(
                "the server answered 407, and proxies are not supported".to_owned(),
            )),
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
        let gzip = match head.coding() {
            Coding::None => None,
            Coding::Gzip => Some(Gzip {
                most: options.max_size,
            }),
            Coding::Other(coding) => {
                return Err(Next::Failed(format!(
                    "the server encoded the file as {coding}, which was not asked for"
                )));
            }
        };
        let length = match head.length() {
            Ok(length) => length,
            Err(why) => return Err(self.failed(AttemptError::Protocol(why), options)),
        };
        // Nothing is joined to what is gzipped: it is decoded as a whole.
        let validator = match gzip {
            None => head.validator(),
            Some(_) => Validator::default(),
        };
        let same =
            validator.strong().is_some() && validator.strong() == self.part.validator.strong();
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
                self.gzip = gzip;
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

    /// 206: the rest, if it is just what was asked for, of just that file.
    fn partial(&mut self, head: &Head, options: &Options, now: Instant) -> Result<Body, Next> {
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
                    _ if head.coding() != Coding::None => {
                        "an encoded part of a file came that is not encoded".to_owned()
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

    /// 3xx: another URL with the same scheme, a limited number of times.
    fn redirected(&mut self, head: &Head, options: &Options) -> Next {
        if self.redirects >= options.max_redirects {
            return Next::Failed(format!("more than {} redirects", options.max_redirects));
        }
        let location = head.headers.get(LOCATION);
        let Some(location) = location.map(|at| text_of(at.as_bytes())) else {
            return Next::Failed(format!(
                "the server answered {}, and not where",
                head.status
            ));
        };
        let target = match self.target.join(&location) {
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
        if target == self.target && head.headers.contains_key(SET_COOKIE) {
            return Next::Failed(
                "redirected to itself with a cookie, and cookies are not kept".to_owned(),
            );
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
}

/// A header's text. Some send what is to be percent-encoded as it is, be it UTF-8 or
/// not: then each byte stands for itself.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(
        |_| {
            let encoded = bytes.iter().map(|&byte| match byte {
                0..128 => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            });
            encoded.collect::<String>().into()
        },
        Cow::from,
    )
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
