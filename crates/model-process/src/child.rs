//! One child: how it comes up, and how its end is noticed.

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

use crate::shared::Memory;
use crate::shelf::Shelf;
use crate::worker::{Hello, Mail, Name, News, Task, Welcome};

/// A child that stands ready or is at work.
pub struct Child {
    pub name: Name,
    pub tasks: IpcSender<Task>,
    /// Tasks that it has not answered.
    pub owes: usize,
    /// It has been killed, and its end is on its way.
    pub ending: bool,
    process: Process,
}

/// A child on its way up.
pub struct Starting {
    name: Name,
    server: IpcOneShotServer<Hello>,
    pidfd: mpsc::Receiver<OwnedFd>,
    watcher: Watcher,
}

/// How a start can fail.
pub enum Failure {
    /// There is no process, and the reason is none that goes away.
    NotStarted(anyhow::Error),
    /// It has ended, or does not behave like a child.
    NoHello(Name, Process),
}

/// A process, and the thread that sees to its end.
pub struct Process {
    /// Unlike its number, this can never come to mean another process.
    pidfd: OwnedFd,
    watcher: Watcher,
}

type Watcher = JoinHandle<io::Result<ExitStatus>>;

impl Process {
    /// Ends it, whatever it is doing. Its end comes in the mail.
    pub fn kill(&self) {
        // Fails when it is dead, which is as good.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// How it ended. Its end has been in the mail, so its watcher is done.
    pub fn reaped(self) -> String {
        match self.watcher.join() {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => format!("an unknown cause: {error}"),
            Err(_) => "an unknown cause: its watcher panicked".to_owned(),
        }
    }
}

impl Starting {
    /// Starts a process that is to become a child of this name.
    pub fn launch(
        name: Name,
        program: &Path,
        memory: &Arc<Memory>,
        shelf: &Shelf,
        mailbox: &IpcSender<Mail>,
    ) -> Result<Self> {
        let (server, server_name) = IpcOneShotServer::new().context("a place to say hello")?;
        let mut command = Command::new(program);
        command
            .args(["worker", &server_name])
            .stdin(memory.stdin()?)
            // A child has nothing to say there.
            .stdout(shelf.stdout()?);
        let (report, pidfd) = mpsc::channel();
        let (memory, mailbox) = (Arc::clone(memory), mailbox.clone());
        let watcher = thread::Builder::new()
            .name(format!("watcher of {}", name.unit))
            .spawn(move || watch(command, &report, &server_name, &memory, name, &mailbox))?;
        Ok(Self {
            name,
            server,
            pidfd,
            watcher,
        })
    }

    /// Waits until it says hello.
    pub fn welcome(self, mailbox: &IpcSender<Mail>) -> std::result::Result<Child, Failure> {
        let Self {
            name,
            server,
            pidfd,
            watcher,
        } = self;
        let Ok(pidfd) = pidfd.recv() else {
            return Err(Failure::NotStarted(match watcher.join() {
                Ok(Err(error)) => error.into(),
                _ => anyhow!("the watcher of a child panicked"),
            }));
        };
        let process = Process { pidfd, watcher };
        let greet = || {
            let (_, hello) = server.accept()?;
            let (tasks, receiver) = ipc::channel()?;
            hello.send(Welcome {
                name,
                tasks: receiver,
                mailbox: mailbox.clone(),
            })?;
            anyhow::Ok(tasks)
        };
        match greet() {
            Ok(tasks) => Ok(Child {
                name,
                tasks,
                owes: 0,
                ending: false,
                process,
            }),
            Err(_) => Err(Failure::NoHello(name, process)),
        }
    }
}

impl Child {
    /// Ends it, whatever it is doing. Its end comes in the mail.
    pub fn kill(&mut self) {
        self.ending = true;
        self.process.kill();
    }

    /// How it ended, once its end has been in the mail.
    pub fn reaped(self) -> String {
        self.process.reaped()
    }
}

/// Starts a process and sees to its end, on a thread of its own: the kernel ties
/// a child's death signal to the thread that started it, so that thread has to
/// stay; and a thread that stays anyway can as well sleep until the child ends.
fn watch(
    mut command: Command,
    report: &mpsc::Sender<OwnedFd>,
    server: &str,
    memory: &Memory,
    name: Name,
    mailbox: &IpcSender<Mail>,
) -> io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    drop(command); // and with it what has become the child's standard input
    let pid = Pid::from_child(&child);
    match pidfd_open(pid, PidfdFlags::empty()) {
        // Whoever asked for this child waits for it.
        Ok(pidfd) => drop(report.send(pidfd)),
        Err(error) => {
            child.kill()?;
            child.wait()?;
            return Err(error.into());
        }
    }
    // Dead but not reaped: no other process can have its number yet, so what has
    // that number on it was its own. (It fails only for what is no child.)
    let dead = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), dead));
    memory.counter.lock.outlive(child.id());
    let status = child.wait();
    // If it never said hello, the parent would wait for that for ever: a
    // connection that says nothing ends the wait. (The name is gone once it has
    // been connected to, and ipc-channel leaks a descriptor when it fails.)
    if Path::new(server).exists() {
        drop(IpcSender::<Hello>::connect(server.to_owned()));
    }
    // The parent is gone only if it panicked.
    let _ = mailbox.send(Mail::Of(name, News::End));
    status
}
