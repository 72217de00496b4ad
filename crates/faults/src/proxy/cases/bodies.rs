//! The bodies of requests.

use std::io::Write;
use std::thread;

use super::{case, noise, writer};
use crate::check::{Wrong, wrong};
use crate::conformance::case::Case;
use crate::conformance::expect::answer;
use crate::conformance::peer::End;
use crate::proxy::run::{OK, Proxy, get, ok, post, request};

const CHUNKED: &str = "Transfer-Encoding: chunked";

pub(super) fn all() -> Vec<Case> {
    vec![
        case(
            [
                "bodies",
                "RFC 9110, 9.3.1",
                "bodies with Content-Length, of any method",
                "they reach the server, and the next request is answered",
            ],
            bodies,
        ),
        case(
            [
                "chunked",
                "RFC 9112, 7.1",
                "chunks with extensions, zeros before the size, and trailers",
                "the content reaches the server in chunks that are made anew",
            ],
            chunked,
        ),
        case(
            [
                "bad-chunks",
                "RFC 9112, 7.1",
                "sizes that are none or too large, LF alone, no end behind a chunk",
                "400 and closed; no whole request reaches the server, and none that hides there",
            ],
            bad_chunks,
        ),
        case(
            [
                "body-streams",
                "RFC 9110, 7.6",
                "a client that sends the second half when the server has read the first",
                "neither waits for the other",
            ],
            streams,
        ),
        case(
            [
                "large-body",
                "RFC 9110, 8.6",
                "a body of 8 MiB, with Content-Length and in chunks",
                "every byte is right",
            ],
            large,
        ),
        case(
            [
                "expect",
                "RFC 9110, 10.1.1",
                "Expect: 100-continue, and no body until the server says 100",
                "both are passed on",
            ],
            expect,
        ),
        case(
            [
                "answers-early",
                "RFC 9112, 9.5",
                "a server that answers before the body has come",
                "its answer is passed on whole, and the connection is closed",
            ],
            answers_early,
        ),
        case(
            [
                "cut-body",
                "RFC 9112, 8",
                "a client that goes in the middle of its body",
                "the server can tell that it is not whole",
            ],
            cut,
        ),
        case(
            [
                "half-closed",
                "RFC 9112, 9.6",
                "a client that closes its side after its request",
                "it is answered",
            ],
            half_closed,
        ),
    ]
}

fn bodies(proxy: &mut Proxy) -> Result<(), Wrong> {
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"] {
        for body in ["", "0123456789", "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let line = format!("{method} http://{{A}}/a HTTP/1.1");
            let length = format!("Content-Length: {}", body.len());
            let whole = request(&line, &[&length]) + body;
            let came = proxy.exchange(&whole, OK, &ok())?;
            is_body(&came.body, body)?;
            let came = proxy.exchange(&get("/b", &[]), OK, &ok())?;
            is_body(&came.body, "")?;
        }
    }
    Ok(())
}

fn is_body(came: &[u8], body: &str) -> Result<(), Wrong> {
    match came == body.as_bytes() {
        true => Ok(()),
        false => Err(wrong(body, String::from_utf8_lossy(came))),
    }
}

fn chunked(proxy: &mut Proxy) -> Result<(), Wrong> {
    for (chunks, body) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        (
            "0005;a=b\r\nhello\r\nA;c;d=\"e;f\"\r\n0123456789\r\n000;g\r\n\r\n",
            "hello0123456789",
        ),
        (
            "9\r\n\r\n0\r\n\r\n\r\n\r\n0\r\nX-Last: 1\r\nContent-Length: 5\r\n\r\n",
            "\r\n0\r\n\r\n\r\n",
        ),
    ] {
        let head = post("/", &[CHUNKED]);
        let came = proxy.exchange(&(head.clone() + chunks), OK, &ok())?;
        came.has("transfer-encoding", "chunked")?;
        is_body(&came.body, body)?;
        // Byte by byte.
        proxy.send(&head)?;
        for at in 0..chunks.len() {
            proxy.send(&chunks[at..=at])?;
        }
        let mut asked = proxy.asked()?;
        is_body(asked.body()?, body)?;
        asked.peer.send(OK);
        proxy.passed(&ok())?;
    }
    Ok(())
}

fn bad_chunks(proxy: &mut Proxy) -> Result<(), Wrong> {
    let hidden = get("/hidden", &[]);
    for chunks in [
        "x\r\nhello\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5_\r\nhello\r\n0\r\n\r\n",
        // 5, if only 64 bits were counted.
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
    ] {
        let all = post("/", &[CHUNKED]) + chunks + &hidden;
        proxy.send(&all)?;
        let refused = proxy.expect(&answer(400).closes());
        refused.map_err(|Wrong { expected, got }| wrong(expected, format!("{got}: {chunks:?}")))?;
        for mut peer in proxy.upstream.unanswered()? {
            let came = peer.until_end()?;
            let came = String::from_utf8_lossy(&came);
            if came.ends_with("\r\n0\r\n\r\n") || came.contains("hidden") {
                return Err(wrong("no whole request", format!("{came:?} of {chunks:?}")));
            }
        }
    }
    Ok(())
}

fn streams(proxy: &mut Proxy) -> Result<(), Wrong> {
    for (field, first, second) in [
        ("Content-Length: 10", "hello", "world"),
        (CHUNKED, "5\r\nhello\r\n", "5\r\nworld\r\n0\r\n\r\n"),
    ] {
        proxy.send(&(post("/", &[field]) + first))?;
        let mut asked = proxy.asked()?;
        let framing = asked.came.framing()?;
        let client = proxy.client()?;
        let mut came = Vec::new();
        let end = asked.peer.body_to(framing, &mut |bytes| {
            let before = came.len();
            came.extend_from_slice(bytes);
            if (before..came.len()).contains(&4) {
                client.send(second);
            }
        })?;
        match end {
            End::Whole => is_body(&came, "helloworld")?,
            End::Cut(bytes) => return Err(wrong("a whole body", format!("{bytes} bytes"))),
        }
        asked.peer.send(OK);
        proxy.passed(&ok())?;
    }
    Ok(())
}

fn large(proxy: &mut Proxy) -> Result<(), Wrong> {
    let body = noise(8 << 20);
    let chunk = format!("{:x}\r\n", body.len());
    for (field, before, after) in [
        (format!("Content-Length: {}", body.len()), "", ""),
        (CHUNKED.to_owned(), &*chunk, "\r\n0\r\n\r\n"),
    ] {
        proxy.send(&(post("/", &[&field]) + before))?;
        let mut client = writer(proxy.client()?)?;
        let all = [&body[..], after.as_bytes()].concat();
        let came = thread::scope(|scope| {
            scope.spawn(move || client.write_all(&all));
            let mut asked = proxy.asked()?;
            asked.body()?;
            asked.peer.send(OK);
            Ok::<_, Wrong>(asked.came.body)
        })?;
        if came != body {
            return Err(wrong(
                "the body",
                format!("{} bytes that are others", came.len()),
            ));
        }
        proxy.passed(&ok())?;
    }
    Ok(())
}

fn expect(proxy: &mut Proxy) -> Result<(), Wrong> {
    let head = post("/", &["Expect: 100-continue", "Content-Length: 4"]);
    proxy.send(&head)?;
    let mut asked = proxy.asked()?;
    asked.came.has("expect", "100-continue")?;
    asked.peer.send("HTTP/1.1 100 Continue\r\n\r\n");
    proxy.passed(&answer(100))?;
    proxy.send("body")?;
    is_body(asked.body()?, "body")?;
    asked.peer.send(OK);
    proxy.passed(&ok())?;
    // A server that does not want it.
    proxy.send(&head)?;
    let mut asked = proxy.asked()?;
    asked
        .peer
        .send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno");
    proxy.passed(&answer(417).body("no").closes())?;
    Ok(())
}

fn answers_early(proxy: &mut Proxy) -> Result<(), Wrong> {
    for field in ["Content-Length: 1000000", CHUNKED] {
        for connection in ["", "Connection: close\r\n"] {
            proxy.send(&post("/", &[field]))?;
            let mut asked = proxy.asked()?;
            let line = "HTTP/1.1 413 Content Too Large";
            asked
                .peer
                .send(format!("{line}\r\n{connection}Content-Length: 2\r\n\r\nno"));
            // What comes now must not destroy the answer.
            let more = "x".repeat(100_000);
            match field {
                CHUNKED => proxy.send(&format!("{:x}\r\n{more}\r\n", more.len()))?,
                _ => proxy.send(&more)?,
            }
            proxy.passed(&answer(413).body("no").closes())?;
        }
    }
    Ok(())
}

fn cut(proxy: &mut Proxy) -> Result<(), Wrong> {
    for (field, part) in [
        ("Content-Length: 10", "hello"),
        (CHUNKED, "5\r\nhello\r\n"),
        (CHUNKED, "a\r\nhello"),
        (CHUNKED, "5\r\nhello\r\n0\r\n"),
    ] {
        for half in [true, false] {
            proxy.send(&(post("/", &[field]) + part))?;
            let mut asked = proxy.asked()?;
            match half {
                true => proxy.client()?.half_close(),
                false => proxy.client = None,
            }
            let framing = asked.came.framing()?;
            if asked.peer.body_to(framing, &mut |_| {})? == End::Whole {
                return Err(wrong(
                    "a body that is cut",
                    format!("a whole one of {part:?}"),
                ));
            }
            proxy.client = None;
        }
    }
    Ok(())
}

fn half_closed(proxy: &mut Proxy) -> Result<(), Wrong> {
    for request in [
        get("/", &[]),
        post("/", &["Content-Length: 4"]) + "body",
        post("/", &[CHUNKED]) + "0\r\n\r\n",
    ] {
        proxy.send(&request)?;
        proxy.client()?.half_close();
        let mut asked = proxy.asked()?;
        asked.body()?;
        asked.peer.send(OK);
        proxy.passed(&ok().may_close())?;
        if let Some(mut client) = proxy.client.take() {
            client.closed()?;
        }
    }
    Ok(())
}
