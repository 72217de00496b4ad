//! A slot's side of its connection: what to ask, and what to make of what comes.

use std::borrow::Borrow;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{FRAME_BYTES, Ledger, NEVER, Takes, Tally, Turn};
use crate::{completion, splitmix64};

/// A unit's operations, one after the other, over a connection of its own.
///
/// ```
/// # use std::io::{self, Read, Write};
/// # use std::sync::Arc;
/// # use suite::deadlines::{Answers, Ledger, Slot};
/// /// Reads until the answer is there.
/// fn answer(mut stream: impl Read, answers: &mut Answers) -> io::Result<u64> {
///     loop {
///         let read = stream.read(answers.room())?;
///         if let Some(value) = answers.read(read)? {
///             return Ok(value);
///         }
///     }
/// }
///
/// /// Without deadlines: `operation.due()` says until when to read.
/// fn work(mut stream: impl Read + Write, ledger: &Arc<Ledger>) -> io::Result<()> {
///     let mut slot = Slot::new(ledger, 0);
///     stream.write_all(&slot.gate())?;
///     answer(&mut stream, slot.answers())?;
///     while let Some(mut operation) = slot.begin() {
///         stream.write_all(&operation.request())?;
///         if operation.sent() {
///             break; // all are cancelled
///         }
///         let value = answer(&mut stream, operation.answers())?;
///         operation.end(Some(value));
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Slot<T: Borrow<Turn> = Turn> {
    ledger: Arc<Ledger<T>>,
    /// The operation that is its own.
    first: Option<u64>,
    answers: Answers,
    tally: Tally,
    slots: u64,
}

/// What has come over a connection: it outlives a read that is cut, or the bytes that this one
/// had read would be lost.
#[derive(Debug, Default)]
pub struct Answers {
    frame: [u8; FRAME_BYTES],
    filled: usize,
    /// The number of the answer that is waited for. Those before it are too late.
    number: u64,
}

/// An operation in flight. Dropped before its end, it has been cancelled.
#[derive(Debug)]
pub struct Operation<'a, T: Borrow<Turn> = Turn> {
    slot: &'a mut Slot<T>,
    pub(super) number: u64,
    pub(super) takes: Takes,
    due: Option<Instant>,
    has_ended: bool,
}

impl<T: Borrow<Turn>> Slot<T> {
    /// The slot of this number, counted from 0, of as many as the job has.
    pub fn new(ledger: &Arc<Ledger<T>>, slot: u64) -> Self {
        Self {
            first: Some(slot + 1),
            answers: Answers::default(),
            tally: Tally {
                slots: 1,
                ..Tally::default()
            },
            slots: ledger.job.slots(),
            ledger: ledger.clone(),
        }
    }

    /// The only slot of a model that does one thing after the other.
    pub fn alone(ledger: &Arc<Ledger<T>>) -> Self {
        let mut slot = Self::new(ledger, 0);
        slot.slots = 1;
        slot
    }

    /// The request that is answered when every slot has sent it.
    pub fn gate(&self) -> [u8; FRAME_BYTES] {
        frame(0, self.slots)
    }

    /// Where the gate's answer arrives.
    pub fn answers(&mut self) -> &mut Answers {
        &mut self.answers
    }

    /// Its next operation, whose deadline counts from now on.
    #[inline]
    pub fn begin(&mut self) -> Option<Operation<'_, T>> {
        let job = &self.ledger.job;
        let number = self.first.take().or_else(|| self.ledger.next(self.slots))?;
        let takes = job.takes(number);
        let due = job.deadline().map(|deadline| Instant::now() + deadline);
        self.answers.number = number;
        Some(Operation {
            slot: self,
            number,
            takes,
            due,
            has_ended: false,
        })
    }
}

impl<T: Borrow<Turn>> Drop for Slot<T> {
    fn drop(&mut self) {
        self.ledger.add(std::mem::take(&mut self.tally));
    }
}

impl Answers {
    /// Where to read to.
    #[inline]
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.frame[self.filled..]
    }

    /// So many bytes have been read to the room. Gives the value that is waited for, if it is
    /// there.
    ///
    /// # Errors
    ///
    /// When the connection has ended, or something was answered that was not asked.
    #[inline]
    pub fn read(&mut self, bytes: usize) -> io::Result<Option<u64>> {
        if bytes == 0 {
            let text = "the responder has closed the connection";
            return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
        }
        self.filled += bytes;
        if self.filled < FRAME_BYTES {
            return Ok(None);
        }
        self.filled = 0;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| self.frame[at + i]));
        let (number, value) = (word(0), word(8));
        if number > self.number {
            let text = format!("operation {number} was answered, and not asked");
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        Ok((number == self.number).then_some(value))
    }
}

impl<T: Borrow<Turn>> Operation<'_, T> {
    /// What to send.
    #[inline]
    pub fn request(&self) -> [u8; FRAME_BYTES] {
        let time = match self.takes {
            Takes::InTime(us) | Takes::Late(us) => us,
            Takes::Never => NEVER,
        };
        frame(self.number, time)
    }

    /// It has been sent. True for the last one of a job in which all are cancelled then.
    #[inline]
    pub fn sent(&self) -> bool {
        self.slot.ledger.sent()
    }

    /// Until when to wait for the answer.
    #[inline]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Where the answer arrives.
    #[inline]
    pub fn answers(&mut self) -> &mut Answers {
        &mut self.slot.answers
    }

    /// Whether a late one, which has a deadline, has taken as long as its answer does.
    fn can_be_answered(&self, after_us: u64) -> bool {
        let deadline = self.slot.ledger.job.deadline();
        let begun = self.due.zip(deadline).map(|(due, deadline)| due - deadline);
        begun.is_some_and(|begun| begun.elapsed() >= Duration::from_micros(after_us))
    }

    /// It has ended, with the value of its answer, or as it was cut.
    #[inline]
    pub fn end(mut self, value: Option<u64>) {
        self.has_ended = true;
        let overslept = match (value, self.takes) {
            (Some(_), Takes::Late(us)) => self.can_be_answered(us),
            _ => false,
        };
        let tally = &mut self.slot.tally;
        match (value, self.takes) {
            (Some(_), Takes::InTime(_)) => tally.answered += 1,
            (Some(_), Takes::Late(_)) if overslept => tally.overslept += 1,
            (Some(_), Takes::Late(_) | Takes::Never) => tally.wrong += 1,
            (None, Takes::InTime(_)) => tally.missed += 1,
            (None, Takes::Late(_) | Takes::Never) => tally.cut += 1,
        }
        let value = value.unwrap_or_else(|| {
            let (now, due) = (Instant::now(), self.due);
            match due.map(|due| now.checked_duration_since(due)) {
                Some(Some(late)) => tally.late_by_ns.push(completion::nanoseconds(late)),
                Some(None) => tally.early += 1,
                None => tally.wrong += 1,
            }
            splitmix64(self.number)
        });
        tally.sum = tally.sum.wrapping_add(value);
    }
}

impl<T: Borrow<Turn>> Drop for Operation<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let tally = &mut self.slot.tally;
        tally.ended += 1;
        if !self.has_ended {
            tally.cancelled += 1;
            tally.sum = tally.sum.wrapping_add(splitmix64(self.number));
        }
    }
}

pub(super) fn frame(number: u64, time: u64) -> [u8; FRAME_BYTES] {
    let mut frame = [0; FRAME_BYTES];
    frame[..8].copy_from_slice(&number.to_le_bytes());
    frame[8..].copy_from_slice(&time.to_le_bytes());
    frame
}
