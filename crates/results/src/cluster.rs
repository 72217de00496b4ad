//! What nodes a model had whose units may be on other machines.

use serde::{Deserialize, Serialize};

use crate::quota_words;

/// The nodes that took part, all on one machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterNodes {
    /// How many; one a worker thread, if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<usize>,
    /// To how many cores' time each was held; to none, if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores_each: Option<f64>,
}

impl ClusterNodes {
    /// `4 nodes with 0.5 cores' time each`.
    pub fn words(self) -> String {
        let nodes = match self.nodes {
            None => "a node for each worker thread".to_owned(),
            Some(1) => "1 node".to_owned(),
            Some(nodes) => format!("{nodes} nodes"),
        };
        match self.cores_each {
            Some(cores) => format!("{nodes} with {} each", quota_words(cores)),
            None => nodes,
        }
    }
}
