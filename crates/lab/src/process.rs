//! Runs one child process to its end.

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::Signal;

use crate::affinity::Share;
use crate::child::{Event, Finished, Output, Process, Stream};
use crate::error::{Interrupted, Stopped, TimedOut};
use crate::interrupt::Interrupt;
use crate::progress::log_line;

/// How long a child may take, and what else ends it.
#[derive(Debug, Clone)]
pub struct Limits {
    /// After this long, the child and all that it started are ended.
    pub timeout: Duration,
    /// They are ended when this comes, too.
    pub interrupt: Interrupt,
}

/// How long a stopped child is waited for, whatever time it has: it may have stopped
/// itself, and nothing may continue it.
const LONGEST_STOPPED: Duration = Duration::from_secs(600);

/// How much of its time a child has left. Time in which it or this process was stopped
/// does not count.
#[derive(Debug)]
pub(crate) struct Deadline<'a> {
    limits: &'a Limits,
    program: String,
    /// When its time was counted last.
    counted: Instant,
    /// The time it has had.
    ran: Duration,
    /// What has stopped it, if it is stopped now, and for how long.
    stopped: Option<(Signal, Duration)>,
}

impl<'a> Deadline<'a> {
    pub(crate) fn new(limits: &'a Limits, command: &Command, started: Instant) -> Self {
        Self {
            limits,
            program: command.get_program().display().to_string(),
            counted: started,
            ran: Duration::ZERO,
            stopped: None,
        }
    }

    /// Counts the time up to `event`, which does not end the child.
    pub(crate) fn check(&mut self, event: Option<&Event>) -> anyhow::Result<()> {
        let Limits { timeout, interrupt } = self.limits;
        let now = Instant::now();
        let passed = now - std::mem::replace(&mut self.counted, now);
        let stops = interrupt.stops();
        match &mut self.stopped {
            _ if stops.was_continued() => stops.lose(passed),
            Some((_, time)) => {
                stops.lose(passed);
                *time += passed;
            }
            None => self.ran += passed,
        }
        match event {
            Some(&Event::Stopped(signal)) => {
                if matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU) {
                    return Err(self.stopped_by(signal));
                }
                log_line(&format!("{} is stopped ({signal})", self.program));
                self.stopped = Some((signal, Duration::ZERO));
            }
            Some(Event::Continued) => {
                stops.add();
                self.stopped = None;
            }
            _ => {}
        }
        if interrupt.came() {
            return Err(Interrupted.into());
        }
        match self.stopped {
            Some((signal, time)) if time > LONGEST_STOPPED.min(*timeout) => {
                Err(self.stopped_by(signal))
            }
            _ if self.ran > *timeout => Err(TimedOut(*timeout).into()),
            _ => Ok(()),
        }
    }

    /// Counts a stop that the end of the child has ended: that it was continued before may
    /// not have been told.
    pub(crate) fn ended(&self) {
        if self.stopped.is_some() {
            self.limits.interrupt.stops().add();
        }
    }

    fn stopped_by(&self, signal: Signal) -> anyhow::Error {
        let program = self.program.clone();
        Stopped { program, signal }.into()
    }
}

/// Why an observer is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A little time has passed.
    Tick,
    /// The child has printed its first line; if it is held, it now waits for its
    /// input to end.
    Line,
}

/// Observes a child while it runs.
pub struct Observer<'a> {
    /// The time between two calls.
    pub every: Duration,
    /// Whether the child's standard input stays open until it has printed a line
    /// and been observed.
    pub hold: bool,
    /// Called with the child's process ID.
    pub observe: &'a mut dyn FnMut(u32, Moment),
}

/// Has orphaned grandchildren handed to this process, so that it can wait for them
/// when their parent was killed or did not wait.
pub fn adopt_orphans() -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true).context("prctl(PR_SET_CHILD_SUBREAPER)")?;
    Ok(())
}

/// A signal only sets a flag: it is checked this often.
pub(crate) const INTERRUPT_EVERY: Duration = Duration::from_millis(100);

/// Where a child's input comes from, and whether its output is kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct Streams<'a> {
    /// Its standard input, unless an observer holds that; nothing, if there is none.
    pub input: Option<&'a Path>,
    /// Whether its standard output is read and dropped. A program may do less if it
    /// writes to `/dev/null`, as `grep` does.
    pub drops_output: bool,
}

/// Runs `command` to its end in a process group of its own. Whatever happens,
/// nothing that it started is alive afterwards.
///
/// It has no standard input, unless an `observer` holds that open.
///
/// # Errors
///
/// [`Interrupted`], [`TimedOut`] or [`Stopped`] if it was ended, and others if it could not be
/// started or waited for.
pub fn run(
    command: &mut Command,
    limits: &Limits,
    observer: Option<Observer>,
) -> anyhow::Result<Finished> {
    run_on(None, Streams::default(), command, limits, observer)
}

/// The same with these streams, on a share of the cores; on all, if none is given.
pub fn run_on(
    share: Option<Share>,
    streams: Streams,
    command: &mut Command,
    limits: &Limits,
    mut observer: Option<Observer>,
) -> anyhow::Result<Finished> {
    let stdin = if observer.as_ref().is_some_and(|observer| observer.hold) {
        Stdio::piped()
    } else if let Some(input) = streams.input {
        let file = File::open(input).with_context(|| input.display().to_string())?;
        Stdio::from(file)
    } else {
        Stdio::null()
    };
    let output = if streams.drops_output {
        Output::Dropped
    } else {
        Output::Collected
    };
    let tick = observer
        .as_ref()
        .map_or(INTERRUPT_EVERY, |observer| observer.every);
    let mut process = Process::start_on(share, command, stdin, output)?;
    let mut stdin = process.take_stdin();
    let mut deadline = Deadline::new(limits, command, process.started());
    loop {
        let event = process.next_event(tick);
        let moment = match event {
            Some(Event::Exited(_)) => {
                deadline.ended();
                break;
            }
            Some(Event::Line(..)) => Moment::Line,
            Some(Event::Stopped(_) | Event::Continued) | None => Moment::Tick,
        };
        if let Some(observer) = &mut observer {
            (observer.observe)(process.pid(), moment);
        }
        if moment == Moment::Line {
            stdin = None;
        }
        deadline.check(event.as_ref())?;
    }
    drop(stdin);
    process.end(Duration::ZERO)
}

/// Runs `command` as [`run`] does, and hands on each line that it prints at once.
pub(crate) fn run_lines(
    command: &mut Command,
    limits: &Limits,
    mut on_line: impl FnMut(Stream, &str),
) -> anyhow::Result<ExitStatus> {
    let mut process = Process::start_on(None, command, Stdio::null(), Output::Lines)?;
    let mut deadline = Deadline::new(limits, command, process.started());
    loop {
        let event = process.next_event(INTERRUPT_EVERY);
        match &event {
            Some(Event::Exited(_)) => {
                deadline.ended();
                break;
            }
            Some(Event::Line(stream, line, _)) => on_line(*stream, line),
            Some(Event::Stopped(_) | Event::Continued) | None => {}
        }
        deadline.check(event.as_ref())?;
    }
    process.last_lines(on_line);
    Ok(process.end(Duration::ZERO)?.status)
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;

    /// Makes `deadline` take this time as passed.
    fn pass(deadline: &mut Deadline, time: Duration) -> anyhow::Result<()> {
        let before = deadline.counted.checked_sub(time);
        deadline.counted = before.expect("the clock goes back so far");
        deadline.check(None)
    }

    #[test]
    fn a_stopped_child_is_not_waited_for_without_end() {
        let limits = Limits {
            timeout: Duration::MAX,
            interrupt: Interrupt::install().expect("handlers"),
        };
        let mut deadline = Deadline::new(&limits, &Command::new("self"), Instant::now());
        let stopped = Event::Stopped(Signal::SIGSTOP);
        deadline.check(Some(&stopped)).expect("it may go on");
        pass(&mut deadline, LONGEST_STOPPED / 2).expect("it may go on");
        // This was stopped, and could not see the child go on.
        raise(Signal::SIGCONT).expect("its own signal");
        pass(&mut deadline, LONGEST_STOPPED).expect("it may go on");
        let error = pass(&mut deadline, LONGEST_STOPPED).expect_err("it is still stopped");
        let right = "self is stopped (SIGSTOP), and nothing continues it";
        assert_eq!(error.to_string(), right);
    }

    #[test]
    fn the_time_of_a_stop_is_not_the_childs() {
        let limits = Limits {
            timeout: Duration::from_secs(100),
            interrupt: Interrupt::default(),
        };
        let mut deadline = Deadline::new(&limits, &Command::new("self"), Instant::now());
        let minute = Duration::from_secs(60);
        pass(&mut deadline, minute).expect("it has more");
        let stopped = Event::Stopped(Signal::SIGSTOP);
        deadline.check(Some(&stopped)).expect("it may go on");
        pass(&mut deadline, minute).expect("it is stopped");
        deadline.check(Some(&Event::Continued)).expect("it goes on");
        assert!(limits.interrupt.stops().lost() >= minute);
        let error = pass(&mut deadline, minute).expect_err("it had its time");
        assert!(error.is::<TimedOut>(), "{error}");
    }
}
