//! The thread model: a unit is an operating system thread.
//!
//! Threads borrow what they share from the scope that joins them. Where a pool
//! is the idiom it is a rayon pool of this model's own, never the global one.

mod chat;
mod counter;
mod datagram;
mod deadlines;
mod download;
mod echo;
mod exchange;
mod fetch;
mod files;
mod http;
mod offload;
mod ping_pong;
mod pipeline;
mod primes;
mod proxy;
mod scan;
mod send;
mod serve;
mod server;
mod sleepers;
mod spawn;
mod thumbnails;

use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::{Builder, Scope, ScopedJoinHandle};

use anyhow::{Context, anyhow};
use http_ureq::Client;
use rayon::{ThreadPool, ThreadPoolBuilder};
use suite::{Model, Result, Setup, Unsupported, Workload};
use transfer::Session;

/// The most threads that a job gets: see [`check_units`].
const MOST_UNITS: usize = 10_000;

/// The stack of a unit of which there can be thousands: of the default, 2 MiB,
/// they would have 20 GiB. The report of a panic takes up to half of this.
const SMALL_STACK_BYTES: usize = 64 * 1024;

/// Threads, and what they need that takes time to build.
pub struct Thread {
    /// Only for the workloads that use a pool: the others' threads come and go
    /// with the job, and idle ones beside them would be counted as theirs.
    pool: Option<ThreadPool>,
    client: Arc<Client>,
}

impl Thread {
    fn pool(&self) -> Result<&ThreadPool> {
        self.pool
            .as_ref()
            .ok_or_else(|| anyhow!("the model was started for a job without a pool"))
    }
}

impl Model for Thread {
    fn start(setup: &Setup) -> Result<Self> {
        let pool = match setup.workload {
            Workload::Primes | Workload::Offload | Workload::Files | Workload::Thumbnails => Some(
                ThreadPoolBuilder::new()
                    .num_threads(setup.units.max(1)) // 0 would mean one a core
                    .build()
                    .with_context(|| format!("a pool of {} threads", setup.units))?,
            ),
            _ => None,
        };
        if let Some(pool) = &pool {
            // Every thread of it has begun.
            pool.broadcast(|_| ());
        }
        let client = Arc::new(http::client(setup));
        Ok(Self { pool, client })
    }

    fn name(&self) -> &'static str {
        "thread"
    }

    fn most_units(workload: Workload) -> Option<usize> {
        let thousands = [
            Workload::PingPong,
            Workload::Sleepers,
            Workload::Spawn,
            Workload::Deadlines,
        ];
        thousands.contains(&workload).then_some(MOST_UNITS)
    }

    fn counter(&self, job: &suite::counter::Job) -> Result<suite::counter::Outcome> {
        counter::run(job)
    }

    fn pipeline(&self, job: &suite::pipeline::Job) -> Result<suite::pipeline::Outcome> {
        pipeline::run(job)
    }

    fn primes(&self, job: &suite::primes::Job) -> Result<suite::primes::Outcome> {
        primes::run(job, self.pool()?)
    }

    fn exchange(&self, job: &suite::exchange::Job) -> Result<suite::exchange::Outcome> {
        exchange::run(job)
    }

    fn fetch(&self, job: &suite::fetch::Job) -> Result<suite::fetch::Outcome> {
        fetch::run(job, &self.client)
    }

    fn offload(&self, job: &suite::offload::Job) -> Result<suite::offload::Outcome> {
        offload::run(job, self.pool()?)
    }

    fn download_session(&self, session: &Arc<Session>) -> Result<()> {
        download::run(session, &self.client)
    }

    fn ping_pong(&self, job: &suite::ping_pong::Job) -> Result<suite::ping_pong::Outcome> {
        ping_pong::run(job)
    }

    fn sleepers(&self, job: &suite::sleepers::Job) -> Result<suite::sleepers::Outcome> {
        sleepers::run(job)
    }

    fn spawn(&self, job: &suite::spawn::Job) -> Result<suite::spawn::Outcome> {
        spawn::run(job)
    }

    fn deadlines(&self, job: &suite::deadlines::Job) -> Result<suite::deadlines::Outcome> {
        deadlines::run(job)
    }

    fn echo(&self, job: &suite::echo::Job) -> Result<suite::echo::Outcome> {
        echo::run(job)
    }

    fn echo_server(
        &self,
        listener: TcpListener,
        job: &suite::echo::Job,
        closing: &suite::echo::Closing,
    ) -> Result<()> {
        echo::serve(listener, job, closing)
    }

    fn datagram(&self, job: &suite::datagram::Job) -> Result<suite::datagram::Outcome> {
        datagram::run(job)
    }

    fn datagram_server(
        &self,
        socket: UdpSocket,
        job: &suite::datagram::Job,
        closing: &suite::echo::Closing,
    ) -> Result<()> {
        datagram::serve(&socket, job, closing)
    }

    fn serve_files(&self, service: &Arc<suite::serve::Service>) -> Result<()> {
        serve::run(service)
    }

    fn proxy_requests(&self, service: &Arc<suite::proxy::Service>) -> Result<()> {
        proxy::run(service)
    }

    fn scan_ports(&self, service: &Arc<suite::scan::Service>) -> Result<()> {
        scan::run(service)
    }

    fn serve_chat(&self, service: &Arc<suite::chat::Service>) -> Result<()> {
        chat::run(service)
    }

    fn send_files(&self, sending: &Arc<suite::send::Sending>) -> Result<()> {
        send::run(sending)
    }

    fn receive_files(&self, service: &Arc<suite::send::Receiving>) -> Result<()> {
        send::receive(service)
    }

    fn files(&self, job: &suite::files::Job) -> Result<suite::files::Outcome> {
        files::run(job, self.pool()?)
    }

    fn thumbnails(&self, job: &suite::thumbnails::Job) -> Result<suite::thumbnails::Outcome> {
        thumbnails::run(job, self.pool()?)
    }
}

/// Refuses more threads than a process can be sure to get. It is not left to the
/// system to refuse them: if there is no memory mapping left for a thread that
/// has started already, Rust's library aborts the process.
fn check_units(units: usize) -> Result<()> {
    if units <= MOST_UNITS {
        return Ok(());
    }
    let text = format!(
        "{MOST_UNITS} threads at most: each takes 4 memory mappings, and a process has \
         65530 unless vm.max_map_count says otherwise"
    );
    Err(Unsupported(text).into())
}

/// `Scope::spawn` panics when the system has no more threads to give; this
/// says so.
fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    Builder::new()
        .spawn_scoped(scope, work)
        .context("starting a thread")
}

/// The same for one of thousands, which calls nothing that needs much of a stack.
fn spawn_small<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    Builder::new()
        .stack_size(SMALL_STACK_BYTES)
        .spawn_scoped(scope, work)
        .context("starting a thread")
}

/// What a thread returned. A panic in it goes on in the thread that joins.
fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
