//! One child: its start, and how its end is noticed.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use anyhow::{Context, anyhow};
use ipc_channel::ipc::{self, IpcOneShotServer, IpcSender};
use rustix::io::retry_on_intr;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use suite::Result;

use crate::pool::fd_passing::FdSlot;
use crate::pool::protocol::{ChildEvent, ChildId, Hello, Message, Task, Welcome};
use crate::shm::Memory;

/// A child that is ready or at work.
pub(crate) struct Child {
    pub(crate) id: ChildId,
    pub(crate) tasks: IpcSender<Task>,
    /// Tasks that it has not answered.
    pub(crate) unanswered: usize,
    /// It has been killed, and the message of its exit is still to come.
    pub(crate) killed: bool,
    pub(crate) process: ChildProcess,
}

/// A child that is starting.
pub(crate) struct Starting {
    id: ChildId,
    server: IpcOneShotServer<Hello>,
    pidfd: mpsc::Receiver<OwnedFd>,
    watcher: Watcher,
}

pub(crate) enum StartError {
    /// There is no process, and another attempt would fail as well.
    NoProcess(anyhow::Error),
    /// It has ended, or does not behave like a child.
    NoHello(ChildId, ChildProcess),
}

/// A process, and the thread that waits for its end.
pub(crate) struct ChildProcess {
    /// Unlike its number, this can never come to mean another process.
    pidfd: OwnedFd,
    watcher: Watcher,
}

type Watcher = JoinHandle<io::Result<ExitStatus>>;

impl ChildProcess {
    /// Ends it, whatever it is doing. The message of its exit follows.
    pub(crate) fn kill(&self) {
        // Fails only if it is dead already.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// How it ended. Blocks unless the message of its exit has arrived.
    pub(crate) fn exit_status(self) -> String {
        match self.watcher.join() {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => format!("an unknown cause: {error}"),
            Err(_) => "an unknown cause: its watcher panicked".to_owned(),
        }
    }
}

impl Starting {
    /// Starts a process that is to become this child.
    pub(crate) fn spawn(
        id: ChildId,
        program: &Path,
        memory: &Arc<Memory>,
        fd_slot: &FdSlot,
        mailbox: &IpcSender<Message>,
    ) -> Result<Self> {
        let (server, server_name) = IpcOneShotServer::new().context("a place to say hello")?;
        let mut command = Command::new(program);
        command
            .args(["worker", &server_name])
            .stdin(memory.stdin()?)
            // A child prints nothing.
            .stdout(fd_slot.stdout()?);
        let (report, pidfd) = mpsc::channel();
        let (memory, mailbox) = (Arc::clone(memory), mailbox.clone());
        let watcher = thread::Builder::new()
            .name(format!("watcher of {}", id.unit))
            .spawn(move || watch(command, &report, &server_name, &memory, id, &mailbox))?;
        Ok(Self {
            id,
            server,
            pidfd,
            watcher,
        })
    }

    /// Waits until it says hello, and welcomes it.
    pub(crate) fn shake_hands(
        self,
        mailbox: &IpcSender<Message>,
    ) -> std::result::Result<Child, StartError> {
        let (id, watcher) = (self.id, self.watcher);
        let Ok(pidfd) = self.pidfd.recv() else {
            return Err(StartError::NoProcess(match watcher.join() {
                Ok(Err(error)) => error.into(),
                _ => anyhow!("the watcher of a child panicked"),
            }));
        };
        let process = ChildProcess { pidfd, watcher };
        let greet = || {
            let (_, hello) = self.server.accept()?;
            let (tasks, receiver) = ipc::channel()?;
            hello.send(Welcome {
                id,
                tasks: receiver,
                mailbox: mailbox.clone(),
            })?;
            anyhow::Ok(tasks)
        };
        match greet() {
            Ok(tasks) => Ok(Child {
                id,
                tasks,
                unanswered: 0,
                killed: false,
                process,
            }),
            Err(_) => Err(StartError::NoHello(id, process)),
        }
    }
}

impl Child {
    /// Ends it, whatever it is doing. The message of its exit follows.
    pub(crate) fn kill(&mut self) {
        self.killed = true;
        self.process.kill();
    }
}

/// Starts a process and waits for its end, on a thread of its own: the kernel ties
/// a child's death signal to the thread that started it, so that thread has to
/// stay; and as it stays, it can sleep until the child ends.
fn watch(
    mut command: Command,
    report: &mpsc::Sender<OwnedFd>,
    server: &str,
    memory: &Memory,
    id: ChildId,
    mailbox: &IpcSender<Message>,
) -> io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    drop(command); // and with it what has become the child's standard input
    let pid = Pid::from_child(&child);
    match pidfd_open(pid, PidfdFlags::empty()) {
        // The thread that starts this child waits for it.
        Ok(pidfd) => drop(report.send(pidfd)),
        Err(error) => {
            child.kill()?;
            child.wait()?;
            return Err(error.into());
        }
    }
    // Dead but not reaped: no other process can have its number yet, so a lock
    // with that number was its own. (It fails only for what is not a child.)
    let dead = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), dead));
    memory.counter.lock.release_dead_holder(child.id());
    let status = child.wait();
    // If it never said hello, the parent would wait for that forever: a
    // connection without a message ends the wait. (The name is gone once it has
    // been connected to, and ipc-channel leaks a descriptor when it fails.)
    if Path::new(server).exists() {
        drop(IpcSender::<Hello>::connect(server.to_owned()));
    }
    // The parent is gone only if it panicked.
    let _ = mailbox.send(Message::Child(id, ChildEvent::Exit));
    status
}
