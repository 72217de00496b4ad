//! No concurrency: one thread does one thing after the other.
//!
//! The baseline that every ratio is against. It does the same work, guards and
//! queues included, so that a ratio shows what concurrency brings and not what
//! leaving work out would.

mod both_ways;
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

use http_ureq::Client;
use suite::{Model, Result, Setup, Workload};
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

    fn most_units(workload: Workload) -> Option<usize> {
        match workload {
            Workload::Sleepers | Workload::Deadlines => Some(1),
            // All connections are open before the first is served.
            Workload::Echo => Some(suite::echo::BACKLOG),
            _ => None,
        }
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
        echo::serve(&listener, job, closing)
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

    fn serve(&self, job: &suite::serve::Job) -> Result<suite::serve::Outcome> {
        serve::job(job)
    }

    fn serve_files(&self, service: &Arc<suite::serve::Service>) -> Result<()> {
        serve::run(service)
    }

    fn proxy(&self, job: &suite::proxy::Job) -> Result<suite::proxy::Outcome> {
        proxy::job(job)
    }

    fn proxy_requests(&self, service: &Arc<suite::proxy::Service>) -> Result<()> {
        proxy::run(service)
    }

    fn scan(&self, job: &suite::scan::Job) -> Result<suite::scan::Outcome> {
        scan::job(job)
    }

    fn scan_ports(&self, service: &Arc<suite::scan::Service>) -> Result<()> {
        scan::run(service)
    }

    fn serve_chat(&self, _service: &Arc<suite::chat::Service>) -> Result<()> {
        chat::run()
    }

    fn send_files(&self, sending: &Arc<suite::send::Sending>) -> Result<()> {
        send::run(sending)
    }

    fn receive_files(&self, service: &Arc<suite::send::Receiving>) -> Result<()> {
        send::receive(service)
    }

    fn files(&self, job: &suite::files::Job) -> Result<suite::files::Outcome> {
        files::run(job)
    }

    fn thumbnails(&self, job: &suite::thumbnails::Job) -> Result<suite::thumbnails::Outcome> {
        thumbnails::run(job)
    }
}
