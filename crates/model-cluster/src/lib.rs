//! The cluster model: a unit is a slot of a node, and a node is a process that may be on
//! another machine.
//!
//! A job is divided into shares. The parent publishes them to a work queue of NATS JetStream. A
//! slot of a node pulls a share, works, sends the answer to the parent until the parent confirms
//! it, and then acks. Any node can die at any moment, and so can the server: what was lost is
//! published again, and the first answer to each share counts. The crate's README explains what an
//! ack means, and which losses a job survives.
//!
//! The parent starts its own server and nodes on this machine. Or it uses a server that is already
//! running (`--cluster`), with nodes that were started by hand (`model-cluster node`).
//!
//! In the workloads' modules, `run` is the parent's side and `perform` the node's. `session.rs` has
//! the state that lasts from the model's start to its end, `shares.rs` the state of one job, and
//! `node.rs` a node's loop.
//!
//! Linux only: it uses pidfd, inotify and the parent-death signal, which are not portable.

mod chat;
mod chat_carry;
mod chat_directory;
mod chat_front;
mod chat_inbox;
mod chat_link;
mod chat_node;
mod chat_outbox;
mod connection;
mod counter;
mod datagram;
mod deadlines;
mod download;
mod echo;
mod exchange;
mod fetch;
mod files;
mod happening;
mod http;
mod listed_file;
mod losses;
mod node;
mod node_cpus;
mod nodes;
mod offload;
mod options;
mod peers;
mod ping_pong;
mod pipeline;
mod places;
mod primes;
mod protocol;
mod proxy;
mod scan;
mod send;
mod serve;
mod server;
mod session;
mod shares;
mod since;
mod sleepers;
mod spawn;
mod thumbnails;

use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use suite::{Model, Result, Setup, Unsupported, Workload};
use tokio::runtime::{Builder, Runtime};

/// Runs this process as a node, for the command line `PROGRAM node`.
pub use crate::node::main as node;
pub use crate::options::Options;
/// Runs this process as the server of a parent, for the command line `PROGRAM nats-server`.
pub use crate::server::become_server;
use crate::session::Session;

/// The cluster model: nodes, and the server that they pull their shares from. `NODES` is the number
/// of nodes; with 0, the [options](Options) decide.
pub struct Cluster<const NODES: usize = 0> {
    /// The parent only publishes shares and counts answers, so one thread is enough.
    runtime: Runtime,
    /// Only one job runs at a time, on all nodes. `None` for workloads that this model does not
    /// support.
    session: Option<Mutex<Session>>,
}

/// The maximum number of shares worked on at once: each has a task, and some a thread.
const MOST_UNITS: usize = 1_000;

/// Why this model does not support a workload; `None` if it does.
fn refusal(workload: Workload) -> Option<&'static str> {
    match workload {
        Workload::Counter
        | Workload::Primes
        | Workload::Exchange
        | Workload::PingPong
        | Workload::Fetch
        | Workload::Offload
        | Workload::Download
        | Workload::Pipeline
        | Workload::Spawn
        | Workload::Deadlines
        | Workload::Scan
        | Workload::Chat
        | Workload::Files
        | Workload::Thumbnails => None,
        Workload::Sleepers => Some(sleepers::REFUSAL),
        Workload::Echo => Some(echo::REFUSAL),
        Workload::Datagram => Some(datagram::REFUSAL),
        Workload::Serve => Some(serve::REFUSAL),
        Workload::Proxy => Some(proxy::REFUSAL),
        Workload::Send => Some(send::REFUSAL),
    }
}

fn unsupported<T>(workload: Workload) -> Result<T> {
    let why = refusal(workload).unwrap_or("the model was started for another workload");
    bail!(Unsupported(why.to_owned()))
}

impl<const NODES: usize> Cluster<NODES> {
    /// Runs a job. This is the only place where blocking code calls asynchronous code.
    fn run<T>(&self, job: impl AsyncFnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let session = self.session.as_ref();
        let session = session.context("the model was started for another workload")?;
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        self.runtime.block_on(job(&mut session))
    }
}

impl<const NODES: usize> Drop for Cluster<NODES> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let mut session = session.into_inner().unwrap_or_else(PoisonError::into_inner);
            self.runtime.block_on(session.close());
        }
    }
}

impl<const NODES: usize> Model for Cluster<NODES> {
    fn start(setup: &Setup) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let most = match setup.workload {
            // Each unit runs many connection attempts at once.
            Workload::Scan => setup.threads,
            // Each node handles a part of the operations or of the members, in one slot.
            Workload::Deadlines | Workload::Chat => {
                Options::chosen().nodes(NODES, setup.threads)?
            }
            _ => MOST_UNITS,
        };
        // The counter can have an owner in addition to its workers.
        let owners = usize::from(setup.workload == Workload::Counter);
        let units = setup.units.clamp(1, most) + owners;
        let session = match refusal(setup.workload) {
            None => {
                let session = runtime.block_on(Session::open(setup, NODES, units))?;
                Some(Mutex::new(session))
            }
            Some(_) => None,
        };
        Ok(Self { runtime, session })
    }

    fn name(&self) -> &'static str {
        "cluster"
    }

    fn most_units(workload: Workload) -> Option<usize> {
        match (refusal(workload), workload) {
            (Some(_), _) => Some(0),
            // Each unit occupies a slot until all are done.
            (None, Workload::PingPong | Workload::Pipeline) => Some(MOST_UNITS),
            (None, _) => None,
        }
    }

    fn counter(&self, job: &suite::counter::Job) -> Result<suite::counter::Outcome> {
        self.run(async |session| counter::run(job, session).await)
    }

    fn pipeline(&self, job: &suite::pipeline::Job) -> Result<suite::pipeline::Outcome> {
        self.run(async |session| pipeline::run(job, session).await)
    }

    fn primes(&self, job: &suite::primes::Job) -> Result<suite::primes::Outcome> {
        self.run(async |session| primes::run(job, session).await)
    }

    fn exchange(&self, job: &suite::exchange::Job) -> Result<suite::exchange::Outcome> {
        self.run(async |session| exchange::run(job, session).await)
    }

    fn fetch(&self, job: &suite::fetch::Job) -> Result<suite::fetch::Outcome> {
        self.run(async |session| fetch::run(job, session).await)
    }

    fn offload(&self, job: &suite::offload::Job) -> Result<suite::offload::Outcome> {
        self.run(async |session| offload::run(job, session).await)
    }

    fn download_session(&self, download: &Arc<transfer::Session>) -> Result<()> {
        self.run(async |session| download::run(download, session).await)
    }

    fn ping_pong(&self, job: &suite::ping_pong::Job) -> Result<suite::ping_pong::Outcome> {
        self.run(async |session| ping_pong::run(job, session).await)
    }

    fn sleepers(&self, _: &suite::sleepers::Job) -> Result<suite::sleepers::Outcome> {
        unsupported(Workload::Sleepers)
    }

    fn spawn(&self, job: &suite::spawn::Job) -> Result<suite::spawn::Outcome> {
        self.run(async |session| spawn::run(job, session).await)
    }

    fn deadlines(&self, job: &suite::deadlines::Job) -> Result<suite::deadlines::Outcome> {
        self.run(async |session| deadlines::run(job, session).await)
    }

    fn echo(&self, _: &suite::echo::Job) -> Result<suite::echo::Outcome> {
        unsupported(Workload::Echo)
    }

    fn echo_server(
        &self,
        _: TcpListener,
        _: &suite::echo::Job,
        _: &suite::echo::Closing,
    ) -> Result<()> {
        unsupported(Workload::Echo)
    }

    fn datagram(&self, _: &suite::datagram::Job) -> Result<suite::datagram::Outcome> {
        unsupported(Workload::Datagram)
    }

    fn datagram_server(
        &self,
        _: UdpSocket,
        _: &suite::datagram::Job,
        _: &suite::echo::Closing,
    ) -> Result<()> {
        unsupported(Workload::Datagram)
    }

    fn serve_files(&self, _: &Arc<suite::serve::Service>) -> Result<()> {
        unsupported(Workload::Serve)
    }

    fn proxy_requests(&self, _: &Arc<suite::proxy::Service>) -> Result<()> {
        unsupported(Workload::Proxy)
    }

    fn scan_ports(&self, service: &Arc<suite::scan::Service>) -> Result<()> {
        self.run(async |session| scan::run(service, session).await)
    }

    fn serve_chat(&self, service: &Arc<suite::chat::Service>) -> Result<()> {
        self.run(async |session| chat::run(service, session).await)
    }

    fn send_files(&self, _: &Arc<suite::send::Sending>) -> Result<()> {
        unsupported(Workload::Send)
    }

    fn receive_files(&self, _: &Arc<suite::send::Receiving>) -> Result<()> {
        unsupported(Workload::Send)
    }

    fn files(&self, job: &suite::files::Job) -> Result<suite::files::Outcome> {
        self.run(async |session| files::run(job, session).await)
    }

    fn thumbnails(&self, job: &suite::thumbnails::Job) -> Result<suite::thumbnails::Outcome> {
        self.run(async |session| thumbnails::run(job, session).await)
    }
}
