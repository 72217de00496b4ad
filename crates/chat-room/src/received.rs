//! What a client has sent, as frames or as lines.

use std::fmt;

use crate::Format;

/// Bytes of a frame before its payload.
pub const HEADER_BYTES: usize = 16;

/// The most bytes of a payload, or of a line.
pub const MOST_BYTES: usize = 64 * 1024;

/// The sender of what the server says itself: no member's number.
pub const SERVER: u32 = u32::MAX;

/// Room for what is read next, at least; what is more is given back when it is not needed.
const READ_BYTES: usize = 4 * 1024;

/// Why a client is not listened to any more: its connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A payload or a line that is longer than [`MOST_BYTES`].
    TooLong,
    /// A first frame that has a payload.
    NoJoin,
    /// A frame whose sender is another.
    NotItsNumber,
    /// The seat has been cut.
    Cut,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::TooLong => "a message that is too long",
            Refusal::NoJoin => "a first frame that does not join a room",
            Refusal::NotItsNumber => "a message in the name of another",
            Refusal::Cut => "the member has been cut",
        })
    }
}

impl std::error::Error for Refusal {}

/// What a client has sent, and has not been put into its room yet.
///
/// ```
/// # use std::io::Read;
/// # fn example(mut stream: impl Read) -> std::io::Result<Option<u32>> {
/// let mut received = chat_room::Received::new(chat_room::Format::Frames);
/// let room = loop {
///     if let Some(room) = received.join() {
///         break room.map_err(std::io::Error::other)?;
///     }
///     let read = stream.read(received.room())?;
///     if read == 0 {
///         return Ok(None);
///     }
///     received.filled(read);
/// };
/// # Ok(Some(room))
/// # }
/// ```
#[derive(Debug)]
pub struct Received {
    format: Format,
    buffer: Vec<u8>,
    /// What has come and has not been taken.
    start: usize,
    end: usize,
    /// Up to where there is no end of a line.
    searched: usize,
}

impl Received {
    /// Nothing yet.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            searched: 0,
        }
    }

    /// Where to read to: never empty, if all that is whole has been taken.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end, self.searched) = (0, 0, 0);
            if self.buffer.len() > 4 * READ_BYTES {
                self.buffer = Vec::new();
            }
        } else if self.buffer.len() - self.end < READ_BYTES {
            self.buffer.copy_within(self.start..self.end, 0);
            self.searched = self.searched.saturating_sub(self.start);
            (self.start, self.end) = (0, self.end - self.start);
        }
        // A frame that is longer than there is room for takes few reads.
        let whole = self.start + self.announced().unwrap_or(0);
        let least = (self.end + READ_BYTES).max(whole);
        if self.buffer.len() < least {
            self.buffer.resize(least, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// This many bytes have been read there; none is the end: a last line may lack its end.
    pub fn filled(&mut self, read: usize) {
        self.end += read;
        if read == 0 && self.format == Format::Lines && self.start < self.end {
            self.buffer.truncate(self.end);
            self.buffer.push(b'\n');
            self.end += 1;
        }
    }

    /// Which room the client joins, once it has said that. Of lines, it is room 0 from the
    /// beginning.
    pub fn join(&mut self) -> Option<Result<u32, Refusal>> {
        if self.format == Format::Lines {
            return Some(Ok(0));
        }
        let (length, room) = self.header()?;
        if length > 0 {
            return Some(Err(Refusal::NoJoin));
        }
        self.start += HEADER_BYTES;
        Some(Ok(room))
    }

    /// Takes the first message, if it is whole, as the others get it. For a server that brings it
    /// to members on other machines, too: see [`Rooms::poll_relay`](crate::Rooms::poll_relay).
    pub fn message(&mut self, number: u32) -> Option<Result<Box<[u8]>, Refusal>> {
        let whole = self.whole(number)?;
        Some(whole.map(|bytes| self.take(bytes, number)))
    }

    /// The bytes of the first message, if it is whole. It stays until it is [taken](Self::take).
    pub(crate) fn whole(&mut self, number: u32) -> Option<Result<usize, Refusal>> {
        match self.format {
            Format::Frames => {
                let (length, sender) = self.header()?;
                if length > MOST_BYTES {
                    return Some(Err(Refusal::TooLong));
                }
                if sender != number {
                    return Some(Err(Refusal::NotItsNumber));
                }
                let whole = HEADER_BYTES + length;
                (self.end - self.start >= whole).then_some(Ok(whole))
            }
            Format::Lines => loop {
                let from = self.searched.max(self.start);
                let ended = self.buffer[from..self.end].iter().position(|&b| b == b'\n');
                let line = from + ended.unwrap_or(self.end - from) - self.start;
                if line > MOST_BYTES {
                    return Some(Err(Refusal::TooLong));
                }
                if ended.is_none() {
                    self.searched = self.end;
                    return None;
                }
                if !self.buffer[self.start..self.start + line]
                    .trim_ascii()
                    .is_empty()
                {
                    return Some(Ok(line + 1));
                }
                self.start += line + 1;
            },
        }
    }

    /// Takes this many bytes, which are a whole message, as the others get it.
    pub(crate) fn take(&mut self, bytes: usize, number: u32) -> Box<[u8]> {
        let message = &self.buffer[self.start..self.start + bytes];
        self.start += bytes;
        match self.format {
            Format::Frames => message.into(),
            Format::Lines => line(number, message),
        }
    }

    fn announced(&self) -> Option<usize> {
        let is_of_frames = self.format == Format::Frames;
        let (length, _) = self.header().filter(|_| is_of_frames)?;
        Some(HEADER_BYTES + length.min(MOST_BYTES))
    }

    /// Length and sender of the first frame.
    fn header(&self) -> Option<(usize, u32)> {
        let (length, rest) = self.buffer[self.start..self.end].split_first_chunk()?;
        let (sender, rest) = rest.split_first_chunk()?;
        let (_sequence, _) = rest.split_first_chunk::<8>()?;
        Some((
            u32::from_be_bytes(*length) as usize,
            u32::from_be_bytes(*sender),
        ))
    }
}

/// A line as others get it. It cannot steer their terminals.
fn line(number: u32, text: &[u8]) -> Box<[u8]> {
    let text = String::from_utf8_lossy(text.trim_ascii_end());
    let text = text.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
    format!("{number}: {text}\n").into_bytes().into()
}

/// A frame's header, which is all of a frame without a payload.
fn header(sender: u32, sequence: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[4..8].copy_from_slice(&sender.to_be_bytes());
    header[8..].copy_from_slice(&sequence.to_be_bytes());
    header
}

impl Format {
    /// Says that a member has joined.
    pub(crate) fn joined(self, number: u32, members: usize, to: &mut Vec<u8>) {
        match self {
            Format::Frames => to.extend_from_slice(&header(number, members as u64)),
            Format::Lines => {
                to.extend_from_slice(
                    format!("* you are {number}, members: {members}\n").as_bytes(),
                );
            }
        }
    }

    /// Says how many messages a member has not got.
    pub(crate) fn gap(self, dropped: u64, to: &mut Vec<u8>) {
        match self {
            Format::Frames => to.extend_from_slice(&header(SERVER, dropped)),
            Format::Lines => {
                to.extend_from_slice(format!("* messages dropped: {dropped}\n").as_bytes());
            }
        }
    }
}
