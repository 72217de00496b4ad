//! Where a request ends: what two parsers read differently lets requests be smuggled.

use super::case;
use crate::check::Wrong;
use crate::conformance::case::Case;
use crate::proxy::run::{Proxy, get, post, request};

const BAD: &str = "400, and the connection is closed: nothing reaches the server";

const CHUNKED: &str = "Transfer-Encoding: chunked";

pub(super) fn all() -> Vec<Case> {
    vec![
        case(
            [
                "lengths",
                "RFC 9112, 6.3",
                "Content-Length twice, or as a list",
                BAD,
            ],
            lengths,
        ),
        case(
            [
                "length",
                "RFC 9110, 8.6",
                "a Content-Length that is no number",
                BAD,
            ],
            length,
        ),
        case(
            [
                "length-and-coding",
                "RFC 9112, 6.1",
                "Content-Length and Transfer-Encoding",
                BAD,
            ],
            length_and_coding,
        ),
        case(
            [
                "coding",
                "RFC 9112, 6.3",
                "a last transfer coding that is not chunked, or Transfer-Encoding twice",
                BAD,
            ],
            coding,
        ),
        case(
            [
                "unknown-coding",
                "RFC 9112, 6.1",
                "another coding before chunked",
                "501",
            ],
            unknown_coding,
        ),
        case(
            [
                "coding-in-1.0",
                "RFC 9112, 6.1",
                "Transfer-Encoding in HTTP/1.0",
                BAD,
            ],
            coding_in_old,
        ),
    ]
}

/// Requests with these fields, and behind each one that is hidden.
fn hiding(fields: &[&[&str]]) -> Vec<String> {
    let hidden = get("/hidden", &[]);
    let one = |fields: &&[&str]| post("/", fields) + "0\r\n\r\n" + &hidden;
    fields.iter().map(one).collect()
}

fn lengths(proxy: &mut Proxy) -> Result<(), Wrong> {
    proxy.refused(
        400,
        hiding(&[
            &["Content-Length: 3", "Content-Length: 4"],
            &["Content-Length: 5", "Content-Length: 5"],
            &["Content-Length: 5, 5"],
            &["Content-Length: 0", "content-length: 44"],
        ]),
    )
}

fn length(proxy: &mut Proxy) -> Result<(), Wrong> {
    let lengths = [
        "-5",
        "+5",
        "0x5",
        "5 5",
        "5.0",
        "",
        "5,",
        "5_0",
        "\"5\"",
        "99999999999999999999",
    ];
    for length in lengths {
        let field = format!("Content-Length: {length}");
        proxy.refused(400, hiding(&[&[&field]]))?;
    }
    Ok(())
}

fn length_and_coding(proxy: &mut Proxy) -> Result<(), Wrong> {
    proxy.refused(
        400,
        hiding(&[
            &["Content-Length: 6", CHUNKED],
            &[CHUNKED, "Content-Length: 6"],
            &[CHUNKED, "Content-Length: 0"],
            // Naming it takes it away for the server alone.
            &["Connection: Content-Length", "Content-Length: 6", CHUNKED],
        ]),
    )
}

fn coding(proxy: &mut Proxy) -> Result<(), Wrong> {
    proxy.refused(
        400,
        hiding(&[
            &["Transfer-Encoding: gzip"],
            &["Transfer-Encoding: chunked, identity"],
            &["Transfer-Encoding: xchunked"],
            &["Transfer-Encoding: \"chunked\""],
            &["Transfer-Encoding: chunked;a"],
            &["Transfer-Encoding: \x0bchunked"],
            &["Transfer-Encoding: \x0cchunked"],
            &["Transfer-Encoding: chunked\r"],
            &["Transfer-Encoding:"],
            &[CHUNKED, "Transfer-Encoding: identity"],
            &[CHUNKED, CHUNKED],
        ]),
    )
}

fn unknown_coding(proxy: &mut Proxy) -> Result<(), Wrong> {
    proxy.refused(
        501,
        hiding(&[
            &["Transfer-Encoding: gzip, chunked"],
            &["Transfer-Encoding: chunked, chunked"],
        ]),
    )
}

fn coding_in_old(proxy: &mut Proxy) -> Result<(), Wrong> {
    let line = "POST http://{A}/ HTTP/1.0";
    proxy.refused(400, [request(line, &[CHUNKED]) + "0\r\n\r\n"])
}
