//! The process model: a unit is a child process.
//!
//! The children are this very binary, started as `PROGRAM worker`. They are started
//! before the job begins (of a download with a very high limit, the rest as it goes),
//! are kept from job to job, and share only channels and one small piece of mapped
//! memory.
//! Any of them can die at any moment; the job then still ends, and with the right
//! answer. (Only a client of `echo` cannot make up for the server's child that it
//! talks to, nor can a member of a `chat` for the child that has its room: their
//! jobs fail.)
//!
//! The workloads' `run` is the parent's side, `perform` the child's. `worker.rs` is
//! a child's loop, `pool/` starts children and gives them work, `shm/` is the memory
//! that they share. A download is in three files: `download.rs` dispatches files,
//! `download_child.rs` downloads one, `download_progress.rs` knows how far each is.
//!
//! Linux only: memfd, futex, pidfd and the death signal have no portable names.

mod both_ways;
mod chat;
mod chat_child;
mod counter;
mod datagram;
mod deadlines;
mod download;
mod download_child;
mod download_progress;
mod echo;
mod exchange;
mod fetch;
mod files;
mod http;
mod offload;
mod ping_pong;
mod pipeline;
mod pool;
mod primes;
mod proxy;
mod scan;
mod send;
mod serve;
mod server;
mod shm;
mod sleepers;
mod spawn;
mod thumbnails;
mod worker;

use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use suite::{Model, Result, Setup, Workload};
use transfer::Session;

use crate::pool::Children;
use crate::shm::MAX_CHILDREN;

/// Runs as a child: `PROGRAM worker NAME` comes here.
pub use crate::worker::main as worker;

/// Child processes, started in advance.
pub struct Process {
    /// One job at a time: it has all the children.
    children: Mutex<Children>,
    /// For work that keeps a core busy.
    busy_children: usize,
    /// For calls that block.
    blocking_children: usize,
}

impl Process {
    fn children(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The most children that a download begins with: one for each file that may be
/// under way, as in the other models. A few for each core would get quick files
/// as soon, but then `limit` would not be what is measured.
const MOST_INITIAL_CHILDREN: usize = 128;

impl Model for Process {
    fn start(setup: &Setup) -> Result<Self> {
        let mut children = Children::new(&setup.program)?;
        match setup.workload {
            Workload::Download => {
                let units = setup.units.min(MOST_INITIAL_CHILDREN);
                let units = children.reserve_at_most(units)?;
                match children.start_missing(0..units) {
                    // A download does with fewer. When it needs more, it tries again, and
                    // notes a failure.
                    Err(_) if children.is_started(0) => {}
                    started => started?,
                }
            }
            // What it costs to start them is what is measured.
            Workload::Spawn => {}
            // One for the request after all others, and those for CPU work.
            Workload::Serve => {
                let units = setup.units + 1 + runner::cores();
                children.ensure_started(units.min(MAX_CHILDREN).max(setup.units))?;
            }
            // One for the request after all others.
            Workload::Proxy => {
                let units = setup.units + 1;
                children.ensure_started(units.min(MAX_CHILDREN).max(setup.units))?;
            }
            // Each has many attempts under way.
            Workload::Scan => children.ensure_started(setup.units.min(setup.threads))?,
            // What members share is in one child: more children than cores would take turns.
            Workload::Chat => children.ensure_started(chat::units(setup.threads))?,
            _ => children.ensure_started(setup.units)?,
        }
        Ok(Self {
            children: Mutex::new(children),
            busy_children: setup.threads,
            blocking_children: setup.blocking_threads,
        })
    }

    fn name(&self) -> &'static str {
        "process"
    }

    fn most_units(workload: Workload) -> Option<usize> {
        let all_at_once = [
            Workload::PingPong,
            Workload::Sleepers,
            Workload::Spawn,
            Workload::Deadlines,
            Workload::Echo,
            Workload::Datagram,
            Workload::Serve,
            Workload::Proxy,
            Workload::Send,
        ];
        all_at_once.contains(&workload).then_some(MAX_CHILDREN)
    }

    fn counter(&self, job: &suite::counter::Job) -> Result<suite::counter::Outcome> {
        counter::run(job, &mut self.children())
    }

    fn pipeline(&self, job: &suite::pipeline::Job) -> Result<suite::pipeline::Outcome> {
        pipeline::run(job, &mut self.children())
    }

    fn primes(&self, job: &suite::primes::Job) -> Result<suite::primes::Outcome> {
        primes::run(job, &mut self.children())
    }

    fn exchange(&self, job: &suite::exchange::Job) -> Result<suite::exchange::Outcome> {
        exchange::run(job, &mut self.children())
    }

    fn fetch(&self, job: &suite::fetch::Job) -> Result<suite::fetch::Outcome> {
        fetch::run(job, &mut self.children())
    }

    fn offload(&self, job: &suite::offload::Job) -> Result<suite::offload::Outcome> {
        offload::run(job, &mut self.children(), self.blocking_children)
    }

    fn download_session(&self, session: &Arc<Session>) -> Result<()> {
        download::run(session, &mut self.children())
    }

    fn ping_pong(&self, job: &suite::ping_pong::Job) -> Result<suite::ping_pong::Outcome> {
        ping_pong::run(job, &mut self.children())
    }

    fn sleepers(&self, job: &suite::sleepers::Job) -> Result<suite::sleepers::Outcome> {
        sleepers::run(job, &mut self.children())
    }

    fn spawn(&self, job: &suite::spawn::Job) -> Result<suite::spawn::Outcome> {
        spawn::run(job, &mut self.children())
    }

    fn deadlines(&self, job: &suite::deadlines::Job) -> Result<suite::deadlines::Outcome> {
        deadlines::run(job, &mut self.children())
    }

    fn echo(&self, job: &suite::echo::Job) -> Result<suite::echo::Outcome> {
        echo::run(job, &mut self.children())
    }

    fn echo_server(
        &self,
        listener: TcpListener,
        job: &suite::echo::Job,
        closing: &suite::echo::Closing,
    ) -> Result<()> {
        echo::serve(&listener, job, closing, &mut self.children())
    }

    fn datagram(&self, job: &suite::datagram::Job) -> Result<suite::datagram::Outcome> {
        datagram::run(job, &mut self.children())
    }

    fn datagram_server(
        &self,
        socket: UdpSocket,
        job: &suite::datagram::Job,
        closing: &suite::echo::Closing,
    ) -> Result<()> {
        datagram::serve(&socket, job, closing, &mut self.children())
    }

    fn serve_files(&self, service: &Arc<suite::serve::Service>) -> Result<()> {
        serve::run(service, &mut self.children())
    }

    fn proxy_requests(&self, service: &Arc<suite::proxy::Service>) -> Result<()> {
        proxy::run(service, &mut self.children())
    }

    fn scan_ports(&self, service: &Arc<suite::scan::Service>) -> Result<()> {
        scan::run(service, &mut self.children(), self.busy_children)
    }

    fn serve_chat(&self, service: &Arc<suite::chat::Service>) -> Result<()> {
        chat::run(service, &mut self.children(), self.busy_children)
    }

    fn send_files(&self, sending: &Arc<suite::send::Sending>) -> Result<()> {
        send::run(sending, &mut self.children())
    }

    fn receive_files(&self, service: &Arc<suite::send::Receiving>) -> Result<()> {
        send::receive(service, &mut self.children())
    }

    fn files(&self, job: &suite::files::Job) -> Result<suite::files::Outcome> {
        files::run(job, &mut self.children(), self.busy_children)
    }

    fn thumbnails(&self, job: &suite::thumbnails::Job) -> Result<suite::thumbnails::Outcome> {
        thumbnails::run(job, &mut self.children(), self.busy_children)
    }
}
