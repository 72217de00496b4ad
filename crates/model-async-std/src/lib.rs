//! The async-std model: a unit is a task on async-std's global executor.
//!
//! async-std is discontinued (RUSTSEC-2025-0052); it is here because it is
//! under study. Its executor, reactor and blocking pool are the crates that
//! smol is made of: where the two differ, look at configuration and the HTTP
//! client first.

mod counter;
mod download;
mod exchange;
mod fetch;
mod http;
mod offload;
mod pipeline;
mod primes;

use std::sync::{Arc, OnceLock};

use anyhow::ensure;
use async_global_executor::GlobalExecutorConfig;
use async_lock::Semaphore;
use async_std::task;
use futures_lite::future;
use suite::{Model, Result, Setup};

/// The worker threads that the process's one executor was given.
static THREADS: OnceLock<usize> = OnceLock::new();

/// What the tasks share beside the global executor.
pub struct AsyncStd {
    client: surf::Client,
    /// The blocking calls that may still begin: `blocking`, under async-std, takes
    /// its own cap from the environment only, once a process.
    pool: Arc<Semaphore>,
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
        let client = http::client(setup)?;
        Ok(Self {
            client,
            pool: Arc::new(Semaphore::new(setup.blocking_threads)),
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
        self.run(fetch::run(job.clone(), self.client.clone()))
    }

    fn offload(&self, job: &suite::offload::Job) -> Result<suite::offload::Outcome> {
        self.run(offload::run(job.clone(), self.pool.clone()))
    }

    fn download(&self, job: &suite::download::Job) -> Result<suite::download::Outcome> {
        self.run(download::run(
            job.clone(),
            self.client.clone(),
            self.pool.clone(),
        ))
    }
}

/// Hands a blocking call over, as soon as the pool may have one more.
async fn unblock<T: Send + 'static>(
    pool: &Semaphore,
    call: impl FnOnce() -> T + Send + 'static,
) -> T {
    let _permit = pool.acquire().await;
    task::spawn_blocking(call).await
}

/// What all tasks return, once the last has ended.
async fn join_all<T>(workers: Vec<task::JoinHandle<T>>) -> Vec<T> {
    let mut ended = Vec::with_capacity(workers.len());
    for worker in workers {
        ended.push(worker.await);
    }
    ended
}
