//! What has come over a connection, and the requests in it.

use crate::refusal::Refusal;
use crate::request::{Partial, Request};

/// The longest request line, in bytes: a longer one is refused with 414. RFC 9112, 3,
/// recommends 8,000 at least.
const MOST_LINE_BYTES: usize = 8 * 1024;
/// The longest head, in bytes, and the most fields: more is refused with 431.
const MOST_HEAD_BYTES: usize = 32 * 1024;
const MOST_FIELDS: usize = 100;

/// Room for most heads. What is larger gets more, and gives it back.
const FEW_BYTES: usize = 1024;

/// What has come over one connection. It takes about 1 KiB while nothing does.
///
/// Bytes are read in their order, and the first that is wrong decides: in which pieces they
/// come changes nothing.
#[derive(Debug, Default)]
pub struct Requests {
    buffer: Vec<u8>,
    /// Where in the buffer the next request begins, and where its line that is not whole does.
    begin: usize,
    line: usize,
    /// Up to where the buffer was searched for the end of that line.
    searched: usize,
    /// Up to where it is filled.
    end: usize,
    partial: Option<Box<Partial>>,
    has_ended: bool,
}

impl Requests {
    /// Where to read to next; never empty. Call [`next`](Self::next) before, until it gives
    /// none.
    pub fn room(&mut self) -> &mut [u8] {
        if self.has_ended {
            self.forget();
        }
        if self.begin == self.end {
            self.move_to_front();
            if self.buffer.len() > FEW_BYTES {
                self.buffer = Vec::new();
            }
        }
        if self.end == self.buffer.len() {
            match self.begin {
                0 => {
                    let bytes = FEW_BYTES.max(2 * self.buffer.len());
                    self.buffer.resize(bytes, 0);
                }
                _ => self.move_to_front(),
            }
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes were read to there.
    pub fn filled(&mut self, bytes: usize) {
        self.end += bytes;
    }

    /// The next request; none, until more has come. After a refusal, and after a request that
    /// lets the connection be closed, there is none any more: what follows is to be read and
    /// dropped, see [`LINGER`](crate::LINGER).
    ///
    /// Empty lines before a request are passed over (RFC 9112, 2.2).
    #[expect(
        clippy::should_implement_trait,
        reason = "after none, there may be more"
    )]
    pub fn next(&mut self) -> Option<Result<Request, Refusal>> {
        if self.has_ended {
            return None;
        }
        let next = self.read().transpose();
        self.has_ended = match &next {
            Some(Ok(request)) => !request.keeps_connection,
            Some(Err(_)) => true,
            None => false,
        };
        next
    }

    /// Whether a part of a request is there: if the rest does not come in time, that is to be
    /// answered with [`Refusal::Timeout`]; without one, the connection is closed silently.
    pub fn has_begun(&self) -> bool {
        !self.has_ended && self.begin < self.end
    }

    /// Whether the next bytes that come are no more to be answered.
    fn read(&mut self) -> Result<Option<Request>, Refusal> {
        loop {
            let most = match self.partial {
                None => MOST_LINE_BYTES + 2,
                Some(_) => MOST_HEAD_BYTES,
            };
            let until = self.end.min(self.begin + most);
            let unsearched = &self.buffer[self.searched..until];
            let Some(at) = unsearched.iter().position(|&byte| byte == b'\n') else {
                self.searched = until;
                return match &self.partial {
                    _ if until < self.begin + most => Ok(None),
                    None => Err(Refusal::UriTooLong),
                    Some(_) => Err(Refusal::HeadTooLarge),
                };
            };
            let (from, end) = (self.line, self.searched + at);
            (self.line, self.searched) = (end + 1, end + 1);
            let line = self.buffer[from..end].strip_suffix(b"\r");
            let line = line.ok_or(Refusal::BadRequest)?;
            match &mut self.partial {
                None if line.is_empty() => self.begin = self.line,
                None => self.partial = Some(Box::new(Partial::of(line)?)),
                Some(_) if line.is_empty() => {
                    self.begin = self.line;
                    return self
                        .partial
                        .take()
                        .map(|partial| partial.whole())
                        .transpose();
                }
                Some(partial) if partial.fields() == MOST_FIELDS => {
                    return Err(Refusal::HeadTooLarge);
                }
                Some(partial) => partial.field(line)?,
            }
        }
    }

    fn move_to_front(&mut self) {
        self.buffer.copy_within(self.begin..self.end, 0);
        self.line -= self.begin;
        self.searched -= self.begin;
        self.end -= self.begin;
        self.begin = 0;
    }

    fn forget(&mut self) {
        (self.begin, self.line, self.searched, self.end) = (0, 0, 0, 0);
    }
}
