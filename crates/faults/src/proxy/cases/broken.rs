//! Answers that are none, or that two recipients could read differently.

use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::case;
use crate::check::{Wrong, wrong};
use crate::conformance::case::Case;
use crate::conformance::expect::answer;
use crate::conformance::peer::End;
use crate::proxy::run::{OK, Proxy, get, ok, post, request};
use crate::proxy::upstream::one_hop;

const LINE: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

pub(super) fn all() -> Vec<Case> {
    vec![
        case(
            [
                "garbage",
                "RFC 9112, 4",
                "an answer whose first line is none, or of another protocol",
                "502",
            ],
            garbage,
        ),
        case(
            [
                "answer-fields",
                "RFC 9112, 5",
                "fields without a name or a colon, with NUL or with CR alone",
                "502",
            ],
            fields,
        ),
        case(
            [
                "answer-colon",
                "RFC 9112, 5.1",
                "a space before the colon, or a field that goes on in the next line",
                "502, or passed on without it",
            ],
            colon,
        ),
        case(
            [
                "endless-head",
                "RFC 9110, 15.6.3",
                "an answer's head that has no end",
                "502, when it is too long",
            ],
            endless,
        ),
        case(
            [
                "answer-lengths",
                "RFC 9112, 6.3",
                "Content-Lengths that differ, or that are no number",
                "502",
            ],
            lengths,
        ),
        case(
            [
                "answer-length-and-coding",
                "RFC 9112, 6.3",
                "an answer with Content-Length and Transfer-Encoding",
                "502",
            ],
            length_and_coding,
        ),
        case(
            [
                "answer-coding",
                "RFC 9112, 6.3",
                "an answer with another transfer coding than chunked, or of HTTP/1.0 with one",
                "502",
            ],
            coding,
        ),
        case(
            [
                "answer-bad-chunks",
                "RFC 9112, 7.1",
                "an answer with chunks that are none",
                "502, or the connection is cut: the client can tell",
            ],
            bad_chunks,
        ),
        case(
            [
                "no-answer",
                "RFC 9110, 15.6.3",
                "a server that closes before its answer, or in the middle of the head",
                "502",
            ],
            no_answer,
        ),
        case(
            [
                "cut-answer",
                "RFC 9112, 8",
                "a server that closes or resets in the middle of a body, a chunk, between chunks",
                "the connection is cut: the client can tell",
            ],
            cut,
        ),
        case(
            [
                "cut-answer-old",
                "RFC 9112, 8",
                "the same, for a client of HTTP/1.0 that gets no length",
                "the connection is reset: an end would be that of the body",
            ],
            cut_for_old,
        ),
    ]
}

/// Answers that are not passed on. The server leaves its connection open.
fn refused(proxy: &mut Proxy, answers: &[&str]) -> Result<(), Wrong> {
    for bad in answers {
        proxy.send(&get("/", &[]))?;
        let mut asked = proxy.asked()?;
        asked.peer.send(bad);
        let done = proxy.expect(&answer(502));
        done.map_err(|Wrong { expected, got }| wrong(expected, format!("{got} after {bad:?}")))?;
    }
    proxy.exchange(&get("/", &[]), OK, &ok())?;
    Ok(())
}

fn garbage(proxy: &mut Proxy) -> Result<(), Wrong> {
    refused(
        proxy,
        &[
            "garbage\r\n\r\n",
            "\0\u{1}\u{2}\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/11 200 OK\r\nContent-Length: 0\r\n\r\n",
            "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    )
}

/// Answers with these lines, of which each ends with CRLF, and a body of two bytes.
fn with_fields(lines: &[&str]) -> Vec<String> {
    let answer = |line: &&str| format!("{LINE}{line}\r\nok");
    lines.iter().map(answer).collect()
}

fn fields_refused(proxy: &mut Proxy, lines: &[&str]) -> Result<(), Wrong> {
    let answers = with_fields(lines);
    let answers: Vec<_> = answers.iter().map(|answer| &**answer).collect();
    refused(proxy, &answers)
}

fn fields(proxy: &mut Proxy) -> Result<(), Wrong> {
    fields_refused(
        proxy,
        &[
            "Content-Length: 2\r\nX\r\n",
            "Content-Length: 2\r\n: y\r\n",
            "Content-Length: 2\r\nX y: z\r\n",
            "Content-Length: 2\r\nX: \0\r\n",
            "Content-Length: 2\r\nX: y\rX-Gone: z\r\n",
            " Content-Length: 2\r\n",
        ],
    )
}

fn colon(proxy: &mut Proxy) -> Result<(), Wrong> {
    for bad in with_fields(&[
        "X : y\r\nContent-Length: 2\r\n",
        "X\t: y\r\nContent-Length: 2\r\n",
        "Content-Length: 2\r\nX: y\r\n z\r\n",
        "Content-Length:\r\n 2\r\n",
    ]) {
        proxy.send(&get("/", &[]))?;
        let mut asked = proxy.asked()?;
        asked.peer.send(&bad);
        let client = proxy.client()?;
        let head = client.head()?;
        let body = client.body(&head)?;
        match head.status {
            502 => {}
            200 if body == b"ok" => one_hop(&head.fields)?,
            _ => return Err(wrong("502, or 200", format!("{head:?} after {bad:?}"))),
        }
        if head.closes() {
            proxy.client = None;
        }
    }
    Ok(())
}

fn endless(proxy: &mut Proxy) -> Result<(), Wrong> {
    let fields = format!(
        "{LINE}{}",
        "X: yyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(3000)
    );
    let field = format!("{LINE}X: {}", "y".repeat(100_000));
    let line = format!("HTTP/1.1 200 {}", "y".repeat(100_000));
    refused(proxy, &[&fields, &field, &line, &"y".repeat(100_000)])
}

fn lengths(proxy: &mut Proxy) -> Result<(), Wrong> {
    fields_refused(
        proxy,
        &[
            "Content-Length: 2\r\nContent-Length: 3\r\n",
            "Content-Length: 2, 3\r\n",
            "Content-Length: +2\r\n",
            "Content-Length: -2\r\n",
            "Content-Length: 0x2\r\n",
            "Content-Length: 2 2\r\n",
            "Content-Length: 2,\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
        ],
    )
}

fn length_and_coding(proxy: &mut Proxy) -> Result<(), Wrong> {
    fields_refused(
        proxy,
        &[
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            "Transfer-Encoding : chunked\r\nContent-Length: 2\r\n",
            "Connection: Content-Length\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        ],
    )
}

fn coding(proxy: &mut Proxy) -> Result<(), Wrong> {
    fields_refused(
        proxy,
        &[
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: chunked;a\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
        ],
    )?;
    // RFC 9112, 6.1: its framing is faulty.
    refused(
        proxy,
        &["HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    )
}

fn bad_chunks(proxy: &mut Proxy) -> Result<(), Wrong> {
    for chunks in [
        "x\r\nok\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "-2\r\nok\r\n0\r\n\r\n",
        "+2\r\nok\r\n0\r\n\r\n",
        "0x2\r\nok\r\n0\r\n\r\n",
        "2 2\r\nok\r\n0\r\n\r\n",
        " 2\r\nok\r\n0\r\n\r\n",
        "10000000000000002\r\nok\r\n0\r\n\r\n",
        "2\nok\r\n0\r\n\r\n",
        "2\r\nok0\r\n\r\n",
        "2\r\nok!\r\n0\r\n\r\n",
        "2\r\nok\n0\r\n\r\n",
    ] {
        // It stays open: the proxy has to find it itself.
        proxy.send(&get("/", &[]))?;
        let mut asked = proxy.asked()?;
        asked.peer.send(format!("{LINE}{CHUNKED}\r\n{chunks}"));
        is_cut(proxy, true).map_err(|Wrong { expected, got }| {
            wrong(expected, format!("{got} after {chunks:?}"))
        })?;
    }
    Ok(())
}

/// Whether the client can tell that its answer is not whole.
fn is_cut(proxy: &mut Proxy, may_refuse: bool) -> Result<(), Wrong> {
    let mut client = proxy.client.take();
    let Some(client) = &mut client else {
        return Err(wrong("a client", "none"));
    };
    let head = client.head()?;
    match head.status {
        502 if may_refuse => client.body(&head).map(drop),
        200 => match client.body_to(head.framing()?, &mut |_| {})? {
            End::Cut(_) => Ok(()),
            End::Whole => Err(wrong("an answer that is cut", "a whole one")),
        },
        _ => Err(wrong("200, and then a cut", format!("{head:?}"))),
    }
}

fn no_answer(proxy: &mut Proxy) -> Result<(), Wrong> {
    for part in [
        "",
        "HT",
        "HTTP/1.1 200 OK",
        LINE,
        "HTTP/1.1 200 OK\r\nContent-Le",
        "garbage",
    ] {
        for request in [get("/", &[]), post("/", &["Content-Length: 4"]) + "body"] {
            proxy.send(&request)?;
            let mut asked = proxy.asked()?;
            asked.body()?;
            asked.peer.send(part);
            drop(asked);
            let done = proxy.expect(&answer(502).may_close());
            done.map_err(|Wrong { expected, got }| {
                wrong(expected, format!("{got} after {part:?}"))
            })?;
        }
    }
    Ok(())
}

fn cut(proxy: &mut Proxy) -> Result<(), Wrong> {
    for part in [
        "Content-Length: 10\r\n\r\n",
        "Content-Length: 10\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\na\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        for reset in [false, true] {
            proxy.send(&get("/", &[]))?;
            let mut asked = proxy.asked()?;
            asked.peer.send(format!("{LINE}{part}"));
            if reset {
                let _ = set_socket_linger(&asked.peer.stream, Some(Duration::ZERO));
            }
            drop(asked);
            // A reset may come before what was sent is read.
            is_cut(proxy, reset).map_err(|Wrong { expected, got }| {
                wrong(expected, format!("{got} after {part:?}"))
            })?;
        }
    }
    Ok(())
}

fn cut_for_old(proxy: &mut Proxy) -> Result<(), Wrong> {
    for part in ["\r\n", "\r\na\r\nhello", "\r\n5\r\nhello\r\n"] {
        proxy.connect()?;
        proxy.send(&request("GET http://{A}/ HTTP/1.0", &[]))?;
        let mut asked = proxy.asked()?;
        asked.peer.send(format!("{LINE}{CHUNKED}{part}"));
        drop(asked);
        if let Ok(said) = proxy.client()?.rest() {
            let said = String::from_utf8_lossy(&said).into_owned();
            return Err(wrong("a reset", format!("an end after {said:?}")));
        }
        proxy.client = None;
    }
    Ok(())
}
