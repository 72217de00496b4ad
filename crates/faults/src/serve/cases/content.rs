//! HEAD, conditions and ranges.

use super::turns;
use crate::conformance::case::Case;
use crate::conformance::expect::{Expect, answer};
use crate::serve::case::{Turn, file, get, part, request, turn};

/// When the file was changed, before and after that, and a date that is none.
const SAME: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
const BEFORE: &str = "Sun, 09 Sep 2001 01:46:39 GMT";
const AFTER: &str = "Sun, 09 Sep 2001 01:46:41 GMT";
const NO_DATE: &str = "2001-09-09";

pub(super) fn all() -> Vec<Case> {
    let with = |field: &str, answer| turn(get("/a.txt", &[field]), answer);
    let first = || turn(get("/a.txt", &[]), file());
    let known = || answer(304).without("content-length");
    let gone = || answer(416).field("content-range", "bytes */10");
    let range = |value: &str, answer| turn(get("/a.txt", &[&format!("Range: {value}")]), answer);
    let if_range = |condition: &str, answer: Expect| -> Turn {
        let condition = format!("If-Range: {condition}");
        turn(get("/a.txt", &["Range: bytes=2-4", &condition]), answer)
    };
    let whole = || file().without("content-range");
    vec![
        turns(
            [
                "head",
                "RFC 9110, 9.3.2",
                "HEAD",
                "the fields of GET, and no body",
            ],
            vec![
                turn(
                    request("HEAD /a.txt HTTP/1.1", &[]),
                    file()
                        .field("last-modified", SAME)
                        .field("accept-ranges", "bytes")
                        .for_head(),
                ),
                turn(request("HEAD /none HTTP/1.1", &[]), answer(404).for_head()),
                turn(
                    request("HEAD /a.txt HTTP/1.1", &["Range: bytes=0-1"]),
                    whole().for_head(),
                ),
            ],
        ),
        turns(
            [
                "empty",
                "RFC 9110, 8.6",
                "an empty file",
                "200, and a length of 0",
            ],
            vec![
                turn(get("/empty.txt", &[]), answer(200).body("")),
                turn(
                    get("/empty.txt", &["Range: bytes=0-"]),
                    answer(416).field("content-range", "bytes */0"),
                ),
                turn(
                    get("/empty.txt", &["Range: bytes=-1"]),
                    answer(200).body(""),
                ),
            ],
        ),
        turns(
            [
                "type",
                "RFC 9110, 8.3",
                "files with extensions",
                "Content-Type says what it is",
            ],
            vec![
                turn(
                    get("/a.txt", &[]),
                    file().field("content-type", "text/plain"),
                ),
                turn(
                    get("/sub/", &[]),
                    answer(200).body("index").field("content-type", "text/html"),
                ),
            ],
        ),
        turns(
            [
                "future",
                "RFC 9110, 8.8.2.1",
                "a file from the future",
                "no Last-Modified after Date",
            ],
            // If it was in the future, it would be later than any Date until then.
            vec![turn(
                get(
                    "/future.txt",
                    &["If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT"],
                ),
                known(),
            )],
        ),
        turns(
            [
                "range",
                "RFC 9110, 14.1.2",
                "ranges: first and last, open, suffix",
                "206",
            ],
            vec![
                range("bytes=0-0", part("0-0", "0")),
                range("bytes=2-4", part("2-4", "234")),
                range("bytes=7-", part("7-9", "789")),
                range("bytes=-3", part("7-9", "789")),
                range("bytes=0-9", part("0-9", "0123456789")),
                range("BYTES=9-9", part("9-9", "9")),
            ],
        ),
        turns(
            [
                "range-beyond",
                "RFC 9110, 14.1.2",
                "a range that ends beyond the file",
                "206, as much as there is",
            ],
            vec![
                range("bytes=8-100", part("8-9", "89")),
                range("bytes=8-99999999999999999999", part("8-9", "89")),
                range("bytes=-100", part("0-9", "0123456789")),
            ],
        ),
        turns(
            [
                "no-range",
                "RFC 9110, 15.5.17",
                "a range beyond the file, a suffix of 0",
                "416 with Content-Range",
            ],
            vec![
                range("bytes=10-", gone()),
                range("bytes=10-20", gone()),
                range("bytes=4294967296-", gone()),
                range("bytes=99999999999999999999-", gone()),
                range("bytes=-0", gone()),
            ],
        ),
        turns(
            [
                "bad-range",
                "RFC 9110, 14.2",
                "a range that is none, or in another unit",
                "200 with all of it",
            ],
            [
                "bytes=4-2",
                "bytes=a-b",
                "bytes=-",
                "bytes=",
                "bytes 0-1",
                "lines=0-1",
                "bytes=+0-1",
                "0-1",
            ]
            .map(|value| range(value, whole()))
            .into(),
        ),
        turns(
            [
                "ranges",
                "RFC 9110, 14.2",
                "several ranges",
                "200 with all of it",
            ],
            vec![
                range("bytes=0-1,3-4", whole()),
                range("bytes=0-,0-,0-,0-", whole()),
                turn(
                    get("/a.txt", &["Range: bytes=0-1", "Range: bytes=3-4"]),
                    whole(),
                ),
            ],
        ),
        turns(
            [
                "if-range",
                "RFC 9110, 13.1.5",
                "If-Range with the tag or the date",
                "206; 200 if it is another",
            ],
            vec![
                first(),
                if_range("{TAG}", part("2-4", "234")),
                if_range("{DATE}", part("2-4", "234")),
                if_range("\"other\"", whole()),
                if_range("W/{TAG}", whole()),
                if_range(BEFORE, whole()),
                if_range(AFTER, whole()),
                if_range(NO_DATE, whole()),
            ],
        ),
        turns(
            [
                "if-none-match",
                "RFC 9110, 13.1.2",
                "If-None-Match: the tag, a weak one, a list, `*`",
                "304; 200 with another",
            ],
            vec![
                first(),
                with("If-None-Match: {TAG}", known()),
                with("If-None-Match: W/{TAG}", known()),
                with("If-None-Match: \"other\", {TAG}", known()),
                with("If-None-Match: *", known()),
                with("If-None-Match: \"other\"", file()),
                turn(get("/none", &["If-None-Match: *"]), answer(404)),
            ],
        ),
        turns(
            [
                "if-modified-since",
                "RFC 9110, 13.1.3",
                "If-Modified-Since",
                "304, or 200 if it was changed or that is no date",
            ],
            vec![
                with(&format!("If-Modified-Since: {SAME}"), known()),
                with(&format!("If-Modified-Since: {AFTER}"), known()),
                with(&format!("If-Modified-Since: {BEFORE}"), file()),
                with(&format!("If-Modified-Since: {NO_DATE}"), file()),
                // The two other forms of a date, which every recipient has to read.
                with("If-Modified-Since: Sunday, 09-Sep-01 01:46:40 GMT", known()),
                with("If-Modified-Since: Sun Sep  9 01:46:40 2001", known()),
            ],
        ),
        turns(
            [
                "tag-before-date",
                "RFC 9110, 13.2.2",
                "a tag and a date, and a range",
                "the tag counts; a range comes last",
            ],
            vec![
                first(),
                turn(
                    get(
                        "/a.txt",
                        &[
                            "If-None-Match: \"x\"",
                            &format!("If-Modified-Since: {SAME}"),
                        ],
                    ),
                    file(),
                ),
                turn(
                    get("/a.txt", &["If-None-Match: {TAG}", "Range: bytes=0-1"]),
                    known(),
                ),
                turn(
                    get("/a.txt", &["If-None-Match: {TAG}", "Range: bytes=99-"]),
                    known(),
                ),
            ],
        ),
        turns(
            [
                "if-match",
                "RFC 9110, 13.1.1",
                "If-Match, If-Unmodified-Since",
                "412 if it is another file",
            ],
            vec![
                first(),
                with("If-Match: {TAG}", file()),
                with("If-Match: \"other\", {TAG}", file()),
                with("If-Match: *", file()),
                with("If-Match: \"other\"", answer(412)),
                with("If-Match: W/{TAG}", answer(412)),
                with(&format!("If-Unmodified-Since: {SAME}"), file()),
                with(&format!("If-Unmodified-Since: {BEFORE}"), answer(412)),
                turn(
                    get(
                        "/a.txt",
                        &["If-Match: {TAG}", &format!("If-Unmodified-Since: {BEFORE}")],
                    ),
                    file(),
                ),
            ],
        ),
    ]
}
