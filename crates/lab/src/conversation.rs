//! A program that is asked over its standard input, and answers on its standard output, a line
//! each.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::affinity::Share;
use crate::child::{Event, Finished, LONGEST_LINE, Output, Process, Stream};
use crate::error::{CellError, last_words};
use crate::process::{Deadline, INTERRUPT_EVERY, Limits, Moment, Observer};

/// How long a program may take to end after its input has.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a program that does not read is looked at.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// What a program does next.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It prints a line, which had been read at that time.
    Line(String, Instant),
    /// Nothing, in the time that it had.
    Nothing,
}

/// Why a conversation is over.
#[derive(Debug)]
pub(crate) enum Over {
    /// The program has ended: how it did says more.
    Ended,
    /// For any other reason.
    Cell(CellError),
}

impl From<CellError> for Over {
    fn from(error: CellError) -> Self {
        Over::Cell(error)
    }
}

impl From<anyhow::Error> for Over {
    fn from(error: anyhow::Error) -> Self {
        Over::Cell(error.into())
    }
}

/// A program that runs, and is talked to. Dropping it ends the program.
pub(crate) struct Conversation<'l, 'o> {
    process: Process,
    input: Option<ChildStdin>,
    deadline: Deadline<'l>,
    observer: Option<Observer<'o>>,
    has_exited: bool,
    /// Lines that came with its exit.
    last_lines: VecDeque<(String, Instant)>,
    /// The last line on its standard error that says something.
    complaint: String,
}

/// Starts a program, and ends it when `talk` has come to its end.
pub(crate) fn converse<T>(
    share: Option<Share>,
    command: &mut Command,
    limits: &Limits,
    observer: Option<Observer>,
    talk: impl FnOnce(&mut Conversation) -> Result<T, Over>,
) -> Result<(T, Finished), CellError> {
    let mut conversation = Conversation::start(share, command, limits, observer)?;
    let talked = talk(&mut conversation).and_then(|done| {
        conversation.input = None;
        conversation.hear_end().map(|()| done)
    });
    match talked {
        Ok(done) => Ok((done, conversation.finish()?)),
        Err(Over::Ended) => Err(conversation.finish()?.failure()),
        Err(Over::Cell(error)) => Err(error),
    }
}

impl<'l, 'o> Conversation<'l, 'o> {
    fn start(
        share: Option<Share>,
        command: &mut Command,
        limits: &'l Limits,
        observer: Option<Observer<'o>>,
    ) -> anyhow::Result<Self> {
        let mut process = Process::start_on(share, command, Stdio::piped(), Output::Lines)?;
        let input = process.take_stdin().context("it has no standard input")?;
        // Or one that does not read would be waited for without end.
        fcntl_setfl(&input, fcntl_getfl(&input)? | OFlags::NONBLOCK)?;
        Ok(Self {
            deadline: Deadline::new(limits, command, process.started()),
            process,
            input: Some(input),
            observer,
            has_exited: false,
            last_lines: VecDeque::new(),
            complaint: String::new(),
        })
    }

    /// When it was started.
    pub(crate) fn started(&self) -> Instant {
        self.process.started()
    }

    /// Waits for its next line, at most so long.
    pub(crate) fn hear(&mut self, most: Duration) -> Result<Heard, Over> {
        let began = Instant::now();
        loop {
            if let Some((line, at)) = self.last_lines.pop_front() {
                return heard(line, at);
            }
            if self.has_exited {
                return Err(Over::Ended);
            }
            let left = most.saturating_sub(began.elapsed());
            let observer = self.observer.as_ref();
            let every = observer.map_or(INTERRUPT_EVERY, |observer| observer.every);
            let event = self.process.next_event(every.min(left));
            self.observe(Moment::Tick);
            if !matches!(event, Some(Event::Exited(_))) {
                self.deadline.check(event.as_ref())?;
            }
            match event {
                Some(Event::Line(Stream::Stdout, line, at)) => return heard(line, at),
                Some(Event::Line(Stream::Stderr, line, _)) => self.complain(&line),
                Some(Event::Exited(_)) => self.exited(),
                Some(Event::Stopped(_) | Event::Continued) => {}
                None if left.is_zero() => return Ok(Heard::Nothing),
                None => {}
            }
        }
    }

    /// Writes a line.
    pub(crate) fn say(&mut self, line: &str) -> Result<(), Over> {
        let mut left = line.as_bytes();
        while let Some(input) = &mut self.input
            && !left.is_empty()
        {
            match input.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // A signal may end this wait: then the loop looks again.
                    let _ = poll(&mut [PollFd::new(input, PollFlags::OUT)], Some(&LOOK_EVERY));
                    self.deadline.check(None)?;
                }
                Err(_) => {
                    self.hear_end()?;
                    return Err(Over::Ended);
                }
            }
        }
        Ok(())
    }

    /// Refuses what it has printed without having been asked.
    pub(crate) fn expect_silence(&mut self) -> Result<(), Over> {
        match self.hear(Duration::ZERO)? {
            Heard::Line(line, _) => Err(unasked(&line).into()),
            Heard::Nothing => Ok(()),
        }
    }

    /// Has it observed.
    pub(crate) fn observe(&mut self, moment: Moment) {
        if let Some(observer) = &mut self.observer {
            (observer.observe)(self.process.pid(), moment);
        }
    }

    /// Waits for its end, without another line: its input has ended, or it has closed that.
    fn hear_end(&mut self) -> Result<(), Over> {
        match self.hear(PATIENCE) {
            Err(Over::Ended) => Ok(()),
            Err(over) => Err(over),
            Ok(Heard::Line(line, _)) => Err(unasked(&line).into()),
            Ok(Heard::Nothing) if self.input.is_some() => {
                Err(CellError::failed("it has closed its standard input").into())
            }
            Ok(Heard::Nothing) => {
                let why = "it has not ended, though its standard input has";
                Err(CellError::failed(why).into())
            }
        }
    }

    /// How it has ended.
    fn finish(self) -> Result<Finished, CellError> {
        Ok(Finished {
            stderr: self.complaint,
            ..self.process.end(Duration::ZERO)?
        })
    }

    fn complain(&mut self, line: &str) {
        let words = last_words(line);
        if !words.is_empty() {
            self.complaint = words;
        }
    }

    fn exited(&mut self) {
        self.deadline.ended();
        self.has_exited = true;
        let (mut lines, mut complaint) = (VecDeque::new(), String::new());
        self.process.last_lines(|stream, line| match stream {
            Stream::Stdout => lines.push_back((line.to_owned(), Instant::now())),
            Stream::Stderr => complaint = line.to_owned(),
        });
        self.last_lines = lines;
        self.complain(&complaint);
    }
}

fn heard(line: String, at: Instant) -> Result<Heard, Over> {
    if line.len() >= LONGEST_LINE {
        let why = format!("its line is longer than {LONGEST_LINE} bytes");
        return Err(CellError::failed(why).into());
    }
    Ok(Heard::Line(line, at))
}

fn unasked(line: &str) -> CellError {
    CellError::failed(format!("it was not asked, and said: {}", last_words(line)))
}
