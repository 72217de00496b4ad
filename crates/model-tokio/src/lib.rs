//! The tokio model: a unit is a task on tokio's multi-thread runtime.

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
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http_hyper::Idle;
use suite::{Meeting, Model, Result, Setup};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, JoinSet};
use transfer::Session;

use crate::http::Client;

/// How long a blocking call has to end that is no longer awaited: one that
/// reads a list from a terminal may never do so.
const PATIENCE: Duration = Duration::from_millis(100);

/// A runtime, and what its tasks share.
pub struct Tokio {
    /// There until the model is dropped.
    runtime: Option<Runtime>,
    /// The connections that outlast a job.
    idle: Arc<Idle>,
    /// How many units a job gets that does not fix their number itself.
    units: usize,
}

impl Tokio {
    /// The one place where blocking code meets asynchronous code.
    ///
    /// The root future is a task like its children: `block_on` would poll it on
    /// this thread, beside the workers, and each wake-up would cross over.
    fn run<T: Send + 'static>(
        &self,
        root: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let runtime = self.runtime.as_ref().context("the runtime has ended")?;
        let root = runtime.spawn(root);
        runtime
            .block_on(root)
            .context("the root task has ended early")?
    }
}

impl Model for Tokio {
    fn start(setup: &Setup) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(setup.threads)
            .max_blocking_threads(setup.blocking_threads)
            .enable_all()
            .build()
            .with_context(|| format!("a runtime of {} threads", setup.threads))?;
        runtime.block_on(warm_up(setup.blocking_calls()));
        Ok(Self {
            runtime: Some(runtime),
            idle: Arc::new(Idle::new(setup.units)),
            units: setup.units,
        })
    }

    fn name(&self) -> &'static str {
        "tokio"
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
        let client = Client {
            idle: self.idle.clone(),
            session: None,
        };
        self.run(fetch::run(job.clone(), client))
    }

    fn offload(&self, job: &suite::offload::Job) -> Result<suite::offload::Outcome> {
        self.run(offload::run(job.clone()))
    }

    fn download_session(&self, session: &Arc<Session>) -> Result<()> {
        let client = Client {
            idle: self.idle.clone(),
            session: Some(session.clone()),
        };
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
    let mut waiting = JoinSet::new();
    for _ in 0..calls {
        let meeting = meeting.clone();
        waiting.spawn_blocking(move || meeting.wait());
    }
    waiting.join_all().await;
}

/// Hands a blocking call over.
async fn unblock<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    let called = tokio::task::spawn_blocking(call).await;
    called.expect("what is called does not panic")
}

/// What all tasks return, once the last has ended.
async fn join_all<T>(workers: Vec<JoinHandle<T>>) -> Result<Vec<T>> {
    let mut ended = Vec::with_capacity(workers.len());
    for worker in workers {
        ended.push(worker.await.context("a task has ended early")?);
    }
    Ok(ended)
}

impl Drop for Tokio {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}
