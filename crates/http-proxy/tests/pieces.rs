//! In which pieces the bytes of a connection come changes nothing of what goes on to the other.

use http_proxy::{Broken, Message, Refusal, Request, Requests, Responses};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A message as its recipient reads it.
#[derive(Debug, PartialEq, Eq)]
struct Passed {
    head: String,
    body: Vec<u8>,
    /// How it has ended; none if more has to come.
    end: Option<Result<(), Broken>>,
}

/// What goes on, in the order in which it does.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Passed(Passed),
    Refused(Refusal),
}

/// Bytes, as a connection brings them: in pieces that end there.
struct Pieces<'a> {
    bytes: &'a [u8],
    at: usize,
    ends: &'a [usize],
}

impl<'a> Pieces<'a> {
    fn new(bytes: &'a [u8], ends: &'a [usize]) -> Self {
        Self { bytes, at: 0, ends }
    }

    /// Reads as a socket does: nothing at the end.
    fn read(&mut self, room: &mut [u8]) -> usize {
        let next = self.ends.iter().find(|end| **end > self.at);
        let end = next.copied().unwrap_or(self.bytes.len());
        let count = room.len().min(end - self.at);
        room[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        count
    }
}

/// Passes a message on to its end.
fn pass(
    mut message: Message,
    received: &mut http_head::Received,
    from: &mut Pieces<'_>,
) -> (Passed, Message) {
    let mut written = Vec::new();
    let end = loop {
        let taken = message.take(received);
        written.extend_from_slice(message.bytes());
        if let Err(broken) = taken {
            break Some(Err(broken));
        }
        if message.is_whole() {
            break Some(Ok(()));
        }
        message.written();
        match from.read(message.room(received)) {
            0 => match message.end() {
                Ok(()) => {}
                Err(broken) => break Some(Err(broken)),
            },
            read => received.filled(read),
        }
    };
    (as_read(&written, end), message)
}

/// Splits a head from its body, and takes that out of its chunks: these may be others.
fn as_read(written: &[u8], end: Option<Result<(), Broken>>) -> Passed {
    let at = written.windows(4).position(|four| four == b"\r\n\r\n");
    // An interim response to HTTP/1.0 is dropped.
    let (head, body) = written.split_at(at.map_or(0, |at| at + 4));
    let head = String::from_utf8_lossy(head).into_owned();
    // The time of a run is no part of it.
    let head = head.lines().filter(|line| !line.starts_with("Date: "));
    let head: String = head.map(|line| format!("{line}\n")).collect();
    let body = match head.contains("\nTransfer-Encoding: chunked\n") {
        true => unchunked(body, end == Some(Ok(()))),
        false => body.to_vec(),
    };
    Passed { head, body, end }
}

fn unchunked(mut chunks: &[u8], is_whole: bool) -> Vec<u8> {
    let mut body = Vec::new();
    while !chunks.is_empty() {
        let at = chunks
            .windows(2)
            .position(|two| two == b"\r\n")
            .expect("a length");
        let (length, rest) = chunks.split_at(at);
        let length = usize::from_str_radix(str::from_utf8(length).expect("text"), 16);
        let length = length.expect("a length");
        let (data, rest) = rest[2..].split_at(length);
        body.extend_from_slice(data);
        chunks = rest.strip_prefix(b"\r\n").expect("the end of a chunk");
        if length == 0 {
            assert!(is_whole && chunks.is_empty(), "the last chunk is the last");
            return body;
        }
    }
    assert!(!is_whole, "a last chunk");
    body
}

/// What a proxy sends on of a client's bytes, if each request is answered.
fn requests(bytes: &[u8], ends: &[usize]) -> Vec<Event> {
    let (mut requests, mut events) = (Requests::default(), Vec::new());
    let mut from = Pieces::new(bytes, ends);
    loop {
        match requests.next() {
            Some(Ok(request)) => {
                let (passed, message) = pass(request.message(true), requests.received(), &mut from);
                let ends = !message.is_whole();
                events.push(Event::Passed(passed));
                if ends {
                    return events;
                }
            }
            Some(Err(refusal)) => {
                events.push(Event::Refused(refusal));
                return events;
            }
            None => match from.read(requests.room()) {
                0 => return events,
                read => requests.filled(read),
            },
        }
    }
}

/// What a proxy sends back of an upstream's bytes, up to the final response; and whether the
/// two connections are kept.
fn responses(request: &Request, bytes: &[u8], ends: &[usize]) -> (Vec<Event>, [bool; 2]) {
    let (mut responses, mut events) = (Responses::default(), Vec::new());
    let mut from = Pieces::new(bytes, ends);
    loop {
        match responses.next(request, true) {
            Some(Ok(mut response)) => {
                let message = std::mem::replace(&mut response.message, Message::tunnel());
                let (passed, message) = pass(message, responses.received(), &mut from);
                response.message = message;
                events.push(Event::Passed(passed));
                if response.is_final() {
                    let kept = responses.may_be_kept(&response);
                    return (events, [response.keeps_client(), kept]);
                }
            }
            Some(Err(refusal)) => {
                events.push(Event::Refused(refusal));
                return (events, [false; 2]);
            }
            None => match from.read(responses.room()) {
                0 => return (events, [false; 2]),
                read => responses.filled(read),
            },
        }
    }
}

const WHOLE_REQUESTS: &[&str] = &[
    "GET http://a/b HTTP/1.1\r\nHost: c\r\nConnection: x, keep-alive\r\nX: 1\r\nY: 2\r\n\r\n",
    "POST http://a:81 HTTP/1.1\r\nHost: a\r\nVia: 1.0 b, 1.1 c\r\nContent-Length: 3\r\n\r\nabc",
    "PUT http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
     3;x=\"y\"\r\nabc\r\n00a\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
    "OPTIONS http://a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\n\r\n",
    "GET http://a/ HTTP/1.0\r\n\r\n",
];

const WHOLE_RESPONSES: &[&str] = &[
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nKeep-Alive: 1\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
    "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
];

const PARTS: &[&str] = &[
    "Content-Length: 1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "HTTP/1.1 200\r\n",
    "GET http://a/ HTTP/1.1\r\n",
    "Host: a\r\n",
    "\r\n",
    "\r",
    "\n",
    "0",
    "5\r\n",
    ";",
    " ",
    ":",
    "\0",
];

/// What messages are made of, and what they are not made of.
fn stream(whole: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        6 => select(whole).prop_map(str::to_owned),
        3 => select(PARTS).prop_map(str::to_owned),
        1 => (0..70_000_usize).prop_map(|bytes| "x".repeat(bytes)),
    ];
    vec(part, 0..8).prop_map(|parts| parts.concat().into_bytes())
}

fn request(text: &str) -> Request {
    let mut requests = Requests::default();
    let mut from = Pieces::new(text.as_bytes(), &[]);
    let read = from.read(requests.room());
    requests.filled(read);
    requests.next().expect("a request").expect("a good one")
}

fn sorted(ends: &[Index], bytes: &[u8]) -> Vec<usize> {
    let mut ends: Vec<_> = ends.iter().map(|end| end.index(bytes.len() + 1)).collect();
    ends.sort_unstable();
    ends
}

proptest! {
    #[test]
    fn pieces_of_requests_change_nothing(
        bytes in stream(WHOLE_REQUESTS),
        ends in vec(any::<Index>(), 0..12),
    ) {
        let whole = requests(&bytes, &[]);
        prop_assert_eq!(&requests(&bytes, &sorted(&ends, &bytes)), &whole);
        let single: Vec<_> = (0..bytes.len()).collect();
        prop_assert_eq!(&requests(&bytes, &single), &whole);
    }

    #[test]
    fn pieces_of_responses_change_nothing(
        bytes in stream(WHOLE_RESPONSES),
        ends in vec(any::<Index>(), 0..12),
        head in any::<bool>(),
        old in any::<bool>(),
    ) {
        let (method, version) = (if head { "HEAD" } else { "GET" }, u8::from(!old));
        let asked = format!("{method} http://a/ HTTP/1.{version}\r\nHost: a\r\n\r\n");
        let asked = request(&asked);
        let (whole, keeps) = responses(&asked, &bytes, &[]);
        let (pieces, as_well) = responses(&asked, &bytes, &sorted(&ends, &bytes));
        prop_assert_eq!(&pieces, &whole);
        prop_assert_eq!(as_well[0], keeps[0]);
        let single: Vec<_> = (0..bytes.len()).collect();
        prop_assert_eq!(&responses(&asked, &bytes, &single).0, &whole);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let single: Vec<_> = (0..bytes.len()).collect();
        prop_assert_eq!(requests(&bytes, &single), requests(&bytes, &[]));
    }
}

/// The head that goes on, and the body.
fn passed(events: &[Event]) -> (&str, &[u8]) {
    match events {
        [.., Event::Passed(Passed { head, body, end })] => {
            assert_eq!(*end, Some(Ok(())));
            (head, body)
        }
        events => panic!("{events:?}"),
    }
}

#[test]
fn what_an_upstream_is_sent() {
    for (asked, sent) in [
        (
            WHOLE_REQUESTS[0],
            "GET /b HTTP/1.1\nHost: a\nY: 2\nVia: 1.1 paces\n\n",
        ),
        (
            WHOLE_REQUESTS[1],
            "POST / HTTP/1.1\nHost: a:81\nContent-Length: 3\nVia: 1.0 b, 1.1 c, 1.1 paces\n\n",
        ),
        (
            WHOLE_REQUESTS[2],
            "PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nVia: 1.1 paces\n\n",
        ),
        (
            WHOLE_REQUESTS[3],
            "OPTIONS * HTTP/1.1\nHost: a\nMax-Forwards: 6\nVia: 1.1 paces\n\n",
        ),
        (
            WHOLE_REQUESTS[4],
            "GET / HTTP/1.1\nHost: a\nVia: 1.0 paces\n\n",
        ),
        (
            "GET http://a?b HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nUpgrade: h2c\r\n\
             Proxy-Authorization: x\r\nKeep-Alive: 1\r\nTrailer: x\r\nProxy-Connection: a\r\n\r\n",
            "GET /?b HTTP/1.1\nHost: a\nVia: 1.1 paces\n\n",
        ),
    ] {
        assert_eq!(passed(&requests(asked.as_bytes(), &[])).0, sent);
    }
    let body = requests(WHOLE_REQUESTS[2].as_bytes(), &[]);
    assert_eq!(passed(&body).1, b"abc0123456789");
}

#[test]
fn what_is_refused() {
    for (line, refusal) in [
        ("GET / HTTP/1.1", Refusal::BadRequest),
        ("GET https://a/ HTTP/1.1", Refusal::NotImplemented),
        ("GET http://b@a/ HTTP/1.1", Refusal::BadRequest),
        ("GET http://a/#b HTTP/1.1", Refusal::BadRequest),
        ("GET http:/// HTTP/1.1", Refusal::BadRequest),
        ("GET ftp://a/ HTTP/1.1", Refusal::BadRequest),
        ("CONNECT a HTTP/1.1", Refusal::BadRequest),
        ("CONNECT http://a:1 HTTP/1.1", Refusal::BadRequest),
        ("GET http://a/ HTTP/2.0", Refusal::VersionNotSupported),
    ] {
        let text = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(
            requests(text.as_bytes(), &[]),
            [Event::Refused(refusal)],
            "{line}"
        );
    }
    for (fields, refusal) in [
        (
            "Content-Length: 1\r\nContent-Length: 1",
            Refusal::BadRequest,
        ),
        (
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            Refusal::BadRequest,
        ),
        ("Transfer-Encoding: chunked, gzip", Refusal::BadRequest),
        ("Transfer-Encoding: gzip, chunked", Refusal::NotImplemented),
        ("Max-Forwards: x", Refusal::BadRequest),
    ] {
        let text = format!("TRACE http://a/ HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        assert_eq!(
            requests(text.as_bytes(), &[]),
            [Event::Refused(refusal)],
            "{fields}"
        );
    }
}

#[test]
fn what_a_client_is_sent() {
    let asked = request("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n");
    let old = request("GET http://a/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let chunked = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nVia: 1.1 paces\n\n";
    for (asked, response, head, body, keeps) in [
        (
            &asked,
            WHOLE_RESPONSES[2],
            "HTTP/1.1 200 OK\nContent-Length: 3\nVia: 1.1 paces\n\n",
            "abc",
            [true, true],
        ),
        (&asked, WHOLE_RESPONSES[3], chunked, "abc", [true, true]),
        (
            &asked,
            WHOLE_RESPONSES[4],
            chunked,
            "until the end",
            [true, false],
        ),
        (
            &old,
            WHOLE_RESPONSES[3],
            "HTTP/1.1 200 OK\nVia: 1.1 paces\nConnection: close\n\n",
            "abc",
            [false, true],
        ),
        (
            &old,
            WHOLE_RESPONSES[5],
            "HTTP/1.1 200 OK\nContent-Length: 1\nVia: 1.0 paces\nConnection: close\n\n",
            "a",
            [false, false],
        ),
        (
            &asked,
            WHOLE_RESPONSES[6],
            "HTTP/1.1 204 No Content\nVia: 1.1 paces\n\n",
            "",
            [true, false],
        ),
    ] {
        let (events, kept) = responses(asked, response.as_bytes(), &[]);
        assert_eq!(passed(&events), (head, body.as_bytes()));
        assert_eq!(kept, keeps, "{response}");
    }
    for response in [
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    ] {
        let (events, _) = responses(&asked, response.as_bytes(), &[]);
        assert_eq!(events, [Event::Refused(Refusal::BadGateway)], "{response}");
    }
}

#[test]
fn bodies_that_could_be_read_in_two_ways_are_broken() {
    let asked = request("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n");
    for (body, broken) in [
        ("3\nabc\r\n0\r\n\r\n", Broken::Malformed),
        ("3\r\nabc0\r\n\r\n", Broken::Malformed),
        ("3 \r\nabcd\r\n0\r\n\r\n", Broken::Malformed),
        ("0x3\r\nabc\r\n0\r\n\r\n", Broken::Malformed),
        ("+3\r\nabc\r\n0\r\n\r\n", Broken::Malformed),
        ("\r\nabc\r\n0\r\n\r\n", Broken::Malformed),
        ("10000000000000003\r\nabc\r\n0\r\n\r\n", Broken::Malformed),
        ("3;a\nb\r\nabc\r\n0\r\n\r\n", Broken::Malformed),
        ("0\r\nT: 1\n\r\n", Broken::Malformed),
        ("3\r\nab", Broken::Cut),
        ("3\r\nabc\r\n0\r\n", Broken::Cut),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let (events, kept) = responses(&asked, text.as_bytes(), &[]);
        match &events[..] {
            [Event::Passed(passed)] => assert_eq!(passed.end, Some(Err(broken)), "{body:?}"),
            events => panic!("{events:?}"),
        }
        assert!(!kept[1], "{body:?}");
    }
}
