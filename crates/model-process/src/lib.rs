//! The process model: a unit is a child process.
//!
//! The children are this very binary, started as `PROGRAM worker`. They stand
//! before the job begins (a download starts most of them as it goes), are kept
//! from job to job, and share nothing but channels and one small piece of mapped
//! memory. Any of them can die at any moment; the job then still ends, and with
//! the right answer. (Only a client of `echo` cannot make up for the server's
//! child that it talks to: its job fails.)
//!
//! | file | holds |
//! |---|---|
//! | `worker.rs` | a child's side: its loop, and all that is said between the two |
//! | `child.rs` | the parent's side of one child: its start and its end |
//! | `children.rs` | all of them, and the one mailbox that every answer and every death arrives in; work that they do together, which starts again when one dies |
//! | `shares.rs` | work that comes in shares: a dead child's are dealt out again |
//! | `attempts.rs`, `meters.rs` | a download at the child's side, and how far its files are |
//! | `shelf.rs` | how an open file gets to children that stand already |
//! | `shared.rs`, `lock.rs`, `credits.rs`, `futex.rs` | shared memory, and what waits in it |
//!
//! Linux only: memfd, futex, pidfd and the death signal have no portable names.

mod attempts;
mod child;
mod children;
mod counter;
mod credits;
mod download;
mod echo;
mod exchange;
mod fetch;
mod files;
mod futex;
mod http;
mod lock;
mod meters;
mod offload;
mod ping_pong;
mod pipeline;
mod primes;
mod shared;
mod shares;
mod shelf;
mod sleepers;
mod thumbnails;
mod worker;

use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use suite::{Model, Result, Setup, Workload};
use transfer::Session;

use crate::children::Children;

/// Runs as a child: `PROGRAM worker NAME` comes here.
pub use crate::worker::main as worker;

/// Child processes, standing ready.
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

/// How many children a download begins with: two for a core, as one waits while
/// the other works.
fn few(cores: usize) -> usize {
    2 * cores
}

impl Model for Process {
    fn start(setup: &Setup) -> Result<Self> {
        let mut children = Children::new(&setup.program)?;
        match setup.workload {
            // It starts more when there is work for them.
            Workload::Download => children.stand_at_most(setup.units.min(few(setup.threads)))?,
            _ => children.stand(setup.units)?,
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
        download::run(session, &mut self.children(), few(self.busy_children))
    }

    fn ping_pong(&self, job: &suite::ping_pong::Job) -> Result<suite::ping_pong::Outcome> {
        ping_pong::run(job, &mut self.children())
    }

    fn sleepers(&self, job: &suite::sleepers::Job) -> Result<suite::sleepers::Outcome> {
        sleepers::run(job, &mut self.children())
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

    fn files(&self, job: &suite::files::Job) -> Result<suite::files::Outcome> {
        files::run(job, &mut self.children(), self.busy_children)
    }

    fn thumbnails(&self, job: &suite::thumbnails::Job) -> Result<suite::thumbnails::Outcome> {
        thumbnails::run(job, &mut self.children(), self.busy_children)
    }
}
