//! In which pieces the bytes of a connection come changes nothing.

mod pieces;

use http_serve::{Refusal, Requests};
use pieces::read;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// What requests are made of, and what they are not made of.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    const WHOLE: &[&str] = &[
        "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a/?b HTTP/1.1\r\nHost: a:80\r\nRange: bytes=0-1\r\nIf-None-Match: \"a\"\r\n\r\n",
        "HEAD http://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "\r\n",
    ];
    const PARTS: &[&str] = &[
        "GET / HTTP/1.1\r\n",
        "Host: a\r\n",
        "\r",
        "\n",
        "\r\n",
        " ",
        ":",
        "/",
        "%",
        "\0",
        "GET ",
        "HTTP/2.0",
        "Content-Length: 1\r\n",
    ];
    let filler = (0..40_000_usize).prop_map(|bytes| "x".repeat(bytes));
    let fields = (0..120_usize).prop_map(|fields| "A: b\r\n".repeat(fields));
    let part = prop_oneof![
        12 => select(WHOLE).prop_map(str::to_owned),
        6 => select(PARTS).prop_map(str::to_owned),
        1 => filler,
        1 => fields,
    ];
    vec(part, 0..12).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #[test]
    fn pieces_change_nothing(
        bytes in stream(),
        ends in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut ends: Vec<_> = ends.iter().map(|end| end.index(bytes.len() + 1)).collect();
        ends.sort_unstable();
        let whole = read(&bytes, &[]);
        prop_assert_eq!(&read(&bytes, &ends), &whole);
        let single: Vec<_> = (0..bytes.len()).collect();
        prop_assert_eq!(&read(&bytes, &single), &whole);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let single: Vec<_> = (0..bytes.len()).collect();
        prop_assert_eq!(read(&bytes, &single), read(&bytes, &[]));
    }
}

#[test]
fn an_idle_connection_takes_little() {
    let mut requests = Requests::default();
    assert_eq!(requests.room().len(), 1024);
    let head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let mut at = 0;
    while at < head.len() {
        let room = requests.room();
        let count = room.len().min(head.len() - at);
        room[..count].copy_from_slice(&head.as_bytes()[at..at + count]);
        requests.filled(count);
        at += count;
        assert_eq!(requests.next().is_some(), at == head.len());
    }
    assert_eq!(requests.room().len(), 1024);
}

#[test]
fn a_limit_is_where_it_is_said() {
    let line = |bytes: usize| {
        let target = "x".repeat(bytes - "GET / HTTP/1.1".len());
        format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n")
    };
    let head = |bytes: usize| {
        let begin = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
        format!("{begin}{}\r\n\r\n", "x".repeat(bytes - begin.len() - 4))
    };
    let fields = |fields: usize| {
        let more = "A: b\r\n".repeat(fields - 1);
        format!("GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n")
    };
    for (text, refusal) in [
        (line(8192), None),
        (line(8193), Some(Refusal::UriTooLong)),
        (head(32_768), None),
        (head(32_769), Some(Refusal::HeadTooLarge)),
        (fields(100), None),
        (fields(101), Some(Refusal::HeadTooLarge)),
    ] {
        let (read, _) = read(text.as_bytes(), &[]);
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].as_ref().err(), refusal.as_ref());
    }
}
