//! One process of a program under test, and all that it starts.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use lab::process::await_exit;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How long what a program has started may outlive it: children find out that
/// their parent is gone, and that takes them a moment.
const MOMENT: Duration = Duration::from_secs(1);

/// A program that runs, in a process group of its own. Dropping it ends the group.
#[derive(Debug)]
pub struct Program {
    child: Child,
    group: Pid,
    exits: Receiver<Instant>,
    started: Instant,
    exited: Option<Instant>,
    reaped: bool,
}

/// How a program has ended.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// Its exit code; less than 0: it was ended by this signal.
    pub exit: i32,
    /// From its start to its end.
    pub took: Duration,
    /// When that was.
    pub at: Instant,
    /// How many processes it had left behind, a moment later. They have been
    /// ended.
    pub left: usize,
}

impl Program {
    /// Starts it; what it prints goes into two files.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start(
        command: &mut Command,
        stdout: &Path,
        stderr: &Path,
        stdin: Stdio,
    ) -> anyhow::Result<Self> {
        let create = |path: &Path| {
            File::create(path).with_context(|| format!("cannot write {}", path.display()))
        };
        let started = Instant::now();
        let mut child = command
            .stdin(stdin)
            .stdout(create(stdout)?)
            .stderr(create(stderr)?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let group = Pid::from_raw(child.id().cast_signed());
        let (exited, exits) = mpsc::channel();
        let awaited = await_exit(group, move |at| {
            // Nobody listens any more if it has been ended.
            let _ = exited.send(at);
        });
        if let Err(error) = awaited {
            let _ = killpg(group, Signal::SIGKILL);
            let _ = child.wait();
            return Err(error).context("cannot start a thread");
        }
        Ok(Self {
            child,
            group,
            exits,
            started,
            exited: None,
            reaped: false,
        })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input, if that is a pipe and nobody has taken it yet.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits until it has exited, or for so long; says whether it has.
    pub fn wait(&mut self, patience: Duration) -> bool {
        if self.exited.is_none() {
            self.exited = match self.exits.recv_timeout(patience) {
                Ok(at) => Some(at),
                Err(RecvTimeoutError::Timeout) => None,
                // The thread that waits for the exit does not go without a word.
                Err(RecvTimeoutError::Disconnected) => Some(Instant::now()),
            };
        }
        self.exited.is_some()
    }

    /// Sends it a signal. It has not been waited for, so its number is its own.
    pub fn signal(&self, signal: Signal) {
        // It may have exited, which is as it should be.
        let _ = kill(self.group, signal);
    }

    /// Sends a signal to it and all that it has started.
    pub fn signal_all(&self, signal: Signal) {
        let _ = killpg(self.group, signal);
    }

    /// Reaps it; to be called when it has exited, and ends it if it has not.
    ///
    /// # Errors
    ///
    /// When it cannot be waited for.
    pub fn end(mut self) -> anyhow::Result<End> {
        if self.exited.is_none() {
            self.signal_all(Signal::SIGKILL);
        }
        let status = self.child.wait().context("cannot wait for a child")?;
        self.reaped = true;
        let at = self.exited.unwrap_or_else(Instant::now);
        let left = self.others_end(MOMENT);
        if left > 0 {
            let _ = killpg(self.group, Signal::SIGKILL);
            self.others_end(MOMENT);
        }
        let signal = status.signal().map(|signal| -signal);
        Ok(End {
            exit: status.code().or(signal).unwrap_or_default(),
            took: at - self.started,
            at,
            left,
        })
    }

    /// Waits for the end of what it has left behind, which is ours by now (see
    /// [`adopt_orphans`](lab::process::adopt_orphans)); says how many are left.
    fn others_end(&self, patience: Duration) -> usize {
        let since = Instant::now();
        let group = Pid::from_raw(-self.group.as_raw());
        loop {
            match waitpid(group, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) if since.elapsed() >= patience => {
                    return members(self.group);
                }
                Ok(WaitStatus::StillAlive) => thread::sleep(Duration::from_millis(5)),
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return 0,
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal_all(Signal::SIGKILL);
            let _ = self.child.wait();
            self.others_end(MOMENT);
        }
    }
}

/// Processes of a group that are alive, at least one.
fn members(group: Pid) -> usize {
    let of_group = |status: &str| {
        // After the name, which is in parentheses: state, parent, group.
        let fields = status.rsplit_once(')').map_or("", |(_, rest)| rest);
        fields.split_whitespace().nth(2) == Some(&group.to_string())
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let status = entries.map(|entry| std::fs::read_to_string(entry.path().join("stat")));
    status
        .flatten()
        .filter(|status| of_group(status))
        .count()
        .max(1)
}

/// The processes that a process has started and that are alive.
pub fn children(pid: u32) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let lists = tasks.into_iter().flatten().flatten();
    let lists = lists.map(|task| std::fs::read_to_string(task.path().join("children")));
    let pids = lists.flatten().flat_map(|list| {
        let pids = list.split_whitespace().map(|pid| pid.parse().ok());
        pids.flatten().map(Pid::from_raw).collect::<Vec<_>>()
    });
    pids.collect()
}
