//! The async-std model: a unit is a task on async-std's global executor.
//!
//! async-std is discontinued (RUSTSEC-2025-0052); it is here because it is
//! under study. Its executor, reactor and blocking pool are the crates that
//! smol is made of: where the two differ, look at configuration first.
//!
//! Its HTTP client is surf, as its users would take it. What surf sends with is
//! not its own: `back_end.rs` says why, and puts hyper there.

mod back_end;
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
mod pipeline_common;
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
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use anyhow::ensure;
use async_global_executor::GlobalExecutorConfig;
use async_std::task;
use futures_lite::future;
use http_hyper::Idle;
use suite::{Meeting, Model, Result, Setup};
use transfer::Session;

use crate::http::Client;

/// The worker threads that the process's one executor was given.
static THREADS: OnceLock<usize> = OnceLock::new();

/// What the tasks share beside the global executor.
pub struct AsyncStd {
    /// The connections that outlast a job.
    idle: Arc<Idle>,
    /// How many units the job was said to need.
    units: usize,
}

impl AsyncStd {
    /// The one place where blocking code meets asynchronous code.
    ///
    /// The root future is a task like its children; this thread only waits.
    /// `task::block_on` would poll the executor here too: a worker more than
    /// `Setup` gave.
    fn run<T: Send + 'static>(
        &self,
        root: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        future::block_on(task::spawn(root))
    }
}

impl Model for AsyncStd {
    fn start(setup: &Setup) -> Result<Self> {
        let threads = *THREADS.get_or_init(|| {
            async_global_executor::init_with_config(
                GlobalExecutorConfig::default()
                    .with_min_threads(setup.threads)
                    .with_max_threads(setup.threads),
            );
            // async-std has a start of its own, at the first task of a process: it
            // counts the cores once more, for an executor that stands already. That
            // would be the first job's time.
            future::block_on(task::spawn(async {}));
            setup.threads
        });
        ensure!(
            threads == setup.threads,
            "async-std's executor is global, and has {threads} threads in this process already"
        );
        ensure!(
            setup.blocking_threads <= Setup::MOST_BLOCKING_THREADS,
            "async-std has at most {} blocking threads",
            Setup::MOST_BLOCKING_THREADS
        );
        let most = NonZeroUsize::new(setup.blocking_threads).unwrap_or(NonZeroUsize::MIN);
        blocking::set_max_blocking_threads(most);
        future::block_on(warm_up(setup.blocking_calls()));
        Ok(Self {
            idle: Arc::new(Idle::new(setup.units)),
            units: setup.units,
        })
    }

    fn name(&self) -> &'static str {
        "async-std"
    }

    fn counter(&self, job: &suite::counter::Job) -> Result<suite::counter::Outcome> {
        self.run(counter::run(job.clone()))
    }

    fn pipeline(&self, job: &suite::pipeline::Job) -> Result<suite::pipeline::Outcome> {
        self.run(pipeline::run(job.clone()))
    }

    fn primes(&self, job: &suite::primes::Job) -> Result<suite::primes::Outcome> {
        self.run(primes::run(job.clone()))
    }

    fn exchange(&self, job: &suite::exchange::Job) -> Result<suite::exchange::Outcome> {
        self.run(exchange::run(job.clone()))
    }

    fn fetch(&self, job: &suite::fetch::Job) -> Result<suite::fetch::Outcome> {
        let client = Client::new(self.idle.clone(), None);
        self.run(fetch::run(job.clone(), client))
    }

    fn offload(&self, job: &suite::offload::Job) -> Result<suite::offload::Outcome> {
        self.run(offload::run(job.clone()))
    }

    fn download_session(&self, session: &Arc<Session>) -> Result<()> {
        let client = Client::new(self.idle.clone(), Some(session.clone()));
        let done = self.run(download::run(session.clone(), client));
        self.idle.clear_secure();
        done
    }

    fn ping_pong(&self, job: &suite::ping_pong::Job) -> Result<suite::ping_pong::Outcome> {
        self.run(ping_pong::run(job.clone()))
    }

    fn sleepers(&self, job: &suite::sleepers::Job) -> Result<suite::sleepers::Outcome> {
        self.run(sleepers::run(job.clone()))
    }

    fn spawn(&self, job: &suite::spawn::Job) -> Result<suite::spawn::Outcome> {
        self.run(spawn::run(job.clone()))
    }

    fn deadlines(&self, job: &suite::deadlines::Job) -> Result<suite::deadlines::Outcome> {
        self.run(deadlines::run(job.clone()))
    }

    fn echo(&self, job: &suite::echo::Job) -> Result<suite::echo::Outcome> {
        self.run(echo::run(job.clone()))
    }

    fn echo_server(
        &self,
        listener: TcpListener,
        job: &suite::echo::Job,
        closing: &suite::echo::Closing,
    ) -> Result<()> {
        self.run(echo::serve(listener, job.clone(), closing.clone()))
    }

    fn datagram(&self, job: &suite::datagram::Job) -> Result<suite::datagram::Outcome> {
        self.run(datagram::run(job.clone()))
    }

    fn datagram_server(
        &self,
        socket: UdpSocket,
        job: &suite::datagram::Job,
        closing: &suite::echo::Closing,
    ) -> Result<()> {
        self.run(datagram::serve(socket, job.clone(), closing.clone()))
    }

    fn serve_files(&self, service: &Arc<suite::serve::Service>) -> Result<()> {
        self.run(serve::run(service.clone()))
    }

    fn proxy_requests(&self, service: &Arc<suite::proxy::Service>) -> Result<()> {
        self.run(proxy::run(service.clone()))
    }

    fn scan_ports(&self, service: &Arc<suite::scan::Service>) -> Result<()> {
        self.run(scan::run(service.clone()))
    }

    fn serve_chat(&self, service: &Arc<suite::chat::Service>) -> Result<()> {
        self.run(chat::run(service.clone()))
    }

    fn send_files(&self, sending: &Arc<suite::send::Sending>) -> Result<()> {
        self.run(send::run(sending.clone()))
    }

    fn receive_files(&self, service: &Arc<suite::send::Receiving>) -> Result<()> {
        self.run(send::receive(service.clone()))
    }

    fn files(&self, job: &suite::files::Job) -> Result<suite::files::Outcome> {
        self.run(files::run(job.clone(), self.units))
    }

    fn thumbnails(&self, job: &suite::thumbnails::Job) -> Result<suite::thumbnails::Outcome> {
        self.run(thumbnails::run(job.clone(), self.units))
    }
}

/// Makes this many blocking calls, none of which ends before all have begun: the pool
/// starts a thread for each.
async fn warm_up(calls: usize) {
    let meeting = Arc::new(Meeting::of(calls));
    let mut waiting = Vec::with_capacity(calls);
    for _ in 0..calls {
        let meeting = meeting.clone();
        waiting.push(task::spawn_blocking(move || meeting.wait()));
    }
    join_all(waiting).await;
}

/// What all tasks return, once the last has ended.
async fn join_all<T>(workers: Vec<task::JoinHandle<T>>) -> Vec<T> {
    let mut ended = Vec::with_capacity(workers.len());
    for worker in workers {
        ended.push(worker.await);
    }
    ended
}
