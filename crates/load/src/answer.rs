//! One answer, as it comes in pieces: its head, and its body's length and CRC-32.

/// The longest head that is read, in bytes.
const MOST_HEAD_BYTES: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;

/// What has come of an answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    head: Vec<u8>,
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    left: u64,
    bytes: u64,
    crc: crc32fast::Hasher,
    status: u16,
    closes: bool,
}

/// A whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    /// Of the body.
    pub(crate) bytes: u64,
    /// Of the body.
    pub(crate) crc32: u32,
    /// The server closes the connection after it.
    pub(crate) closes: bool,
}

/// An answer that the generator does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bad;

impl Answer {
    /// Takes what has come. Gives the answer when it is whole; more than that is [`Bad`], as
    /// nothing was asked for.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<Option<Whole>, Bad> {
        if self.body.is_none() {
            let before = self.head.len();
            self.head.extend_from_slice(bytes);
            let Some((length, body)) = parse(&self.head)? else {
                return match self.head.len() < MOST_HEAD_BYTES {
                    true => Ok(None),
                    false => Err(Bad),
                };
            };
            bytes = &bytes[length - before..];
            self.body = Some(body);
        }
        let body = self.body.as_mut().ok_or(Bad)?;
        body.left = body.left.checked_sub(bytes.len() as u64).ok_or(Bad)?;
        body.bytes += bytes.len() as u64;
        body.crc.update(bytes);
        if body.left > 0 {
            return Ok(None);
        }
        let whole = Whole {
            status: body.status,
            bytes: body.bytes,
            crc32: body.crc.clone().finalize(),
            closes: body.closes,
        };
        self.head.clear();
        self.body = None;
        Ok(Some(whole))
    }
}

/// The length of a head, and the body that follows; none if it is not complete.
fn parse(head: &[u8]) -> Result<Option<(usize, Body)>, Bad> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(head).map_err(|_| Bad)? else {
        return Ok(None);
    };
    let value = |name: &str| {
        let mut headers = response.headers.iter();
        let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
        str::from_utf8(header.value).ok()
    };
    let left = value("content-length").and_then(|length| length.trim().parse().ok());
    let closes = value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let body = Body {
        left: left.ok_or(Bad)?,
        bytes: 0,
        crc: crc32fast::Hasher::new(),
        status: response.code.ok_or(Bad)?,
        closes: closes || response.version == Some(0),
    };
    Ok(Some((length, body)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

    proptest! {
        #[test]
        fn it_is_the_same_in_any_pieces(cuts in prop::collection::vec(0..ANSWER.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.extend([0, ANSWER.len()]);
            cuts.sort_unstable();
            let mut answer = Answer::default();
            let mut whole = None;
            for pair in cuts.windows(2) {
                prop_assert_eq!(whole, None);
                whole = answer.take(&ANSWER[pair[0]..pair[1]]).expect("good");
            }
            let right = Whole { status: 200, bytes: 5, crc32: crc32fast::hash(b"hello"), closes: true };
            prop_assert_eq!(whole, Some(right));
        }
    }

    #[test]
    fn what_is_no_answer_is_bad() {
        for bytes in [
            b"SSH-2.0-x\r\n\r\n".as_slice(),
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc",
            &[b'a'; MOST_HEAD_BYTES],
        ] {
            assert_eq!(Answer::default().take(bytes), Err(Bad), "{bytes:?}");
        }
    }
}
