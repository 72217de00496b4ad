//! Options for the nodes of the cluster model. They are passed to its programs as environment
//! variables.

use std::env;
use std::ops::RangeInclusive;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use lab::models::{Kind, Model};
use results::ClusterNodes;
use suite::Invalid;

/// The variables, as the model's program reads them.
const NODES: &str = "PACES_CLUSTER_NODES";
const NODE_CPUS: &str = "PACES_CLUSTER_NODE_CPUS";

/// The limits that the model's program accepts.
const MOST_NODES: usize = 64;
const CPUS: RangeInclusive<f64> = 0.01..=1024.0;

/// How many nodes, and how fast each is.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Number of nodes of the model `cluster`, all on this machine [default: $PACES_CLUSTER_NODES,
    /// or one per worker thread]
    #[arg(
        long,
        value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MOST_NODES as u64)
    )]
    cluster_nodes: Option<usize>,
    /// CPU time that each of them may use, in cores, such as 0.5: simulates slower machines
    /// [default: $PACES_CLUSTER_NODE_CPUS, or no limit]
    #[arg(long, value_name = "CORES", value_parser = cores)]
    node_cpus: Option<f64>,
}

impl Options {
    /// Returns the settings of nodes, if one of these models has nodes.
    ///
    /// # Errors
    ///
    /// If an option was given but no model has nodes, or if a variable is invalid.
    pub(crate) fn nodes(&self, models: &[Model]) -> Result<Option<ClusterNodes>, Invalid> {
        if models.iter().any(|model| model.info.kind == Kind::Cluster) {
            return Ok(Some(ClusterNodes {
                nodes: given(self.cluster_nodes, NODES, nodes)?,
                cores_each: given(self.node_cpus, NODE_CPUS, cores)?,
            }));
        }
        let refused = |option, value: String| {
            Err(Invalid::new(
                option,
                value,
                "is for the model cluster, which does not take part",
            ))
        };
        match (self.cluster_nodes, self.node_cpus) {
            (Some(nodes), _) => refused("--cluster-nodes", nodes.to_string()),
            (_, Some(cores)) => refused("--node-cpus", cores.to_string()),
            (None, None) => Ok(None),
        }
    }
}

/// The environment variables for the models' programs.
pub(crate) fn environment(nodes: Option<ClusterNodes>) -> Vec<(&'static str, String)> {
    let ClusterNodes { nodes, cores_each } = nodes.unwrap_or_default();
    let nodes = nodes.map(|nodes| (NODES, nodes.to_string()));
    let cores = cores_each.map(|cores| (NODE_CPUS, cores.to_string()));
    nodes.into_iter().chain(cores).collect()
}

/// Returns the value of an option, or else of an environment variable.
fn given<T>(
    option: Option<T>,
    variable: &str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Invalid> {
    if option.is_some() {
        return Ok(option);
    }
    let Ok(text) = env::var(variable) else {
        return Ok(None);
    };
    let invalid = |allowed: String| Invalid::new(variable, &text, allowed);
    Ok(Some(parse(&text).map_err(invalid)?))
}

fn nodes(text: &str) -> Result<usize, String> {
    let nodes = text.parse().ok();
    let nodes = nodes.filter(|nodes| (1..=MOST_NODES).contains(nodes));
    nodes.ok_or_else(|| format!("has to be from 1 to {MOST_NODES}"))
}

fn cores(text: &str) -> Result<f64, String> {
    let cores = text.parse().ok();
    let cores = cores.filter(|cores: &f64| CPUS.contains(cores));
    let (least, most) = CPUS.into_inner();
    cores.ok_or_else(|| format!("has to be a number of cores from {least} to {most}"))
}
