//! A child's side: how it starts, and the loop in which it performs tasks.

use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::process::{self, ExitCode};

use anyhow::Context;
use http_ureq::Client;
use ipc_channel::IpcError;
use ipc_channel::ipc::{self, IpcSender};
use nix::sys::signal::{SigSet, Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGXFSZ};
use rustix::process::{Signal, set_parent_process_death_signal};
use suite::Result;

use crate::download_child::Downloader;
use crate::pool::protocol::{self, Batch, ChildEvent, Hello, Message, Welcome};
use crate::pool::{Answer, Task, WorkerContext};
use crate::send::Connected;
use crate::shm::Memory;
use crate::{
    chat, counter, datagram, deadlines, echo, exchange, fetch, files, offload, ping_pong, pipeline,
    primes,
};
use crate::{proxy, scan, send, serve, server, sleepers, spawn, thumbnails};

/// Runs as a child, to its end. The parent waits at `server`.
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
    // parent is dead already, there is no server to say hello to.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A terminal sends these to parent and children alike. Only the parent acts
    // on them. The last one is a write beyond a limit, which fails anyway.
    SigSet::from_iter([SIGINT, SIGTERM, SIGHUP, SIGXFSZ]).thread_block()?;
    let memory = Memory::inherited()?;
    let (hello, welcome) = ipc::channel()?;
    IpcSender::<Hello>::connect(server)?.send(hello)?;
    let Welcome { id, tasks, mailbox } = welcome.recv()?;
    let mut worker = Worker {
        context: WorkerContext {
            memory,
            client: Client::new(1),
            unit: id.unit,
            pid: process::id(),
        },
        consumers: Vec::new(),
        entrance: None,
        downloader: Downloader::default(),
        connected: Connected::default(),
    };
    loop {
        let task = match tasks.recv() {
            Err(IpcError::Disconnected) => return Ok(()),
            task => task?,
        };
        // It was started for this one, and not to be kept.
        let is_last = matches!(task, Task::Spawn(_) | Task::Burn { is_last: true });
        let event = match worker.perform(task) {
            Ok(answer) => ChildEvent::Answer(answer),
            Err(error) => {
                let mut text = format!("{error:#}");
                protocol::truncate(&mut text);
                ChildEvent::Failure(text)
            }
        };
        mailbox.send(Message::Child(id, event))?;
        if is_last {
            return Ok(());
        }
    }
}

/// What a child keeps from task to task.
struct Worker {
    context: WorkerContext,
    /// Where a pipeline's producer sends its items.
    consumers: Vec<IpcSender<Batch>>,
    /// Where the connections of a chat's clients come from.
    entrance: Option<UnixStream>,
    downloader: Downloader,
    connected: Connected,
}

impl Worker {
    fn perform(&mut self, task: Task) -> Result<Answer> {
        let context = &mut self.context;
        Ok(match task {
            Task::Counter(job) => counter::perform(&job, context),
            Task::Pipeline(task) => pipeline::perform(task, &mut self.consumers, context)?,
            Task::Primes(range) => primes::perform(range),
            Task::Exchange(task) => exchange::perform(task, context),
            Task::Fetch(url) => fetch::perform(&url, context)?,
            Task::Offload(job) => offload::perform(&job),
            Task::Download(task) => self.downloader.perform(task, context)?,
            Task::PingPong(task) => ping_pong::perform(task),
            Task::Sleepers(job, started_ns) => sleepers::perform(&job, started_ns, context),
            Task::Spawn(task) => spawn::perform(task)?,
            Task::Deadlines(task) => deadlines::perform(task, context)?,
            Task::Echo(task) => echo::perform(task, context)?,
            Task::Datagram(task) => datagram::perform(task, context)?,
            Task::Serve(task) => serve::perform(task)?,
            Task::Proxy(task) => proxy::perform(task)?,
            Task::Scan(task) => scan::perform(task, context)?,
            Task::Chat(task) => chat::perform(task, &mut self.entrance)?,
            Task::Send(task) => self.connected.perform(task, context),
            Task::Receive(task) => send::perform(&task)?,
            Task::Burn { .. } => server::perform_burn(),
            Task::Files(task) => files::perform(&task),
            Task::Thumbnails(task) => thumbnails::perform(&task),
        })
    }
}
