//! Reads the models' code as it is measured.

use std::fs;
use std::path::Path;

use anyhow::Context;
use results::{Source, Sources};
use suite::Workload;

use crate::workspace;

/// Every workload's file of `models`, as it is at `root`.
pub fn of_tree(root: &Path, revision: &str, models: &[String]) -> anyhow::Result<Sources> {
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
    Ok(Sources {
        revision: revision.to_owned(),
        files: pairs.map(file).collect::<anyhow::Result<_>>()?,
    })
}
