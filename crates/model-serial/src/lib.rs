//! No concurrency: one thread does one thing after the other.
//!
//! The baseline that every ratio is against. It does the same work, guards and
//! queues included, so that a ratio shows what concurrency brings and not what
//! leaving work out would.

mod counter;
mod download;
mod exchange;
mod fetch;
mod http;
mod offload;
mod pipeline;
mod primes;

use std::sync::Arc;

use http_ureq::Client;
use suite::{Model, Result, Setup};
use transfer::Session;

/// One thing after the other.
#[derive(Debug)]
pub struct Serial {
    client: Arc<Client>,
}

impl Model for Serial {
    fn start(_: &Setup) -> Result<Self> {
        Ok(Self {
            client: Arc::new(http::client()),
        })
    }

    fn name(&self) -> &'static str {
        "serial"
    }

    fn counter(&self, job: &suite::counter::Job) -> Result<suite::counter::Outcome> {
        counter::run(job)
    }

    fn pipeline(&self, job: &suite::pipeline::Job) -> Result<suite::pipeline::Outcome> {
        pipeline::run(job)
    }

    fn primes(&self, job: &suite::primes::Job) -> Result<suite::primes::Outcome> {
        primes::run(job)
    }

    fn exchange(&self, job: &suite::exchange::Job) -> Result<suite::exchange::Outcome> {
        exchange::run(job)
    }

    fn fetch(&self, job: &suite::fetch::Job) -> Result<suite::fetch::Outcome> {
        fetch::run(job, &self.client)
    }

    fn offload(&self, job: &suite::offload::Job) -> Result<suite::offload::Outcome> {
        offload::run(job)
    }

    fn download_session(&self, session: &Arc<Session>) -> Result<()> {
        download::run(session, &self.client)
    }
}
