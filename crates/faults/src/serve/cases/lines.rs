//! Lines that are none of HTTP/1.1, or could be read in two ways.

use super::turns;
use crate::conformance::case::Case;
use crate::conformance::expect::answer;
use crate::serve::case::{Pace, Turn, file, get, refused, request, turn};

const BAD: &str = "400, and the connection is closed";

pub(super) fn all() -> Vec<Case> {
    let with = |field: &str| refused(400, get("/a.txt", &[field]));
    let host = |field: &str| refused(400, format!("GET /a.txt HTTP/1.1\r\n{field}\r\n"));
    let line = |line: &str, status| refused(status, request(line, &[]));
    vec![
        turns(
            [
                "bare-lf",
                "RFC 9112, 2.2",
                "lines that end with LF alone",
                BAD,
            ],
            vec![
                refused(400, "GET /a.txt HTTP/1.1\nHost: a\n\n"),
                refused(400, "GET /a.txt HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
                refused(400, "GET /a.txt HTTP/1.1\r\nHost: a\r\n\n"),
            ],
        ),
        turns(
            ["bare-cr", "RFC 9112, 2.2", "CR alone in a line", BAD],
            vec![
                with("X: a\rb"),
                with("X: a\rContent-Length: 5"),
                with("X: a\r"),
                with("X: \ra"),
                refused(400, "GET /a.txt HTTP/1.1\rHost: a\r\n\r\n"),
            ],
        ),
        turns(
            [
                "empty-lines",
                "RFC 9112, 2.2",
                "empty lines before a request",
                "they are passed over",
            ],
            vec![
                turn(format!("\r\n{}", get("/a.txt", &[])), file()),
                turn(format!("\r\n\r\n{}", get("/a.txt", &[])), file()),
            ],
        ),
        turns(
            [
                "space-first",
                "RFC 9112, 2.2",
                "a space before the first field",
                BAD,
            ],
            vec![refused(
                400,
                "GET /a.txt HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n",
            )],
        ),
        turns(
            [
                "folded",
                "RFC 9112, 5.2",
                "a field that goes on in the next line",
                BAD,
            ],
            vec![
                with("X: a\r\n b"),
                with("X: a\r\n\tb"),
                with("X:\r\n Content-Length: 5"),
            ],
        ),
        turns(
            [
                "space-before-colon",
                "RFC 9112, 5.1",
                "a space before the colon",
                BAD,
            ],
            vec![with("X : a"), with("Content-Length : 5"), with("X\t: a")],
        ),
        turns(
            [
                "no-colon",
                "RFC 9112, 5",
                "a field without a colon, or without a name",
                BAD,
            ],
            vec![with("X"), with(": a"), with(":")],
        ),
        turns(
            [
                "field-name",
                "RFC 9110, 5.1",
                "a name with what no token has",
                BAD,
            ],
            vec![
                with("X(y): a"),
                with("X y: a"),
                with("Ä: a"),
                with("X\0: a"),
            ],
        ),
        turns(
            [
                "control-characters",
                "RFC 9110, 5.5",
                "NUL and other control characters",
                BAD,
            ],
            vec![
                with("X: a\0b"),
                with("X: a\u{1}b"),
                with("X: a\u{7f}b"),
                with("X: a\u{b}"),
            ],
        ),
        turns(
            [
                "other-characters",
                "RFC 9110, 5.5",
                "tabs and obs-text in a field",
                "they are passed over",
            ],
            vec![turn(get("/a.txt", &["X: \t ä\tb \t", "Y:"]), file())],
        ),
        turns(
            [
                "no-version",
                "RFC 9112, 3",
                "a request line of HTTP/0.9",
                BAD,
            ],
            vec![refused(400, "GET /a.txt\r\n")],
        ),
        turns(
            [
                "request-line",
                "RFC 9112, 3",
                "a line with other spaces, or none",
                BAD,
            ],
            vec![
                line("GET  /a.txt HTTP/1.1", 400),
                line("GET /a.txt  HTTP/1.1", 400),
                line("GET /a.txt HTTP/1.1 ", 400),
                line(" GET /a.txt HTTP/1.1", 400),
                line("GET\t/a.txt\tHTTP/1.1", 400),
                line("GET /a b HTTP/1.1", 400),
                line("GET", 400),
            ],
        ),
        turns(
            [
                "version",
                "RFC 9112, 2.3",
                "a version that is written otherwise",
                BAD,
            ],
            vec![
                line("GET /a.txt http/1.1", 400),
                line("GET /a.txt HTTP/1", 400),
                line("GET /a.txt HTTP/1.10", 400),
                line("GET /a.txt HTTP/01.1", 400),
                line("GET /a.txt HTCPCP/1.0", 400),
            ],
        ),
        turns(
            [
                "higher-minor",
                "RFC 9110, 2.5",
                "HTTP/1.2",
                "it is answered as HTTP/1.1",
            ],
            vec![turn(request("GET /a.txt HTTP/1.2", &[]), file())],
        ),
        turns(
            [
                "higher-major",
                "RFC 9110, 15.6.6",
                "HTTP/2.0, and the preface of HTTP/2",
                "505",
            ],
            vec![
                refused(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
                line("GET /a.txt HTTP/2.0", 505),
                line("GET /a.txt HTTP/0.9", 505),
            ],
        ),
        turns(
            ["no-host", "RFC 9112, 3.2", "no Host", BAD],
            vec![refused(400, "GET /a.txt HTTP/1.1\r\n\r\n")],
        ),
        turns(
            [
                "two-hosts",
                "RFC 9112, 3.2",
                "Host twice, even the same",
                BAD,
            ],
            vec![
                host("Host: a\r\nHost: a\r\n"),
                host("Host: a\r\nX: y\r\nhost: b\r\n"),
            ],
        ),
        turns(
            ["bad-host", "RFC 9112, 3.2", "a Host that is none", BAD],
            vec![
                host("Host: a b\r\n"),
                host("Host: a/b\r\n"),
                host("Host: u@a\r\n"),
                host("Host: a:b\r\n"),
                host("Host: a:1:2\r\n"),
                host("Host: [::1\r\n"),
            ],
        ),
        turns(
            [
                "good-host",
                "RFC 9112, 3.2",
                "a Host with a port, an address, or empty",
                "200",
            ],
            [
                "Host: a:80",
                "Host: [::1]:80",
                "Host: 127.0.0.1",
                "Host:",
                "hOST: a",
            ]
            .map(|host| turn(format!("GET /a.txt HTTP/1.1\r\n{host}\r\n\r\n"), file()))
            .into(),
        ),
        turns(
            [
                "long-target",
                "RFC 9110, 15.5.15",
                "a target of 9,000 bytes, or without end",
                "414",
            ],
            vec![
                refused(414, get(&format!("/{}", "a".repeat(9000)), &[])),
                refused(414, format!("GET /{}", "a".repeat(9000))),
                turn(get(&format!("/a.txt?{}", "a".repeat(7900)), &[]), file()),
            ],
        ),
        turns(
            [
                "long-head",
                "RFC 6585, 5",
                "a head of 40,000 bytes, or without end",
                "431",
            ],
            vec![
                refused(431, get("/a.txt", &[&format!("X: {}", "a".repeat(40_000))])),
                refused(
                    431,
                    format!(
                        "GET /a.txt HTTP/1.1\r\nHost: a\r\nX: {}",
                        "a".repeat(40_000)
                    ),
                ),
                turn(
                    get("/a.txt", &[&format!("X: {}", "a".repeat(16_000))]),
                    file(),
                ),
            ],
        ),
        turns(
            [
                "many-fields",
                "RFC 6585, 5",
                "5,000 fields",
                "431; 90 are read",
            ],
            vec![
                refused(431, get("/a.txt", &["X: y"; 5000])),
                turn(get("/a.txt", &["X: y"; 90]), file()),
            ],
        ),
        turns(
            [
                "bytes",
                "RFC 9112, 2.2",
                "one byte at a time",
                "as if they came together",
            ],
            vec![
                bytewise(turn(get("/a.txt", &["X: y"]), file())),
                bytewise(turn(get("/none", &[]), answer(404))),
                bytewise(refused(400, "GET /a.txt HTTP/1.1\r\nHost: a\n")),
            ],
        ),
    ]
}

fn bytewise(mut turn: Turn) -> Turn {
    turn.pace = Pace::Bytes;
    turn
}
