//! The contract that every concurrency model keeps: which jobs there are, how
//! they are parametrized, and what a right answer is.
//!
//! Nothing here starts a thread or runs a future. A workload is one
//! file: its `Job` (what is asked), its `Outcome` (what came of it) and
//! `Job::check`, which accepts only right answers. A concurrency model is one
//! type that implements [`Model`], with one method a workload.
//!
//! ```
//! use suite::{Job, Preset, Workload};
//!
//! let mut job = Workload::Primes.job(Preset::Article);
//! job.set("workers", "2")?;
//! job.validate()?;
//! assert_eq!(job.to_json()["workers"], 2);
//! # Ok::<(), suite::Invalid>(())
//! ```

use std::net::TcpListener;
use std::sync::Arc;

pub mod batch;
pub mod completion;
pub mod counter;
pub mod deadlines;
pub mod download;
pub mod echo;
pub mod exchange;
pub mod fetch;
pub mod files;
pub mod generator;
pub mod listening;
pub mod offload;
pub mod ping_pong;
pub mod pipeline;
pub mod primes;
pub mod proxy;
pub mod scan;
pub mod serve;
pub mod sleepers;
pub mod spawn;
pub mod thumbnails;

mod ending;
mod error;
mod job;
mod latency;
mod measured;
mod phases;
mod setting;
mod setup;

pub use error::{Invalid, Result, Unsupported, WrongAnswer};
pub use job::{Job, Outcome, Preset, Workload, setting_text};
pub use latency::Latency;
pub use measured::{Variant, unranked};
pub use phases::{PhaseClock, Phases};
pub use setting::Setting;
pub use setup::{Meeting, Setup};

/// A concurrency model: one way to do several things at once.
///
/// The methods block until the job is done, whatever happens inside, so that
/// threads and processes stay natural and the harness needs no runtime. A model
/// that cannot honestly do a job at the size asked returns [`Unsupported`].
///
/// What was rejected: `async fn`s (threads would have to fake futures), one
/// generic `run<W: Workload>` (generics on page one, for the same dispatch),
/// and a `Runtime` trait to write each job once (it would erase the very
/// differences that people come to read).
pub trait Model {
    /// Builds what the job of `setup` needs: pools, children, clients.
    ///
    /// A workload builds none of these: they stand before anything is timed.
    fn start(setup: &Setup) -> Result<Self>
    where
        Self: Sized;

    /// The name on the command line and in every table.
    fn name(&self) -> &'static str;

    /// The most units of this workload that can be asked of the model: more than threads
    /// or children can honestly be are [`Unsupported`].
    fn most_units(_workload: Workload) -> Option<usize>
    where
        Self: Sized,
    {
        None
    }

    /// Workers add to one shared counter behind a guard.
    fn counter(&self, job: &counter::Job) -> Result<counter::Outcome>;

    /// Producers and consumers share a bounded queue.
    fn pipeline(&self, job: &pipeline::Job) -> Result<pipeline::Outcome>;

    /// A pool counts the primes in a range.
    fn primes(&self, job: &primes::Job) -> Result<primes::Outcome>;

    /// A writer and a reader share a queue and an integer.
    fn exchange(&self, job: &exchange::Job) -> Result<exchange::Outcome>;

    /// Every URL is fetched at once.
    fn fetch(&self, job: &fetch::Job) -> Result<fetch::Outcome>;

    /// Blocking calls are made while a heartbeat has to go on.
    fn offload(&self, job: &offload::Job) -> Result<offload::Outcome>;

    /// Files are downloaded into a directory, a limited number at once.
    ///
    /// All that a model brings to it is [`download_session`](Self::download_session).
    fn download(&self, job: &download::Job) -> Result<download::Outcome> {
        job.run(|session| self.download_session(session))
    }

    /// Downloads what the list of a session names: queue, units, timers, HTTP
    /// and blocking calls are the model's. When it returns, every unit has ended;
    /// what has come of it is in the session, which the caller closes.
    fn download_session(&self, session: &Arc<transfer::Session>) -> Result<()>;

    /// A token goes round a ring of units, each of which waits for it.
    fn ping_pong(&self, job: &ping_pong::Job) -> Result<ping_pong::Outcome>;

    /// Many units wait at once.
    fn sleepers(&self, job: &sleepers::Job) -> Result<sleepers::Outcome>;

    /// Units are started, answer with one number, and end.
    fn spawn(&self, job: &spawn::Job) -> Result<spawn::Outcome>;

    /// Operations wait for an answer of the responder at the job's address, and are cut at a
    /// deadline or cancelled.
    ///
    /// It fails if a connection does, with an error that names the address.
    fn deadlines(&self, job: &deadlines::Job) -> Result<deadlines::Outcome>;

    /// Clients, a unit a connection, talk to the server at the job's address.
    ///
    /// It fails if a connection does, with an error that names the address.
    fn echo(&self, job: &echo::Job) -> Result<echo::Outcome>;

    /// Serves such clients, as often as they come, in a process of its own that
    /// was started with the same [`Setup`]. [`echo`] says what goes over a
    /// connection.
    ///
    /// A connection that breaks is its client's business, and the others go on.
    /// When the end has begun (`closing`, looked at after every `accept`), all
    /// clients have hung up: it waits for its units to see that, and returns.
    fn echo_server(
        &self,
        listener: TcpListener,
        job: &echo::Job,
        closing: &echo::Closing,
    ) -> Result<()>;

    /// A directory is served over HTTP/1.1.
    ///
    /// All that a model brings to it is [`serve_files`](Self::serve_files).
    fn serve(&self, job: &serve::Job) -> Result<serve::Outcome> {
        self.serve_files(job.service())?;
        Ok(job.outcome())
    }

    /// Serves a directory, until the [end](listening::Listening::close) begins. Then what has been asked is still answered, all connections are closed, and when it
    /// returns, every unit has ended.
    ///
    /// A connection that breaks is its client's business, and the others go on.
    fn serve_files(&self, service: &Arc<serve::Service>) -> Result<()>;

    /// Requests are passed on to an upstream.
    ///
    /// All that a model brings to it is [`proxy_requests`](Self::proxy_requests).
    fn proxy(&self, job: &proxy::Job) -> Result<proxy::Outcome> {
        self.proxy_requests(job.service())?;
        Ok(proxy::Outcome::default())
    }

    /// Proxies requests, until the [end](listening::Listening::close) begins. Then what has been
    /// asked is still answered, tunnels may go on for [`TUNNEL_GRACE`](proxy::TUNNEL_GRACE),
    /// all connections are closed, and nothing is left.
    fn proxy_requests(&self, service: &Arc<proxy::Service>) -> Result<()>;

    /// The state of a host's ports is found out by connecting to them.
    ///
    /// All that a model brings to it is [`scan_ports`](Self::scan_ports). A model that tries one
    /// port after the other refuses a job whose filtered ports would make it a wait.
    fn scan(&self, job: &scan::Job) -> Result<scan::Outcome> {
        let service = job.service();
        self.scan_ports(&service)?;
        Ok(service.outcome())
    }

    /// Scans ports, with at most [`limit`](scan::Service::limit) attempts under way at once: takes
    /// the [next](scan::Service::next), connects to it for at most the
    /// [timeout](scan::Service::timeout), closes the socket ([`hang_up`](scan::hang_up)), and tells
    /// what [came](scan::Service::came) of it, until there is none next.
    ///
    /// No port fails the scan: its error is what came of it. When it returns, every unit has ended.
    /// After [`stop`](scan::Service::stop), that is so when the attempts under way have come to an end.
    fn scan_ports(&self, service: &Arc<scan::Service>) -> Result<()>;

    /// Local files are hashed, and their lines and bytes counted.
    fn files(&self, job: &files::Job) -> Result<files::Outcome>;

    /// JPEG images are decoded, made small and encoded again.
    fn thumbnails(&self, job: &thumbnails::Job) -> Result<thumbnails::Outcome>;
}

/// A number that looks random and follows from `seed`: the finalizer of SplitMix64
/// (Steele, Lea and Flood 2014).
#[inline]
fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
