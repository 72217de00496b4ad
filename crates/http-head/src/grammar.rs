//! What a line is (RFC 9112, 3 and 5; RFC 9110, 5.6.2 and 7.2).

use crate::Wrong;

/// A request's first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// A token.
    pub method: &'a [u8],
    /// Visible characters of ASCII, one at least.
    pub target: &'a [u8],
    /// HTTP/1.0 is 0; a higher minor version than 1 is read as 1 (RFC 9110, 2.5).
    pub minor: u8,
}

impl<'a> RequestLine<'a> {
    /// Reads one: one space between its three parts (RFC 9112, 3).
    ///
    /// # Errors
    ///
    /// [`Wrong::Malformed`] or [`Wrong::OtherVersion`].
    pub fn read(line: &'a [u8]) -> Result<Self, Wrong> {
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Wrong::Malformed);
        };
        if !is_token(method) || target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
            return Err(Wrong::Malformed);
        }
        Ok(Self {
            method,
            target,
            minor: minor(version)?,
        })
    }
}

/// A response's first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusLine<'a> {
    /// As of a request.
    pub minor: u8,
    /// Three digits; 100 at least.
    pub status: u16,
    /// It may be empty.
    pub reason: &'a [u8],
}

impl<'a> StatusLine<'a> {
    /// Reads one (RFC 9112, 4). The space before an empty reason may be left out, as some
    /// servers do.
    ///
    /// # Errors
    ///
    /// [`Wrong::Malformed`] or [`Wrong::OtherVersion`].
    pub fn read(line: &'a [u8]) -> Result<Self, Wrong> {
        let (version, rest) = line.split_at_checked(8).ok_or(Wrong::Malformed)?;
        let minor = minor(version)?;
        let (code, reason) = match rest {
            [b' ', code @ ..] if code.len() >= 3 => code.split_at(3),
            _ => return Err(Wrong::Malformed),
        };
        let number = str::from_utf8(code).ok();
        let number = number.filter(|_| code.iter().all(u8::is_ascii_digit));
        let number = number.and_then(|number| number.parse().ok());
        let status = number.filter(|number| *number >= 100);
        let status = status.ok_or(Wrong::Malformed)?;
        let reason = match reason.split_first() {
            None => reason,
            Some((b' ', reason)) if reason.iter().all(is_of_text) => reason,
            Some(_) => return Err(Wrong::Malformed),
        };
        Ok(Self {
            minor,
            status,
            reason,
        })
    }
}

/// The minor version: see [`RequestLine::minor`].
fn minor(version: &[u8]) -> Result<u8, Wrong> {
    match version {
        b"HTTP/1.0" => Ok(0),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            match major {
                b'1' => Ok(1),
                _ => Err(Wrong::OtherVersion),
            }
        }
        _ => Err(Wrong::Malformed),
    }
}

/// A field's name and value: a token, a colon with nothing before it, and a value without the
/// spaces round it (RFC 9112, 5). A line that begins with a space would continue the one before
/// it, and has no token there (5.2).
///
/// # Errors
///
/// [`Wrong::Malformed`].
pub fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Wrong> {
    let colon = line.iter().position(|&byte| byte == b':');
    let (name, value) = line.split_at(colon.ok_or(Wrong::Malformed)?);
    // Only these are spaces there: CR or a form feed is a control character of the value.
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = &value[1..];
    let begin = value.iter().position(|byte| !is_space(byte));
    let end = value.iter().rposition(|byte| !is_space(byte));
    let value = match (begin, end) {
        (Some(begin), Some(end)) => &value[begin..=end],
        _ => &[],
    };
    match is_token(name) && value.iter().all(is_of_text) {
        true => Ok((name, value)),
        false => Err(Wrong::Malformed),
    }
}

/// Whether it is a space, a tab, or no control character.
fn is_of_text(byte: &u8) -> bool {
    *byte == b'\t' || *byte >= b' ' && *byte != 0x7f
}

/// What stands in a list, between its commas.
pub fn options(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// RFC 9110, 5.6.2.
pub fn is_token(bytes: &[u8]) -> bool {
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_of_token)
}

/// Whether this is a host and perhaps a port (RFC 9110, 7.2; RFC 3986, 3.2.2). An empty one
/// is.
pub fn is_authority(text: &[u8]) -> bool {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(byte);
    let (host_is_right, port) = match text.strip_prefix(b"[") {
        Some(literal) => match literal.iter().position(|&byte| byte == b']') {
            Some(end) => {
                let is_of_literal = |byte: &u8| is_of_name(byte) || *byte == b':';
                let (address, port) = (&literal[..end], &literal[end + 1..]);
                let is_right = !address.is_empty() && address.iter().all(is_of_literal);
                (is_right, port)
            }
            None => (false, &[][..]),
        },
        None => {
            let colon = text.iter().position(|&byte| byte == b':');
            let (name, port) = text.split_at(colon.unwrap_or(text.len()));
            (name.iter().all(is_of_name), port)
        }
    };
    let port_is_right = match port.split_first() {
        Some((colon, digits)) => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
        None => true,
    };
    host_is_right && port_is_right
}
