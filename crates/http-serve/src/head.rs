//! The head of a request, byte by byte as RFC 9112 has it.
//!
//! Where RFC 9112 lets a recipient be lenient (a bare line feed, a folded line, empty lines
//! between fields), this is not: what two parsers could read differently is refused, as
//! requests are smuggled through such differences.

use crate::refusal::Refusal;

/// The longest request line, in bytes: a longer one is refused with 414. RFC 9112, 3,
/// recommends 8,000 at least.
pub(crate) const MOST_LINE_BYTES: usize = 8 * 1024;
/// The longest head, in bytes, and the most fields: more is refused with 431.
pub(crate) const MOST_HEAD_BYTES: usize = 32 * 1024;
const MOST_FIELDS: usize = 100;

/// A head, as it was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    /// HTTP/1.0 is 0, HTTP/1.1 is 1; a higher minor version is read as 1.1 (RFC 9110, 2.5).
    pub(crate) minor: u8,
    pub(crate) fields: Vec<(&'a str, &'a [u8])>,
}

/// Where a head ends in these bytes, which begin with it; none if it is not complete.
/// `scanned` are the bytes that were looked at before.
pub(crate) fn end(bytes: &[u8], scanned: usize) -> Option<usize> {
    let from = scanned.saturating_sub(3);
    let at = bytes[from..]
        .windows(4)
        .position(|four| four == b"\r\n\r\n")?;
    Some(from + at + 4)
}

/// What is already wrong with a head of which only these bytes have come.
pub(crate) fn incomplete(bytes: &[u8]) -> Option<Refusal> {
    let line_ends = bytes.windows(2).position(|two| two == b"\r\n");
    if line_ends.unwrap_or(bytes.len()) > MOST_LINE_BYTES {
        return Some(Refusal::UriTooLong);
    }
    (bytes.len() >= MOST_HEAD_BYTES).then_some(Refusal::HeadTooLarge)
}

/// Reads a whole head, its last empty line included.
pub(crate) fn parse(bytes: &[u8]) -> Result<Head<'_>, Refusal> {
    let bytes = bytes.strip_suffix(b"\r\n\r\n").ok_or(Refusal::BadRequest)?;
    let mut lines = Lines(Some(bytes));
    let line = lines.next().ok_or(Refusal::BadRequest)??;
    if line.len() > MOST_LINE_BYTES {
        return Err(Refusal::UriTooLong);
    }
    let (method, target, minor) = request_line(line)?;
    let mut fields = Vec::new();
    for line in lines {
        if fields.len() == MOST_FIELDS {
            return Err(Refusal::HeadTooLarge);
        }
        fields.push(field(line?)?);
    }
    Ok(Head {
        method,
        target,
        minor,
        fields,
    })
}

/// Lines that end with CR LF. A CR or LF alone, or a NUL, is refused (RFC 9112, 2.2; 9110,
/// 5.5).
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0?;
        let end = rest.windows(2).position(|two| two == b"\r\n");
        let (line, rest) = match end {
            Some(end) => (&rest[..end], Some(&rest[end + 2..])),
            None => (rest, None),
        };
        self.0 = rest;
        let is_wrong = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
        Some(match line.iter().any(is_wrong) {
            true => Err(Refusal::BadRequest),
            false => Ok(line),
        })
    }
}

/// RFC 9112, 3: one space between its three parts.
fn request_line(line: &[u8]) -> Result<(&str, &str, u8), Refusal> {
    let line = str::from_utf8(line).map_err(|_| Refusal::BadRequest)?;
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::BadRequest);
    };
    let is_visible = |byte: u8| byte.is_ascii_graphic();
    if !is_token(method.as_bytes()) || target.is_empty() || !target.bytes().all(is_visible) {
        return Err(Refusal::BadRequest);
    }
    let [
        b'H',
        b'T',
        b'T',
        b'P',
        b'/',
        major @ b'0'..=b'9',
        b'.',
        minor @ b'0'..=b'9',
    ] = *version.as_bytes()
    else {
        return Err(Refusal::BadRequest);
    };
    match (major, minor) {
        (b'1', b'0') => Ok((method, target, 0)),
        (b'1', _) => Ok((method, target, 1)),
        _ => Err(Refusal::VersionNotSupported),
    }
}

/// RFC 9112, 5: a token, a colon with nothing before it, a value without the spaces round it.
/// A line that begins with a space would continue the one before it, which is refused (5.2).
fn field(line: &[u8]) -> Result<(&str, &[u8]), Refusal> {
    let colon = line.iter().position(|&byte| byte == b':');
    let colon = colon.ok_or(Refusal::BadRequest)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let is_of_value = |&byte: &u8| byte == b'\t' || byte >= b' ' && byte != 0x7f;
    if !is_token(name) || !value.iter().all(is_of_value) {
        return Err(Refusal::BadRequest);
    }
    let name = str::from_utf8(name).map_err(|_| Refusal::BadRequest)?;
    Ok((name, value))
}

/// RFC 9110, 5.6.2.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_of_token)
}
