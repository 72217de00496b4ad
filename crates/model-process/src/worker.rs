//! A child's side: where it comes from, its loop, and what it can be asked.

use std::ffi::OsString;
use std::process::{self, ExitCode};

use anyhow::{Context, anyhow};
use http_ureq::Client;
use ipc_channel::IpcError;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use nix::sys::signal::{SigSet, Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use suite::Result;
use suite::pipeline::Tally;

use crate::attempts::{self, Attempts};
use crate::shared::Memory;
use crate::{counter, echo, exchange, fetch, files, offload, ping_pong, pipeline, primes};
use crate::{sleepers, thumbnails};

/// The longest text in a message. ipc-channel cuts messages over 208 KiB into
/// several, and a send of such a one never returns if its receiver dies first.
pub const LONGEST_TEXT: usize = 64 * 1024;

/// What the parent can ask. Every task is answered, once.
#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    Counter(counter::Task),
    Pipeline(pipeline::Task),
    Primes(primes::Task),
    Exchange(exchange::Task),
    Fetch(fetch::Task),
    Offload(offload::Task),
    Download(attempts::Task),
    PingPong(ping_pong::Task),
    Sleepers(sleepers::Task),
    Echo(echo::Task),
    Files(files::Task),
    Thumbnails(thumbnails::Task),
}

/// A summary of a file, or what was wrong with it.
type Summed<S> = std::result::Result<S, String>;

/// What a child answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It is done; there is nothing to say.
    Done,
    /// A count: primes, bytes, items.
    Number(u64),
    /// What a consumer has processed.
    Tally(Tally),
    /// What a reader has read.
    Outcome(suite::exchange::Outcome),
    /// How far a file has come.
    Download(Box<attempts::Answer>),
    /// What a station of a ring has seen.
    Passes(suite::ping_pong::Outcome),
    /// What came back over a connection.
    Talk(suite::echo::Outcome),
    /// What came of the files from this place of the list on.
    Files(usize, Vec<Summed<suite::files::Summary>>),
    /// What came of the image in this place of the list.
    Image(usize, Summed<suite::thumbnails::Summary>),
    /// Not done: a child at the other end of a channel is gone. That one's death
    /// is the news, and arrives on its own.
    Deserted,
}

impl Answer {
    pub fn number(self) -> Result<u64> {
        match self {
            Answer::Number(number) => Ok(number),
            other => Err(other.unexpected()),
        }
    }

    pub fn unexpected(self) -> anyhow::Error {
        anyhow!("a child answered something else than it was asked: {self:?}")
    }
}

/// What arrives at the parent.
#[derive(Debug, Serialize, Deserialize)]
pub enum Mail {
    /// From a child, or of one.
    Of(Name, News),
    /// From the parent itself: there is something to look at.
    Knock,
}

impl Mail {
    pub fn is_of(&self, child: Name) -> bool {
        matches!(self, Mail::Of(name, _) if *name == child)
    }
}

/// Which child: its place, and how many children had been started before it, as
/// one that has died is followed by another in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    pub unit: usize,
    pub number: u64,
}

/// What a child has to say, or what is said of it.
#[derive(Debug, Serialize, Deserialize)]
pub enum News {
    Answer(Answer),
    /// What went wrong in the work itself; an answer, too.
    Failure(String),
    /// It has ended. Nothing comes after this.
    End,
}

/// A child's first message: where it can be welcomed.
pub type Hello = IpcSender<Welcome>;

/// What a child needs to begin.
#[derive(Debug, Serialize, Deserialize)]
pub struct Welcome {
    pub name: Name,
    pub tasks: IpcReceiver<Task>,
    pub mailbox: IpcSender<Mail>,
}

/// What a child has, beyond its task.
pub struct Worker {
    pub memory: Memory,
    /// It keeps the one connection that a child has use for.
    pub client: Client,
    /// Its place among the children.
    pub unit: usize,
    /// This process's number.
    pub id: u32,
    /// Where a producer's items go.
    pub consumers: Vec<IpcSender<pipeline::Batch>>,
    /// The download that it works for.
    pub attempts: Option<Attempts>,
    /// Whether its last file of that has come.
    pub goes_well: bool,
}

/// Runs as a child, to its end. `server` is the name that the parent waits at.
pub fn main(server: Option<OsString>) -> ExitCode {
    match serve(server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(server: Option<OsString>) -> Result<()> {
    let server = server
        .and_then(|name| name.into_string().ok())
        .context("a worker is started by its parent, not by hand")?;
    // A child that waits for its next task sees its parent's death as the end of
    // that channel; this ends it also when it waits for anything else. If the
    // parent is dead already, there is nobody to say hello to.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A terminal sends these to parent and children alike. What they mean is for
    // the parent to say.
    SigSet::from_iter([SIGINT, SIGTERM, SIGHUP]).thread_block()?;
    let memory = Memory::inherited()?;
    let (hello, welcome) = ipc::channel()?;
    IpcSender::<Hello>::connect(server)?.send(hello)?;
    let Welcome {
        name,
        tasks,
        mailbox,
    } = welcome.recv()?;
    let mut worker = Worker {
        memory,
        client: Client::new(1),
        unit: name.unit,
        id: process::id(),
        consumers: Vec::new(),
        attempts: None,
        goes_well: true,
    };
    loop {
        let task = match tasks.recv() {
            Err(IpcError::Disconnected) => return Ok(()),
            task => task?,
        };
        let news = match worker.perform(task) {
            Ok(answer) => News::Answer(answer),
            Err(error) => {
                let mut text = format!("{error:#}");
                cut(&mut text);
                News::Failure(text)
            }
        };
        mailbox.send(Mail::Of(name, news))?;
    }
}

/// Makes a text fit into a message.
pub fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
}

impl Worker {
    fn perform(&mut self, task: Task) -> Result<Answer> {
        match task {
            Task::Counter(task) => task.perform(self),
            Task::Pipeline(task) => task.perform(self),
            Task::Primes(task) => task.perform(),
            Task::Exchange(task) => task.perform(self),
            Task::Fetch(task) => task.perform(self),
            Task::Offload(task) => task.perform(),
            Task::Download(task) => task.perform(self),
            Task::PingPong(task) => task.perform(),
            Task::Sleepers(task) => task.perform(self),
            Task::Echo(task) => task.perform(self),
            Task::Files(task) => task.perform(),
            Task::Thumbnails(task) => task.perform(),
        }
    }
}
