//! What has come over a connection.

use crate::Wrong;

/// Room for most heads. What is larger gets more, and gives it back.
const FEW_BYTES: usize = 1024;

/// Bytes that have come over a connection, and were not used yet. It takes about 1 KiB while
/// none do.
#[derive(Debug, Default)]
pub struct Received {
    buffer: Vec<u8>,
    /// Where in the buffer what was not used begins, and where its line that is not whole does.
    begin: usize,
    line: usize,
    /// Up to where the buffer was searched for the end of that line.
    searched: usize,
    /// Up to where it is filled.
    end: usize,
}

impl Received {
    /// Where to read to next, with room for some bytes.
    pub fn room(&mut self) -> &mut [u8] {
        self.room_for(FEW_BYTES)
    }

    /// Where to read to next, with room for this number of bytes, if nothing is there, and for
    /// some if something is.
    pub fn room_for(&mut self, bytes: usize) -> &mut [u8] {
        let bytes = bytes.max(FEW_BYTES);
        if self.begin == self.end {
            self.clear();
            if self.buffer.len() != bytes {
                self.buffer = vec![0; bytes];
            }
        }
        if self.end == self.buffer.len() {
            match self.begin {
                0 => {
                    let bytes = bytes.max(2 * self.buffer.len());
                    self.buffer.resize(bytes, 0);
                }
                _ => self.move_to_front(),
            }
        }
        &mut self.buffer[self.end..]
    }

    /// This number of bytes has been read to there.
    pub fn filled(&mut self, bytes: usize) {
        self.end += bytes;
    }

    /// What was not used yet.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.begin..self.end]
    }

    /// Whether all was used.
    pub fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// This number of bytes was used, from the first on.
    pub fn used(&mut self, bytes: usize) {
        self.begin += bytes;
        (self.line, self.searched) = (self.begin, self.begin);
    }

    /// All was used.
    pub fn clear(&mut self) {
        (self.begin, self.line, self.searched, self.end) = (0, 0, 0, 0);
    }

    /// The next line, without the CRLF that ends it; none, until more has come. It stays there
    /// until the [lines end](Self::end_lines).
    ///
    /// # Errors
    ///
    /// When LF alone ends it, or the lines have more than this number of bytes in all.
    pub(crate) fn line(&mut self, most: usize) -> Result<Option<&[u8]>, Wrong> {
        let until = self.end.min(self.begin + most);
        let unsearched = &self.buffer[self.searched..until];
        let Some(at) = unsearched.iter().position(|&byte| byte == b'\n') else {
            self.searched = until;
            return match until < self.begin + most {
                true => Ok(None),
                false => Err(Wrong::TooLarge),
            };
        };
        let (from, end) = (self.line, self.searched + at);
        (self.line, self.searched) = (end + 1, end + 1);
        let line = self.buffer[from..end].strip_suffix(b"\r");
        line.map(Some).ok_or(Wrong::Malformed)
    }

    /// The lines that were read were used.
    pub(crate) fn end_lines(&mut self) {
        self.begin = self.line;
    }

    fn move_to_front(&mut self) {
        self.buffer.copy_within(self.begin..self.end, 0);
        self.line -= self.begin;
        self.searched -= self.begin;
        self.end -= self.begin;
        self.begin = 0;
    }
}
