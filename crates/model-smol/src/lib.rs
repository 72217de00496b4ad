//! The smol model: a unit is a task on an executor that we built ourselves.
//!
//! smol's global executor has one thread unless its environment says otherwise;
//! an [`Executor`] and the threads that run it are the library's own way to
//! more.

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

use std::convert::Infallible;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use anyhow::{Context, ensure};
use http_hyper::Idle;
use smol::channel::{Sender, bounded};
use smol::{Executor, Timer, future};
use suite::{Meeting, Model, Result, Setup};
use transfer::Session;

use crate::http::Client;

/// An executor, and the threads that run its tasks.
pub struct Smol {
    executor: Arc<Executor<'static>>,
    client: Client,
    /// The blocking calls that share a job's files out among them.
    units: usize,
    /// Nothing is ever sent here: the threads end when it closes.
    running: Sender<Infallible>,
    threads: Vec<JoinHandle<()>>,
}

impl Smol {
    /// The one place where blocking code meets asynchronous code.
    ///
    /// The root future is a task like its children; this thread only waits, so
    /// `future::block_on`, which does not drive the reactor, is enough.
    fn run<T: Send + 'static>(
        &self,
        root: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        future::block_on(self.executor.spawn(root))
    }
}

impl Model for Smol {
    fn start(setup: &Setup) -> Result<Self> {
        ensure!(
            setup.blocking_threads <= Setup::MOST_BLOCKING_THREADS,
            "smol has at most {} blocking threads",
            Setup::MOST_BLOCKING_THREADS
        );
        let most = NonZeroUsize::new(setup.blocking_threads).unwrap_or(NonZeroUsize::MIN);
        blocking::set_max_blocking_threads(most);
        let (running, stopped) = bounded(1);
        let mut smol = Self {
            client: Client {
                idle: Arc::new(Idle::new(setup.units)),
                session: None,
            },
            executor: Arc::new(Executor::new()),
            units: setup.units,
            running,
            threads: Vec::with_capacity(setup.threads),
        };
        for thread in 0..setup.threads {
            let (executor, stopped) = (smol.executor.clone(), stopped.clone());
            let thread = Builder::new()
                .name(format!("smol-{thread}"))
                .spawn(move || {
                    let Err(_closed) = smol::block_on(executor.run(stopped.recv()));
                })
                .context("starting a thread")?;
            smol.threads.push(thread);
        }
        future::block_on(warm_up(setup.blocking_calls()));
        Ok(smol)
    }

    fn name(&self) -> &'static str {
        "smol"
    }

    fn counter(&self, job: &suite::counter::Job) -> Result<suite::counter::Outcome> {
        self.run(counter::run(job.clone(), self.executor.clone()))
    }

    fn pipeline(&self, job: &suite::pipeline::Job) -> Result<suite::pipeline::Outcome> {
        self.run(pipeline::run(job.clone(), self.executor.clone()))
    }

    fn primes(&self, job: &suite::primes::Job) -> Result<suite::primes::Outcome> {
        self.run(primes::run(job.clone(), self.executor.clone()))
    }

    fn exchange(&self, job: &suite::exchange::Job) -> Result<suite::exchange::Outcome> {
        self.run(exchange::run(job.clone(), self.executor.clone()))
    }

    fn fetch(&self, job: &suite::fetch::Job) -> Result<suite::fetch::Outcome> {
        self.run(fetch::run(
            job.clone(),
            self.executor.clone(),
            self.client.clone(),
        ))
    }

    fn offload(&self, job: &suite::offload::Job) -> Result<suite::offload::Outcome> {
        self.run(offload::run(job.clone(), self.executor.clone()))
    }

    fn download_session(&self, session: &Arc<Session>) -> Result<()> {
        let client = Client {
            session: Some(session.clone()),
            ..self.client.clone()
        };
        let done = self.run(download::run(
            session.clone(),
            self.executor.clone(),
            client,
        ));
        self.client.idle.clear_secure();
        done
    }

    fn ping_pong(&self, job: &suite::ping_pong::Job) -> Result<suite::ping_pong::Outcome> {
        self.run(ping_pong::run(job.clone(), self.executor.clone()))
    }

    fn sleepers(&self, job: &suite::sleepers::Job) -> Result<suite::sleepers::Outcome> {
        self.run(sleepers::run(job.clone(), self.executor.clone()))
    }

    fn spawn(&self, job: &suite::spawn::Job) -> Result<suite::spawn::Outcome> {
        self.run(spawn::run(job.clone(), self.executor.clone()))
    }

    fn deadlines(&self, job: &suite::deadlines::Job) -> Result<suite::deadlines::Outcome> {
        self.run(deadlines::run(job.clone(), self.executor.clone()))
    }

    fn echo(&self, job: &suite::echo::Job) -> Result<suite::echo::Outcome> {
        self.run(echo::run(job.clone(), self.executor.clone()))
    }

    fn echo_server(
        &self,
        listener: TcpListener,
        job: &suite::echo::Job,
        closing: &suite::echo::Closing,
    ) -> Result<()> {
        self.run(echo::serve(
            listener,
            job.clone(),
            closing.clone(),
            self.executor.clone(),
        ))
    }

    fn datagram(&self, job: &suite::datagram::Job) -> Result<suite::datagram::Outcome> {
        self.run(datagram::run(job.clone(), self.executor.clone()))
    }

    fn datagram_server(
        &self,
        socket: UdpSocket,
        job: &suite::datagram::Job,
        closing: &suite::echo::Closing,
    ) -> Result<()> {
        self.run(datagram::serve(
            socket,
            job.clone(),
            closing.clone(),
            self.executor.clone(),
        ))
    }

    fn serve_files(&self, service: &Arc<suite::serve::Service>) -> Result<()> {
        self.run(serve::run(service.clone(), self.executor.clone()))
    }

    fn proxy_requests(&self, service: &Arc<suite::proxy::Service>) -> Result<()> {
        self.run(proxy::run(service.clone(), self.executor.clone()))
    }

    fn scan_ports(&self, service: &Arc<suite::scan::Service>) -> Result<()> {
        self.run(scan::run(service.clone(), self.executor.clone()))
    }

    fn serve_chat(&self, service: &Arc<suite::chat::Service>) -> Result<()> {
        self.run(chat::run(service.clone(), self.executor.clone()))
    }

    fn send_files(&self, sending: &Arc<suite::send::Sending>) -> Result<()> {
        self.run(send::run(sending.clone(), self.executor.clone()))
    }

    fn receive_files(&self, service: &Arc<suite::send::Receiving>) -> Result<()> {
        self.run(send::receive(service.clone(), self.executor.clone()))
    }

    fn files(&self, job: &suite::files::Job) -> Result<suite::files::Outcome> {
        self.run(files::run(job.clone(), self.executor.clone(), self.units))
    }

    fn thumbnails(&self, job: &suite::thumbnails::Job) -> Result<suite::thumbnails::Outcome> {
        self.run(thumbnails::run(job.clone(), self.units))
    }
}

impl Drop for Smol {
    fn drop(&mut self) {
        self.running.close();
        for thread in self.threads.drain(..) {
            // A panic of a task went to the code that awaited it, not to its thread.
            let _ = thread.join();
        }
    }
}

/// Makes this many blocking calls, none of which ends before all have begun: the pool
/// starts a thread for each.
async fn warm_up(calls: usize) {
    let meeting = Arc::new(Meeting::of(calls));
    let mut waiting = Vec::with_capacity(calls);
    for _ in 0..calls {
        let meeting = meeting.clone();
        waiting.push(smol::unblock(move || meeting.wait()));
    }
    join_all(waiting).await;
}

/// What comes of this, if it does in time.
async fn until<T>(then: Instant, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = async {
        Timer::at(then).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    future::or(future, late).await
}

/// What all tasks return, once the last has ended.
async fn join_all<T>(workers: Vec<smol::Task<T>>) -> Vec<T> {
    let mut ended = Vec::with_capacity(workers.len());
    for worker in workers {
        ended.push(worker.await);
    }
    ended
}
