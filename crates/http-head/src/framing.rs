//! How long a message's body is (RFC 9112, 6).

use crate::Wrong;
use crate::grammar::options;

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// This number of bytes.
    Bytes(u64),
    /// It comes in chunks, of which the last says so.
    Chunked,
    /// It ends with the connection.
    UntilEnd,
}

/// What a head says of the length of its body.
#[derive(Debug, Default)]
pub struct Framing {
    length: Option<u64>,
    coding: Option<Vec<u8>>,
}

impl Framing {
    /// Takes note of a field, if it is `Content-Length` or `Transfer-Encoding`; tells whether it
    /// is.
    ///
    /// # Errors
    ///
    /// When it has come before, even with the same value (RFC 9112, 6.3, allows to refuse it),
    /// or is a length that is no number.
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Result<bool, Wrong> {
        if name.eq_ignore_ascii_case(b"content-length") {
            let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let number = str::from_utf8(value).ok().filter(|_| is_number);
            let number = number.and_then(|number| number.parse().ok());
            if self.length.is_some() || number.is_none() {
                return Err(Wrong::Malformed);
            }
            self.length = number;
            return Ok(true);
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.coding.replace(value.to_vec()).is_some() {
                return Err(Wrong::Malformed);
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// How long a request's body is, in a version 1.`minor`: without a field it has none.
    ///
    /// # Errors
    ///
    /// When the fields contradict each other, when HTTP/1.0 has a transfer coding (RFC 9112,
    /// 6.1), when the last is not `chunked`, so that the length cannot be told (6.3), or when
    /// another is before it, which is not known (6.1).
    pub fn of_request(&self, minor: u8) -> Result<Length, Wrong> {
        Ok(self.told(minor)?.unwrap_or(Length::Bytes(0)))
    }

    /// How long a response's body is, if it has one: without a field it ends with the
    /// connection.
    ///
    /// # Errors
    ///
    /// As of a request.
    pub fn of_response(&self, minor: u8) -> Result<Length, Wrong> {
        Ok(self.told(minor)?.unwrap_or(Length::UntilEnd))
    }

    /// The value of `Content-Length`.
    pub fn content_length(&self) -> Option<u64> {
        self.length
    }

    fn told(&self, minor: u8) -> Result<Option<Length>, Wrong> {
        let Some(coding) = &self.coding else {
            return Ok(self.length.map(Length::Bytes));
        };
        if self.length.is_some() || minor == 0 {
            return Err(Wrong::Malformed);
        }
        let mut codings = options(coding).rev();
        match codings.next() {
            Some(last) if !last.eq_ignore_ascii_case(b"chunked") => Err(Wrong::Malformed),
            _ if codings.next().is_some() => Err(Wrong::UnknownCoding),
            _ => Ok(Some(Length::Chunked)),
        }
    }
}
