//! The file that a fault is about, and the right answers for it.

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use load::splitmix64;

use super::answer::Answer;
use crate::conditions::{LAST_MODIFIED, Validators, Wanted, range, wanted};
use crate::request::Request;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The right body of a fault: bytes that do not compress. Two versions differ in
/// every byte (if their numbers do by less than 256), and a shorter body is the
/// beginning of a longer one.
pub fn fault_body(version: u32, bytes: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(bytes.next_multiple_of(8));
    for number in 0..bytes.div_ceil(8) as u64 {
        // SplitMix64's sequence from 0.
        let place = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        body.extend_from_slice(&splitmix64(place).to_le_bytes());
    }
    body.truncate(bytes);
    for byte in &mut body {
        *byte = byte.wrapping_add(version as u8);
    }
    body
}

/// A file as it is at one time.
pub(crate) struct Version {
    pub(crate) content: Vec<u8>,
    pub(crate) validators: Validators,
}

impl Version {
    pub(crate) fn new(version: u32, bytes: usize) -> Version {
        Version {
            content: fault_body(version, bytes),
            validators: Validators {
                etag: Some(format!("\"version-{version}\"")),
                // A version a day.
                modified: Some(UNIX_EPOCH + LAST_MODIFIED + DAY * (version - 1)),
            },
        }
    }

    pub(crate) fn unvalidated(self) -> Version {
        Version {
            validators: Validators::default(),
            ..self
        }
    }

    pub(crate) fn etag(mut self, etag: Option<String>) -> Version {
        self.validators.etag = etag;
        self
    }

    pub(crate) fn wanted(&self, request: &Request) -> Wanted {
        wanted(request, &self.validators, self.content.len())
    }

    /// The right answer.
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        self.give(self.wanted(request))
    }

    /// The answer to the range that a request asks for, whatever its conditions.
    pub(crate) fn regardless(&self, request: &Request) -> Answer {
        self.give(range(request, self.content.len()))
    }

    pub(crate) fn give(&self, wanted: Wanted) -> Answer {
        match wanted {
            Wanted::Whole => self.whole(),
            Wanted::Part(range) => self.part(range),
            Wanted::Nothing => self.nothing(),
            Wanted::Unmodified => self.describe(Answer::new(304, Vec::new())),
        }
    }

    pub(crate) fn whole(&self) -> Answer {
        let answer = Answer::new(200, self.content.clone());
        self.describe(answer.header("Content-Type", "application/octet-stream"))
    }

    pub(crate) fn part(&self, range: Range<usize>) -> Answer {
        let content_range = self.content_range(&range);
        self.bare_part(range).header("Content-Range", content_range)
    }

    /// A part that does not say which it is.
    pub(crate) fn bare_part(&self, range: Range<usize>) -> Answer {
        let answer = Answer::new(206, self.content[range.clone()].to_vec()).start(range.start);
        self.describe(answer.header("Content-Type", "application/octet-stream"))
    }

    /// There is no such part.
    pub(crate) fn nothing(&self) -> Answer {
        let answer = Answer::text(416, "there is no such part\n");
        let bytes = self.content.len();
        self.describe(answer.header("Content-Range", format_args!("bytes */{bytes}")))
    }

    pub(crate) fn describe(&self, answer: Answer) -> Answer {
        let mut headers = Vec::new();
        self.validators.write(&mut headers);
        answer.headers(&headers).header("Accept-Ranges", "bytes")
    }

    pub(crate) fn content_range(&self, range: &Range<usize>) -> String {
        // An empty part has no last byte, so it cannot be told right.
        let last = range.end.saturating_sub(1);
        format!("bytes {}-{last}/{}", range.start, self.content.len())
    }
}
