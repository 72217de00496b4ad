//! The process model: a unit is a child process.
//!
//! The children are this very binary, started as `PROGRAM worker`. They stand
//! before the job begins, are kept from job to job, and share nothing but
//! channels and one small piece of mapped memory. Any of them can die at any
//! moment; the job then still ends, and with the right answer:
//!
//! - [`children`] starts, watches and ends them, and reads the one mailbox that
//!   every answer and every death arrives in;
//! - [`shares`] deals out work that comes in pieces: the piece that a dead child
//!   held is dealt out again;
//! - [`together`](children::Children::together) is for work that children do
//!   with each other: a death there means that all of it starts again.
//!
//! Linux only: memfd, futex, pidfd and the death signal have no portable names.

mod children;
mod counter;
mod credits;
mod download;
mod exchange;
mod fetch;
mod futex;
mod http;
mod lock;
mod offload;
mod pipeline;
mod primes;
mod shared;
mod shares;
mod worker;

/// Runs as a child: `PROGRAM worker NAME` comes here.
pub use crate::worker::main as worker;

use std::sync::{Mutex, MutexGuard, PoisonError};

use suite::{Model, Result, Setup};

use crate::children::Children;

/// Child processes, standing ready.
pub struct Process {
    /// One job at a time: it has all the children.
    children: Mutex<Children>,
    blocking_children: usize,
}

impl Process {
    fn children(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Model for Process {
    fn start(setup: &Setup) -> Result<Self> {
        let mut children = Children::new(&setup.program)?;
        children.stand(setup.units)?;
        Ok(Self {
            children: Mutex::new(children),
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

    fn download(&self, job: &suite::download::Job) -> Result<suite::download::Outcome> {
        download::run(job, &mut self.children())
    }
}
