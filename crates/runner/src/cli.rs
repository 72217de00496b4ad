mod send;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use http::{HeaderName, HeaderValue};
use http_proxy::Authority;
use suite::chat::Policy;
use suite::fetch::check_url;
use suite::scan::{Malformed, Ports};
use suite::{Invalid, Preset, Setting, Setup, Workload};
use transfer::Options;

pub(crate) use self::send::{ReceiveArgs, ReceiverArgs, SendArgs};

/// One concurrency model of Paces: runs one workload and checks its answer, downloads
/// files, serves files, proxies requests, scans ports, serves chat rooms, or sends and receives
/// files.
///
/// Exit codes: 0 all right; 1 the run failed or its answer was wrong, or a file
/// could not be had; 2 the command line was wrong; 3 the disk refused; 4 this
/// model does not do that job at that size; 130 interrupted.
#[derive(clap::Parser, Debug)]
#[command(version)]
pub(crate) struct Args<O: clap::Args> {
    #[command(flatten)]
    pub options: O,

    #[command(subcommand)]
    pub command: Command,
}

/// The options of models that have no more than every command has.
#[derive(clap::Args, Debug)]
pub(crate) struct NoOptions {}

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Say which workloads there are, with their presets and keys
    List(ListArgs),
    /// Do one workload once, check the answer, and say what it took
    Run(RunArgs),
    /// Download the files of a list, a limited number at once
    Download(Box<DownloadArgs>),
    /// Serve the files of a directory over HTTP/1.1, until it is interrupted
    Serve(ServeArgs),
    /// Pass HTTP/1.1 requests on to where they are for, until it is interrupted
    Proxy(ProxyArgs),
    /// Find out which TCP ports of this machine are open, by connecting to them
    Scan(ScanArgs),
    /// Serve chat rooms over TCP, until it is interrupted
    Chat(ChatArgs),
    /// Send files to another machine, whole and once, each under its own name
    Send(SendArgs),
    /// Receive files into a directory, until it is interrupted
    Receive(ReceiveArgs),
    /// Be the neutral other end of jobs: HTTP server, load generator, responder, upstream, relays
    /// and host of open ports
    Origin(origin::ServeArgs),
    /// Be the server that `echo` talks to, until standard input ends
    #[command(hide = true)]
    EchoServer(EchoServerArgs),
    /// Be the server that `datagram` sends to, until standard input ends
    #[command(hide = true)]
    DatagramServer(DatagramServerArgs),
    /// Be the receiver that `send` sends to, until standard input ends
    #[command(hide = true)]
    Receiver(ReceiverArgs),
}

#[derive(clap::Args, Debug)]
pub(crate) struct ServeArgs {
    /// The directory; what is asked for as a directory is `index.html` in it
    pub directory: PathBuf,

    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    #[command(flatten)]
    pub server: ServerArgs,
}

/// The options that all servers have.
#[derive(clap::Args, Debug)]
pub(crate) struct ServerArgs {
    /// The most connections open at once: more wait in the system's queue until one ends
    /// [default: 512; 64 child processes]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub connections: Option<usize>,

    /// The longest wait for the whole head of a request or for who joins a chat, and for
    /// the client to send or take a piece of a body or of a chat
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = some_time)]
    pub idle_timeout: Duration,

    /// Worker threads for tasks [default: one a core]
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub threads: Option<usize>,

    /// The most calls to the disk under way at once, in models that hand them over
    #[arg(
        long,
        default_value_t = Setup::BLOCKING_THREADS,
        value_parser = RangedU64ValueParser::<usize>::new()
            .range(1..=Setup::MOST_BLOCKING_THREADS as u64)
    )]
    pub blocking_threads: usize,
}

#[derive(clap::Args, Debug)]
pub(crate) struct ProxyArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3128")]
    pub listen: SocketAddr,

    /// Where requests may go; can be given again [default: this machine itself, every port]
    #[arg(long, value_name = "HOST:PORT")]
    pub allow: Vec<Authority>,

    /// The longest wait for an upstream: to be connected to, and to send a piece of a response
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = some_time)]
    pub upstream_timeout: Duration,

    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(clap::Args, Debug)]
pub(crate) struct ScanArgs {
    /// An address of this machine itself: 127.0.0.1, or another of 127.0.0.0/8, or ::1
    #[arg(value_parser = loopback)]
    pub host: IpAddr,

    /// The ports: like 22,80,8000-8100
    #[arg(value_parser = some_ports)]
    pub ports: Ports,

    /// The most attempts to connect under way at once, if as many files may be open
    #[arg(
        long,
        value_name = "N",
        default_value_t = 512,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000)
    )]
    pub limit: usize,

    /// How long an attempt may take
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = some_time)]
    pub timeout: Duration,

    /// How often a port is tried again from which nothing comes in time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=10))]
    pub retries: u32,

    /// Print all as one line of JSON
    #[arg(long)]
    pub json: bool,

    /// Worker threads for tasks [default: one a core]
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub threads: Option<usize>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct ChatArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7000")]
    pub listen: SocketAddr,

    /// Speak lines of text, for programs such as netcat, and not frames
    #[arg(long)]
    pub lines: bool,

    /// What happens when a member is too far behind: the room waits for it, messages are
    /// dropped for it, or its connection is closed
    #[arg(long, default_value = "drop", value_parser = policy)]
    pub policy: Policy,

    /// How many messages a member may be behind
    #[arg(
        long,
        value_name = "N",
        default_value_t = 256,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000)
    )]
    pub queue: usize,

    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(clap::Args, Debug)]
pub struct EchoServerArgs {
    /// The most connections at once
    #[arg(long)]
    pub connections: usize,

    /// Messages over each of them
    #[arg(long)]
    pub messages: u64,

    /// Bytes of each message
    #[arg(long)]
    pub bytes: usize,

    /// As for `run`
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub threads: usize,

    /// As for `run`
    #[arg(
        long,
        value_parser = RangedU64ValueParser::<usize>::new()
            .range(1..=Setup::MOST_BLOCKING_THREADS as u64)
    )]
    pub blocking_threads: usize,
}

#[derive(clap::Args, Debug)]
pub(crate) struct DatagramServerArgs {
    /// The job, as JSON
    #[arg(long)]
    pub job: String,

    /// As for `run`
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub threads: usize,

    /// As for `run`
    #[arg(
        long,
        value_parser = RangedU64ValueParser::<usize>::new()
            .range(1..=Setup::MOST_BLOCKING_THREADS as u64)
    )]
    pub blocking_threads: usize,
}

#[derive(clap::Args, Debug)]
pub(crate) struct ListArgs {
    /// As one line of JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct RunArgs {
    /// Which one: see `list`
    pub workload: Workload,

    /// The numbers to start from: article or heavy
    #[arg(long, default_value_t = Preset::Article)]
    pub preset: Preset,

    /// Change one of them; can be given again
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Worker threads for tasks [default: one a core]
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub threads: Option<usize>,

    /// The most blocking calls under way at once
    #[arg(
        long,
        default_value_t = Setup::BLOCKING_THREADS,
        value_parser = RangedU64ValueParser::<usize>::new()
            .range(1..=Setup::MOST_BLOCKING_THREADS as u64)
    )]
    pub blocking_threads: usize,

    /// A running origin to use [default: one is started for the run]
    #[arg(long, value_name = "URL")]
    pub origin: Option<String>,

    /// Where the files are that `files` and `thumbnails` would make for the run.
    ///
    /// For measuring from outside, which would measure their making too.
    #[arg(long, value_name = "DIR", hide = true)]
    pub inputs: Option<PathBuf>,

    /// Print one line of JSON
    #[arg(long)]
    pub json: bool,

    /// Before the model is stopped, wait until standard input ends.
    ///
    /// For measuring from outside: when the answer has been printed,
    /// every thread and child of the model is still there.
    #[arg(long, hide = true)]
    pub hold: bool,

    /// Do not check the answer.
    ///
    /// For measuring from outside what the job costs, when it was seen
    /// before that the answer is right: a check can cost more.
    #[arg(long, hide = true)]
    pub unchecked: bool,

    /// When this process was started, by the clock of [`crate::clock`].
    ///
    /// For measuring from outside: how long it took to come to its own
    /// first line is printed as `launch_ns`.
    #[arg(long, value_name = "NS", hide = true)]
    pub spawned_at: Option<u64>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct DownloadArgs {
    /// A file with one URL a line, or - for standard input
    ///
    /// After the URL, each after a tab, may follow a name and sha256=HEX.
    /// Blank lines and those that begin with # are passed over.
    pub urls: PathBuf,

    /// The directory to download into; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,

    /// The most requests in flight at once
    #[arg(
        long,
        default_value_t = 20,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000)
    )]
    pub limit: usize,

    /// The most of them to one host
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub per_host: Option<usize>,

    /// The most bytes a second, over all files
    #[arg(long, value_name = "BYTES", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    pub rate: Option<u64>,

    /// How often a file is tried again
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub retries: u32,

    /// The longest a connection may take to stand
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = some_time)]
    pub connect_timeout: Duration,

    /// The longest wait for a byte, the first one included
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = some_time)]
    pub idle_timeout: Duration,

    /// The fewest bytes a second of all files in flight together, each its share; 0 for
    /// no such minimum
    #[arg(long, value_name = "BYTES", default_value_t = 500)]
    pub min_rate: u64,

    /// The time over which that is judged
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = some_time)]
    pub min_rate_window: Duration,

    /// The wait before a first retry; each further one is twice as long
    #[arg(long, value_name = "SECONDS", default_value = "0.25", value_parser = any_time)]
    pub backoff: Duration,

    /// The longest such wait
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = any_time)]
    pub max_backoff: Duration,

    /// The longest wait that a server can ask for (Retry-After)
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = any_time)]
    pub max_retry_after: Duration,

    /// The most redirects of a file
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub max_redirects: u32,

    /// The most bytes of a file
    #[arg(long, value_name = "BYTES")]
    pub max_size: Option<u64>,

    /// A header to send, to the host of the listed URL alone; can be given again
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub header: Vec<(String, String)>,

    /// What to call ourselves
    #[arg(long, value_name = "TEXT", value_parser = header_value)]
    pub user_agent: Option<String>,

    /// Certificates (PEM) to trust instead of the built-in roots
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,

    /// Print one line of JSON a file, and one at the end
    #[arg(long)]
    pub json: bool,

    /// Show no progress
    #[arg(long)]
    pub quiet: bool,

    /// Worker threads for tasks [default: one a core]
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub threads: Option<usize>,

    /// The most calls to the disk under way at once, in models that hand them
    /// over: more threads than these cost more than they bring
    #[arg(
        long,
        default_value_t = 4,
        value_parser = RangedU64ValueParser::<usize>::new()
            .range(1..=Setup::MOST_BLOCKING_THREADS as u64)
    )]
    pub blocking_threads: usize,
}

impl DownloadArgs {
    /// How the download behaves.
    pub(crate) fn options(&self) -> Options {
        Options {
            limit: self.limit,
            per_host: self.per_host,
            rate: self.rate,
            retries: self.retries,
            connect_timeout: self.connect_timeout,
            idle_timeout: self.idle_timeout,
            min_rate: self.min_rate,
            min_rate_window: self.min_rate_window,
            backoff: self.backoff,
            backoff_most: self.max_backoff,
            retry_after_most: self.max_retry_after,
            max_redirects: self.max_redirects,
            max_size: self.max_size,
            headers: self.header.clone(),
            user_agent: match &self.user_agent {
                Some(name) => name.clone(),
                None => Options::default().user_agent,
            },
            cacert: self.cacert.clone(),
            // So that two of us who fail together do not come back together.
            seed: u64::from(std::process::id()),
        }
    }
}

/// An address at which only this machine itself is reached.
fn loopback(text: &str) -> Result<IpAddr, String> {
    let address = match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        _ => text.parse::<IpAddr>(),
    };
    address
        .ok()
        .map(|address| address.to_canonical())
        .filter(IpAddr::is_loopback)
        .ok_or_else(|| {
            "only this machine is scanned: 127.0.0.1 to 127.255.255.255, or ::1".to_owned()
        })
}

/// At least one port.
fn some_ports(text: &str) -> Result<Ports, String> {
    let ports: Ports = text
        .parse()
        .map_err(|malformed: Malformed| malformed.to_string())?;
    match ports.is_empty() {
        true => Err("has to be ports like 22,80,8000-8100".to_owned()),
        false => Ok(ports),
    }
}

/// A number of seconds, fractions allowed.
fn any_time(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| time.as_secs() <= 1_000_000)
        .ok_or_else(|| "has to be seconds, from 0 to 1000000".to_owned())
}

/// The same, and some.
fn some_time(text: &str) -> Result<Duration, String> {
    match any_time(text)? {
        Duration::ZERO => Err("has to be more than 0 seconds".to_owned()),
        time => Ok(time),
    }
}

fn policy(text: &str) -> Result<Policy, String> {
    let all = Policy::ALL.map(Policy::name).join(", ");
    let policy = Policy::ALL.into_iter().find(|policy| policy.name() == text);
    policy.ok_or_else(|| format!("has to be one of {all}"))
}

/// A header, but none that says how an answer is framed or which part is asked
/// for: those are decided here.
fn header(text: &str) -> Result<(String, String), String> {
    const OURS: [&str; 9] = [
        "accept-encoding",
        "connection",
        "content-length",
        "host",
        "if-range",
        "range",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| "has to be NAME: VALUE".to_owned())?;
    let name: HeaderName = name
        .trim()
        .parse()
        .map_err(|_| format!("{name:?} is no name of a header"))?;
    if OURS.contains(&name.as_str()) {
        return Err(format!("{name} cannot be set: downloads depend on it"));
    }
    Ok((name.to_string(), header_value(value.trim())?))
}

fn header_value(text: &str) -> Result<String, String> {
    match HeaderValue::from_str(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("{text:?} cannot stand in a header")),
    }
}

impl RunArgs {
    /// The job as asked.
    pub(crate) fn job(&self) -> Result<suite::Job, Invalid> {
        if let Some(origin) = &self.origin {
            check_url("--origin", origin)?;
        }
        let mut job = self.workload.job(self.preset);
        for text in &self.set {
            let setting = Setting::parse(text, Some(self.workload))?;
            // Elsewhere one `--set` can go to several workloads; here a key
            // for another one would silently change nothing.
            if setting.workload != self.workload {
                return Err(setting.refuse(format!("the workload that runs is {}", self.workload)));
            }
            job.set(&setting.key, &setting.value)?;
        }
        job.validate()?;
        Ok(job)
    }
}
