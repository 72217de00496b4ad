//! The faults: what can be wrong with an answer, and what each one answers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::answer::{Answer, Framing, PIECE, Pace, Then, chunk};
use super::asked::{
    Asked, Length, bad_chunk_size, coded, cut, encoded, extended, garbage, gzip, gzipped, headers,
    multipart, other_length, part_as_200, redirect, short_part, silence,
};
use super::file::{Version, fault_body};
use crate::conditions::{Wanted, range};
use crate::response::start_of_head;

/// What an answer without an end is made of.
const INFORMATION: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
const HEADER_LINE: &[u8] = b"X-More: of the same, and then some more of the very same\r\n";
const POISON: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npoisoned\n";
const SWITCHING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: something\r\n\r\n";
/// One way to misbehave, to be had at `/fault/NAME/TOKEN/ANYTHING[?bytes=N]`.
///
/// The right body there is [`fault_body`]`(1, N)`, with N 100,000 unless given and
/// at most 67,108,864. What comes "first" goes to the first request (`HEAD` ones
/// count) for this name with this token, which is any string the client chose;
/// what follows the token is the client's too. Unless said otherwise an answer is
/// right: with a Content-Length, a strong ETag, a Last-Modified, and ranges and
/// conditions honoured. "Half" is half of what the answer announces. Everything
/// that is held or has no end ends when the client leaves.
#[derive(serde::Serialize, Debug, Clone, Copy)]
pub struct Fault {
    /// How it is called in a URL.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    #[serde(skip)]
    pub(crate) answer: fn(&Asked) -> Answer,
}

const fn fault(name: &'static str, about: &'static str, answer: fn(&Asked) -> Answer) -> Fault {
    Fault {
        name,
        about,
        answer,
    }
}

/// Every fault there is.
#[rustfmt::skip] // A row each.
pub const FAULTS: &[Fault] = &[
    fault("right", "always right", |asked| asked.right()),

    // Bodies that end too soon or too late.
    fault("close-midway", "first announces all, sends half and closes; then right",
        |asked| asked.first(Asked::cut).unwrap_or_else(|| asked.right())),
    fault("reset-midway", "first announces all, sends half and resets; then right",
        |asked| asked.first(|asked| asked.right().half().then(Then::Reset))
            .unwrap_or_else(|| asked.right())),
    fault("always-truncated", "sends half of what remains and closes",
        |asked| asked.cut()),
    fault("truncated-without-range", "ignores Range, sends half and closes",
        |asked| asked.version(1).whole().half().then(Then::Close)),
    fault("longer-than-announced", "sends another whole answer right after the body",
        |asked| asked.right().excess(POISON)),
    fault("longer-than-chunked", "the same after a chunked body",
        |asked| asked.right().framing(Framing::Chunked).excess(POISON)),
    fault("late-excess", "the same 100 ms after the body",
        |asked| asked.right().then(Then::Late(POISON))),
    fault("conflicting-lengths", "two lengths: half, and the body's own",
        |asked| asked.version(1).whole().framing(Framing::Own)
            .header("Content-Length", asked.bytes / 2)
            .header("Content-Length", asked.bytes)),
    fault("negative-length", "a length of -5, the body, and closes",
        |asked| asked.version(1).whole().framing(Framing::Own)
            .header("Content-Length", -5).then(Then::Close)),
    fault("chunked-without-end", "all chunks but the last, and closes; no validators",
        |asked| asked.version(1).unvalidated().whole()
            .framing(Framing::ChunkedWithoutEnd).then(Then::Close)),
    fault("bad-chunk-size", "the second of two chunks has a size of \"zz\"", bad_chunk_size),
    fault("empty", "a body of no bytes",
        |_| Version::new(1, 0).whole()),
    fault("empty-chunked", "a chunked body of no bytes",
        |_| Version::new(1, 0).whole().framing(Framing::Chunked)),
    fault("chunked", "chunked, right", |asked| asked.right().framing(Framing::Chunked)),
    fault("chunked-with-length", "chunked, right, and with a length of half, which then means nothing",
        |asked| asked.right().framing(Framing::Chunked).header("Content-Length", asked.bytes / 2)),
    fault("until-close", "no length: the body ends with the connection",
        |asked| asked.right().framing(Framing::Close).then(Then::Close)),
    fault("until-close-1-0", "the same by HTTP/1.0",
        |asked| asked.right().protocol("HTTP/1.0").framing(Framing::Close).then(Then::Close)),
    fault("until-close-torn", "no length, and half of it; under TLS the end is not TLS's own",
        |asked| asked.right().half().framing(Framing::Close).then(Then::Leave)),

    // Answers that contradict themselves, or what was said before.
    fault("part-as-200", "first cut midway; then the part, with its Content-Range, as 200",
        |asked| asked.then_part(part_as_200)),
    fault("half-as-200", "200 with the first half, and a Content-Range that says so",
        |asked| part_as_200(&asked.version(1), 0..asked.bytes / 2)),
    fault("other-length", "first cut midway; then 200 with half of it, the length and validator to fit",
        |asked| other_length(asked, Length::Announced)),
    fault("other-length-chunked", "the same in chunks",
        |asked| other_length(asked, Length::Chunked)),
    fault("other-length-until-close", "the same, ended by the connection's end",
        |asked| other_length(asked, Length::UntilClose)),
    fault("longer-chunked", "first cut midway; then 200 with 1,000 bytes more, in chunks, and the same validator",
        |asked| asked.first(Asked::cut).unwrap_or_else(|| {
            let longer = Version { content: fault_body(1, asked.bytes + 1000), ..asked.version(1) };
            longer.whole().framing(Framing::Chunked)
        })),
    fault("identity", "right, with \"Transfer-Encoding: identity\", and the connection stays open",
        |asked| coded(asked, "identity", asked.bytes).then(Then::Hold)),
    fault("identity-cut", "first the same, cut midway; then right",
        |asked| asked.first(|asked| coded(asked, "identity", asked.bytes / 2).then(Then::Close))
            .unwrap_or_else(|| asked.right())),
    fault("gzip-chunked", "\"Transfer-Encoding: gzip, chunked\"",
        |asked| {
            let file = asked.version(1);
            Version { content: gzip(&file.content), ..file }.whole()
                .framing(Framing::ChunkedAs("gzip, chunked")).then(Then::Close)
        }),
    fault("chunked-identity", "chunks, and \"Transfer-Encoding: chunked, identity\"",
        |asked| asked.version(1).whole()
            .framing(Framing::ChunkedAs("chunked, identity")).then(Then::Close)),
    fault("all-as-206", "206 with all of it, where no range is asked for",
        |asked| match asked.request.range {
            None => asked.version(1).part(0..asked.bytes),
            Some(_) => asked.right(),
        }),

    // Requests for a part that are refused, or answered with less.
    fault("range-412", "first cut midway; 412 to every range", |asked| asked.no_range(412)),
    fault("range-403", "first cut midway; 403 to every range", |asked| asked.no_range(403)),
    fault("range-500", "first cut midway; 500 to every range", |asked| asked.no_range(500)),
    fault("range-silence", "first cut midway; closes without a byte if a range is asked for",
        |asked| asked.then_part(|_, _| silence())),
    fault("short-parts", "first cut midway; then parts of at most 10,000 bytes",
        |asked| asked.then_part(short_part)),

    // Ranges that are not what was asked for. All of them cut the first answer.
    fault("range-ignored", "first cut midway; then all, whatever the range",
        |asked| asked.first(Asked::cut).unwrap_or_else(|| asked.version(1).whole())),
    fault("wrong-range", "first cut midway; then a part that begins 10 bytes too soon",
        |asked| asked.then_part(|file, part| file.part(part.start.saturating_sub(10)..part.end))),
    fault("range-without-content-range", "first cut midway; then a part that does not say which",
        |asked| asked.then_part(|file, part| file.bare_part(part))),
    fault("multipart-range", "first cut midway; then the part as multipart/byteranges",
        |asked| asked.then_part(multipart)),

    // Files that change after the first answer, which is cut.
    fault("changed-etag", "first cut midway; then version 2, right",
        |asked| asked.first(Asked::cut)
            .unwrap_or_else(|| asked.version(2).answer(asked.request))),
    fault("changed-ignoring-if-range", "first cut midway; then version 2, whatever If-Range says",
        |asked| asked.first(Asked::cut)
            .unwrap_or_else(|| asked.version(2).regardless(asked.request))),
    fault("changed-last-modified", "the same with no ETag, only Last-Modified",
        |asked| {
            let dated = |version| asked.version(version).etag(None);
            asked.first(|asked| cut(dated(1).answer(asked.request)))
                .unwrap_or_else(|| dated(2).regardless(asked.request))
        }),
    fault("changed-size", "first cut midway; then version 2, 1,000 bytes longer, parts without validators",
        |asked| asked.first(Asked::cut).unwrap_or_else(|| {
            let file = Version::new(2, asked.bytes + 1000);
            match range(asked.request, file.content.len()) {
                Wanted::Part(part) => file.unvalidated().part(part),
                _ => file.answer(asked.request),
            }
        })),
    fault("weak-etag", "first cut midway, with a weak ETag; then version 2, parts without validators",
        |asked| {
            let weak = |version: u32| {
                let etag = format!("W/\"version-{version}\"");
                asked.version(version).unvalidated().etag(Some(etag))
            };
            asked.first(|asked| cut(weak(1).answer(asked.request))).unwrap_or_else(|| {
                match range(asked.request, asked.bytes) {
                    Wanted::Part(part) => asked.version(2).unvalidated().part(part),
                    _ => weak(2).answer(asked.request),
                }
            })
        }),

    // The first answer has all bytes, but not the chunk that says so.
    fault("416-complete", "first all chunks but the last; then right: 416 for what is beyond",
        |asked| asked.first(Asked::unended).unwrap_or_else(|| asked.right())),
    fault("416-other-validator", "the same, but then it is version 2",
        |asked| asked.first(Asked::unended)
            .unwrap_or_else(|| asked.version(2).regardless(asked.request))),
    fault("416-no-validator", "the same, and 416 has no validator",
        |asked| asked.first(Asked::unended).unwrap_or_else(|| {
            let file = asked.version(2);
            match range(asked.request, asked.bytes) {
                Wanted::Nothing => file.unvalidated().nothing(),
                _ => file.regardless(asked.request),
            }
        })),
    fault("416-other-size", "the same, but then it is version 2 with half the bytes",
        |asked| asked.first(Asked::unended)
            .unwrap_or_else(|| Version::new(2, asked.bytes / 2).regardless(asked.request))),

    // Statuses.
    fault("retry-after-seconds", "first 429 with \"Retry-After: 1\"; then right",
        |asked| asked.first_later(429, "1")),
    fault("retry-after-date", "first 503 with Retry-After: the date in 2 s; then right",
        |asked| {
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2));
            asked.first_later(503, &date)
        }),
    fault("retry-after-thrice", "three times 429 with \"Retry-After: 1\"; then right",
        |asked| match asked.times_before {
            0..3 => Answer::text(429, "later\n").header("Retry-After", 1),
            _ => asked.right(),
        }),
    fault("retry-after-always", "429 with \"Retry-After: 0\"",
        |_| Answer::text(429, "later\n").header("Retry-After", 0)),
    fault("retry-after-far", "first 429 with \"Retry-After: 86400\"; then right",
        |asked| asked.first_later(429, "86400")),
    fault("retry-after-garbage", "first 503 with \"Retry-After: soon\"; then right",
        |asked| asked.first_later(503, "soon")),
    fault("flapping", "500, 502, 503, then right",
        |asked| match asked.times_before {
            0 => Answer::text(500, "not yet\n"),
            1 => Answer::text(502, "not yet\n"),
            2 => Answer::text(503, "not yet\n"),
            _ => asked.right(),
        }),
    fault("always-500", "500", |_| Answer::text(500, "never\n")),
    fault("not-found", "404", |_| Answer::text(404, "there is nothing here\n")),
    fault("unauthorized", "401 for a digest", |_| Answer::text(401, "who are you?\n")
        .header("WWW-Authenticate", "Digest realm=\"here\", nonce=\"1\"")),
    fault("proxy-wanted", "407", |_| Answer::text(407, "not without a proxy\n")),
    fault("cookie-wall", "302 to itself with a cookie, until that comes back",
        |asked| {
            let has = |(name, _): &(String, String)| name == "cookie";
            match asked.request.headers.iter().any(has) {
                true => asked.right(),
                false => redirect(asked.at("cookie-wall")).header("Set-Cookie", "seen=1"),
            }
        }),
    fault("http-2", "what HTTP/2 begins with, and closes",
        |_| Answer::raw(vec![0, 0, 0, 4, 0, 0, 0, 0, 0], Then::Close)),
    fault("http-2-line", "an answer that calls itself HTTP/2",
        |_| Answer::raw(b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nab".to_vec(), Then::Close)),
    fault("another-protocol", "the first line of another protocol",
        |_| Answer::raw(b"220 ready\r\n".to_vec(), Then::Close)),
    fault("no-content", "204", |_| Answer::new(204, Vec::new())),
    fault("unasked-206", "the first half as a part, where no range is asked for",
        |asked| match asked.request.range {
            None => asked.version(1).part(0..asked.bytes / 2),
            Some(_) => asked.right(),
        }),

    // Redirects.
    fault("redirect", "302 to the right one, on this server",
        |asked| redirect(asked.at("right"))),
    fault("redirect-loop", "302 to itself",
        |asked| redirect(asked.at("redirect-loop"))),
    fault("redirect-to-file", "302 to file:///etc/passwd", |_| redirect("file:///etc/passwd")),
    fault("redirect-to-ftp", "302 to an ftp URL",
        |asked| redirect(format!("ftp://{}{}", asked.authority(), asked.at("right")))),
    fault("redirect-to-https", "302 to the same URL with https",
        |asked| redirect(format!("https://{}{}", asked.authority(), asked.at("redirect-to-https")))),
    fault("redirect-to-http", "302 to the right one, with http",
        |asked| redirect(format!("http://{}{}", asked.authority(), asked.at("right")))),
    fault("redirect-to-other-host", "302 to the right one, on this server by the name localhost",
        |asked| redirect(asked.at_localhost("right"))),
    fault("redirect-to-slow", "the same to the slow one",
        |asked| redirect(asked.at_localhost("slow"))),
    fault("redirect-to-busy", "the same to one that first answers \"Retry-After: 1\"",
        |asked| redirect(asked.at_localhost("retry-after-seconds"))),
    fault("redirect-without-location", "302 without a Location",
        |_| Answer::text(302, "somewhere else\n")),
    fault("redirect-hostile-name", "302 to the right one by the name ..%2f..%2fevil",
        |asked| {
            let query = asked.request.query.as_ref();
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            redirect(format!("/fault/right/{}/..%2f..%2fevil{query}", asked.token))
        }),

    // Slow, and slower.
    fault("stall-midway", "first announces all, sends half, and no more; then right",
        |asked| asked.first(|asked| asked.right().half().then(Then::Hold))
            .unwrap_or_else(|| asked.right())),
    fault("dead-when-kept", "right once a connection, and then never answers",
        |asked| match asked.on_this_connection {
            0 => asked.right(),
            _ => Answer::raw(Vec::new(), Then::Hold),
        }),
    fault("stall-headers", "never answers", |_| Answer::raw(Vec::new(), Then::Hold)),
    fault("stall-body", "sends what lies in the file's first half, and no more",
        |asked| asked.right().within_first(asked.bytes / 2).then(Then::Hold)),
    fault("drip", "right, a byte each 100 ms", |asked| asked.right().pace(Pace::Body(1))),
    fault("drip-headers", "right, the head a byte each 100 ms",
        |asked| asked.right().pace(Pace::DripHead)),
    fault("slow", "right, 5,000 bytes each 100 ms", |asked| asked.slow()),
    fault("hesitant", "right, but after 100 bytes of the body 2.5 s pass",
        |asked| asked.right().pace(Pace::Hesitant)),
    fault("slow-line", "right, over a line of 125,000 bytes a second that all of a token share",
        |asked| asked.right().pace(Pace::Line(Arc::clone(&asked.line)))),
    fault("slow-once", "first 5,000 bytes each 100 ms; then at full speed",
        |asked| asked.first(Asked::slow).unwrap_or_else(|| asked.right())),

    // Answers without an end.
    fault("endless-headers", "header lines without end",
        |_| Answer::raw(start_of_head("HTTP/1.1", 200), Then::EndlessHead(HEADER_LINE))),
    fault("many-informational", "103 without end",
        |_| Answer::raw(Vec::new(), Then::EndlessHead(INFORMATION))),
    fault("endless-body", "chunks without end, up to 1 GiB",
        |_| {
            let mut piece = Vec::new();
            chunk(&mut piece, &fault_body(1, PIECE));
            Answer::new(200, Vec::new())
                .framing(Framing::ChunkedWithoutEnd).then(Then::EndlessBody(piece))
        }),
    fault("huge-announced", "announces 1 TiB, and sends up to 1 GiB",
        |_| Answer::new(200, Vec::new()).framing(Framing::Own)
            .header("Content-Length", 1_u64 << 40).then(Then::EndlessBody(fault_body(1, PIECE)))),

    // Heads.
    fault("gzip-unasked", "compressed, whether or not the client takes that",
        |asked| gzipped(asked, |_| {})),
    fault("gzip-cut", "first the same, cut midway; then the same",
        |asked| {
            let answer = gzipped(asked, |_| {});
            if asked.times_before == 0 { cut(answer) } else { answer }
        }),
    fault("gzip-truncated", "compressed, and its last 100 bytes are missing",
        |asked| gzipped(asked, |gzip| gzip.truncate(gzip.len() - 100))),
    fault("gzip-damaged", "compressed, with a bit of its checksum flipped",
        |asked| gzipped(asked, |gzip| {
            let at = gzip.len() - 8;
            gzip[at] ^= 1;
        })),
    fault("gzip-and-more", "compressed, and then something else",
        |asked| gzipped(asked, |gzip| gzip.extend_from_slice(b"more"))),
    fault("br-unasked", "right, but called brotli", |asked| encoded(asked, "br")),
    fault("gzip-twice", "right, but called gzip of gzip", |asked| encoded(asked, "gzip, gzip")),
    fault("coding-utf-8", "right, with a Content-Encoding of utf-8", |asked| encoded(asked, "utf-8")),
    fault("coding-none", "right, with one of none", |asked| encoded(asked, "none")),
    fault("coding-aws-chunked", "right, with one of aws-chunked",
        |asked| encoded(asked, "aws-chunked")),
    fault("folded-headers", "right, with header lines that are folded, the ETag's among them",
        |asked| asked.version(1).unvalidated().etag(None).whole()
            .header("X-Folded", "one\r\n two\r\n\tthree").header("ETag", "\r\n  \"folded\"")),
    fault("head-in-pieces", "right, the head a byte a millisecond",
        |asked| headers(asked, 5, 100).pace(Pace::HeadInPieces)),
    fault("head-of-48k", "right, with 6 headers of 8,000 bytes", |asked| headers(asked, 6, 8000)),
    fault("head-of-100k", "right, with 10 headers of 10,000 bytes",
        |asked| headers(asked, 10, 10_000)),
    fault("many-headers", "right, with 110 headers more", |asked| headers(asked, 110, 10)),
    fault("chunk-extensions", "right, in chunks with short extensions",
        |asked| extended(asked, "a=b;c")),
    fault("long-chunk-extensions", "right, in chunks with extensions of 100 bytes",
        |asked| extended(asked, &format!("a=\"{}\"", "x".repeat(96)))),
    fault("redirect-latin-1", "302 to a right one, with a byte of Latin-1 in its name",
        |asked| {
            let location = [asked.at("right").as_bytes(), b"-caf\xe9"].concat();
            Answer::text(302, "over there\n")
                .headers(&[b"Location: ", &location[..], b"\r\n"].concat())
        }),
    fault("informational", "100 and 103 before the right one",
        |asked| asked.right().before([b"HTTP/1.1 100 Continue\r\n\r\n", INFORMATION].concat())),
    fault("content-disposition", "right, with a file name of ../../evil",
        |asked| asked.right()
            .header("Content-Disposition", "attachment; filename=\"../../evil\"")),
    fault("switching-protocols", "101, and no more",
        |_| Answer::raw(SWITCHING.to_vec(), Then::Hold)),
    fault("garbage-status", "no status line but \"HTP/9.9 huh\", and closes", |_| garbage()),
    fault("garbage-once", "first that; then right",
        |asked| asked.first(|_| garbage()).unwrap_or_else(|| asked.right())),
    fault("no-status", "closes without a byte", |_| silence()),
    fault("no-status-once", "first that; then right",
        |asked| asked.first(|_| silence()).unwrap_or_else(|| asked.right())),
    fault("stale-connection", "right, and closes without having said so",
        |asked| asked.right().then(Then::Close)),
];
