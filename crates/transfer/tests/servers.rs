//! `Transfer` against servers of every kind: whatever they answer, a file that
//! is said to be complete is one state of the file, and never two joined.

use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::sample::Index;
use transfer::answer::Validator;
use transfer::list::Lines;
use transfer::{Accepted, Answer, AttemptError, Head, Next, Options, Part, Request, Transfer};

/// How a server tells the states of a file apart. It never lies about that: two
/// states have no strong validator in common. (Of one that gives other bytes the
/// same strong tag, nobody could tell.)
#[derive(Debug, Clone, Copy, PartialEq)]
enum Tells {
    Tag,
    /// The same for all states, which a weak one may be.
    WeakTag,
    /// Old enough to be strong.
    Date,
    /// Of the second of the answer itself: states can share it.
    FreshDate,
    Nothing,
}

/// What becomes of one request.
#[derive(Debug, Clone)]
enum Act {
    /// As HTTP wants it.
    Right,
    /// So, but the connection breaks at some place; or closes as if it were done.
    Cut(Index, bool),
    /// So, and more comes than was announced.
    More(usize),
    /// So, at a byte a minute.
    Slow,
    /// As it should, but without a length.
    Chunked,
    /// So, and it breaks.
    ChunkedCut(Index),
    /// The whole file whatever was asked for.
    Whole,
    /// The range asked for, whatever the condition says.
    Unconditional,
    /// A range that nobody asked for, rightly labelled.
    OtherRange(Index, Index),
    /// As asked, but with this `Content-Range`, and the bytes of another place.
    Mislabelled(&'static str),
    /// The range asked for, less of it than there is, with or without a total.
    Less(Index, bool),
    /// 416, with these bytes for a total, or those asked for; and perhaps with
    /// what it knows it by. (Of a file that was never said how long it is, a
    /// server that lies so under the right tag has to be believed.)
    Outside(Option<u64>, bool),
    Multipart,
    Brotli,
    Status(u16, Option<&'static str>),
    Redirect(u16, &'static str),
    Fail(AttemptError),
    /// The process is killed while it receives a right answer, and a later one
    /// goes on with what is on the disk.
    Kill(Index),
}

#[derive(Debug, Clone)]
struct Case {
    tells: Tells,
    sizes: Vec<usize>,
    /// For each request: what becomes of it, and which state the file is in.
    acts: Vec<(Act, usize)>,
    /// When these are used up, what becomes of all others.
    last: Act,
    max_size: Option<u64>,
    piece: usize,
    flush: usize,
}

const LISTED: &str = "http://user:word@listed/dir/file";

fn content(state: usize, sizes: &[usize]) -> Vec<u8> {
    let byte = |at: usize| (at * 7 + at / 251 + state * 101) as u8 ^ (at >> 8) as u8;
    (0..sizes[state % sizes.len()]).map(byte).collect()
}

fn headers_of(tells: Tells, state: usize) -> Vec<(&'static str, String)> {
    let date = |second: usize| format!("Sun, 06 Nov 1994 08:49:{second:02} GMT");
    let now = ("date", "Sun, 06 Nov 1994 09:00:00 GMT".to_owned());
    match tells {
        Tells::Tag => vec![("etag", format!("\"{state}\"")), now],
        Tells::WeakTag => vec![
            ("etag", "W/\"x\"".to_owned()),
            ("last-modified", date(0)),
            now,
        ],
        Tells::Date => vec![("last-modified", date(state)), now],
        Tells::FreshDate => vec![("last-modified", now.1.clone()), now],
        Tells::Nothing => vec![],
    }
}

struct Response {
    head: Head,
    body: Vec<u8>,
    /// How the body ends.
    end: Result<(), AttemptError>,
    slow: bool,
}

fn response(status: u16, headers: Vec<(&str, String)>, body: Vec<u8>) -> Response {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a name");
        map.append(name, HeaderValue::from_str(&value).expect("a value"));
    }
    Response {
        head: Head {
            status,
            headers: map,
        },
        body,
        end: Ok(()),
        slow: false,
    }
}

fn value<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request
        .headers
        .get(name)
        .map(|value| value.to_str().expect("text"))
}

fn asked(request: &Request) -> Option<usize> {
    let range = value(request, "range")?;
    let first = range.strip_prefix("bytes=")?.strip_suffix('-')?;
    Some(first.parse().expect("a number"))
}

/// The answer of a server that does all as it should.
fn right(case: &Case, request: &Request, state: usize) -> Response {
    let condition = headers_of(case.tells, state).into_iter().find(|(name, _)| {
        *name
            == if case.tells == Tells::Date {
                "last-modified"
            } else {
                "etag"
            }
    });
    let same = condition.is_some_and(|(_, value)| self::value(request, "if-range") == Some(&value));
    match asked(request) {
        Some(first) if same => range_from(case, first, state),
        _ => whole(case, state),
    }
}

fn whole(case: &Case, state: usize) -> Response {
    let body = content(state, &case.sizes);
    let mut headers = headers_of(case.tells, state);
    headers.push(("content-length", body.len().to_string()));
    response(200, headers, body)
}

fn range_from(case: &Case, first: usize, state: usize) -> Response {
    let all = content(state, &case.sizes);
    let mut headers = headers_of(case.tells, state);
    if first >= all.len() {
        headers.push(("content-range", format!("bytes */{}", all.len())));
        return response(416, headers, Vec::new());
    }
    labelled(headers, &all, first, all.len() - 1, true)
}

fn labelled(
    mut headers: Vec<(&str, String)>,
    all: &[u8],
    first: usize,
    last: usize,
    total: bool,
) -> Response {
    let total = if total {
        all.len().to_string()
    } else {
        "*".to_owned()
    };
    headers.push(("content-range", format!("bytes {first}-{last}/{total}")));
    headers.push(("content-length", (last - first + 1).to_string()));
    response(206, headers, all[first..=last].to_vec())
}

fn serve(
    case: &Case,
    act: &Act,
    request: &Request,
    state: usize,
) -> Result<Response, AttemptError> {
    let own = || headers_of(case.tells, state);
    let all = content(state, &case.sizes);
    let mut answer = right(case, request, state);
    Ok(match act {
        Act::Right | Act::Kill(_) => answer,
        Act::Cut(at, clean) => {
            let announced = answer.body.len();
            answer.body.truncate(at.index(announced + 1));
            // A body without a length that just ends has ended, for all that
            // anybody can tell: these have one.
            answer.end = if *clean {
                Ok(())
            } else {
                Err(AttemptError::Broken("reset".to_owned()))
            };
            answer
        }
        Act::More(bytes) => {
            answer.body.extend(std::iter::repeat_n(b'!', *bytes));
            answer
        }
        Act::Slow => {
            answer.slow = true;
            answer
        }
        Act::Chunked => {
            answer.head.headers.remove("content-length");
            answer
        }
        Act::ChunkedCut(at) => {
            answer.head.headers.remove("content-length");
            answer.body.truncate(at.index(answer.body.len() + 1));
            answer.end = Err(AttemptError::Broken("reset".to_owned()));
            answer
        }
        Act::Whole => whole(case, state),
        Act::Unconditional => match asked(request) {
            Some(first) => range_from(case, first, state),
            None => answer,
        },
        Act::OtherRange(first, length) if !all.is_empty() => {
            let first = first.index(all.len());
            labelled(
                own(),
                &all,
                first,
                first + length.index(all.len() - first),
                true,
            )
        }
        Act::Less(length, total) => match asked(request) {
            Some(first) if answer.head.status == 206 => labelled(
                own(),
                &all,
                first,
                first + length.index(all.len() - first),
                *total,
            ),
            _ => answer,
        },
        Act::Mislabelled(label) => {
            answer.head.status = 206;
            let label = HeaderValue::from_static(label);
            answer.head.headers.insert("content-range", label);
            answer.body.reverse();
            answer
        }
        Act::Outside(total, tell) => {
            let mut headers = if *tell { own() } else { vec![] };
            let echo = asked(request).filter(|_| !tell).unwrap_or(all.len());
            let total = total.unwrap_or(echo as u64);
            headers.push(("content-range", format!("bytes */{total}")));
            response(416, headers, Vec::new())
        }
        Act::Multipart => {
            let mut headers = own();
            headers.push((
                "content-type",
                "multipart/byteranges; boundary=x".to_owned(),
            ));
            if let Some(first) = asked(request) {
                headers.push(("content-range", format!("bytes {first}-{first}/*")));
            }
            response(206, headers, b"--x\r\n".to_vec())
        }
        Act::Brotli => {
            let encoding = HeaderValue::from_static("br");
            answer.head.headers.insert("content-encoding", encoding);
            answer.body.reverse();
            answer
        }
        Act::Status(status, after) => {
            let after = after.map(|after| ("retry-after", after.to_owned()));
            response(*status, after.into_iter().collect(), b"sorry".to_vec())
        }
        Act::Redirect(status, location) => {
            let location = vec![("location", (*location).to_owned())];
            response(*status, location, b"there".to_vec())
        }
        Act::Fail(error) => return Err(error.clone()),
        Act::OtherRange(..) => answer,
    })
}

/// The disk: what is under the key, and what the journal says of it.
#[derive(Default)]
struct Disk {
    bytes: Vec<u8>,
    record: Part,
}

/// A file being written, as `Partial` writes it.
struct Writer {
    offset: usize,
    part: Part,
    piece: Vec<u8>,
    open: bool,
}

impl Writer {
    fn flush(&mut self, disk: &mut Disk) -> u64 {
        if !self.open {
            assert!(self.offset <= disk.bytes.len(), "a hole in the file");
            disk.bytes.truncate(self.offset);
            disk.record = Part::default();
            if self.part.validator.strong().is_some() {
                disk.record = self.part.clone();
            }
            self.open = true;
        }
        disk.bytes.append(&mut self.piece);
        disk.bytes.len() as u64
    }
}

fn begin(part: Part) -> Transfer {
    let entry = Lines::new(LISTED.as_bytes()).next();
    let entry = entry.expect("memory").expect("a line").expect("a URL");
    Transfer::new(entry, part)
}

/// What every request has to be like.
fn check(request: &Request, disk: &Disk) {
    let listed = request.url.host_str() == Some("listed") && request.url.port().is_none();
    assert_eq!(
        value(request, "authorization").is_some(),
        listed,
        "{}",
        request.url
    );
    assert_eq!(
        value(request, "x-token").is_some(),
        listed,
        "{}",
        request.url
    );
    assert!(request.url.username().is_empty() && request.url.password().is_none());
    let condition = value(request, "if-range");
    assert_eq!(condition.is_some(), request.headers.contains_key("range"));
    if let Some(condition) = condition {
        let first = asked(request).expect("one range to the end");
        assert!(
            first > 0 && first <= disk.bytes.len(),
            "{first} is not on the disk"
        );
        let strong = condition.starts_with('"') || condition.starts_with("Sun, ");
        assert!(strong, "{condition} is weak");
    }
}

/// Drives a file to its end, as the documentation of `Transfer` says. Returns
/// how often it asked, and what came of it.
fn drive(case: &Case) -> (usize, Next, Disk, Vec<usize>) {
    let options = Options {
        max_size: case.max_size,
        headers: vec![("X-Token".to_owned(), "secret".to_owned())],
        ..Options::default()
    };
    let mut disk = Disk::default();
    let mut transfer = begin(Part::default());
    let mut now = Instant::now();
    let mut served = Vec::new();
    for request_number in 0.. {
        let (act, state) = match case.acts.get(request_number) {
            Some((act, state)) => (act, *state % case.sizes.len()),
            None => (&case.last, request_number % case.sizes.len()),
        };
        let next = (|| {
            if transfer.is_whole() {
                let mut writer = Writer {
                    offset: transfer.part.bytes as usize,
                    part: transfer.part.clone(),
                    piece: Vec::new(),
                    open: false,
                };
                writer.flush(&mut disk);
                return Some(Next::Complete);
            }
            let request = transfer.request(&options);
            check(&request, &disk);
            let response = match serve(case, act, &request, state) {
                Ok(response) => response,
                Err(error) => return Some(transfer.failed(error, &options)),
            };
            served.push(state);
            let answer = transfer.answered(&response.head, &options, now, SystemTime::now());
            let mut body = match answer {
                Answer::Next(next) => return Some(next),
                Answer::Body(body) => body,
            };
            let mut writer = Writer {
                offset: body.offset as usize,
                part: transfer.part.clone(),
                piece: Vec::new(),
                open: false,
            };
            let killed_at = match act {
                Act::Kill(at) => Some(at.index(response.body.len() + 1)),
                _ => None,
            };
            let mut result = response.end;
            let mut came = 0;
            for piece in response.body.chunks(case.piece) {
                now += Duration::from_millis(if response.slow { 60_000 } else { 1 });
                came += piece.len();
                if killed_at.is_some_and(|at| came > at) {
                    return None;
                }
                match transfer.received(&mut body, piece.len(), &options, now) {
                    Ok(Accepted::All) => writer.piece.extend(piece),
                    Ok(Accepted::Last(bytes)) => {
                        writer.piece.extend(&piece[..bytes]);
                        result = Ok(());
                        break;
                    }
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
                if writer.piece.len() >= case.flush {
                    transfer.written(writer.flush(&mut disk));
                }
            }
            if killed_at.is_some() {
                return None;
            }
            let next = match result {
                Ok(()) => transfer.ended(&body, &options),
                Err(error) => {
                    transfer.written(writer.flush(&mut disk));
                    transfer.failed(error, &options)
                }
            };
            transfer.written(writer.flush(&mut disk));
            Some(next)
        })();
        match next {
            None => {
                // The next process: what the journal says, as far as it is there.
                let bytes = disk.bytes.len() as u64;
                let record = disk.record.clone();
                let usable = record.validator.strong().is_some()
                    && record.total.is_none_or(|total| bytes <= total);
                let usable = usable && bytes > 0;
                transfer = begin(if usable {
                    Part { bytes, ..record }
                } else {
                    Part::default()
                });
            }
            Some(Next::Complete | Next::Failed(_)) => {
                return (request_number + 1, next.expect("just seen"), disk, served);
            }
            Some(Next::After(wait) | Next::HostAfter(wait)) => now += wait,
            Some(Next::Now | Next::Elsewhere | Next::TooManyOpenFiles) => {}
        }
        assert!(request_number < 20_000, "it does not end: {case:?}");
    }
    unreachable!("it ends or panics")
}

fn act() -> impl Strategy<Value = Act> {
    let index = any::<Index>;
    let mislabelled = prop::sample::select(vec![
        "bytes 0-0/1",
        "bytes 1-3/*",
        "bytes 1-18446744073709551615/*",
        "bytes 5-4/10",
        "bytes */*",
        "items 0-1/2",
        "nonsense",
    ]);
    let location = prop::sample::select(vec![
        "other",
        "../x",
        "/top",
        "http://listed/file",
        "http://listed:81/file",
        "http://other/dir/file",
        "http://user:word@other/file",
        "//listed/file",
        "https://listed/file",
        "http://",
    ]);
    let error = prop_oneof![
        Just(AttemptError::NoAnswer),
        Just(AttemptError::Connect("refused".to_owned())),
        Just(AttemptError::Idle(Duration::from_secs(30))),
        Just(AttemptError::TooManyOpenFiles),
        Just(AttemptError::Protocol("no head".to_owned())),
    ];
    prop_oneof![
        4 => Just(Act::Right),
        8 => (index(), any::<bool>()).prop_map(|(at, clean)| Act::Cut(at, clean)),
        2 => (1..100usize).prop_map(Act::More),
        1 => Just(Act::Slow),
        2 => Just(Act::Chunked),
        2 => index().prop_map(Act::ChunkedCut),
        1 => Just(Act::Whole),
        3 => Just(Act::Unconditional),
        2 => (index(), index()).prop_map(|(first, length)| Act::OtherRange(first, length)),
        1 => mislabelled.prop_map(Act::Mislabelled),
        3 => (index(), any::<bool>()).prop_map(|(length, total)| Act::Less(length, total)),
        2 => (any::<Option<u64>>(), any::<bool>()).prop_map(|(total, tell)| Act::Outside(total, tell)),
        1 => Just(Act::Multipart),
        1 => Just(Act::Brotli),
        1 => (
            prop::sample::select(vec![404, 408, 429, 500, 503]),
            prop::sample::select(vec![None, Some("3"), Some("99999999999999999999")]),
        )
            .prop_map(|(status, after)| Act::Status(status, after)),
        2 => (prop::sample::select(vec![301, 302, 303, 307, 308]), location)
            .prop_map(|(status, location)| Act::Redirect(status, location)),
        2 => error.prop_map(Act::Fail),
        5 => index().prop_map(Act::Kill),
    ]
}

/// For ever the same: not a kill, and not a lack of descriptors, which whoever
/// drives it has to bound.
fn last() -> impl Strategy<Value = Act> {
    act().prop_filter("it would not be bounded by the machine", |act| {
        !matches!(
            act,
            Act::Kill(_) | Act::Fail(AttemptError::TooManyOpenFiles)
        )
    })
}

fn case() -> impl Strategy<Value = Case> {
    let tells = prop::sample::select(vec![
        Tells::Tag,
        Tells::Tag,
        Tells::Date,
        Tells::WeakTag,
        Tells::FreshDate,
        Tells::Nothing,
    ]);
    let size = prop_oneof![8 => 0..3000usize, 1 => 250_000..600_000usize];
    (
        tells,
        prop::collection::vec(size, 1..4),
        prop::collection::vec((act(), prop_oneof![3 => Just(0), 1 => 0..4usize]), 0..12),
        last(),
        prop_oneof![4 => Just(None), 1 => (0..3000u64).prop_map(Some)],
        1..700usize,
        1..2000usize,
    )
        .prop_map(|(tells, sizes, acts, last, max_size, piece, flush)| {
            let large = sizes.iter().any(|size| *size > 10_000);
            let scale = if large { 100 } else { 1 };
            Case {
                tells,
                sizes,
                acts,
                last,
                max_size,
                piece: piece * scale,
                flush: flush * scale,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_servers_do_a_complete_file_is_one_state_of_it(case in case()) {
        let (requests, next, disk, served) = drive(&case);
        let largest = case.sizes.iter().max().copied().unwrap_or(0);
        // Retries, those that progress gives back, the free one before each, and
        // redirects in each; a kill begins to count anew.
        let runs = 1 + case.acts.iter().filter(|(act, _)| matches!(act, Act::Kill(_))).count();
        let attempts = runs * (5 + largest / (256 * 1024)) * 2 * 11;
        prop_assert!(requests <= attempts + case.acts.len(), "{requests} requests");
        match next {
            Next::Complete => {
                let is = |state: &usize| content(*state, &case.sizes) == disk.bytes;
                prop_assert!(
                    served.iter().any(is),
                    "{} bytes that are no state of the file",
                    disk.bytes.len()
                );
                prop_assert!(case.max_size.is_none_or(|most| disk.bytes.len() as u64 <= most));
            }
            Next::Failed(why) => prop_assert!(!why.is_empty()),
            next => prop_assert!(false, "{next:?}"),
        }
    }

    /// A server that is well again is believed again: nothing that it did before
    /// makes a file fail, as long as it was no more than there are retries for.
    #[test]
    fn what_passes_leaves_a_file_that_can_be_had(
        mut case in case(),
        error in prop::collection::vec(act(), 0..4),
    ) {
        let passes = |act: &Act| !matches!(
            act,
            Act::Brotli | Act::Redirect(..) | Act::Status(404, _)
        );
        case.acts = error.into_iter().filter(passes).map(|act| (act, 0)).collect();
        case.last = Act::Right;
        case.sizes.truncate(1);
        case.max_size = None;
        let (_, next, disk, _) = drive(&case);
        prop_assert_eq!(next, Next::Complete);
        prop_assert_eq!(disk.bytes, content(0, &case.sizes));
    }
}

/// One call, with whatever arguments.
#[derive(Debug, Clone)]
enum Call {
    Request,
    Answered(u16, Vec<(&'static str, String)>, i64, u64),
    Received(usize, i64),
    Ended,
    Written(u64),
    Failed(AttemptError),
    Part(Part),
}

fn call() -> impl Strategy<Value = Call> {
    let names = prop::sample::select(vec![
        "content-length",
        "content-range",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "etag",
        "last-modified",
        "date",
        "retry-after",
        "location",
    ]);
    let number = || {
        prop_oneof![
            Just(0),
            Just(1),
            0..100u64,
            Just(u64::MAX - 1),
            Just(u64::MAX),
            any::<u64>()
        ]
    };
    let value = prop_oneof![
        "[ -~]{0,20}",
        number().prop_map(|n| n.to_string()),
        (number(), number(), number()).prop_map(|(a, b, c)| format!("bytes {a}-{b}/{c}")),
        (number(), number()).prop_map(|(a, b)| format!("bytes {a}-{b}/*")),
        number().prop_map(|n| format!("bytes */{n}")),
        "\"[a-b]\"",
        "[a-z]{0,5}:?/{0,2}[a-z@:0-9]{0,9}/?",
        Just("Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        Just("Fri, 31 Dec 9999 23:59:59 GMT".to_owned()),
    ];
    let headers = prop::collection::vec((names, value), 0..6);
    let status = prop_oneof![
        prop::sample::select(vec![200, 206, 206, 416, 301, 302, 429, 500, 503]),
        any::<u16>()
    ];
    let seconds = || prop_oneof![Just(0), -100..100i64, Just(1 << 31)];
    let validator =
        (prop::option::of("W?/?\"?[a-b\u{1}]{0,2}\"?"), any::<bool>()).prop_map(|(etag, dated)| {
            Validator {
                etag,
                last_modified: None,
                dated,
            }
        });
    let part = (number(), prop::option::of(number()), validator);
    let part = part.prop_map(|(bytes, total, validator)| Part {
        bytes,
        total,
        validator,
    });
    let error = prop_oneof![
        Just(AttemptError::NoAnswer),
        Just(AttemptError::TooManyOpenFiles),
        Just(AttemptError::TooLarge(u64::MAX)),
        Just(AttemptError::Certificate(String::new())),
        number().prop_map(|got| AttemptError::Short { got, announced: 0 }),
        Just(AttemptError::WrongRange(String::new())),
    ];
    prop_oneof![
        Just(Call::Request),
        (status, headers, seconds(), number())
            .prop_map(|(status, headers, now, date)| Call::Answered(status, headers, now, date)),
        (prop_oneof![Just(usize::MAX), 0..100usize], seconds())
            .prop_map(|(bytes, now)| Call::Received(bytes, now)),
        Just(Call::Ended),
        number().prop_map(Call::Written),
        error.prop_map(Call::Failed),
        part.prop_map(Call::Part),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let duration = || {
        prop_oneof![
            Just(Duration::ZERO),
            Just(Duration::MAX),
            any::<u64>().prop_map(Duration::from_nanos)
        ]
    };
    let count = || prop_oneof![Just(0), Just(1), Just(u32::MAX)];
    (
        (duration(), duration(), duration(), duration()),
        (count(), count()),
        prop::option::of(any::<u64>()),
        prop_oneof![Just(0), Just(500), Just(u64::MAX)],
        any::<u64>(),
    )
        .prop_map(|(durations, counts, max_size, min_rate, seed)| Options {
            backoff: durations.0,
            backoff_most: durations.1,
            retry_after_most: durations.2,
            min_rate_window: durations.3,
            retries: counts.0,
            max_redirects: counts.1,
            max_size,
            min_rate,
            seed,
            ..Options::default()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// It is told things in an order that makes no sense, and stays calm.
    #[test]
    fn no_order_of_events_makes_it_panic(
        options in options(),
        calls in prop::collection::vec(call(), 0..60),
    ) {
        let began = Instant::now() + Duration::from_secs(1000);
        let at = |seconds: i64| match u64::try_from(seconds) {
            Ok(after) => began + Duration::from_secs(after),
            Err(_) => began - Duration::from_secs(seconds.unsigned_abs()),
        };
        let mut transfer = begin(Part::default());
        let mut bodies = Vec::new();
        for call in calls {
            match call {
                Call::Request => {
                    let request = transfer.request(&options);
                    let ranged = request.headers.contains_key("range");
                    prop_assert_eq!(ranged, request.headers.contains_key("if-range"));
                }
                Call::Answered(status, headers, now, date) => {
                    let head = response(status, headers, Vec::new()).head;
                    let date = Duration::from_secs(date >> 32);
                    let date = SystemTime::UNIX_EPOCH + date;
                    if let Answer::Body(body) = transfer.answered(&head, &options, at(now), date) {
                        bodies.push(body);
                    }
                }
                Call::Received(bytes, now) => {
                    if let Some(body) = bodies.last_mut() {
                        let took = transfer.received(body, bytes, &options, at(now));
                        if let Ok(Accepted::Last(taken)) = took {
                            prop_assert!(taken < bytes);
                        }
                    }
                }
                Call::Ended => {
                    if let Some(body) = bodies.last() {
                        transfer.ended(body, &options);
                    }
                }
                Call::Written(bytes) => transfer.written(bytes),
                Call::Failed(error) => drop(transfer.failed(error, &options)),
                Call::Part(part) => transfer.part = part,
            }
            prop_assert!(!transfer.host().is_empty());
        }
    }
}
