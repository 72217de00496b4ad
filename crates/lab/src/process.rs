//! Runs one child process to its end.

use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::affinity::Share;
use crate::child::{Event, Finished, Output, Process, Stream};
use crate::error::{Interrupted, TimedOut};
use crate::interrupt::Interrupt;

/// How long a child may take, and what else ends it.
#[derive(Debug, Clone)]
pub struct Limits {
    /// After this long, the child and all that it started are ended.
    pub timeout: Duration,
    /// They are ended when this comes, too.
    pub interrupt: Interrupt,
}

impl Limits {
    fn check(&self, started: Instant) -> anyhow::Result<()> {
        if self.interrupt.came() {
            return Err(Interrupted.into());
        }
        if started.elapsed() > self.timeout {
            return Err(TimedOut(self.timeout).into());
        }
        Ok(())
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
const INTERRUPT_EVERY: Duration = Duration::from_millis(100);

/// Runs `command` to its end in a process group of its own. Whatever happens,
/// nothing that it started is alive afterwards.
///
/// It has no standard input, unless an `observer` holds that open.
///
/// # Errors
///
/// [`Interrupted`] or [`TimedOut`] if it was ended, and others if it could not be
/// started or waited for.
pub fn run(
    command: &mut Command,
    limits: &Limits,
    observer: Option<Observer>,
) -> anyhow::Result<Finished> {
    run_on(None, command, limits, observer)
}

/// The same, on a share of the cores; on all, if none is given.
pub(crate) fn run_on(
    share: Option<Share>,
    command: &mut Command,
    limits: &Limits,
    mut observer: Option<Observer>,
) -> anyhow::Result<Finished> {
    let stdin = if observer.as_ref().is_some_and(|observer| observer.hold) {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    let tick = observer
        .as_ref()
        .map_or(INTERRUPT_EVERY, |observer| observer.every);
    let mut process = Process::start_on(share, command, stdin, Output::Collected)?;
    let mut stdin = process.take_stdin();
    loop {
        let moment = match process.next_event(tick) {
            Some(Event::Exited(_)) => break,
            Some(Event::Line(..)) => Moment::Line,
            None => Moment::Tick,
        };
        if let Some(observer) = &mut observer {
            (observer.observe)(process.pid(), moment);
        }
        if moment == Moment::Line {
            stdin = None;
        }
        limits.check(process.started())?;
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
    loop {
        match process.next_event(INTERRUPT_EVERY) {
            Some(Event::Exited(_)) => break,
            Some(Event::Line(stream, line)) => on_line(stream, &line),
            None => {}
        }
        limits.check(process.started())?;
    }
    process.last_lines(on_line);
    Ok(process.end(Duration::ZERO)?.status)
}
