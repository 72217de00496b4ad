//! Which server carries the shares, and how many nodes work on them.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::ensure;
use async_nats::jetstream::stream::StorageType;
use clap::ValueEnum;
use clap::builder::RangedU64ValueParser;
use suite::{Invalid, Result};

/// The maximum number of nodes of one parent.
pub(crate) const MOST_NODES: usize = 64;

/// The allowed range of the CPU time limit of a node that the parent starts, in cores.
const NODE_CPUS: RangeInclusive<f64> = 0.01..=1024.0;

/// Options that every command has in addition to its own. The parent starts nodes, or they are
/// started by hand: see `model-cluster node --help`.
#[derive(clap::Args, Debug, Clone)]
pub struct Options {
    /// Use this NATS server with JetStream, and nodes that were started by hand [default: start a
    /// server and nodes on this machine]
    #[arg(long, value_name = "URL", global = true, value_parser = without_secrets)]
    cluster: Option<String>,

    /// Number of nodes [default: $PACES_CLUSTER_NODES, or one per core]
    #[arg(
        long,
        value_name = "N",
        global = true,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MOST_NODES as u64)
    )]
    nodes: Option<usize>,

    /// CPU time that each node may use, in cores, such as 0.5: simulates slower machines on this
    /// one [default: $PACES_CLUSTER_NODE_CPUS, or no limit]
    #[arg(
        long,
        value_name = "CORES",
        global = true,
        value_parser = node_cpus,
        conflicts_with = "cluster"
    )]
    node_cpus: Option<f64>,

    /// Where the server keeps shares: those on disk survive its restart
    #[arg(long, value_name = "WHERE", global = true, default_value = "memory")]
    cluster_storage: Storage,

    /// After how many seconds without a heartbeat of its node a share is delivered to another
    #[arg(
        long,
        value_name = "SECONDS",
        global = true,
        default_value = "5",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=3600)
    )]
    ack_wait: u64,

    #[command(flatten)]
    secrets: Secrets,
}

/// The credentials for the server, and the authority that proves its identity.
#[derive(clap::Args, Debug, Clone, Default)]
pub(crate) struct Secrets {
    /// A file with the token of the server [default: the variable PACES_NATS_TOKEN]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) token_file: Option<PathBuf>,

    /// The certificate of the authority that signed the server's, as PEM: then only TLS is used
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) cluster_ca: Option<PathBuf>,
}

/// Where a server keeps shares.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// In its memory.
    Memory,
    /// In its directory.
    Disk,
}

impl From<Storage> for StorageType {
    fn from(storage: Storage) -> Self {
        match storage {
            Storage::Memory => StorageType::Memory,
            Storage::Disk => StorageType::File,
        }
    }
}

/// The options of the command line. They are not set in tests and benchmarks.
static CHOSEN: OnceLock<Options> = OnceLock::new();

impl Options {
    /// Makes these the options of every model of this process. Only the first call has an effect.
    pub fn choose(self) {
        // The command line is read once, so an error cannot occur.
        let _ = CHOSEN.set(self);
    }

    pub(crate) fn chosen() -> Self {
        CHOSEN.get().cloned().unwrap_or(Self {
            cluster: None,
            nodes: None,
            node_cpus: None,
            cluster_storage: Storage::Memory,
            ack_wait: 5,
            secrets: Secrets::default(),
        })
    }

    /// The URL of a server that was started by hand.
    pub(crate) fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// The number of nodes: the option `--nodes`, or `asked` unless that is 0, or the environment
    /// variable, or one per core of `cores`.
    pub(crate) fn nodes(&self, asked: usize, cores: usize) -> Result<usize> {
        const VARIABLE: &str = "PACES_CLUSTER_NODES";
        if let Some(nodes) = self.nodes.or(Some(asked)).filter(|nodes| *nodes > 0) {
            return Ok(nodes);
        }
        let Ok(text) = std::env::var(VARIABLE) else {
            return Ok(cores.min(MOST_NODES));
        };
        let allowed = || Invalid::new(VARIABLE, &text, format!("has to be from 1 to {MOST_NODES}"));
        let nodes = text.parse().map_err(|_| allowed())?;
        ensure!((1..=MOST_NODES).contains(&nodes), allowed());
        Ok(nodes)
    }

    /// The CPU time limit of each node that the parent starts, in cores; `None` for no limit.
    pub(crate) fn node_cpus(&self) -> Result<Option<f64>> {
        const VARIABLE: &str = "PACES_CLUSTER_NODE_CPUS";
        if self.node_cpus.is_some() {
            return Ok(self.node_cpus);
        }
        let Ok(text) = std::env::var(VARIABLE) else {
            return Ok(None);
        };
        let invalid = |allowed: String| Invalid::new(VARIABLE, &text, allowed);
        Ok(Some(node_cpus(&text).map_err(invalid)?))
    }

    pub(crate) fn storage(&self) -> Storage {
        self.cluster_storage
    }

    pub(crate) fn ack_wait(&self) -> Duration {
        Duration::from_secs(self.ack_wait)
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

/// Parses a CPU time limit, in cores.
fn node_cpus(text: &str) -> std::result::Result<f64, String> {
    let cores = text.parse().ok();
    let cores = cores.filter(|cores: &f64| NODE_CPUS.contains(cores));
    let (least, most) = NODE_CPUS.into_inner();
    cores.ok_or_else(|| format!("has to be a number of cores from {least} to {most}"))
}

/// Refuses a URL with a secret in it, because every user of the machine can read a command line.
pub(crate) fn without_secrets(url: &str) -> std::result::Result<String, String> {
    match url.contains('@') {
        true => Err("a token does not belong on a command line: use --token-file".to_owned()),
        false => Ok(url.to_owned()),
    }
}
