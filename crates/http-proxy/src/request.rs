//! What a client asks, and what of it goes to the upstream.

use std::io::Write;

use http_head::{Framing, Head, Length, RequestLine, is_authority};

use crate::fields::{Fields, put};
use crate::refusal::own;
use crate::{Authority, Message, Refusal};

/// Methods that change nothing, or change the same when a request comes twice (RFC 9110, 9.2.2).
const IDEMPOTENT: [&[u8]; 6] = [b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"];

/// A request to be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    upstream: Authority,
    method: Vec<u8>,
    /// For the upstream, without `Connection` and the empty line.
    head: Vec<u8>,
    length: Length,
    minor: u8,
    keeps_connection: bool,
    /// Whether it goes no further (RFC 9110, 7.6.2).
    is_for_proxy: bool,
}

impl Request {
    /// Where it goes.
    pub fn upstream(&self) -> &Authority {
        &self.upstream
    }

    /// Whether a tunnel is asked for.
    pub fn is_connect(&self) -> bool {
        self.method == b"CONNECT"
    }

    /// Whether only the head of the response is wanted.
    pub fn is_head(&self) -> bool {
        self.method == b"HEAD"
    }

    /// Whether it has a body, which is to be sent on while responses are awaited.
    pub fn has_body(&self) -> bool {
        self.length != Length::Bytes(0)
    }

    /// Whether it may go over a connection that the upstream may have closed. If that shows, it
    /// has to be sent once more, and not every request may be (RFC 9110, 9.2.2).
    pub fn may_use_kept(&self) -> bool {
        IDEMPOTENT.contains(&self.method.as_slice()) && !self.has_body()
    }

    /// What is sent to the upstream. It is told whether the connection is closed after this.
    pub fn message(&self, reuse: bool) -> Message {
        let mut head = Vec::with_capacity(self.head.len() + 24);
        head.extend_from_slice(&self.head);
        head.extend_from_slice(match reuse {
            true => b"\r\n",
            false => b"Connection: close\r\n\r\n",
        });
        Message::new(head, self.length, self.length == Length::Chunked)
    }

    /// The answer, if the proxy is the one that has to give it: `OPTIONS` or `TRACE`, when
    /// `Max-Forwards` says that they go no further.
    pub fn own_answer(&self) -> Option<Vec<u8>> {
        self.is_for_proxy.then(|| match self.method.as_slice() {
            b"OPTIONS" => own("200 OK", 0, Some(self)),
            _ => Refusal::MethodNotAllowed.answer(Some(self)),
        })
    }

    /// Whether the client's connection is to be kept after an answer of the proxy's own. With a
    /// body it is not: that would be taken for the next request.
    pub fn keeps_connection(&self) -> bool {
        self.keeps_connection && !self.has_body()
    }

    /// Lets the client's connection be closed after the answer, whatever was asked for.
    pub fn close_connection(&mut self) {
        self.keeps_connection = false;
    }

    /// Whether the client wants its connection to be kept.
    pub(crate) fn wants_connection(&self) -> bool {
        self.keeps_connection
    }

    pub(crate) fn minor(&self) -> u8 {
        self.minor
    }
}

/// A request of which some lines were read.
#[derive(Debug)]
pub struct Partial {
    method: Vec<u8>,
    upstream: Authority,
    /// What the upstream is asked for.
    target: Vec<u8>,
    host: Vec<u8>,
    minor: u8,
    has_host: bool,
    framing: Framing,
    fields: Fields,
}

impl Head for Partial {
    type Whole = Request;
    type Refusal = Refusal;

    fn begin(line: &[u8]) -> Result<Self, Refusal> {
        let RequestLine {
            method,
            target,
            minor,
        } = RequestLine::read(line)?;
        let (upstream, host, target) = match method {
            b"CONNECT" => (Authority::read(target, None)?, target, &[][..]),
            _ => absolute(target)?,
        };
        // What a target without a path means to OPTIONS is the server (RFC 9112, 3.2.4).
        let target = match (method, target.first()) {
            (b"OPTIONS", None) => b"*".to_vec(),
            (_, Some(b'/')) => target.to_vec(),
            _ => [b"/", target].concat(),
        };
        Ok(Self {
            method: method.to_vec(),
            upstream,
            target,
            host: host.to_vec(),
            minor,
            has_host: false,
            framing: Framing::default(),
            fields: Fields::default(),
        })
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let (name, value) = self.fields.take(line)?;
        if name.eq_ignore_ascii_case(b"host") {
            // Exactly one (RFC 9112, 3.2), which is then passed over (3.2.2).
            if self.has_host || !is_authority(value) {
                return Err(Refusal::BadRequest);
            }
            self.has_host = true;
        }
        self.framing.field(name, value)?;
        Ok(())
    }

    fn whole(self) -> Result<Request, Refusal> {
        if !self.has_host && self.minor > 0 {
            return Err(Refusal::BadRequest);
        }
        let length = self.framing.of_request(self.minor)?;
        if self.method == b"CONNECT" && length != Length::Bytes(0) {
            return Err(Refusal::BadRequest);
        }
        let is_limited = [&b"OPTIONS"[..], b"TRACE"].contains(&self.method.as_slice());
        let forwards = match self.fields.get(b"max-forwards") {
            Some(value) if is_limited => Some(number(value).ok_or(Refusal::BadRequest)?),
            _ => None,
        };
        // `Proxy-Connection` is what some clients still say to a proxy (RFC 9112, C.2.2); only
        // what it could do no harm with is read: to close.
        let says_close = self.fields.connection_names(b"close")
            || (self.fields.options(b"proxy-connection"))
                .any(|option| option.eq_ignore_ascii_case(b"close"));
        Ok(Request {
            head: self.head(length, forwards),
            upstream: self.upstream,
            method: self.method,
            length,
            minor: self.minor,
            // A proxy keeps none of HTTP/1.0, whatever it says (RFC 9112, 9.3).
            keeps_connection: !says_close && self.minor > 0,
            is_for_proxy: forwards == Some(0),
        })
    }

    /// A body may follow any.
    fn is_last(_: &Request) -> bool {
        false
    }
}

impl Partial {
    /// The head for the upstream: see [`Request`].
    fn head(&self, length: Length, forwards: Option<u64>) -> Vec<u8> {
        let mut head = Vec::with_capacity(512);
        head.extend_from_slice(&self.method);
        head.push(b' ');
        head.extend_from_slice(&self.target);
        head.extend_from_slice(b" HTTP/1.1\r\n");
        put(&mut head, b"Host", &self.host);
        match forwards {
            Some(forwards) => {
                self.fields.pass_on(&mut head, &[b"max-forwards"]);
                // Writing to a vector cannot fail.
                let _ = write!(head, "Max-Forwards: {}\r\n", forwards.saturating_sub(1));
            }
            None => self.fields.pass_on(&mut head, &[]),
        }
        match (length, self.framing.content_length()) {
            (Length::Chunked, _) => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            (_, Some(bytes)) => {
                let _ = write!(head, "Content-Length: {bytes}\r\n");
            }
            (_, None) => {}
        }
        self.fields.put_via(&mut head, self.minor);
        head
    }
}

/// The parts of a target in absolute form (RFC 9112, 3.2.2): where it goes, that as it was
/// written, and the path with the query.
fn absolute(target: &[u8]) -> Result<(Authority, &[u8], &[u8]), Refusal> {
    let begins = |scheme: &[u8]| {
        let begin = target.get(..scheme.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    if begins(b"https://") {
        // The proxy would have to end the client's TLS: that is what CONNECT is for.
        return Err(Refusal::NotImplemented);
    }
    if !begins(b"http://") || target.contains(&b'#') {
        return Err(Refusal::BadRequest);
    }
    let rest = &target[b"http://".len()..];
    let path = rest.iter().position(|byte| b"/?".contains(byte));
    let (authority, path) = rest.split_at(path.unwrap_or(rest.len()));
    Ok((Authority::read(authority, Some(80))?, authority, path))
}

fn number(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}
