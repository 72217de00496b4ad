//! A message on its way from one connection to the other.

use std::io::Write;

use http_head::{Length, Received};

/// The most bytes of a body that are read at once, or are in memory.
const PIECE: usize = 64 * 1024;
/// The most bytes of a line that tells a chunk's length, with its extensions; and of trailers.
const MOST_LINE_BYTES: usize = 8 * 1024;

/// A head, and a body of which one piece is in memory: what has come over one connection and is
/// to be written to the other.
#[derive(Debug)]
pub struct Message {
    piece: Vec<u8>,
    from: From,
    /// Whether the body is written in chunks.
    chunked: bool,
}

/// Why a body cannot be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Its chunks could be read in two ways, or in none.
    Malformed,
    /// The connection ended before it.
    Cut,
}

/// How the body comes.
#[derive(Debug)]
enum From {
    /// This number of bytes is still to come.
    Bytes(u64),
    Chunks(Chunks),
    UntilEnd,
}

impl Message {
    /// A head, and the body that follows it: it comes with this length, and goes on in chunks,
    /// or as it is.
    pub(crate) fn new(head: Vec<u8>, length: Length, chunked: bool) -> Self {
        let from = match length {
            Length::Bytes(bytes) => From::Bytes(bytes),
            Length::Chunked => From::Chunks(Chunks::Size(None)),
            Length::UntilEnd => From::UntilEnd,
        };
        Self {
            piece: head,
            from,
            chunked,
        }
    }

    /// What comes through a tunnel from one side, up to its end.
    pub fn tunnel() -> Self {
        Self::new(Vec::new(), Length::UntilEnd, false)
    }

    /// What is to be written now.
    pub fn bytes(&self) -> &[u8] {
        &self.piece
    }

    /// All of it has been written.
    pub fn written(&mut self) {
        self.piece.clear();
        self.piece.shrink_to(PIECE);
    }

    /// Whether what is to be written now is the last.
    pub fn is_whole(&self) -> bool {
        matches!(self.from, From::Bytes(0) | From::Chunks(Chunks::Done))
    }

    /// Where to read more of it to.
    pub fn room<'a>(&self, received: &'a mut Received) -> &'a mut [u8] {
        received.room_for(match self.from {
            From::Bytes(left) => usize::try_from(left).map_or(PIECE, |left| left.min(PIECE)),
            From::Chunks(_) | From::UntilEnd => PIECE,
        })
    }

    /// Takes what has come, up to the end of this message.
    ///
    /// # Errors
    ///
    /// [`Broken::Malformed`]; what came before can still be written.
    pub fn take(&mut self, received: &mut Received) -> Result<(), Broken> {
        while !received.is_empty() && !self.is_whole() {
            let bytes = received.bytes();
            let (used, data) = match &mut self.from {
                From::Bytes(left) => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    let data = &bytes[..bytes.len().min(most)];
                    *left -= data.len() as u64;
                    (data.len(), data)
                }
                From::UntilEnd => (bytes.len(), bytes),
                From::Chunks(chunks) => chunks.next(bytes)?,
            };
            if self.chunked && !data.is_empty() {
                // Writing to a vector cannot fail.
                let _ = write!(self.piece, "{:x}\r\n", data.len());
                self.piece.extend_from_slice(data);
                self.piece.extend_from_slice(b"\r\n");
            } else {
                self.piece.extend_from_slice(data);
            }
            received.used(used);
            if self.is_whole() {
                self.put_last();
            }
        }
        Ok(())
    }

    /// The connection that it comes over has ended.
    ///
    /// # Errors
    ///
    /// [`Broken::Cut`] if it was not to end there.
    pub fn end(&mut self) -> Result<(), Broken> {
        match self.from {
            From::UntilEnd => {
                self.from = From::Bytes(0);
                self.put_last();
                Ok(())
            }
            _ if self.is_whole() => Ok(()),
            _ => Err(Broken::Cut),
        }
    }

    fn put_last(&mut self) {
        if self.chunked {
            self.piece.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

/// Where in a chunked body (RFC 9112, 7.1) reading has come to. Every line has to end with
/// CRLF: what takes LF alone for an end, or passes over it, reads other chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunks {
    /// In the digits of a length; none before the first.
    Size(Option<u64>),
    /// In spaces after the digits, with the length, and how many there are.
    Spaces(u64, usize),
    /// In the extensions after these, with the length, and how many bytes have come.
    Extensions(u64, usize),
    /// After the CR of that line.
    SizeEnd(u64),
    /// In the data, with the number of bytes still to come: at least 1.
    Data(u64),
    /// After the data.
    DataCr,
    DataLf,
    /// At the beginning of a line after the last chunk, and how many bytes of trailers have
    /// come.
    Trailer(usize),
    /// In such a line.
    InTrailer(usize),
    /// After its CR, and whether the line is empty.
    TrailerEnd(usize, bool),
    Done,
}

impl Chunks {
    /// Reads on, up to the end of what is data. Gives how many bytes were read, and the data at
    /// their end.
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, &'a [u8]), Broken> {
        let mut used = 0;
        while let Some(&byte) = bytes.get(used)
            && *self != Self::Done
        {
            if let Self::Data(left) = *self {
                let rest = &bytes[used..];
                let most = usize::try_from(left).unwrap_or(usize::MAX);
                let data = &rest[..rest.len().min(most)];
                *self = match left - data.len() as u64 {
                    0 => Self::DataCr,
                    left => Self::Data(left),
                };
                return Ok((used + data.len(), data));
            }
            *self = self.after(byte)?;
            used += 1;
        }
        Ok((used, &[]))
    }

    fn after(self, byte: u8) -> Result<Self, Broken> {
        let is_of_text = byte == b'\t' || byte >= b' ' && byte != 0x7f;
        Ok(match (self, byte) {
            (Self::Size(size), _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let size = size.unwrap_or(0).checked_mul(16);
                let size = size.ok_or(Broken::Malformed)? | u64::from(digit);
                Self::Size(Some(size))
            }
            (Self::Size(Some(size)) | Self::Spaces(size, _) | Self::Extensions(size, _), b'\r') => {
                Self::SizeEnd(size)
            }
            (Self::Size(Some(size)), b' ' | b'\t') => Self::Spaces(size, 1),
            (Self::Spaces(size, bytes), b' ' | b'\t') if bytes < MOST_LINE_BYTES => {
                Self::Spaces(size, bytes + 1)
            }
            (Self::Size(Some(size)) | Self::Spaces(size, _), b';') => Self::Extensions(size, 1),
            (Self::Extensions(size, bytes), _) if is_of_text && bytes < MOST_LINE_BYTES => {
                Self::Extensions(size, bytes + 1)
            }
            (Self::SizeEnd(0), b'\n') => Self::Trailer(0),
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size(None),
            (Self::Trailer(bytes), b'\r') => Self::TrailerEnd(bytes, true),
            (Self::InTrailer(bytes), b'\r') => Self::TrailerEnd(bytes, false),
            (Self::Trailer(bytes) | Self::InTrailer(bytes), _)
                if is_of_text && bytes < MOST_LINE_BYTES =>
            {
                Self::InTrailer(bytes + 1)
            }
            (Self::TrailerEnd(_, true), b'\n') => Self::Done,
            (Self::TrailerEnd(bytes, false), b'\n') => Self::Trailer(bytes),
            _ => return Err(Broken::Malformed),
        })
    }
}
