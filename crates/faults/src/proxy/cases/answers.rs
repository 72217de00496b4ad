//! Answers that are right.

use std::io::Write;
use std::thread;

use super::{case, noise, writer};
use crate::check::{Wrong, wrong};
use crate::conformance::case::Case;
use crate::conformance::expect::{Expect, answer};
use crate::conformance::peer::End;
use crate::proxy::run::{OK, Proxy, get, ok, request};

/// HTTP/1.1 and HTTP/1.0.
const VERSIONS: [&str; 2] = ["HTTP/1.1", "HTTP/1.0"];

pub(super) fn all() -> Vec<Case> {
    vec![
        case(
            [
                "informational",
                "RFC 9110, 15.2",
                "several answers of 1xx before the last",
                "each is passed on; to HTTP/1.0 the last alone",
            ],
            informational,
        ),
        case(
            [
                "switching",
                "RFC 9110, 15.2.2",
                "101, which was not asked for",
                "502",
            ],
            switching,
        ),
        case(
            [
                "head",
                "RFC 9110, 9.3.2",
                "HEAD, whose answer has a length, chunked, or neither",
                "no body, and the next request is answered",
            ],
            head,
        ),
        case(
            [
                "no-content",
                "RFC 9112, 6.3",
                "204 and 304, with a length and without",
                "no body, and the next request is answered",
            ],
            no_content,
        ),
        case(
            [
                "to-the-end",
                "RFC 9112, 6.3",
                "an answer that ends with its connection",
                "HTTP/1.1 gets it in chunks and keeps its connection; HTTP/1.0 has it closed",
            ],
            to_the_end,
        ),
        case(
            [
                "chunked-answer",
                "RFC 9112, 7.1",
                "chunks with extensions and trailers",
                "HTTP/1.1 gets chunks that are made anew",
            ],
            chunked,
        ),
        case(
            [
                "chunked-old",
                "RFC 9112, 6.1",
                "a chunked answer for HTTP/1.0",
                "no Transfer-Encoding: the content, and then the end",
            ],
            chunked_old,
        ),
        case(
            [
                "answer-streams",
                "RFC 9110, 7.6",
                "a server that sends the second half when the client has the first",
                "neither waits for the other",
            ],
            streams,
        ),
        case(
            [
                "large-answer",
                "RFC 9110, 8.6",
                "an answer of 8 MiB, in each framing",
                "every byte is right",
            ],
            large,
        ),
    ]
}

fn informational(proxy: &mut Proxy) -> Result<(), Wrong> {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X-Gone\r\nX-Gone: 1\r\n\r\n";
    let others = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 \r\n\r\n";
    for (version, first) in [("HTTP/1.1", &[103, 103, 100, 199][..]), ("HTTP/1.0", &[])] {
        proxy.send(&get("/", &[]).replacen("HTTP/1.1", version, 1))?;
        let mut asked = proxy.asked()?;
        asked.peer.send(format!("{hints}{hints}{others}{OK}"));
        for &status in first {
            let expect = match status {
                103 => answer(status).field("link", "</a>").without("x-gone"),
                _ => answer(status),
            };
            proxy.passed(&expect)?;
        }
        proxy.passed(&for_version(version, ok()))?;
    }
    Ok(())
}

fn switching(proxy: &mut Proxy) -> Result<(), Wrong> {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: Upgrade\r\n\r\n";
    proxy.send(&get("/", &["Upgrade: a", "Connection: Upgrade"]))?;
    proxy.asked()?.peer.send(switch);
    proxy.expect(&answer(502))?;
    Ok(())
}

fn head(proxy: &mut Proxy) -> Result<(), Wrong> {
    let ask = request("HEAD http://{A}/ HTTP/1.1", &[]);
    let bare = answer(200).for_head();
    for (fields, expect) in [
        (
            "Content-Length: 1234\r\n",
            bare.clone().field("content-length", 1234),
        ),
        (
            "Content-Length: 0\r\n",
            bare.clone().field("content-length", 0),
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            bare.clone().without("content-length"),
        ),
        ("", bare.clone().without("content-length")),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        proxy.exchange(&ask, &answer, &expect)?;
        proxy.exchange(&get("/", &[]), OK, &ok())?;
    }
    Ok(())
}

fn no_content(proxy: &mut Proxy) -> Result<(), Wrong> {
    for (status, fields) in [
        (204, ""),
        (204, "Content-Length: 5\r\n"),
        (204, "Transfer-Encoding: chunked\r\n"),
        (304, ""),
        (304, "Content-Length: 5\r\n"),
    ] {
        let answered = format!("HTTP/1.1 {status} x\r\nETag: \"a\"\r\n{fields}\r\n");
        let expect = answer(status)
            .field("etag", "\"a\"")
            .without("transfer-encoding");
        proxy.exchange(&get("/", &[]), &answered, &expect)?;
        proxy.exchange(&get("/", &[]), OK, &ok())?;
    }
    Ok(())
}

/// Of a client of HTTP/1.0, the connection is closed.
fn for_version(version: &str, expect: Expect) -> Expect {
    match version {
        "HTTP/1.0" => expect.without("transfer-encoding").closes(),
        _ => expect,
    }
}

fn to_the_end(proxy: &mut Proxy) -> Result<(), Wrong> {
    for client in VERSIONS {
        for server in VERSIONS {
            for body in ["", "ok"] {
                proxy.send(&get("/", &[]).replacen("HTTP/1.1", client, 1))?;
                let mut asked = proxy.asked()?;
                asked.peer.send(format!("{server} 200 OK\r\n\r\n{body}"));
                drop(asked);
                let expect = answer(200).content(body).without("content-length");
                proxy.passed(&for_version(client, expect))?;
            }
        }
    }
    Ok(())
}

const CHUNKS: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\nTrailer: X-Last\r\n\r\n\
                      1;a=\"b;c\"\r\no\r\n0001\r\nk\r\n00\r\nX-Last: 1\r\n\r\n";

fn chunked(proxy: &mut Proxy) -> Result<(), Wrong> {
    let expect = answer(200)
        .content("ok")
        .field("transfer-encoding", "chunked");
    proxy.exchange(&get("/", &[]), CHUNKS, &expect)?;
    proxy.send(&get("/", &[]))?;
    let mut asked = proxy.asked()?;
    CHUNKS.bytes().for_each(|byte| asked.peer.send([byte]));
    proxy.passed(&expect)?;
    Ok(())
}

fn chunked_old(proxy: &mut Proxy) -> Result<(), Wrong> {
    let ask = get("/", &[]).replacen("HTTP/1.1", "HTTP/1.0", 1);
    let expect = answer(200).content("ok").without("content-length");
    proxy.exchange(&ask, CHUNKS, &for_version("HTTP/1.0", expect))?;
    Ok(())
}

fn streams(proxy: &mut Proxy) -> Result<(), Wrong> {
    for (fields, first, second) in [
        ("Content-Length: 10\r\n", "hello", "world"),
        (
            "Transfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n",
            "5\r\nworld\r\n0\r\n\r\n",
        ),
        ("", "hello", "world"),
    ] {
        proxy.send(&get("/", &[]))?;
        let mut asked = proxy.asked()?;
        asked
            .peer
            .send(format!("HTTP/1.1 200 OK\r\n{fields}\r\n{first}"));
        let mut server = Some(asked.peer);
        let client = proxy.client()?;
        let head = client.head()?;
        let mut came = Vec::new();
        let end = client.body_to(head.framing()?, &mut |bytes| {
            came.extend_from_slice(bytes);
            if came.len() >= 5
                && let Some(mut peer) = server.take()
            {
                // And closes.
                peer.send(second);
            }
        })?;
        if end != End::Whole || came != b"helloworld" {
            let got = String::from_utf8_lossy(&came).into_owned();
            return Err(wrong("a whole body", format!("{end:?}: {got}")));
        }
        if head.closes() {
            proxy.client = None;
        }
    }
    Ok(())
}

fn large(proxy: &mut Proxy) -> Result<(), Wrong> {
    let body = noise(8 << 20);
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    let chunk = format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len());
    for (before, after) in [(&*length, ""), (&chunk, "\r\n0\r\n\r\n"), ("\r\n", "")] {
        proxy.send(&get("/", &[]))?;
        let asked = proxy.asked()?;
        let head = format!("HTTP/1.1 200 OK\r\n{before}");
        let all = [head.as_bytes(), &body, after.as_bytes()].concat();
        let mut server = writer(&asked.peer)?;
        drop(asked);
        let client = proxy.client()?;
        let (head, came) = thread::scope(|scope| {
            scope.spawn(move || server.write_all(&all));
            let head = client.head()?;
            let came = client.body(&head)?;
            Ok::<_, Wrong>((head, came))
        })?;
        if came != body {
            return Err(wrong(
                "the body",
                format!("{} bytes that are others", came.len()),
            ));
        }
        if head.closes() {
            proxy.client = None;
        }
    }
    Ok(())
}
