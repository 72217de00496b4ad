//! The tokio model: a unit is a task on tokio's multi-thread runtime.

mod counter;
mod download;
mod exchange;
mod fetch;
mod http;
mod offload;
mod pipeline;
mod primes;

use anyhow::Context;
use suite::{Model, Result, Setup};
use tokio::runtime::{Builder, Runtime};

/// A runtime, and the HTTP client that its tasks share.
pub struct Tokio {
    runtime: Runtime,
    client: reqwest::Client,
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
        let root = self.runtime.spawn(root);
        self.runtime
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
        let client = http::client(setup)?;
        Ok(Self { runtime, client })
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
        self.run(fetch::run(job.clone(), self.client.clone()))
    }

    fn offload(&self, job: &suite::offload::Job) -> Result<suite::offload::Outcome> {
        self.run(offload::run(job.clone()))
    }

    fn download(&self, job: &suite::download::Job) -> Result<suite::download::Outcome> {
        self.run(download::run(job.clone(), self.client.clone()))
    }
}
