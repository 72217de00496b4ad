//! Runs the cases.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::interrupt::Interrupt;
use lab::progress::Progress;

use crate::check::{Wrong, wrong};
use crate::matrix::{Mark, Model, counts, each};
use crate::run::{Failure, Verdict, shown};
use crate::serve::case::{Case, Expect, Pace, Test, Turn};
use crate::serve::client::{Client, Head};
use crate::serve::server::{Ending, Server, command, make_directory};

/// How all cases came out.
#[derive(Debug)]
pub struct Matrix {
    /// The models, as columns.
    pub(crate) models: Vec<String>,
    /// The cases, and how each came out in each model.
    pub(crate) rows: Vec<(Case, Vec<Verdict>)>,
    /// How long it all took.
    pub(crate) took: Duration,
}

impl Matrix {
    /// The numbers of those that passed, failed, and were not run.
    pub fn counts(&self) -> [usize; 3] {
        counts(self.rows.iter().flat_map(|(_, verdicts)| verdicts))
    }

    /// How a case came out.
    pub(crate) fn marks(verdicts: &[Verdict]) -> impl Iterator<Item = Mark> {
        verdicts.iter().map(Verdict::mark)
    }
}

/// Runs the cases with the models, `at_once` at a time, in directories below `parent`.
pub fn run(
    cases: Vec<Case>,
    models: &[Model],
    at_once: usize,
    parent: &Path,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Matrix {
    let began = Instant::now();
    let names: Vec<_> = cases.iter().map(|case| case.name).collect();
    let run = |number: usize, model: &Model, program: &Path| {
        let directory = parent.join(format!("{}.{}", model.name, names[number]));
        let done = run_case(&cases[number], model, program, &directory);
        // Each has files of its own; large ones would add up.
        let _ = std::fs::remove_dir_all(&directory);
        match done {
            Ok(failure) if failure.wrong.is_empty() => Verdict::Pass,
            _ if interrupt.came() => Verdict::NotRun("interrupted".to_owned()),
            Ok(failure) => Verdict::Fail(Box::new(failure)),
            Err(error) => Verdict::Fail(Box::new(Failure {
                command: "nothing".to_owned(),
                wrong: vec![wrong("a server", format!("{error:#}"))],
                stdout: String::new(),
                stderr: String::new(),
            })),
        }
    };
    let verdicts = each(&names, models, at_once, interrupt, progress, run);
    Matrix {
        models: models.iter().map(|model| model.name.clone()).collect(),
        rows: cases.into_iter().zip(verdicts).collect(),
        took: began.elapsed(),
    }
}

fn run_case(
    case: &Case,
    model: &Model,
    program: &Path,
    directory: &Path,
) -> anyhow::Result<Failure> {
    let served = make_directory(directory)?;
    let mut command = command(program, &served, case.arguments);
    let mut server = Server::start(&mut command, &served, model.serial)?;
    let done = match &case.test {
        Test::Turns(turns) => take_turns(&server, turns),
        Test::Clients(test) => test(&mut server),
    };
    let done = done.and_then(|()| match server.ending {
        Ending::Not => server.is_well(),
        _ => Ok(()),
    });
    let (finished, wrong_end) = server.end()?;
    Ok(Failure {
        command: shown(&command),
        wrong: done.err().into_iter().chain(wrong_end).collect(),
        stdout: finished.stdout,
        stderr: finished.stderr,
    })
}

/// What the last answers had, for the next requests.
#[derive(Default)]
struct Known {
    tag: String,
    date: String,
}

fn take_turns(server: &Server, turns: &[Turn]) -> Result<(), Wrong> {
    let mut connection = None;
    let mut known = Known::default();
    for turn in turns {
        if let Some(before) = turn.before {
            let done = before(&server.directory);
            done.map_err(|error| wrong("a change in the directory", error))?;
        }
        let send = turn.send.replace("{TAG}", &known.tag);
        let send = send.replace("{DATE}", &known.date);
        let mut client = match connection.take() {
            Some(client) => client,
            None => server.connect()?,
        };
        match turn.pace {
            Pace::AtOnce => client.send(send.as_bytes()),
            Pace::Bytes => send.bytes().for_each(|byte| client.send(&[byte])),
            Pace::HalfClosed => {
                client.send(send.as_bytes());
                client.half_close();
            }
        }
        connection = answers(client, turn, server.serial, &mut known)?;
    }
    match connection {
        // It was said to be kept: then it is good for one more.
        Some(mut client) => {
            client.send(b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
            match client.head()?.status {
                200 => Ok(()),
                status => Err(wrong("one more answer", status)),
            }
        }
        None => Ok(()),
    }
}

/// Reads the answers of a turn. Returns the connection, if it is kept.
fn answers(
    mut client: Client,
    turn: &Turn,
    serial: bool,
    known: &mut Known,
) -> Result<Option<Client>, Wrong> {
    for expect in &turn.answers {
        let head = client.head()?;
        let body = match expect.head_only {
            true => Vec::new(),
            false => client.body(&head)?,
        };
        check(expect, &head, &body)?;
        for (name, value) in [("etag", &mut known.tag), ("last-modified", &mut known.date)] {
            if let Some(field) = head.field(name) {
                field.clone_into(value);
            }
        }
        match (expect.closes, head.closes()) {
            (true, false) => return Err(wrong("Connection: close", "the head does not say so")),
            (false, true) if !serial => {
                return Err(wrong("a connection that is kept", "Connection: close"));
            }
            (_, true) => return client.closed().map(|()| None),
            (false, false) => {}
        }
    }
    match turn.pace {
        // All was answered, and no more can come.
        Pace::HalfClosed => client.closed().map(|()| None),
        _ => Ok(Some(client)),
    }
}

fn check(expect: &Expect, head: &Head, body: &[u8]) -> Result<(), Wrong> {
    if head.status != expect.status {
        return Err(wrong(expect.status, format!("{head:?}")));
    }
    // An origin server has a clock (RFC 9110, 6.6.1).
    if head.field("date").is_none() {
        return Err(wrong("Date", "the head has none"));
    }
    for (name, value) in &expect.fields {
        if head.field(name) != value.as_deref() {
            let value = value.as_deref().unwrap_or("nothing");
            return Err(wrong(format!("{name}: {value}"), format!("{head:?}")));
        }
    }
    match &expect.body {
        Some(right) if !expect.head_only && right.as_bytes() != body => {
            Err(wrong(right, String::from_utf8_lossy(body)))
        }
        _ => Ok(()),
    }
}
