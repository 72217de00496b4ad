//! `sources.json`: the models' code as it was measured, for whoever reads the
//! figures later.
//!
//! It lies beside `comparison.json` and not in it: who reads figures with a program
//! of their own need not wade through code.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use suite::Workload;

use crate::workspace;

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

    /// Every workload's file of `models`, as it is at `root`.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn of_tree(root: &Path, revision: &str, models: &[String]) -> anyhow::Result<Self> {
        let pairs = Workload::ALL.iter().flat_map(|workload| {
            let name = workload.name();
            models.iter().map(move |model| (name, model))
        });
        let file = |(workload, model): (&str, &String)| {
            let path = workspace::source(root, model, workload);
            let text = fs::read_to_string(&path);
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            let path = path.strip_prefix(root).unwrap_or(&path);
            Ok(Source {
                model: model.clone(),
                workload: workload.to_owned(),
                path: path.display().to_string(),
                text,
            })
        };
        Ok(Self {
            revision: revision.to_owned(),
            files: pairs.map(file).collect::<anyhow::Result<_>>()?,
        })
    }
}
