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

/// A proxy's answer to a CONNECT, all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) status: u16,
    /// It has a Content-Length or a Transfer-Encoding, which it must not have.
    pub(crate) is_framed: bool,
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
            let Some((length, body)) = parse(&self.head, body)? else {
                return Ok(None);
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

    /// The same for the answer to a CONNECT, behind which nothing may come yet.
    pub(crate) fn take_opened(&mut self, bytes: &[u8]) -> Result<Option<Opened>, Bad> {
        self.head.extend_from_slice(bytes);
        let Some((length, opened)) = parse(&self.head, opened)? else {
            return Ok(None);
        };
        if opened.status == 200 && !opened.is_framed && length < self.head.len() {
            return Err(Bad);
        }
        self.head.clear();
        Ok(Some(opened))
    }
}

/// The length of a head, and what it says; none if it is not complete.
fn parse<T>(
    head: &[u8],
    says: impl FnOnce(&httparse::Response) -> Result<T, Bad>,
) -> Result<Option<(usize, T)>, Bad> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(head).map_err(|_| Bad)? {
        httparse::Status::Complete(length) => Ok(Some((length, says(&response)?))),
        httparse::Status::Partial if head.len() < MOST_HEAD_BYTES => Ok(None),
        httparse::Status::Partial => Err(Bad),
    }
}

fn value<'a>(response: &'a httparse::Response, name: &str) -> Option<&'a str> {
    let mut headers = response.headers.iter();
    let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
    str::from_utf8(header.value).ok()
}

/// The body that follows a head.
fn body(response: &httparse::Response) -> Result<Body, Bad> {
    let left = value(response, "content-length").and_then(|length| length.trim().parse().ok());
    let closes =
        value(response, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok(Body {
        left: left.ok_or(Bad)?,
        bytes: 0,
        crc: crc32fast::Hasher::new(),
        status: response.code.ok_or(Bad)?,
        closes: closes || response.version == Some(0),
    })
}

fn opened(response: &httparse::Response) -> Result<Opened, Bad> {
    let has = |name: &str| value(response, name).is_some();
    Ok(Opened {
        status: response.code.ok_or(Bad)?,
        is_framed: has("content-length") || has("transfer-encoding"),
    })
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
    fn an_answer_to_connect_ends_with_its_head() {
        let mut answer = Answer::default();
        assert_eq!(
            answer.take_opened(b"HTTP/1.1 200 OK\r\nVia: x\r\n"),
            Ok(None)
        );
        let right = Opened {
            status: 200,
            is_framed: false,
        };
        assert_eq!(answer.take_opened(b"\r\n"), Ok(Some(right)));
        // What comes then is an answer like any other.
        assert!(matches!(answer.take(ANSWER), Ok(Some(_))));
        for (bytes, opened) in [
            ("HTTP/1.1 200 OK\r\n\r\n ", Err(Bad)),
            ("SSH-2.0-x\r\n\r\n", Err(Bad)),
            (
                "HTTP/1.0 200 OK\r\ntransfer-encoding: x\r\n\r\n",
                Ok(Some(Opened {
                    status: 200,
                    is_framed: true,
                })),
            ),
            (
                "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno",
                Ok(Some(Opened {
                    status: 403,
                    is_framed: true,
                })),
            ),
        ] {
            assert_eq!(Answer::default().take_opened(bytes.as_bytes()), opened);
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
