//! The options of `send` and `receive`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use suite::Setup;

use super::{ServerArgs, some_time};

#[derive(clap::Args, Debug)]
pub(crate) struct SendArgs {
    /// Files; each is called at the receiver as here, without the directories
    #[arg(required = true)]
    pub files: Vec<PathBuf>,

    /// Where the receiver listens
    #[arg(long, value_name = "HOST:PORT")]
    pub to: String,

    /// A file with the secret that both sides have [default: the variable PACES_SECRET]
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,

    /// The most connections at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    pub streams: usize,

    /// Have the system send from the file, instead of reading it first
    #[arg(long)]
    pub sendfile: bool,

    /// The longest wait for the receiver to take bytes or to answer
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = some_time)]
    pub idle_timeout: Duration,

    /// Show no progress
    #[arg(long)]
    pub quiet: bool,

    /// Worker threads for tasks [default: one a core]
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub threads: Option<usize>,

    /// The most calls that block under way at once, in models that hand them over
    #[arg(
        long,
        default_value_t = Setup::BLOCKING_THREADS,
        value_parser = RangedU64ValueParser::<usize>::new()
            .range(1..=Setup::MOST_BLOCKING_THREADS as u64)
    )]
    pub blocking_threads: usize,
}

#[derive(clap::Args, Debug)]
pub(crate) struct ReceiveArgs {
    /// The directory to receive into; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,

    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// A file with the secret that both sides have [default: the variable PACES_SECRET]
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,

    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(clap::Args, Debug)]
pub(crate) struct ReceiverArgs {
    /// The directory to receive into
    #[arg(long)]
    pub into: PathBuf,

    /// The most connections at once
    #[arg(long)]
    pub connections: usize,

    /// Whether files are synced before senders are told that they are there
    #[arg(long)]
    pub sync: bool,

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
