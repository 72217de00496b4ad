//! Checks the outcome of a run against what is right.

use std::fmt::Display;
use std::time::Duration;

use lab::child::Finished;
use origin::FaultRequest;
use serde_json::Value;

use crate::case::{Expect, Run, SOME_OTHER_NAME};
use crate::sandbox::{Found, Sandbox, partial_files};

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How it has ended, and what it printed.
    pub(crate) finished: Finished,
    /// Whether it was ended because it took too long.
    pub(crate) timed_out: bool,
    /// From the last signal to the end.
    pub(crate) stopped_in: Option<Duration>,
    /// What the origin was asked meanwhile.
    pub(crate) log: Vec<FaultRequest>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone)]
pub(crate) struct Wrong {
    /// What is right.
    pub(crate) expected: String,
    /// What came.
    pub(crate) got: String,
}

/// All that is wrong with an outcome.
pub(crate) fn check(
    run: &Run,
    outcome: &Outcome,
    sandbox: &Sandbox,
    serial: bool,
) -> anyhow::Result<Vec<Wrong>> {
    if outcome.timed_out {
        let got = "it was still running when its time was over";
        return Ok(vec![wrong("an end", got)]);
    }
    let finished = &outcome.finished;
    let code = finished.exit_code();
    let mut all = Vec::new();
    if code != run.exit {
        all.push(wrong(exit(run.exit), exit(code)));
    }
    if finished.left_behind > 0 {
        all.push(wrong("no process left behind", finished.left_behind));
    }
    if finished.stderr.contains("panicked at") {
        all.push(wrong("no panic", "one, on standard error"));
    }
    let found = sandbox.found()?;
    all.extend(misplaced(run, &found));
    if let Some(trespass) = sandbox.trespassed()? {
        all.push(wrong("nothing written elsewhere", trespass));
    }
    if code == 0 && !partial_files(&sandbox.directory()).is_empty() {
        let got = "partial files are left";
        all.push(wrong("minimal bookkeeping when all is complete", got));
    }
    let begins = !run.expect.iter().any(|it| matches!(it, Expect::NotBegun));
    if matches!(code, 0 | 1) && begins {
        all.extend(summary_errors(&finished.stdout, code, &found));
    }
    let greedy = |request: &&FaultRequest| request.accept_encoding.as_deref() != Some("identity");
    if let Some(request) = outcome.log.iter().find(greedy) {
        let got = request.accept_encoding.as_deref();
        all.push(wrong("Accept-Encoding: identity", got.unwrap_or("none")));
    }
    let expected = run.expect.iter();
    all.extend(expected.filter_map(|expect| expect.check(outcome, serial)));
    Ok(all)
}

pub(crate) fn wrong(expected: impl Display, got: impl Display) -> Wrong {
    Wrong {
        expected: expected.to_string(),
        got: got.to_string(),
    }
}

fn exit(code: i32) -> String {
    match code {
        0.. => format!("exit code {code}"),
        _ => format!("ended by signal {}", -code),
    }
}

/// What is wrong with what is in the directory.
fn misplaced(run: &Run, found: &[Found]) -> Option<Wrong> {
    let expected = &run.files;
    let mut rest: Vec<&Found> = found.iter().collect();
    // The named ones first, so that what is left can be any of the others.
    let (others, named): (Vec<_>, Vec<_>) = expected
        .iter()
        .partition(|(name, _)| name == SOME_OTHER_NAME);
    let mut all_there = true;
    for (name, content) in named.into_iter().chain(others) {
        let is_it =
            |file: &&Found| (name == SOME_OTHER_NAME || *name == file.name) && file.is(*content);
        match rest.iter().position(is_it) {
            Some(at) => drop(rest.remove(at)),
            None => all_there = false,
        }
    }
    if (all_there || run.some_missing) && rest.is_empty() {
        return None;
    }
    let expected = expected
        .iter()
        .map(|(name, content)| format!("{name} {content:?}"));
    Some(wrong(
        format!("these files: {}", list(expected)),
        list(found.iter().map(Found::about)),
    ))
}

fn list(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<_> = texts.collect();
    match texts.len() {
        0 => "none".to_owned(),
        1..=8 => texts.join(", "),
        more => format!("{}, ... ({more})", texts[..8].join(", ")),
    }
}

/// What is wrong with what it reported on standard output.
fn summary_errors(stdout: &str, code: i32, found: &[Found]) -> Vec<Wrong> {
    let lines: Result<Vec<Value>, _> = stdout.lines().map(serde_json::from_str).collect();
    let lines = match lines {
        Ok(lines) => lines,
        Err(error) => return vec![wrong("JSON on standard output", error)],
    };
    let Some((sum, files)) = lines.split_last() else {
        return vec![wrong("a summary on standard output", "nothing")];
    };
    let mut all = Vec::new();
    let count = |status: &str| files.iter().filter(|file| file["status"] == status).count();
    let (whole, before) = (count("complete"), count("already"));
    // Lines of the list that are no URLs have failed, too, and are no files.
    for (key, least, most) in [
        ("complete", whole + before, whole + before),
        ("already", before, before),
        ("failed", count("failed"), usize::MAX),
    ] {
        let said = sum[key].as_u64().unwrap_or(u64::MAX);
        if !(least as u64..=most as u64).contains(&said) {
            all.push(wrong(format!("{key}: {least} in the summary"), sum));
        }
    }
    let failed = sum["failed"].as_u64().unwrap_or_default();
    if (failed == 0) != (code == 0) {
        all.push(wrong(format!("exit code {code} with {failed} failed"), sum));
    }
    for file in files {
        let there = |found: &Found| {
            found.name == file["name"].as_str().unwrap_or_default()
                && Some(found.bytes()) == file["bytes"].as_u64()
        };
        if file["status"] != "failed" && !found.iter().any(there) {
            all.push(wrong("every file that is reported is there", file));
        }
        if file["status"] == "failed" && file["reason"].as_str().is_none_or(str::is_empty) {
            all.push(wrong("a reason for each failure", file));
        }
    }
    all
}

impl Expect {
    /// What is wrong, if anything is.
    fn check(&self, outcome: &Outcome, serial: bool) -> Option<Wrong> {
        let finished = &outcome.finished;
        let log = &outcome.log;
        let unless = |right: bool, expected: String, got: String| {
            (!right).then_some(Wrong { expected, got })
        };
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let took = finished.wall.as_secs_f64();
        let asked = || format!("{}: {}", log.len(), list(log.iter().map(in_short)));
        let at = |number: usize| log.get(number - 1);
        match *self {
            Self::Says(words) => unless(
                finished.stderr.contains(words),
                format!("{words:?} on standard error"),
                format!("{:?}", finished.stderr),
            ),
            Self::SaysIfConcurrent(_) | Self::AskedWithinIfConcurrent(_) if serial => None,
            Self::SaysIfConcurrent(words) => Self::Says(words).check(outcome, serial),
            Self::AskedWithinIfConcurrent(most) => {
                let times = || log.iter().map(|request| request.at_ms);
                let took = times().max().unwrap_or(0) - times().min().unwrap_or(0);
                let took = Duration::from_millis(took);
                let right = format!("all requests within {most} s");
                unless(took.as_secs_f64() <= most, right, seconds(took))
            }
            Self::Within(most) => unless(
                took <= most,
                format!("an end within {most} s"),
                seconds(finished.wall),
            ),
            Self::NotBefore(least) => unless(
                took >= least,
                format!("at least {least} s"),
                seconds(finished.wall),
            ),
            Self::StopsWithin(most) => unless(
                outcome
                    .stopped_in
                    .is_some_and(|time| time.as_secs_f64() <= most),
                format!("an end within {most} s of the signal"),
                outcome.stopped_in.map_or("no signal".to_owned(), seconds),
            ),
            Self::NotBegun => unless(
                finished.stdout.is_empty(),
                "nothing on standard output".to_owned(),
                finished.stdout.clone(),
            ),
            Self::Asked(number) => {
                unless(log.len() == number, format!("{number} requests"), asked())
            }
            Self::AskedAtMost(most) => unless(
                log.len() <= most,
                format!("at most {most} requests"),
                asked(),
            ),
            Self::ContinuesFrom(least) => unless(
                log.iter()
                    .any(|request| continues_from(request) >= Some(least)),
                format!("a request with If-Range and a Range from {least} or more on"),
                asked(),
            ),
            Self::Pause(one, other, least, most) => {
                let pause = at(one)
                    .zip(at(other))
                    .map(|(one, other)| other.at_ms.saturating_sub(one.at_ms) as f64 / 1000.0);
                unless(
                    pause.is_some_and(|pause| (least..=most).contains(&pause)),
                    format!("{least} s to {most} s between requests {one} and {other}"),
                    pause.map_or_else(asked, |pause| format!("{pause} s")),
                )
            }
            Self::NoCredentialLeak => {
                let has = |request: &FaultRequest| {
                    (
                        request.authorization.is_some(),
                        request.headers.contains_key("x-own"),
                    )
                };
                let has: Vec<_> = log.iter().map(has).collect();
                unless(
                    has.split_first().is_some_and(|(first, rest)| {
                        *first == (true, true)
                            && !rest.is_empty()
                            && rest.iter().all(|has| *has == (false, false))
                    }),
                    "Authorization and own headers for the first host alone".to_owned(),
                    format!("(authorization, own) as {has:?}"),
                )
            }
            Self::Apart(one, other) => unless(
                at(one)
                    .zip(at(other))
                    .is_some_and(|(one, other)| one.connection != other.connection),
                format!("requests {one} and {other} over two connections"),
                asked(),
            ),
            Self::SentAtMost(most) => {
                let sent = sent(log);
                unless(
                    sent <= most,
                    format!("at most {most} bytes taken"),
                    sent.to_string(),
                )
            }
        }
    }
}

/// Bytes that the origin has sent.
pub(crate) fn sent(log: &[FaultRequest]) -> u64 {
    log.iter().map(|request| request.body_bytes_sent).sum()
}

/// Where a request goes on that does so on the right condition.
fn continues_from(request: &FaultRequest) -> Option<u64> {
    request.if_range.as_ref()?;
    let range = request.range.as_deref()?;
    range
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()
}

fn in_short(request: &FaultRequest) -> String {
    let range = request.range.as_deref().unwrap_or("no range");
    let condition = match &request.if_range {
        Some(validator) => format!(" if {validator}"),
        None => String::new(),
    };
    format!(
        "{} ({range}{condition}, connection {}, at {} ms, sent {})",
        request.fault, request.connection, request.at_ms, request.body_bytes_sent
    )
}
