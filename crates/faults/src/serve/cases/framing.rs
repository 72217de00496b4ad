//! Where a request ends: what two parsers read differently lets requests be smuggled.

use super::turns;
use crate::conformance::case::Case;
use crate::conformance::expect::answer;
use crate::serve::case::{file, get, refused, request, turn};

pub(super) fn all() -> Vec<Case> {
    let bad = "400, and the connection is closed";
    let fields = |fields: &[&str]| {
        let hidden = "0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n";
        refused(400, get("/a.txt", fields) + hidden)
    };
    let chunked = "Transfer-Encoding: chunked";
    vec![
        turns(
            [
                "lengths",
                "RFC 9112, 6.3",
                "Content-Length twice, or as a list",
                bad,
            ],
            vec![
                fields(&["Content-Length: 3", "Content-Length: 4"]),
                fields(&["Content-Length: 3", "Content-Length: 3"]),
                fields(&["Content-Length: 3, 3"]),
                fields(&["Content-Length: 0", "content-length: 44"]),
            ],
        ),
        turns(
            [
                "length",
                "RFC 9110, 8.6",
                "a Content-Length that is no number",
                bad,
            ],
            vec![
                fields(&["Content-Length: -1"]),
                fields(&["Content-Length: +1"]),
                fields(&["Content-Length: 0x1"]),
                fields(&["Content-Length: 1 2"]),
                fields(&["Content-Length: 1.0"]),
                fields(&["Content-Length:"]),
                fields(&["Content-Length: 99999999999999999999"]),
            ],
        ),
        turns(
            [
                "length-and-coding",
                "RFC 9112, 6.1",
                "Content-Length and Transfer-Encoding",
                bad,
            ],
            vec![
                fields(&["Content-Length: 6", chunked]),
                fields(&[chunked, "Content-Length: 6"]),
                fields(&[chunked, "Content-Length: 0"]),
            ],
        ),
        turns(
            [
                "coding",
                "RFC 9112, 6.3",
                "a last transfer coding that is not chunked",
                bad,
            ],
            vec![
                fields(&["Transfer-Encoding: gzip"]),
                fields(&["Transfer-Encoding: chunked, identity"]),
                fields(&["Transfer-Encoding: xchunked"]),
                fields(&["Transfer-Encoding: \"chunked\""]),
                fields(&["Transfer-Encoding:"]),
                fields(&["Transfer-Encoding: chunked;a"]),
            ],
        ),
        turns(
            [
                "unknown-coding",
                "RFC 9112, 6.1",
                "another coding before chunked",
                "501",
            ],
            vec![
                refused(501, get("/a.txt", &["Transfer-Encoding: gzip, chunked"])),
                refused(501, get("/a.txt", &["Transfer-Encoding: chunked, chunked"])),
            ],
        ),
        turns(
            [
                "two-codings",
                "RFC 9112, 6.1",
                "Transfer-Encoding twice",
                bad,
            ],
            vec![
                fields(&[chunked, chunked]),
                fields(&[chunked, "Transfer-Encoding: identity"]),
            ],
        ),
        turns(
            [
                "coding-in-1.0",
                "RFC 9112, 6.1",
                "Transfer-Encoding in HTTP/1.0",
                bad,
            ],
            vec![refused(400, request("GET /a.txt HTTP/1.0", &[chunked]))],
        ),
        turns(
            [
                "body",
                "RFC 9110, 9.3.1",
                "GET with a body, which looks like a request",
                "200, the body is not answered, and the connection is closed",
            ],
            {
                let hidden = "GET /secret HTTP/1.1\r\nHost: a\r\n\r\n";
                let length = format!("Content-Length: {}", hidden.len());
                let chunk = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
                vec![
                    turn(get("/a.txt", &[&length]) + hidden, file().closes()),
                    turn(get("/a.txt", &[chunked]) + &chunk, file().closes()),
                ]
            },
        ),
        turns(
            [
                "no-body",
                "RFC 9112, 6.3",
                "Content-Length: 0",
                "the next request is answered",
            ],
            vec![
                turn(get("/a.txt", &["Content-Length: 0"]), file()),
                turn(get("/none", &["Content-Length: 00"]), answer(404)),
            ],
        ),
        turns(
            [
                "large-body",
                "RFC 9112, 9.6",
                "a body of 300,000 bytes",
                "the answer comes whole, and no reset before the end",
            ],
            {
                let body = "x".repeat(300_000);
                let head = request("POST /a.txt HTTP/1.1", &["Content-Length: 300000"]);
                let allow = answer(405).field("allow", "GET, HEAD").closes();
                vec![turn(head + &body, allow)]
            },
        ),
        turns(
            [
                "expect",
                "RFC 9110, 10.1.1",
                "Expect: 100-continue, and no body yet",
                "a final answer at once",
            ],
            vec![
                turn(
                    get("/a.txt", &["Expect: 100-continue", "Content-Length: 5"]),
                    file().closes(),
                ),
                turn(get("/a.txt", &["Expect: 100-continue"]), file()),
            ],
        ),
        turns(
            [
                "garbage-after",
                "RFC 9112, 9.3.2",
                "a good request, and garbage behind it",
                "the first is answered, the second is 400, and the connection is closed",
            ],
            {
                let mut turn = turn(get("/a.txt", &[]) + "\0\0\r\n\r\n", file());
                turn.answers.push(answer(400).closes());
                vec![turn]
            },
        ),
    ]
}
