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

use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;

pub mod batch;
pub mod chat;
pub mod completion;
pub mod counter;
pub mod datagram;
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
pub mod send;
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

    /// Clients, a unit each, send datagrams to the job's address, and receive what comes back.
    ///
    /// A client has a socket of its own: bound to a port of loopback that the system chooses,
    /// connected to the address, and open before the first datagram of any client is sent. What to
    /// send and until when to wait is said by [`datagram::Window`], whose outcomes are
    /// [added up](datagram::Outcome::all). A wait ends when a datagram comes or at the time
    /// that the window says: a datagram that has come is taken first, and a wait is never longer
    /// than asked by more than the system's own delay.
    ///
    /// It fails if a socket does, with [a client's name](datagram::Job::named), which has the
    /// address. `ConnectionRefused`, of `send` or `recv`, is such an error: it says that an
    /// earlier datagram found no server.
    fn datagram(&self, job: &datagram::Job) -> Result<datagram::Outcome>;

    /// Sends back what such clients send, as often as they come, in a process of its own that was
    /// started with the same [`Setup`]. [`datagram`] says what goes over the socket.
    ///
    /// A datagram that cannot be sent back is lost, and that is no error; nor is
    /// `ConnectionRefused` of either call, which tells of an earlier datagram, or
    /// an interrupted call.
    ///
    /// An empty datagram is not sent back: it has the unit that receives it look at `closing`. It
    /// is sent again until the server has returned, so each unit that waits is woken by one. When
    /// the [end has begun](echo::Closing::has_begun), all clients are gone: it
    /// ends its units, and returns.
    fn datagram_server(
        &self,
        socket: UdpSocket,
        job: &datagram::Job,
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
    /// Rooms are served whose members send each other messages.
    ///
    /// All that a model brings to it is [`serve_chat`](Self::serve_chat).
    fn chat(&self, job: &chat::Job) -> Result<chat::Outcome> {
        self.serve_chat(job.service())?;
        Ok(chat::Outcome::default())
    }

    /// Serves rooms, until the [end](listening::Listening::close) begins. Members are then not
    /// read from any more and [leave](chat_room::Seat::leave); what has been said is still
    /// written to them, for as long as
    /// servers linger at most; all connections are closed,
    /// and when it returns, every unit has ended.
    ///
    /// The crate [`chat_room`] decides, and says what a server does for a connection: the
    /// service has the settings of its [`Rooms`](chat_room::Rooms). A connection has
    /// `TCP_NODELAY`. A client that does not join within the service's patience, a member that
    /// takes no piece of what is written to it in that time, and what is
    /// [refused](chat_room::Refusal) are cut. What is taken at once is written at once. A
    /// connection that breaks is its client's business, and the others go on.
    fn serve_chat(&self, service: &Arc<chat::Service>) -> Result<()>;
    /// Files are sent to a receiver.
    ///
    /// All that a model brings to it is [`send_files`](Self::send_files).
    fn send(&self, job: &send::Job) -> Result<send::Outcome> {
        job.run(|sending| self.send_files(sending))
    }

    /// Sends files over at most [`streams`](send::Sending::streams) connections at once, each
    /// with its unit (those of [`units`](send::Sending::units); the serial model has one).
    ///
    /// A unit takes the [next](send::Sending::next) file, and drives a
    /// [`Sender`](file_send::Sender) until its step is `End`: what it says is written, read, sent
    /// from the file, or done where calls may block. Each read and write has
    /// [`patience`](send::Sending::patience). When one fails, `Sender::broken` is told, and there are more
    /// steps. Then [`ended`](send::Sending::ended) takes what has come of it, and may want the
    /// same file to be tried again after a wait: over another connection, as also after any
    /// error after which the sender [is not open](file_send::Sender::is_open). A connection that
    /// does not come about is told as [`Error::Broken`](file_send::Error::Broken).
    /// [`open`](send::Sending::open) is told of each connection. In the end the unit drives
    /// `Sender::bye`, whose failure is none of a file.
    ///
    /// When all is [stopped](send::Sending::on_stop), waits, reads and writes end at once. It
    /// returns when every unit has ended; what has come of the files is in `sending`.
    fn send_files(&self, sending: &Arc<send::Sending>) -> Result<()>;

    /// Receives files, until the [end](listening::Listening::close) begins, in a process of its
    /// own. For each connection it drives a [`Receiver`](file_send::Receiver) until its step is
    /// `End`, and then lets the sender read the last word (it lingers).
    ///
    /// Each read and write has [`patience`](send::Receiving::patience). When one fails, or the
    /// end begins (also in the middle of a file, which is kept), `Receiver::broken` is told, and
    /// there are more steps. A connection that breaks is its sender's business, and the others go on. When it
    /// returns, every unit has ended.
    fn receive_files(&self, service: &Arc<send::Receiving>) -> Result<()>;

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
