//! A child process, from its start to the end of all that it started.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::affinity::{self, Share};
use crate::error::{CellError, last_words};
use crate::progress::log_line;
use crate::rusage::Usage;

/// A child that has ended, and all that it started with it.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, up to 64 MiB, unless that was dropped.
    pub stdout: String,
    /// What it printed on standard error, up to 64 MiB.
    pub stderr: String,
    /// From before its start to its end.
    pub wall: Duration,
    /// When it ended.
    pub ended: Instant,
    /// What it and the children that it waited for have used, unless this process
    /// has waited for other children meanwhile.
    pub usage: Usage,
    /// Processes that it started and did not wait for. They have been ended, if they
    /// could be.
    pub left_behind: usize,
    /// Whether one of them could not be ended: it has become another user.
    pub(crate) lives: bool,
}

impl Finished {
    /// Its exit code; less than 0 if this signal ended it.
    pub fn exit_code(&self) -> i32 {
        let signal = self.status.signal().map(|signal| -signal);
        self.status.code().or(signal).unwrap_or_default()
    }

    /// Why its cell has no figure: how it ended, and the last that it said.
    pub(crate) fn failure(&self) -> CellError {
        let last = last_words(&self.stderr);
        let last = if last.is_empty() {
            ", without a word".to_owned()
        } else {
            format!(": {last}")
        };
        CellError::failed(format!("{}{last}", self.status))
    }

    pub(crate) fn check_left_behind(&self) -> Result<(), CellError> {
        match self.left_behind {
            0 => Ok(()),
            left => Err(CellError::failed(format!(
                "it left {left} of its processes behind"
            ))),
        }
    }
}

/// A child that runs, in a process group of its own. Dropping it ends the group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Pid,
    usage_before: Usage,
    started: Instant,
    exited: Option<Instant>,
    reaped: bool,
    /// Whether something of its group could not be ended.
    lives: bool,
    events: Receiver<Event>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

/// Which of its outputs a child has written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// What [`Process::next_event`] waits for.
#[derive(Debug)]
pub(crate) enum Event {
    /// A line, and when it had been read; of one whose output is dropped, without its text:
    /// see [`Output`].
    Line(Stream, String, Instant),
    /// This signal has stopped it.
    Stopped(Signal),
    Continued,
    Exited(Instant),
}

/// What becomes of what a child prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Kept to the end; the first line of standard output is an event.
    Collected,
    /// The same, but that standard output is dropped.
    Dropped,
    /// Each line is an event, and none is kept. What is longer than [`LONGEST_LINE`] comes
    /// in parts.
    Lines,
}

impl Process {
    /// Starts `command`, and collects what it prints.
    pub fn start(command: &mut Command, stdin: Stdio) -> anyhow::Result<Self> {
        Self::start_on(None, command, stdin, Output::Collected)
    }

    pub(crate) fn start_on(
        share: Option<Share>,
        command: &mut Command,
        stdin: Stdio,
        output: Output,
    ) -> anyhow::Result<Self> {
        let usage_before = Usage::of_children()?;
        let started = Instant::now();
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let child = affinity::kept_to(share, || command.spawn())?
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let group = Pid::from_raw(child.id().cast_signed());
        let (events_to, events) = mpsc::sync_channel(MOST_EVENTS);
        let (stdout_to, stdout) = mpsc::channel();
        let (stderr_to, stderr) = mpsc::channel();
        let mut process = Self {
            child,
            group,
            usage_before,
            started,
            exited: None,
            reaped: false,
            lives: false,
            events,
            stdout,
            stderr,
        };
        // If there is no thread to be had, dropping `process` ends the child.
        let readers = || -> io::Result<()> {
            let pipe = process.child.stdout.take();
            read(pipe, Stream::Stdout, output, events_to.clone(), stdout_to)?;
            let pipe = process.child.stderr.take();
            read(pipe, Stream::Stderr, output, events_to.clone(), stderr_to)?;
            await_exit(group, events_to)
        };
        readers().context("cannot start a thread")?;
        Ok(process)
    }

    /// Its process ID, which is also its group's.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input, if that is a pipe and has not been taken yet.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Ends what is left of its group, and hands on the lines that come after its exit.
    pub(crate) fn last_lines(&self, mut on_line: impl FnMut(Stream, &str)) {
        self.kill_group(Signal::SIGKILL);
        let deadline = Instant::now() + LAST_OUTPUT;
        let left = || deadline.saturating_duration_since(Instant::now());
        while let Ok(event) = self.events.recv_timeout(left()) {
            if let Event::Line(stream, line, _) = event {
                on_line(stream, &line);
            }
        }
    }

    /// Waits until it has exited, at most so long. Returns whether it has.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let began = Instant::now();
        while self.exited.is_none() {
            let left = timeout.saturating_sub(began.elapsed());
            if self.next_event(left).is_none() {
                break;
            }
        }
        self.exited.is_some()
    }

    /// Waits for the first line of its standard output, at most so long; none, if it does
    /// not come.
    pub fn first_line(&mut self, timeout: Duration) -> Option<String> {
        let began = Instant::now();
        while self.exited.is_none() {
            let left = timeout.saturating_sub(began.elapsed());
            if let Event::Line(Stream::Stdout, line, _) = self.next_event(left)? {
                return Some(line);
            }
        }
        None
    }

    pub(crate) fn next_event(&mut self, timeout: Duration) -> Option<Event> {
        let event = match self.events.recv_timeout(timeout) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => return None,
            // The thread that waits for the exit always sends it.
            Err(RecvTimeoutError::Disconnected) => Event::Exited(Instant::now()),
        };
        if let Event::Exited(at) = event {
            self.exited = Some(at);
        }
        Some(event)
    }

    /// Sends it a signal. It has not been waited for, so its ID is its own.
    pub fn kill(&self, signal: Signal) {
        // It may have exited, which is no error.
        let _ = kill(self.group, signal);
    }

    /// Sends a signal to it and all that it has started.
    pub fn kill_group(&self, signal: Signal) {
        let _ = killpg(self.group, signal);
    }

    /// Ends it, if it has not exited, and waits for it. What it has left behind is
    /// ended after `grace`, the time that it has to notice that its parent is gone.
    pub fn end(mut self, grace: Duration) -> anyhow::Result<Finished> {
        let (waited, usage, left_behind) = self.reap(grace);
        let ended = self.exited.unwrap_or_else(Instant::now);
        Ok(Finished {
            status: waited.context("cannot wait for the child")?,
            stdout: collected(&self.stdout),
            stderr: collected(&self.stderr),
            wall: ended - self.started,
            ended,
            usage: usage?.since(self.usage_before),
            left_behind,
            lives: self.lives,
        })
    }

    /// Its status, what all children have used by then, and how many processes it
    /// has left behind.
    fn reap(&mut self, grace: Duration) -> (io::Result<ExitStatus>, anyhow::Result<Usage>, usize) {
        // The child has not been waited for yet, so its ID, which is also the
        // group's, cannot have been given to another one.
        if self.exited.is_none() || grace.is_zero() {
            self.kill_group(Signal::SIGKILL);
        }
        self.reaped = true;
        if self.exited.is_none() && kill(self.group, Signal::SIGKILL) == Err(Errno::EPERM) {
            goes_on(self.pid());
            let denied = io::Error::from(Errno::EPERM);
            return (Err(denied), Usage::of_children(), 0);
        }
        let waited = self.child.wait();
        let usage = Usage::of_children();
        let since = Instant::now();
        while since.elapsed() < grace {
            match self.reap_one(Some(WaitPidFlag::WNOHANG)) {
                Some(WaitStatus::StillAlive) => thread::sleep(Duration::from_millis(5)),
                Some(_) => {}
                None => return (waited, usage, 0),
            }
        }
        let mut left_behind = 0;
        loop {
            // EPERM says that no process of the group could be signaled. To wait for these
            // without looking again would be to wait for what cannot be ended.
            let denied = killpg(self.group, Signal::SIGKILL) == Err(Errno::EPERM);
            match self.reap_one(Some(WaitPidFlag::WNOHANG)) {
                Some(WaitStatus::StillAlive) if denied => {
                    goes_on(self.pid());
                    self.lives = true;
                    return (waited, usage, left_behind + 1);
                }
                Some(WaitStatus::StillAlive) => thread::sleep(Duration::from_millis(1)),
                Some(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => left_behind += 1,
                Some(_) => {}
                None => return (waited, usage, left_behind),
            }
        }
    }

    /// Waits for a process of the group; `None` if there is none, which is usual.
    fn reap_one(&self, flags: Option<WaitPidFlag>) -> Option<WaitStatus> {
        loop {
            match waitpid(Pid::from_raw(-self.group.as_raw()), flags) {
                Err(Errno::EINTR) => {}
                reaped => return reaped.ok(),
            }
        }
    }
}

/// Says that a process, or one that it started, cannot be ended: it has become another
/// user.
pub(crate) fn goes_on(pid: u32) {
    log_line(&format!(
        "process {pid} cannot be ended, as it or what it started runs as another user: it goes on"
    ));
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill_group(Signal::SIGKILL);
            let _ = self.reap(Duration::ZERO);
        }
    }
}

/// Tells when the child is stopped and continued, and when it has exited. The child is not
/// reaped here: until it is, no other process gets its ID, so it can be killed by that.
fn await_exit(pid: Pid, events: SyncSender<Event>) -> io::Result<()> {
    thread::Builder::new().spawn(move || {
        let changes = WaitPidFlag::WSTOPPED | WaitPidFlag::WCONTINUED;
        let any = changes | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::Pid(pid), any) {
                Err(Errno::EINTR) => continue,
                Ok(WaitStatus::Stopped(..) | WaitStatus::Continued(_)) => {}
                _ => break,
            }
            // The call above leaves the change in place; this one takes it.
            let event = match waitid(Id::Pid(pid), changes | WaitPidFlag::WNOHANG) {
                Ok(WaitStatus::Stopped(_, signal)) => Event::Stopped(signal),
                Ok(WaitStatus::Continued(_)) => Event::Continued,
                _ => continue,
            };
            let _ = events.send(event);
        }
        // The receiver is gone if it was killed for some other reason.
        let _ = events.send(Event::Exited(Instant::now()));
    })?;
    Ok(())
}

/// How long to wait for the last output: a process that has left the group may hold
/// the pipe open.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

fn collected(text: &Receiver<String>) -> String {
    text.recv_timeout(LAST_OUTPUT).unwrap_or_default()
}

/// The longest line that comes as a whole, in bytes.
pub(crate) const LONGEST_LINE: usize = 1 << 20;

/// How many events wait to be read, at most: a child that prints more waits.
const MOST_EVENTS: usize = 64;

/// What is kept of a child's output, in bytes. The rest is read all the same, as
/// the child would wait for that.
const MOST_KEPT: u64 = 64 << 20;

/// Reads one output of a child to its end, in a thread.
fn read(
    pipe: Option<impl Read + Send + 'static>,
    stream: Stream,
    output: Output,
    events: SyncSender<Event>,
    text: Sender<String>,
) -> io::Result<()> {
    thread::Builder::new().spawn(move || {
        let Some(pipe) = pipe else { return };
        let mut pipe = BufReader::new(pipe);
        if output == Output::Lines {
            while let Some(line) = next_line(&mut pipe) {
                if events
                    .send(Event::Line(stream, line, Instant::now()))
                    .is_err()
                {
                    break;
                }
            }
            return;
        }
        let mut bytes = Vec::new();
        if (stream, output) == (Stream::Stdout, Output::Dropped) {
            if skip_line(&mut pipe).is_ok_and(|ended| ended) {
                let _ = events.send(Event::Line(stream, String::new(), Instant::now()));
            }
            drop(events);
        } else {
            let mut kept = pipe.by_ref().take(MOST_KEPT);
            if stream == Stream::Stdout
                && kept.read_until(b'\n', &mut bytes).is_ok()
                && bytes.ends_with(b"\n")
            {
                let line = String::from_utf8_lossy(&bytes[..bytes.len() - 1]);
                let _ = events.send(Event::Line(stream, line.into_owned(), Instant::now()));
            }
            drop(events);
            // What could be read before an error is still worth having.
            let _ = kept.read_to_end(&mut bytes);
        }
        let _ = io::copy(&mut pipe, &mut io::sink());
        let _ = text.send(String::from_utf8_lossy(&bytes).into_owned());
    })?;
    Ok(())
}

/// The next line without its end, or the next part of one; none at the end.
fn next_line(pipe: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let read = pipe.take(LONGEST_LINE as u64).read_until(b'\n', &mut line);
    if read.is_err() || line.is_empty() {
        return None;
    }
    if line.ends_with(b"\n") {
        line.pop();
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}

/// Reads a line and drops it. Returns whether it has an end.
fn skip_line(pipe: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let read = pipe.fill_buf()?;
        let (length, end) = (read.len(), read.iter().position(|byte| *byte == b'\n'));
        pipe.consume(end.map_or(length, |end| end + 1));
        if end.is_some() || length == 0 {
            return Ok(end.is_some());
        }
    }
}
