//! What becomes of connections.

use super::{clients, turns};
use crate::conformance::case::Case;
use crate::conformance::expect::answer;
use crate::conformance::timed::{LONG, SHORT, USUAL};
use crate::serve::case::{Pace, Turn, file, get, request, turn};
use crate::serve::clients as are;

pub(super) fn all() -> Vec<Case> {
    let with = |line: &str, fields: &[&str], answer| turn(request(line, fields), answer);
    let path = "GET /a.txt HTTP/1.1";
    let old = "GET /a.txt HTTP/1.0";
    vec![
        turns(
            [
                "keep-alive",
                "RFC 9112, 9.3",
                "several requests of HTTP/1.1",
                "the connection is kept",
            ],
            vec![
                with(path, &[], file()),
                with(path, &["Connection: keep-alive"], file()),
                with(path, &["Connection: x, te", "TE: trailers"], file()),
                with("GET /none HTTP/1.1", &[], answer(404)),
                with(path, &["Range: bytes=99-"], answer(416)),
                with(
                    path,
                    &["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"],
                    file(),
                ),
            ],
        ),
        turns(
            [
                "close",
                "RFC 9112, 9.6",
                "Connection: close",
                "it is closed, and the next request is not answered",
            ],
            vec![
                turn(
                    get("/a.txt", &["Connection: close"]) + &get("/a.txt", &[]),
                    file().closes(),
                ),
                with(path, &["Connection: x, CLOSE"], file().closes()),
                with(
                    path,
                    &["Connection: keep-alive", "Connection: close"],
                    file().closes(),
                ),
            ],
        ),
        turns(
            [
                "old",
                "RFC 9112, 9.3",
                "HTTP/1.0, without Host",
                "the connection is closed",
            ],
            vec![
                turn("GET /a.txt HTTP/1.0\r\n\r\n", file().closes()),
                with(old, &["Connection: keep-alive, close"], file().closes()),
            ],
        ),
        clients(
            [
                "old-keep-alive",
                "RFC 9112, C.2.2",
                "HTTP/1.0 with keep-alive",
                "the answer says whether it is kept",
            ],
            USUAL,
            are::old_keep_alive,
        ),
        turns(
            [
                "pipelined",
                "RFC 9112, 9.3.2",
                "ten requests at once",
                "ten answers, in their order",
            ],
            {
                let ranges: Vec<_> = (0..10)
                    .map(|at| format!("Range: bytes={at}-{at}"))
                    .collect();
                let send = ranges.iter().map(|range| get("/a.txt", &[range]));
                let answers = (0..10).map(|at| answer(206).body(&at.to_string()));
                vec![Turn {
                    before: None,
                    send: send.collect(),
                    pace: Pace::AtOnce,
                    answers: answers.collect(),
                }]
            },
        ),
        turns(
            [
                "half-closed",
                "RFC 9112, 9.6",
                "a client that closes its side after its request",
                "all is answered",
            ],
            {
                let mut turn = turn(get("/a.txt", &[]) + &get("/none", &[]), file());
                turn.answers.push(answer(404));
                turn.pace = Pace::HalfClosed;
                vec![turn]
            },
        ),
        clients(
            [
                "half-request",
                "RFC 9112, 8",
                "a client that closes its side within a head",
                "the connection is closed, without a file",
            ],
            USUAL,
            are::half_request,
        ),
        clients(
            [
                "slow-loris",
                "RFC 9110, 15.5.9",
                "a head without end, a byte at a time",
                "408 and closed after `--idle-timeout`, however many bytes come",
            ],
            SHORT,
            are::head_without_end,
        ),
        clients(
            [
                "silent",
                "RFC 9112, 9.5",
                "a client that says nothing",
                "closed after `--idle-timeout`, without an answer",
            ],
            SHORT,
            are::silent,
        ),
        clients(
            [
                "empty-lines",
                "RFC 9112, 2.2",
                "a client that sends empty lines, and never a request",
                "closed after `--idle-timeout`, however many come",
            ],
            SHORT,
            are::empty_lines,
        ),
        clients(
            [
                "silent-between",
                "RFC 9112, 9.5",
                "one that says nothing after an answer",
                "closed after `--idle-timeout`, without an answer",
            ],
            SHORT,
            are::silent_between,
        ),
        clients(
            [
                "reads-nothing",
                "RFC 9112, 9.5",
                "a client that asks for 256 MiB and reads nothing",
                "cut after `--idle-timeout`",
            ],
            SHORT,
            are::reads_nothing,
        ),
        clients(
            [
                "reads-slowly",
                "RFC 9112, 9.5",
                "a client that reads for longer than `--idle-timeout`",
                "it gets all",
            ],
            &["--idle-timeout", "3", "--connections", "16"],
            are::reads_slowly,
        ),
        clients(
            [
                "hangs-up",
                "RFC 9112, 9.5",
                "clients that hang up: before, within and after a head, within an answer",
                "others are served",
            ],
            USUAL,
            are::hang_up,
        ),
        clients(
            [
                "large",
                "RFC 9110, 8.6",
                "a file of 1 GiB, and a range beyond 4 GiB of one of 5 GiB",
                "every byte is right; others are served meanwhile",
            ],
            USUAL,
            are::large,
        ),
        clients(
            [
                "shrinks",
                "RFC 9112, 8",
                "a file that becomes shorter while it is sent",
                "the connection is cut: the client can tell",
            ],
            USUAL,
            are::shrinks,
        ),
        clients(
            [
                "at-most",
                "RFC 9112, 9.4",
                "three clients of `--connections 2`",
                "the third waits or is refused, until one has gone",
            ],
            &["--idle-timeout", "600", "--connections", "2"],
            are::at_most,
        ),
        clients(
            [
                "ends-well",
                "RFC 9112, 9.6",
                "SIGTERM, while an answer is sent and other connections are idle",
                "the answer comes whole, idle ones are closed, and it ends with exit code 0",
            ],
            LONG,
            are::ends_well,
        ),
        clients(
            [
                "ends-silent",
                "RFC 9112, 9.6",
                "SIGTERM, while a client has sent a part of its request",
                "it is closed, and the server ends with exit code 0",
            ],
            LONG,
            are::ends_silent,
        ),
        clients(
            [
                "ends-at-once",
                "RFC 9112, 9.6",
                "Ctrl-C twice, while an answer is sent that is not read",
                "it ends at once",
            ],
            LONG,
            are::ends_at_once,
        ),
    ]
}
