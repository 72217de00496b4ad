//! What a contestant that answers prints and reads: one line of JSON each. What they mean is
//! in `xtask/contestants/README.md`, for those who write one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use suite::{Job, Workload};

use crate::command_run::urls;
use crate::error::CellError;

/// The version that is spoken here.
const VERSION: u64 = 1;

/// The first line that a contestant prints.
#[derive(Debug, Deserialize)]
struct FirstLine {
    #[serde(default)]
    workloads: Vec<String>,
    #[serde(default)]
    prepares: bool,
}

/// What a contestant says of itself when it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ready {
    /// The workloads that it does.
    pub(crate) workloads: Vec<Workload>,
    /// Whether it is to be told of its first job before the clock runs.
    pub(crate) prepares: bool,
}

/// What a contestant says in `line`; none if the line is of a program that does not answer.
///
/// # Errors
///
/// When it is of another version, or names what is no workload.
pub(crate) fn ready(line: &str) -> Result<Option<Ready>, CellError> {
    let said: Value = match serde_json::from_str(line) {
        Ok(said) => said,
        Err(_) => return Ok(None),
    };
    let Some(version) = said.get("paces") else {
        return Ok(None);
    };
    if version != VERSION {
        return Err(CellError::failed(format!(
            "it has version {version} of the protocol, and this is version {VERSION}"
        )));
    }
    let malformed = |why: String| CellError::failed(format!("its first line: {why}"));
    let said: FirstLine =
        serde_json::from_value(said).map_err(|error| malformed(error.to_string()))?;
    let workloads = said.workloads.iter().map(|name| name.parse());
    let workloads = workloads.collect::<Result<_, suite::Invalid>>();
    let workloads = workloads.map_err(|invalid| malformed(invalid.to_string()))?;
    Ok(Some(Ready {
        workloads,
        prepares: said.prepares,
    }))
}

/// What a contestant is told a job for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It is to make what has to stand before the clock runs.
    Prepare,
    /// It is to do the job, and count what only a check needs.
    Check,
    /// It is to do the job, for its time.
    Time,
}

/// A job, as a contestant is told.
#[derive(Debug, Serialize)]
pub(crate) struct Task<'a> {
    id: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    prepare: bool,
    timed: bool,
    workload: Workload,
    /// The parameters, as the README's tables have them.
    job: Value,
    threads: usize,
    blocking_threads: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    into: Option<&'a Path>,
    #[serde(skip_serializing_if = "<[PathBuf]>::is_empty")]
    paths: &'a [PathBuf],
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
}

impl<'a> Task<'a> {
    /// This job, which is prepared.
    ///
    /// # Errors
    ///
    /// When its list of URLs cannot be read.
    pub(crate) fn new(
        id: u64,
        purpose: Purpose,
        job: &'a Job,
        threads: usize,
        blocking_threads: usize,
    ) -> anyhow::Result<Self> {
        let mut task = Self {
            id,
            prepare: purpose == Purpose::Prepare,
            timed: purpose == Purpose::Time,
            workload: job.workload(),
            job: job.to_json(),
            threads,
            blocking_threads,
            urls: urls(job)?,
            into: None,
            paths: &[],
            address: None,
        };
        match job {
            // Each run has its own.
            Job::Download(job) if !task.prepare => task.into = Some(job.directory()),
            Job::Files(job) => task.paths = &job.paths,
            Job::Thumbnails(job) => task.paths = &job.paths,
            Job::Deadlines(job) => task.address = job.address,
            _ => {}
        }
        Ok(task)
    }
}

/// Why a contestant cannot be asked for a workload, if so.
pub(crate) fn unasked(workload: Workload) -> Option<&'static str> {
    match workload {
        Workload::Echo
        | Workload::Datagram
        | Workload::Serve
        | Workload::Proxy
        | Workload::Scan
        | Workload::Chat
        | Workload::Send => {
            Some("it has another end that a model takes part in, and the protocol has none")
        }
        _ => None,
    }
}

/// What a contestant prints when it has done a job.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    id: u64,
    outcome: Option<Value>,
    unsupported: Option<String>,
    error: Option<String>,
}

/// What came of a job.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is done.
    Outcome(Value),
    /// It is not done, for this reason: not at this size, say.
    Unsupported(String),
    /// It has failed, for this reason.
    Error(String),
}

/// Reads an answer: the number of the job, and what came of it.
///
/// # Errors
///
/// With what is wrong with the line.
pub(crate) fn answer(line: &str) -> Result<(u64, Answer), String> {
    let said: Said = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let answer = match (said.outcome, said.unsupported, said.error) {
        (Some(outcome), None, None) => Answer::Outcome(outcome),
        (None, Some(why), None) => Answer::Unsupported(why),
        (None, None, Some(why)) => Answer::Error(why),
        _ => return Err("it has to have one of outcome, unsupported and error".to_owned()),
    };
    Ok((said.id, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        match ready(line) {
            Err(CellError::Cell(_, reason)) => reason,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_first_line_says_who_answers() {
        let right = r#"{"paces": 1, "workloads": ["counter", "ping-pong"], "more": []}"#;
        let said = ready(right).expect("it is right").expect("it answers");
        assert_eq!(said.workloads, [Workload::Counter, Workload::PingPong]);
        assert!(!said.prepares);
        let prepares = ready(r#"{"paces": 1, "prepares": true}"#).expect("it is right");
        assert!(prepares.is_some_and(|said| said.prepares));
        for other in ["", "hello", "1", "{\"count\": 1}", "[1]", "{\"paces\": 1"] {
            assert!(ready(other).is_ok_and(|ready| ready.is_none()), "{other}");
        }
        assert!(refused(r#"{"paces": 2}"#).contains("version 2"));
        let unknown = refused(r#"{"paces": 1, "workloads": ["conter"]}"#);
        assert!(unknown.contains("conter"), "{unknown}");
        assert!(refused(r#"{"paces": 1, "workloads": 7}"#).contains("first line"));
    }

    #[test]
    fn an_answer_has_one_of_three() {
        let (id, done) = answer(r#"{"id": 3, "outcome": {"count": 4}}"#).expect("it is right");
        assert!(matches!(done, Answer::Outcome(_)) && id == 3);
        for wrong in [
            "{}",
            r#"{"id": 3}"#,
            r#"{"outcome": {}}"#,
            r#"{"id": 3, "outcome": {}, "error": "x"}"#,
            r#"{"id": 3, "result": {}}"#,
            r#"{"id": -1, "error": "x"}"#,
        ] {
            assert!(answer(wrong).is_err(), "{wrong}");
        }
    }
}
