//! The heads in what has come over a connection.

use crate::{Received, Wrong};

/// The longest first line, in bytes. RFC 9112, 3, recommends 8,000 at least.
const MOST_LINE_BYTES: usize = 8 * 1024;
/// The longest head, in bytes, and the most fields.
const MOST_HEAD_BYTES: usize = 32 * 1024;
const MOST_FIELDS: usize = 100;

/// A head of which some lines were read.
pub trait Head: Sized {
    /// What a whole one is.
    type Whole;
    /// Why there is none.
    type Refusal: From<Wrong>;

    /// Begins with the first line.
    fn begin(line: &[u8]) -> Result<Self, Self::Refusal>;

    /// Goes on with a field: see [`field`](crate::field).
    fn field(&mut self, line: &[u8]) -> Result<(), Self::Refusal>;

    /// The head, when its last line has come.
    fn whole(self) -> Result<Self::Whole, Self::Refusal>;

    /// Whether the connection has no other after it, so that all that comes is to be dropped.
    fn is_last(whole: &Self::Whole) -> bool;
}

/// The heads that come over a connection. Bytes are read in their order, and the first that is
/// wrong decides: in which pieces they come changes nothing.
#[derive(Debug)]
pub struct Heads<H> {
    received: Received,
    partial: Option<Box<H>>,
    fields: usize,
    has_ended: bool,
}

impl<H> Default for Heads<H> {
    fn default() -> Self {
        Self {
            received: Received::default(),
            partial: None,
            fields: 0,
            has_ended: false,
        }
    }
}

impl<H: Head> Heads<H> {
    /// Where to read to next; never empty. Call [`next`](Self::next) before, until it gives
    /// none.
    pub fn room(&mut self) -> &mut [u8] {
        if self.has_ended {
            self.received.clear();
        }
        self.received.room()
    }

    /// This number of bytes has been read to there.
    pub fn filled(&mut self, bytes: usize) {
        self.received.filled(bytes);
    }

    /// What has come after the last head: a body, or the next head.
    pub fn received(&mut self) -> &mut Received {
        &mut self.received
    }

    /// The next head; none, until more has come. After a refusal, and after the last head, there
    /// is none any more: what follows is to be read and dropped.
    ///
    /// Empty lines before a head are passed over (RFC 9112, 2.2).
    #[expect(
        clippy::should_implement_trait,
        reason = "after none, there may be more"
    )]
    pub fn next(&mut self) -> Option<Result<H::Whole, H::Refusal>> {
        if self.has_ended {
            return None;
        }
        let next = self.read().transpose();
        self.has_ended = match &next {
            Some(Ok(whole)) => H::is_last(whole),
            Some(Err(_)) => true,
            None => false,
        };
        next
    }

    /// Whether a part of a head is there.
    pub fn has_begun(&self) -> bool {
        !self.has_ended && !self.received.is_empty()
    }

    fn read(&mut self) -> Result<Option<H::Whole>, H::Refusal> {
        loop {
            let most = match self.partial {
                None => MOST_LINE_BYTES + 2,
                Some(_) => MOST_HEAD_BYTES,
            };
            let line = match (self.received.line(most), &self.partial) {
                (Ok(Some(line)), _) => line,
                (Ok(None), _) => return Ok(None),
                (Err(Wrong::TooLarge), None) => return Err(Wrong::LineTooLong.into()),
                (Err(wrong), _) => return Err(wrong.into()),
            };
            match &mut self.partial {
                None if line.is_empty() => self.received.end_lines(),
                None => self.partial = Some(Box::new(H::begin(line)?)),
                Some(_) if line.is_empty() => {
                    self.received.end_lines();
                    self.fields = 0;
                    let partial = self.partial.take();
                    return partial.map(|partial| partial.whole()).transpose();
                }
                Some(_) if self.fields == MOST_FIELDS => return Err(Wrong::TooLarge.into()),
                Some(partial) => {
                    self.fields += 1;
                    partial.field(line)?;
                }
            }
        }
    }
}
