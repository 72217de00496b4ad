//! `Transfer`: what every kind of answer leads to, one by one.

use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use transfer::answer::Validator;
use transfer::list::Lines;
use transfer::{
    Accepted, Answer, AttemptError, Body, Head, Next, Options, Part, Request, Transfer,
};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:50:37 GMT";

fn head(status: u16, headers: &[(&str, &str)]) -> Head {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a name");
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
        map.append(name, value);
    }
    Head {
        status,
        headers: map,
    }
}

fn tagged(etag: &str) -> Validator {
    Validator {
        etag: Some(etag.to_owned()),
        ..Validator::default()
    }
}

/// A file of which the first five bytes of ten are there, under the tag `"a"`.
fn half() -> Transfer {
    let mut half = file("http://h/f");
    half.part = Part {
        bytes: 5,
        total: Some(10),
        validator: tagged("\"a\""),
    };
    half
}

fn file(line: &str) -> Transfer {
    let entry = Lines::new(line.as_bytes()).next();
    let entry = entry.expect("memory").expect("a line").expect("a URL");
    Transfer::new(entry, Part::default())
}

/// What is left of waits when they are none of a test's business.
fn options() -> Options {
    Options::default()
}

fn tell(transfer: &mut Transfer, head: &Head) -> Answer {
    let options = options();
    transfer.answered(head, &options, Instant::now(), SystemTime::now())
}

fn body(answer: Answer) -> Body {
    match answer {
        Answer::Body(body) => body,
        Answer::Next(next) => panic!("no body, but {next:?}"),
    }
}

fn next(answer: Answer) -> Next {
    match answer {
        Answer::Next(next) => next,
        Answer::Body(body) => panic!("a body: {body:?}"),
    }
}

fn failed(answer: Answer) -> String {
    match next(answer) {
        Next::Failed(why) => why,
        next => panic!("not failed, but {next:?}"),
    }
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request
        .headers
        .get(name)
        .map(|value| value.to_str().expect("text"))
}

/// The range that it asks for, and on what condition.
fn range(transfer: &Transfer) -> Option<(String, String)> {
    let request = transfer.request(&options());
    let text = |name| header(&request, name).map(str::to_owned);
    assert_eq!(text("range").is_some(), text("if-range").is_some());
    text("range").zip(text("if-range"))
}

#[test]
fn a_first_request_asks_for_the_whole_file_as_it_is() {
    let request = file("http://h:8080/f?x=1#part").request(&options());
    assert_eq!(request.url.as_str(), "http://h:8080/f?x=1");
    assert_eq!(header(&request, "accept"), Some("*/*"));
    assert_eq!(header(&request, "accept-encoding"), Some("identity"));
    assert!(header(&request, "user-agent").is_some_and(|agent| agent.starts_with("paces/")));
    assert_eq!(request.headers.len(), 3);
}

#[test]
fn the_rest_is_asked_for_only_under_a_strong_validator() {
    let dated = |dated| Validator {
        etag: None,
        last_modified: Some(DATE.to_owned()),
        dated,
    };
    let both = Validator {
        etag: Some("W/\"a\"".to_owned()),
        ..dated(true)
    };
    for (validator, condition) in [
        (tagged("\"a\""), Some("\"a\"")),
        (dated(true), Some(DATE)),
        (dated(false), None),
        (tagged("W/\"a\""), None),
        (tagged("w/\"a\""), None),
        (tagged("a"), None),
        (tagged("\""), None),
        (tagged(""), None),
        (tagged("\"\u{7f}\""), None),
        (both, None),
        (Validator::default(), None),
    ] {
        let mut file = half();
        file.part.validator = validator.clone();
        let wanted = condition.map(|condition| ("bytes=5-".to_owned(), condition.to_owned()));
        assert_eq!(range(&file), wanted, "{validator:?}");
        // And without it, no answer is joined to what is there.
        if condition.is_none() {
            let part = head(
                206,
                &[("content-range", "bytes 5-9/10"), ("content-length", "5")],
            );
            assert!(
                matches!(next(tell(&mut file, &part)), Next::After(_)),
                "{validator:?}"
            );
            assert_eq!(file.part.bytes, 0);
        }
    }
    assert_eq!(range(&file("http://h/f")), None);
}

#[test]
fn a_whole_answer_begins_at_the_first_byte_whatever_was_asked_for() {
    let mut file = half();
    let answer = head(200, &[("content-length", "7"), ("etag", "\"b\"")]);
    let begun = body(tell(&mut file, &answer));
    assert_eq!((begun.offset, begun.position()), (0, 0));
    let part = Part {
        bytes: 0,
        total: Some(7),
        validator: tagged("\"b\""),
    };
    assert_eq!(file.part, part);
    // Even of the same state.
    let mut file = half();
    let answer = head(200, &[("content-length", "10"), ("etag", "\"a\"")]);
    assert_eq!(body(tell(&mut file, &answer)).offset, 0);
    assert_eq!(file.part.bytes, 0);
}

#[test]
fn the_rest_is_taken_if_it_is_just_that() {
    let tag = ("etag", "\"a\"");
    for headers in [
        &[
            ("content-range", "bytes 5-9/10"),
            tag,
            ("content-length", "5"),
        ][..],
        &[("content-range", "bytes 5-9/10"), tag],
        &[("content-range", "Bytes 5-9/*"), tag],
        &[("content-range", "bytes 5-7/10"), tag],
        &[
            ("content-range", "bytes 5-9/10"),
            tag,
            ("last-modified", DATE),
        ],
        &[
            ("content-range", "bytes 5-9/10"),
            tag,
            ("transfer-encoding", "chunked"),
        ],
    ] {
        let mut file = half();
        let begun = body(tell(&mut file, &head(206, headers)));
        assert_eq!(begun.offset, 5, "{headers:?}");
        assert_eq!(file.part.total, Some(10), "{headers:?}");
    }
}

#[test]
fn any_other_part_is_refused_and_the_file_begun_again_without_a_range() {
    let (tag, range_of) = (("etag", "\"a\""), |range| ("content-range", range));
    let right = range_of("bytes 5-9/10");
    for (why, headers) in [
        ("too early", &[range_of("bytes 4-9/10"), tag][..]),
        ("too late", &[range_of("bytes 6-9/10"), tag]),
        ("the beginning", &[range_of("bytes 0-9/10"), tag]),
        ("no range", &[tag]),
        ("no good range", &[range_of("bytes 5/10"), tag]),
        ("signs", &[range_of("bytes +5-+9/+10"), tag]),
        ("backwards", &[range_of("bytes 5-4/10"), tag]),
        ("outside", &[range_of("bytes */10"), tag]),
        ("another unit", &[range_of("lines 5-9/10"), tag]),
        ("another length", &[right, tag, ("content-length", "4")]),
        ("no length", &[right, tag, ("content-length", "x")]),
        ("another total", &[range_of("bytes 5-9/11"), tag]),
        ("more than there is", &[range_of("bytes 5-10/*"), tag]),
        ("another tag", &[right, ("etag", "\"b\"")]),
        ("a weak tag", &[right, ("etag", "W/\"a\"")]),
        ("no tag", &[right]),
        ("two ranges", &[right, right, tag]),
        (
            "several parts",
            &[
                right,
                tag,
                ("content-type", "multipart/byteranges; boundary=x"),
            ],
        ),
        (
            "the largest numbers",
            &[range_of("bytes 5-18446744073709551615/*"), tag],
        ),
        (
            "larger ones",
            &[range_of("bytes 5-9/99999999999999999999"), tag],
        ),
    ] {
        let mut file = half();
        let answer = tell(&mut file, &head(206, headers));
        assert_eq!(next(answer), Next::Now, "{why}");
        assert_eq!(file.part.bytes, 0, "{why}");
        assert_eq!(range(&file), None, "{why}");
        // And never with one again, whatever comes.
        body(tell(
            &mut file,
            &head(200, &[("content-length", "10"), tag]),
        ));
        file.written(5);
        file.failed(AttemptError::Broken(String::new()), &options());
        assert_eq!(range(&file), None, "{why}");
        let answer = tell(
            &mut file,
            &head(206, &[right, tag, ("content-length", "5")]),
        );
        assert!(matches!(next(answer), Next::After(_)), "{why}");
    }
}

#[test]
fn a_date_that_changed_is_another_file_and_one_left_out_is_not() {
    let dated = || {
        let mut file = half();
        file.part.validator = Validator {
            etag: None,
            last_modified: Some(DATE.to_owned()),
            dated: true,
        };
        file
    };
    let right = ("content-range", "bytes 5-9/10");
    for (headers, taken) in [
        (&[right, ("last-modified", DATE)][..], true),
        (&[right], true),
        (&[right, ("last-modified", LATER)], false),
    ] {
        let answer = tell(&mut dated(), &head(206, headers));
        assert_eq!(matches!(answer, Answer::Body(_)), taken, "{headers:?}");
    }
}

#[test]
fn a_part_of_unknown_length_is_not_taken_to_be_all() {
    let mut file = half();
    file.part.total = None;
    let part = head(206, &[("content-range", "bytes 5-7/*"), ("etag", "\"a\"")]);
    assert_eq!(next(tell(&mut file, &part)), Next::Now);
    assert_eq!(range(&file), None);
}

#[test]
fn a_part_that_nobody_asked_for_is_refused() {
    let mut file = file("http://h/f");
    let part = |range| head(206, &[("content-range", range), ("etag", "\"a\"")]);
    for range in ["bytes 0-9/11", "bytes 0-9/*", "bytes 5-9/10"] {
        assert!(matches!(
            next(tell(&mut file, &part(range))),
            Next::After(_)
        ));
    }
    // Unless it is all.
    assert_eq!(body(tell(&mut file, &part("bytes 0-9/10"))).offset, 0);
}

#[test]
fn nothing_from_there_on_means_complete_only_if_it_is_the_same_file() {
    let range = |range| ("content-range", range);
    let here = range("bytes */5");
    let same = ("etag", "\"a\"");
    for (total, headers, complete) in [
        (None, &[here, same][..], true),
        (Some(5), &[here, same], true),
        // Every byte that was announced is there, and nothing says otherwise.
        (Some(5), &[here], true),
        // Once it was said to have more.
        (Some(10), &[here, same], false),
        (None, &[here], false),
        (None, &[here, ("etag", "\"b\"")], false),
        (Some(5), &[here, ("etag", "\"b\"")], false),
        (None, &[range("bytes */6"), same], false),
        (None, &[range("bytes */4"), same], false),
        (None, &[same], false),
        (None, &[range("bytes 0-4/5"), same], false),
    ] {
        let mut file = half();
        file.part.total = total;
        let next = next(tell(&mut file, &head(416, headers)));
        assert_eq!(next == Next::Complete, complete, "{total:?} {headers:?}");
        if complete {
            assert!(file.is_whole())
        } else {
            assert_eq!(file.part.bytes, 0)
        }
    }
    // Nobody asked for a range.
    let answer = tell(
        &mut file("http://h/f"),
        &head(416, &[range("bytes */0"), same]),
    );
    assert_ne!(next(answer), Next::Complete);
}

#[test]
fn statuses_that_may_pass_are_waited_for_and_others_are_not() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let answer = tell(&mut file("http://h/f"), &head(status, &[]));
        assert!(matches!(next(answer), Next::After(_)), "{status}");
    }
    for status in [201, 204, 300, 304, 305, 400, 403, 404, 410, 501, 505] {
        let why = format!("the server answered {status}");
        assert_eq!(
            failed(tell(&mut file("http://h/f"), &head(status, &[]))),
            why
        );
        // It may be the range that is refused.
        let mut file = half();
        assert_eq!(next(tell(&mut file, &head(status, &[]))), Next::Now);
        assert_eq!(range(&file), None);
        assert_eq!(failed(tell(&mut file, &head(status, &[]))), why);
        assert_eq!(file.part.bytes, 5, "the next run can try again");
    }
}

#[test]
fn redirects_are_followed_from_where_they_are_told() {
    let mut file = file("http://h/a/b/f");
    for (status, location, url) in [
        (301, "g", "http://h/a/b/g"),
        (302, "../x/y?z#w", "http://h/a/x/y?z"),
        (303, "/top", "http://h/top"),
        (307, "//other/p", "http://other/p"),
        (308, "http://third:81/q/", "http://third:81/q/"),
        (302, "r", "http://third:81/q/r"),
        (302, "d%C3%A9j\u{e0}", "http://third:81/q/d%C3%A9j%C3%A0"),
    ] {
        let answer = tell(&mut file, &head(status, &[("location", location)]));
        let next = next(answer);
        match url.contains("h/") || location == "r" || location.starts_with('d') {
            true => assert_eq!(next, Next::Now, "{location}"),
            false => assert_eq!(next, Next::Elsewhere, "{location}"),
        }
        assert_eq!(file.request(&options()).url.as_str(), url);
    }
    assert_eq!(file.host(), "third");
    // An attempt that fails begins where the list says.
    file.failed(AttemptError::Idle(Duration::from_secs(1)), &options());
    assert_eq!(file.request(&options()).url.as_str(), "http://h/a/b/f");
}

#[test]
fn redirects_that_lead_nowhere_fail() {
    for (location, why) in [
        (
            Some("https://h/f"),
            "redirected from http to https, which is refused",
        ),
        (
            Some("ftp://h/f"),
            "redirected from http to ftp, which is refused",
        ),
        (
            Some("file:///etc/passwd"),
            "redirected from http to file, which is refused",
        ),
        (Some("http://"), "redirected to \"http://\": empty host"),
        (None, "the server answered 302, and not where"),
    ] {
        let headers: Vec<_> = location.map(|at| ("location", at)).into_iter().collect();
        assert_eq!(
            failed(tell(&mut file("http://h/f"), &head(302, &headers))),
            why
        );
    }
}

#[test]
fn a_loop_of_redirects_ends() {
    let mut file = file("http://h/f");
    let round = head(302, &[("location", "/f")]);
    for _ in 0..10 {
        assert_eq!(next(tell(&mut file, &round)), Next::Now);
    }
    assert!(failed(tell(&mut file, &round)).starts_with("more than 10 redirects"));
}

#[test]
fn credentials_and_own_headers_are_for_the_listed_origin_alone() {
    let options = Options {
        headers: vec![
            ("X-Token".to_owned(), "secret".to_owned()),
            // Not for anybody to say.
            ("Range".to_owned(), "bytes=0-1".to_owned()),
            ("If-Range".to_owned(), "\"x\"".to_owned()),
            ("no header".to_owned(), "at all".to_owned()),
            ("X-Bad".to_owned(), "two\r\nlines".to_owned()),
        ],
        ..options()
    };
    let mut file = file("http://us%40er:p%3Ass@h/f");
    for (location, own) in [
        (None, true),
        (Some("http://other/f"), false),
        (Some("http://h:81/f"), false),
        (Some("http://x:y@h.other/f"), false),
        // There and back again.
        (Some("http://h:80/g"), true),
        (Some("//h/g"), true),
        (Some("http://x:y@h/g"), true),
    ] {
        if let Some(location) = location {
            let answer = tell(&mut file, &head(307, &[("location", location)]));
            assert!(matches!(next(answer), Next::Now | Next::Elsewhere));
        }
        let request = file.request(&options);
        // us@er:p:ss
        let basic = own.then_some("Basic dXNAZXI6cDpzcw==");
        assert_eq!(header(&request, "authorization"), basic, "{location:?}");
        assert_eq!(
            header(&request, "x-token"),
            own.then_some("secret"),
            "{location:?}"
        );
        assert_eq!(header(&request, "range"), None);
        assert_eq!(header(&request, "if-range"), None);
        assert_eq!(header(&request, "x-bad"), None);
        assert_eq!(request.url.username(), "");
        assert_eq!(request.url.password(), None);
    }
}

#[test]
fn a_server_is_left_alone_as_long_as_it_asks_but_not_for_ever() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let options = Options {
        backoff: Duration::from_millis(100),
        retry_after_most: Duration::from_secs(60),
        ..options()
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (status, after, asked) in [
        (503, "7", seconds(7)),
        (429, "7", seconds(7)),
        (503, "Sun, 06 Nov 1994 08:49:47 GMT", seconds(10)),
        (503, "100000", seconds(60)),
        (503, "99999999999999999999999", seconds(60)),
        (503, "Sat, 06 Nov 2094 08:49:47 GMT", seconds(60)),
        // Over already: as long as we would wait anyway.
        (503, "Sun, 06 Nov 1994 08:49:17 GMT", seconds(0)),
        (503, "0", seconds(0)),
        (503, "soon", None),
        (503, "-7", None),
        (503, "+7", None),
        (503, "", None),
        (500, "7", None),
        (408, "7", None),
    ] {
        let mut file = file("http://h/f");
        let head = head(status, &[("retry-after", after)]);
        let answer = file.answered(&head, &options, Instant::now(), now);
        match (next(answer), asked) {
            (Next::HostAfter(wait), Some(asked)) => {
                let least = asked.max(Duration::from_millis(50));
                assert!(
                    wait >= least && wait <= least.max(Duration::from_millis(100)),
                    "{after}"
                );
            }
            (Next::After(wait), None) => assert!(wait <= Duration::from_millis(100), "{after}"),
            (next, _) => panic!("{status} {after}: {next:?}"),
        }
    }
    // Ten times what is asked for is no retry; then it is.
    let mut file = file("http://h/f");
    let busy = head(503, &[("retry-after", "1")]);
    for _ in 0..14 {
        assert!(matches!(next(tell(&mut file, &busy)), Next::HostAfter(_)));
    }
    assert_eq!(
        failed(tell(&mut file, &busy)),
        "the server answered 503 (15 attempts)"
    );
}

#[test]
fn waits_double_up_to_the_longest_and_none_is_like_the_other() {
    let options = Options {
        retries: 40,
        backoff: Duration::from_millis(100),
        backoff_most: Duration::from_secs(5),
        ..options()
    };
    let mut distinct = std::collections::HashSet::new();
    for name in ["a", "b", "c"] {
        let mut file = file(&format!("http://h/{name}"));
        for retry in 0..40 {
            let whole = Duration::from_millis(100 * (1 << retry.min(10))).min(options.backoff_most);
            let Next::After(wait) = file.failed(AttemptError::Status(500), &options) else {
                panic!("given up at {retry}")
            };
            assert!(
                wait >= whole / 2 && wait <= whole,
                "{retry}: {wait:?} of {whole:?}"
            );
            assert!(distinct.insert(wait), "{retry}: {wait:?} twice");
        }
        assert!(matches!(
            file.failed(AttemptError::Status(500), &options),
            Next::Failed(_)
        ));
    }
}

#[test]
fn retries_are_counted_and_said() {
    let mut file = file("http://h/f");
    for retry in 1..=4 {
        let next = file.failed(AttemptError::Connect("refused".to_owned()), &options());
        assert!(matches!(next, Next::After(_)));
        assert_eq!(file.retries(), retry);
    }
    let why = "cannot connect: refused (5 attempts)".to_owned();
    let next = file.failed(AttemptError::Connect("refused".to_owned()), &options());
    assert_eq!(next, Next::Failed(why));
    let none = Options {
        retries: 0,
        ..options()
    };
    // All of it is asked for before it is given up.
    let mut file = half();
    assert_eq!(file.failed(AttemptError::Status(500), &none), Next::Now);
    assert_eq!(range(&file), None);
    let next = file.failed(AttemptError::Status(500), &none);
    assert_eq!(next, Next::Failed("the server answered 500".to_owned()));
}

#[test]
fn progress_gives_retries_back_and_repetition_does_not() {
    let step = 256 * 1024;
    let mut file = file("http://h/f");
    let whole = head(200, &[("content-length", "100000000"), ("etag", "\"a\"")]);
    body(tell(&mut file, &whole));
    for at in 1..100 {
        file.written(at * step);
        let next = file.failed(AttemptError::Broken(String::new()), &options());
        assert!(matches!(next, Next::After(_)), "{at}");
    }
    assert_eq!(file.retries(), 99);
    // A file that begins again and again does not get further than ever.
    let mut left = 0;
    while let Next::After(_) = {
        body(tell(&mut file, &whole));
        file.written(50 * step);
        file.failed(AttemptError::Broken(String::new()), &options())
    } {
        left += 1;
    }
    assert!(left <= 4, "{left}");
    // Nor does one that grows by less.
    let mut file = half();
    let mut left = 0;
    while let Next::After(_) = file.failed(AttemptError::Broken(String::new()), &options()) {
        left += 1;
        file.written(5 + left * 1000);
    }
    assert_eq!(left, 4);
}

#[test]
fn no_answer_is_forgiven_once_in_a_row() {
    let mut file = half();
    assert_eq!(file.failed(AttemptError::NoAnswer, &options()), Next::Now);
    assert_eq!(file.retries(), 0);
    assert_eq!(file.part.bytes, 5);
    assert!(matches!(
        file.failed(AttemptError::NoAnswer, &options()),
        Next::After(_)
    ));
    assert!(matches!(
        file.failed(AttemptError::NoAnswer, &options()),
        Next::After(_)
    ));
    // An answer ends the row, and so does another error.
    tell(&mut file, &head(302, &[("location", "/f")]));
    assert_eq!(file.failed(AttemptError::NoAnswer, &options()), Next::Now);
    file.failed(AttemptError::Idle(Duration::from_secs(1)), &options());
    assert_eq!(file.failed(AttemptError::NoAnswer, &options()), Next::Now);
}

#[test]
fn some_errors_are_final_and_too_many_open_files_is_not_the_servers() {
    for error in [
        AttemptError::Certificate("expired".to_owned()),
        AttemptError::TooLarge(5),
    ] {
        let next = half().failed(error.clone(), &options());
        assert_eq!(next, Next::Failed(error.to_string()));
    }
    let mut file = half();
    for _ in 0..100 {
        assert_eq!(
            file.failed(AttemptError::TooManyOpenFiles, &options()),
            Next::TooManyOpenFiles
        );
    }
    assert_eq!((file.retries(), file.part.bytes), (0, 5));
}

#[test]
fn what_a_failure_leaves_is_kept_only_if_it_can_be_gone_on_with() {
    let broken = || AttemptError::Broken("reset".to_owned());
    let mut file = half();
    file.failed(broken(), &options());
    assert_eq!(
        range(&file),
        Some(("bytes=5-".to_owned(), "\"a\"".to_owned()))
    );
    for validator in [tagged("W/\"a\""), Validator::default()] {
        let mut file = half();
        file.part.validator = validator;
        file.failed(broken(), &options());
        assert_eq!(file.part.bytes, 0);
    }
}

#[test]
fn a_body_that_is_encoded_is_decoded_or_refused() {
    for coding in [
        "gzip",
        "x-gzip",
        "GZip",
        "identity, gzip",
        "aws-chunked,gzip",
    ] {
        let headers = [
            ("content-encoding", coding),
            ("etag", "\"a\""),
            ("content-length", "7"),
        ];
        let mut file = half();
        let begun = body(tell(&mut file, &head(200, &headers)));
        assert_eq!(begun.offset, 0, "{coding}");
        // Nothing is ever joined to it.
        file.written(3);
        assert_eq!(range(&file), None, "{coding}");
        // Nor is it to what is there.
        let part = [
            ("content-encoding", coding),
            ("etag", "\"a\""),
            ("content-range", "bytes 5-9/10"),
        ];
        let mut file = half();
        assert_eq!(
            next(tell(&mut file, &head(206, &part))),
            Next::Now,
            "{coding}"
        );
        assert_eq!(range(&file), None, "{coding}");
    }
    for coding in ["br", "identity, br", "gzip, gzip", "zstd", "deflate"] {
        let why = failed(tell(
            &mut half(),
            &head(200, &[("content-encoding", coding)]),
        ));
        assert!(why.contains("which was not asked for"), "{why}");
    }
    for coding in [
        "identity",
        "Identity",
        " ",
        "",
        "utf-8",
        "none",
        "aws-chunked",
        "\u{e9}",
    ] {
        body(tell(
            &mut half(),
            &head(200, &[("content-encoding", coding)]),
        ));
    }
}

#[test]
fn a_length_that_is_none_is_tried_again() {
    for headers in [
        &[("content-length", "5"), ("content-length", "6")][..],
        &[("content-length", "+5")],
        &[("content-length", "99999999999999999999")],
    ] {
        let mut file = half();
        assert!(matches!(
            next(tell(&mut file, &head(200, headers))),
            Next::After(_)
        ));
    }
}

#[test]
fn a_file_that_is_too_large_is_not_had_announced_or_not() {
    let options = Options {
        max_size: Some(9),
        ..options()
    };
    let why = "larger than the 9 bytes that are allowed";
    let (now, date) = (Instant::now(), SystemTime::now());
    let rest = [("content-range", "bytes 5-9/10"), ("etag", "\"a\"")];
    for (status, headers) in [(200, &[("content-length", "10")][..]), (206, &rest)] {
        let answer = half().answered(&head(status, headers), &options, now, date);
        assert_eq!(failed(answer), why);
    }
    let mut file = file("http://h/f");
    let mut begun = body(file.answered(&head(200, &[]), &options, now, date));
    assert_eq!(
        file.received(&mut begun, 9, &options, now),
        Ok(Accepted::All)
    );
    let error = file.received(&mut begun, 1, &options, now);
    assert_eq!(error, Err(AttemptError::TooLarge(9)));
    assert_eq!(
        file.failed(error.unwrap_err(), &options),
        Next::Failed(why.to_owned())
    );
    // As large as may be.
    let mut begun =
        body(file.answered(&head(200, &[("content-length", "9")]), &options, now, date));
    assert_eq!(
        file.received(&mut begun, 9, &options, now),
        Ok(Accepted::All)
    );
    assert_eq!(file.ended(&begun, &options), Next::Complete);
}

#[test]
fn a_body_that_trickles_is_cut_off() {
    let options = Options {
        min_rate: 500,
        min_rate_window: Duration::from_secs(3),
        ..options()
    };
    // Pieces of so many bytes, so many milliseconds apart: when is it too slow?
    let run = |options: &Options, bytes: usize, every: u64| {
        let (mut file, began) = (file("http://h/f"), Instant::now());
        let mut begun = body(file.answered(&head(200, &[]), options, began, SystemTime::now()));
        (1..1000).find_map(|piece| {
            let now = began + Duration::from_millis(piece * every);
            let error = file.received(&mut begun, bytes, options, now).err()?;
            assert!(matches!(error, AttemptError::TooSlow { .. }), "{error:?}");
            Some(piece * every)
        })
    };
    assert_eq!(run(&options, 50, 100), None);
    assert_eq!(run(&options, 49, 100), Some(3000));
    assert_eq!(run(&options, 1, 1), None);
    // Silence is for the idle timeout, of 30 s, to judge; once.
    assert_eq!(run(&options, 1, 2000), Some(34_000));
    // One large piece now and then is no rate, either.
    assert_eq!(run(&options, 1500, 29_000), Some(58_000));
    let held_back = Options {
        rate: Some(10),
        ..options.clone()
    };
    assert_eq!(run(&held_back, 1, 2000), None);
    let none = Options {
        min_rate: 0,
        ..options
    };
    assert_eq!(run(&none, 1, 2000), None);
}

#[test]
fn a_file_owes_its_share_of_the_least_rate() {
    let options = Options {
        min_rate: 1000,
        min_rate_window: Duration::from_secs(1),
        ..options()
    };
    let (mut file, began) = (file("http://h/f"), Instant::now());
    let mut begun = body(file.answered(&head(200, &[]), &options, began, SystemTime::now()));
    let mut half_a_second = 0;
    let mut in_flight = |files| {
        begun.shared_by(files);
        let mut taken = Ok(Accepted::All);
        for _ in 0..2 {
            half_a_second += 1;
            let now = began + half_a_second * Duration::from_millis(500);
            taken = taken.and(file.received(&mut begun, 125, &options, now));
        }
        taken
    };
    assert!(in_flight(4).is_ok());
    assert!(in_flight(3).is_err());
}

#[test]
fn a_body_ends_where_it_was_announced() {
    let begin = |file: &mut Transfer| {
        body(tell(
            file,
            &head(200, &[("content-length", "10"), ("etag", "\"a\"")]),
        ))
    };
    let (options, now) = (options(), Instant::now());
    let mut file = file("http://h/f");
    let mut begun = begin(&mut file);
    assert_eq!(
        file.received(&mut begun, 6, &options, now),
        Ok(Accepted::All)
    );
    assert_eq!(
        file.received(&mut begun, 6, &options, now),
        Ok(Accepted::Last(4))
    );
    assert_eq!(
        file.received(&mut begun, 6, &options, now),
        Ok(Accepted::Last(0))
    );
    assert_eq!(begun.position(), 10);
    assert_eq!(file.ended(&begun, &options), Next::Complete);

    // Too short: it goes on from what has been written, and not from more.
    let mut begun = begin(&mut file);
    assert_eq!(
        file.received(&mut begun, 6, &options, now),
        Ok(Accepted::All)
    );
    file.written(4);
    assert!(matches!(file.ended(&begun, &options), Next::After(_)));
    assert_eq!(range(&file).unwrap().0, "bytes=4-");
    file.written(6);
    assert_eq!(range(&file).unwrap().0, "bytes=6-");

    // A part that ends before the file does is not all, and no failure.
    let part = head(206, &[("content-range", "bytes 6-7/10"), ("etag", "\"a\"")]);
    let mut begun = body(tell(&mut file, &part));
    assert_eq!(
        file.received(&mut begun, 2, &options, now),
        Ok(Accepted::All)
    );
    assert_eq!(file.ended(&begun, &options), Next::Now);

    // Nothing announced, but the length of that state of the file is known.
    let untold = head(200, &[("etag", "\"a\"")]);
    for (bytes, complete) in [(3, false), (10, true), (11, false)] {
        let mut file = half();
        let mut begun = body(tell(&mut file, &untold));
        assert_eq!(
            file.received(&mut begun, bytes, &options, now),
            Ok(Accepted::All)
        );
        assert_eq!(
            file.ended(&begun, &options) == Next::Complete,
            complete,
            "{bytes}"
        );
    }

    // Nothing announced: the end is where it ends. Nothing at all is a file.
    let mut begun = body(tell(&mut file, &head(200, &[])));
    assert_eq!(
        file.received(&mut begun, 3, &options, now),
        Ok(Accepted::All)
    );
    assert_eq!(file.ended(&begun, &options), Next::Complete);
    for headers in [&[][..], &[("content-length", "0")]] {
        let begun = body(tell(&mut file, &head(200, headers)));
        assert_eq!(file.ended(&begun, &options), Next::Complete);
    }
}

#[test]
fn an_answer_that_contradicts_what_is_known_is_not_the_file() {
    let tag = ("etag", "\"a\"");
    let (length, range_of) = (
        |length| ("content-length", length),
        |range| ("content-range", range),
    );
    for (headers, taken) in [
        (&[tag, length("10")][..], true),
        (&[tag, length("5")], false),
        (&[tag, length("11")], false),
        (&[("etag", "\"b\""), length("5")], true),
        (&[length("5")], true),
        (&[tag, length("5"), range_of("bytes 5-9/10")], false),
        (&[tag, length("10"), range_of("bytes 5-9/10")], false),
        (&[tag, length("10"), range_of("bytes 0-9/10")], true),
        (&[tag, length("10"), range_of("garbage")], true),
        (&[tag, range_of("bytes 0-4/10")], false),
        (&[length("5"), range_of("bytes 0-4/10")], false),
        (&[tag, length("10"), range_of("bytes */9")], false),
        (
            &[tag, length("10"), ("transfer-encoding", "identity")],
            true,
        ),
        (
            &[tag, length("5"), ("transfer-encoding", "identity")],
            false,
        ),
        (&[tag, length("5"), ("transfer-encoding", "chunked")], true),
        (&[tag, ("transfer-encoding", "gzip, chunked")], false),
        (&[tag, ("transfer-encoding", "chunked, identity")], false),
    ] {
        let mut file = half();
        let answer = tell(&mut file, &head(200, headers));
        assert_eq!(matches!(answer, Answer::Body(_)), taken, "{headers:?}");
        if !taken && headers.contains(&length("5")) {
            // It is no better the second time.
            let again = tell(&mut file, &head(200, headers));
            assert!(matches!(again, Answer::Next(_)), "{headers:?}");
        }
    }
}
