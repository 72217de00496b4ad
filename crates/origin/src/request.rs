//! Requests, as they are read from a connection.

use std::io::{self, Read, Write};

use crate::refusal::Refusal;

/// The largest head, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The largest body, in bytes. A [`Shape`](crate::Shape) needs a hundred.
const MAX_BODY: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;

/// How the path of every fault begins.
pub(crate) const FAULT: &str = "/fault/";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Delete,
    Other,
}

/// A request: what of it the origin looks at.
pub(crate) struct Request {
    pub method: Method,
    /// The path alone, without scheme, host and query.
    pub path: String,
    /// What follows the path's `?`.
    pub query: Option<String>,
    /// All headers, the names lowercased, as they came; only where a fault is
    /// asked for, as nothing else looks at them.
    pub headers: Vec<(String, String)>,
    pub http_1_0: bool,
    /// The connection ends with this request's answer.
    pub close: bool,
    pub range: Option<String>,
    pub if_range: Option<String>,
    pub if_none_match: Option<String>,
    pub if_modified_since: Option<String>,
    pub body: Vec<u8>,
}

/// Why there is no request.
pub(crate) enum Failure {
    /// The client is to be told, and the connection ends.
    Refused(Refusal),
    /// The connection is no more.
    Lost,
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Failure {
        Failure::Lost
    }
}

fn malformed(reason: impl ToString) -> Failure {
    Failure::Refused(Refusal::new(400, reason.to_string()))
}

/// Reads one request after another; what a client sends ahead waits in the buffer.
#[derive(Default)]
pub(crate) struct Requests {
    buffer: Vec<u8>,
}

impl Requests {
    /// The next request; none when the client has no more.
    pub(crate) fn next(
        &mut self,
        stream: &mut (impl Read + Write),
    ) -> Result<Option<Request>, Failure> {
        loop {
            if let Some((head, mut request)) = parse(&self.buffer)? {
                self.buffer.drain(..head.bytes);
                if head.expects_continue && self.buffer.len() < head.body {
                    stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                }
                while self.buffer.len() < head.body {
                    if self.fill(stream)? == 0 {
                        return Err(malformed("the request ends in the middle of its body"));
                    }
                }
                request.body = self.buffer.drain(..head.body).collect();
                return Ok(Some(request));
            }
            if self.buffer.len() >= MAX_HEAD {
                return Err(malformed(format!("the head is over {MAX_HEAD} bytes")));
            }
            if self.fill(stream)? == 0 {
                return match self.buffer[..] {
                    [] => Ok(None),
                    _ => Err(malformed("the request ends in the middle of its head")),
                };
            }
        }
    }

    fn fill(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        // On the stack, and so not held by the thousands of idle connections.
        let mut chunk = [0; 8 * 1024];
        loop {
            match stream.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    self.buffer.extend_from_slice(&chunk[..read]);
                    return Ok(read);
                }
            }
        }
    }
}

/// The framing of a request.
struct Head {
    bytes: usize,
    body: usize,
    expects_continue: bool,
}

/// The request at the start of `buffer`, its body not yet read; none if the
/// buffer ends before its head does.
fn parse(buffer: &[u8]) -> Result<Option<(Head, Request)>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let bytes = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(bytes)) if bytes > MAX_HEAD => {
            return Err(malformed(format!("the head is over {MAX_HEAD} bytes")));
        }
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(malformed(error)),
    };
    // All are present in a complete head.
    let http_1_0 = parsed.version == Some(0);
    let method = match parsed.method.unwrap_or_default() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "DELETE" => Method::Delete,
        _ => Method::Other,
    };
    let (path, query) = path(parsed.path.unwrap_or_default())
        .ok_or_else(|| malformed("the target is neither a path nor an http URL"))?;
    let mut head = Head {
        bytes,
        body: 0,
        expects_continue: false,
    };
    let mut request = Request {
        method,
        path: path.to_owned(),
        query: query.map(str::to_owned),
        headers: Vec::new(),
        http_1_0,
        close: false,
        range: None,
        if_range: None,
        if_none_match: None,
        if_modified_since: None,
        body: Vec::new(),
    };
    let (mut hosts, mut length) = (0, None);
    let (mut close, mut keep_alive) = (false, !http_1_0);
    for header in parsed.headers.iter() {
        let value = String::from_utf8_lossy(header.value);
        if request.path.starts_with(FAULT) {
            let name = header.name.to_ascii_lowercase();
            request.headers.push((name, value.clone().into_owned()));
        }
        let is = |name| header.name.eq_ignore_ascii_case(name);
        let lists = |token| {
            value
                .split(',')
                .any(|item| item.trim().eq_ignore_ascii_case(token))
        };
        if is("host") {
            hosts += 1;
        } else if is("connection") {
            close |= lists("close");
            keep_alive |= lists("keep-alive");
        } else if is("content-length") {
            // Digits only: parse alone would let "+5" pass, and two lengths
            // that differ would let a proxy and us see different requests.
            let digits = value.bytes().all(|byte| byte.is_ascii_digit());
            let bytes = value.parse::<u64>().ok().filter(|_| digits);
            if bytes.is_none() || length.is_some_and(|length| Some(length) != bytes) {
                return Err(malformed(format!("Content-Length is {value:?}")));
            }
            length = bytes;
        } else if is("transfer-encoding") {
            let reason = "bodies need a Content-Length here, and no Transfer-Encoding";
            return Err(Failure::Refused(Refusal::new(411, reason.to_owned())));
        } else if is("expect") {
            head.expects_continue = !http_1_0 && value.eq_ignore_ascii_case("100-continue");
        } else if is("range") {
            request.range = Some(value.into_owned());
        } else if is("if-range") {
            request.if_range = Some(value.into_owned());
        } else if is("if-none-match") {
            request.if_none_match = Some(value.into_owned());
        } else if is("if-modified-since") {
            request.if_modified_since = Some(value.into_owned());
        }
    }
    request.close = close || !keep_alive;
    if hosts > 1 || (hosts == 0 && !http_1_0) {
        return Err(malformed(format!(
            "{hosts} Host headers: HTTP/1.1 asks for one"
        )));
    }
    head.body = usize::try_from(length.unwrap_or(0))
        .ok()
        .filter(|&length| length <= MAX_BODY)
        .ok_or_else(|| {
            Failure::Refused(Refusal::new(
                413,
                format!("a body has at most {MAX_BODY} bytes here"),
            ))
        })?;
    Ok(Some((head, request)))
}

/// The path and the query of a request target, which clients may also send as a
/// whole URL.
fn path(target: &str) -> Option<(&str, Option<&str>)> {
    let rest = target
        .strip_prefix("http://")
        .or_else(|| target.strip_prefix("https://"));
    let path = match rest {
        Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    };
    let path = path.split('#').next()?;
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(path, query)| (path, Some(query)));
    path.starts_with('/').then_some((path, query))
}
