//! One child process from its start to the end of all that it started.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeValLike;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::cores::{self, Share};
use crate::interrupt::Interrupt;

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

/// Looks at a child while it runs: how often, and what is done then.
pub struct Watch<'a> {
    /// The time between two looks.
    pub every: Duration,
    /// Whether its standard input stays open until it has printed a line and
    /// been looked at.
    pub hold: bool,
    /// Called with the number of the child's process.
    pub look: &'a mut dyn FnMut(u32, Moment),
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

/// A child that did not.
#[derive(Debug)]
pub enum Stopped {
    /// Someone wants all of this to end.
    Interrupted,
    /// It took longer than this.
    Overtime(Duration),
    /// It could not be started or waited for.
    Failed(anyhow::Error),
}

/// Processor time and context switches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Time on a processor in the program.
    pub user: Duration,
    /// Time on a processor in the kernel.
    pub system: Duration,
    /// Switches because it had to wait.
    pub voluntary: u64,
    /// Switches because someone else's turn had come.
    pub involuntary: u64,
}

impl Usage {
    /// Of all children that this process has waited for so far. The difference
    /// around the wait for one child is that child's (and its children's, as
    /// far as it waited for them), provided that nobody else is waited for in
    /// between. Peak memory cannot be had this way: it is inherited at spawn.
    fn of_children() -> anyhow::Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
        let time = |time: nix::sys::time::TimeVal| {
            Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0))
        };
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(Self {
            user: time(usage.user_time()),
            system: time(usage.system_time()),
            voluntary: count(usage.voluntary_context_switches()),
            involuntary: count(usage.involuntary_context_switches()),
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            voluntary: self.voluntary.saturating_sub(before.voluntary),
            involuntary: self.involuntary.saturating_sub(before.involuntary),
        }
    }
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
/// It has no standard input, unless a `watch` holds that open.
///
/// # Errors
///
/// When it did not come to its end by itself.
pub fn run(
    command: &mut Command,
    limits: &Limits,
    watch: Option<Watch>,
) -> Result<Finished, Stopped> {
    run_on(None, command, limits, watch)
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
    mut watch: Option<Watch>,
) -> Result<Finished, Stopped> {
    let before = Usage::of_children().map_err(Stopped::Failed)?;
    let started = Instant::now();
    let with_input = watch.as_ref().is_some_and(|watch| watch.hold);
    let child = cores::kept_to(share, || spawn(command, with_input));
    let mut child = child.flatten().map_err(Stopped::Failed)?;
    let pid = child.id();
    let group = Pid::from_raw(pid.cast_signed());
    let mut stdin = child.stdin.take();
    let attendants = Attendants::start(&mut child, group).inspect_err(|_| {
        // There was no thread to be had. What was started ends all the same.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = child.wait();
        reap_group(group);
    });
    let attendants = attendants
        .context("cannot start a thread")
        .map_err(Stopped::Failed)?;

    // A signal only sets a flag: without a watch, look at it every so often.
    let tick = watch
        .as_ref()
        .map_or(Duration::from_millis(100), |watch| watch.every);
    let ended = loop {
        let moment = match attendants.coming.recv_timeout(tick) {
            Ok(Event::Exited(at)) => break Ok(at),
            Ok(Event::Line) => Moment::Line,
            Err(RecvTimeoutError::Timeout) => Moment::Tick,
            // The thread that waits for the exit cannot go without a word.
            Err(RecvTimeoutError::Disconnected) => break Ok(Instant::now()),
        };
        if let Some(watch) = &mut watch {
            (watch.look)(pid, moment);
        }
        if moment == Moment::Line {
            stdin = None;
        }
        if limits.interrupt.came() {
            break Err(Stopped::Interrupted);
        }
        if started.elapsed() > limits.timeout {
            break Err(Stopped::Overtime(limits.timeout));
        }
    };
    drop(stdin);

    // The child itself has not been waited for yet, so its number, which is
    // also the group's, cannot have been given to anyone else.
    let _ = killpg(group, Signal::SIGKILL);
    let reaped = child.wait().context("cannot wait for the child");
    let usage = Usage::of_children().map_err(Stopped::Failed)?.since(before);
    let left_behind = reap_group(group);
    let ended = ended?;
    Ok(Finished {
        status: reaped.map_err(Stopped::Failed)?,
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
pub(crate) fn await_exit(pid: Pid, tell: impl FnOnce(Instant) + Send + 'static) -> io::Result<()> {
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
