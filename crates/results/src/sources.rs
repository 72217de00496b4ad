//! `sources.json`: the models' code as it was measured.
//!
//! It lies next to `comparison.json` and not in it, so that a program that reads
//! figures need not read code.

use serde::{Deserialize, Serialize};

/// `sources.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sources {
    /// The commit it was built from. With `-dirty`, the texts here are what was
    /// built, and not all that commit's.
    pub revision: String,
    /// One for each model and workload.
    pub files: Vec<Source>,
}

/// How one model does one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The model.
    pub model: String,
    /// The workload.
    pub workload: String,
    /// Where it is, from the root.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl Sources {
    /// The name of its file.
    pub const FILE: &str = "sources.json";
}
