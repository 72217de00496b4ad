//! One child process from its start to the end of all that it started.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::affinity;
use crate::affinity::Share;
use crate::error::{Interrupted, TimedOut};
use crate::interrupt::Interrupt;
use crate::rusage::Usage;

/// How long to wait, and what else ends the wait.
#[derive(Debug, Clone)]
pub struct Limits {
    /// After this long, the child and all that it started are ended.
    pub timeout: Duration,
    /// When this came, too.
    pub interrupt: Interrupt,
}

/// When a child is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A little time has passed.
    Tick,
    /// It has printed its first line; if it is held, it now waits for its input
    /// to end.
    Line,
}

/// Observes a child while it runs: how often, and what is done then.
pub struct Observer<'a> {
    /// The time between two looks.
    pub every: Duration,
    /// Whether its standard input stays open until it has printed a line and
    /// been looked at.
    pub hold: bool,
    /// Called with the number of the child's process.
    pub observe: &'a mut dyn FnMut(u32, Moment),
}

/// A child that came to its end by itself.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, up to 64 MiB.
    pub stdout: String,
    /// What it complained of, up to 64 MiB.
    pub stderr: String,
    /// From before its start to its end.
    pub wall: Duration,
    /// What it and the children that it waited for have used.
    pub usage: Usage,
    /// Processes that it started and did not wait for. They are ended by now.
    pub left_behind: usize,
}

/// Has orphaned grandchildren handed to this process, so that [`run`] can wait
/// for them too when their parent was killed or forgot them.
///
/// # Errors
///
/// When the kernel refuses.
pub fn adopt_orphans() -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true).context("prctl(PR_SET_CHILD_SUBREAPER)")?;
    Ok(())
}

/// Runs `command` to its end in a process group of its own. Whatever happens,
/// nothing that it started is alive afterwards.
///
/// It has no standard input, unless a `observer` holds that open.
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
///
/// # Errors
///
/// As [`run`].
pub fn run_on(
    share: Option<Share>,
    command: &mut Command,
    limits: &Limits,
    mut observer: Option<Observer>,
) -> anyhow::Result<Finished> {
    let before = Usage::of_children()?;
    let started = Instant::now();
    let with_input = observer.as_ref().is_some_and(|observer| observer.hold);
    let child = affinity::kept_to(share, || spawn(command, with_input));
    let mut child = child.flatten()?;
    let pid = child.id();
    let group = Pid::from_raw(pid.cast_signed());
    let mut stdin = child.stdin.take();
    let attendants = Attendants::start(&mut child, group).inspect_err(|_| {
        // There was no thread to be had. What was started ends all the same.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = child.wait();
        reap_group(group);
    });
    let attendants = attendants.context("cannot start a thread")?;

    // A signal only sets a flag: without an observer, look at it every so often.
    let tick = observer
        .as_ref()
        .map_or(Duration::from_millis(100), |observer| observer.every);
    let ended: anyhow::Result<Instant> = loop {
        let moment = match attendants.coming.recv_timeout(tick) {
            Ok(Event::Exited(at)) => break Ok(at),
            Ok(Event::Line) => Moment::Line,
            Err(RecvTimeoutError::Timeout) => Moment::Tick,
            // The thread that waits for the exit cannot go without a word.
            Err(RecvTimeoutError::Disconnected) => break Ok(Instant::now()),
        };
        if let Some(observer) = &mut observer {
            (observer.observe)(pid, moment);
        }
        if moment == Moment::Line {
            stdin = None;
        }
        if limits.interrupt.came() {
            break Err(Interrupted.into());
        }
        if started.elapsed() > limits.timeout {
            break Err(TimedOut(limits.timeout).into());
        }
    };
    drop(stdin);

    // The child itself has not been waited for yet, so its number, which is
    // also the group's, cannot have been given to anyone else.
    let _ = killpg(group, Signal::SIGKILL);
    let reaped = child.wait().context("cannot wait for the child");
    let usage = Usage::of_children()?.since(before);
    let left_behind = reap_group(group);
    let ended = ended?;
    Ok(Finished {
        status: reaped?,
        stdout: attendants.stdout.text(),
        stderr: attendants.stderr.text(),
        wall: ended - started,
        usage,
        left_behind,
    })
}

fn spawn(command: &mut Command, with_input: bool) -> anyhow::Result<Child> {
    command
        .stdin(match with_input {
            true => Stdio::piped(),
            false => Stdio::null(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))
}

enum Event {
    Line,
    Exited(Instant),
}

/// Threads that wait on a child, each for one thing.
struct Attendants {
    stdout: Collected,
    stderr: Collected,
    coming: Receiver<Event>,
}

impl Attendants {
    fn start(child: &mut Child, pid: Pid) -> io::Result<Self> {
        let (events, coming) = mpsc::channel();
        let stdout = reader(child.stdout.take(), Some(events.clone()))?;
        let stderr = reader(child.stderr.take(), None)?;
        await_exit(pid, move |at| {
            // Nobody listens any more if it was killed for some other reason.
            let _ = events.send(Event::Exited(at));
        })?;
        Ok(Self {
            stdout,
            stderr,
            coming,
        })
    }
}

/// Says when the child has exited, and leaves it to be waited for: until then
/// nobody else can get its number, and it can be killed by it.
pub fn await_exit(pid: Pid, tell: impl FnOnce(Instant) + Send + 'static) -> io::Result<()> {
    thread::Builder::new().spawn(move || {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
        tell(Instant::now());
    })?;
    Ok(())
}

/// Waits for what the child's group has left; they were killed just now.
fn reap_group(group: Pid) -> usize {
    let mut left = 0;
    loop {
        match waitpid(Pid::from_raw(-group.as_raw()), None) {
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => left += 1,
            Ok(_) | Err(Errno::EINTR) => {}
            // No such children: the usual case.
            Err(_) => return left,
        }
    }
}

/// Text that a thread is still collecting.
struct Collected(Receiver<String>);

impl Collected {
    /// The whole text. A process that got out of its group may hold the pipe
    /// open: then what there is has to do.
    fn text(self) -> String {
        self.0
            .recv_timeout(Duration::from_secs(2))
            .unwrap_or_default()
    }
}

/// What is kept of a child's output, in bytes. One that talks without an end is
/// read to its end all the same, or it would wait for us.
const MOST_KEPT: u64 = 64 << 20;

fn reader(
    pipe: Option<impl Read + Send + 'static>,
    events: Option<Sender<Event>>,
) -> io::Result<Collected> {
    let (sender, text) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let mut pipe = BufReader::new(pipe);
            let mut kept = pipe.by_ref().take(MOST_KEPT);
            if let Some(events) = events
                && read_line(&mut kept, &mut bytes).is_ok_and(|whole| whole)
            {
                let _ = events.send(Event::Line);
            }
            // What could be read before an error is still worth having.
            let _ = kept.read_to_end(&mut bytes);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    })?;
    Ok(Collected(text))
}

fn read_line(pipe: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<bool> {
    pipe.read_until(b'\n', bytes)?;
    Ok(bytes.ends_with(b"\n"))
}
