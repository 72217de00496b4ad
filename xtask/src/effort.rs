//! `cargo xtask effort`: what it takes to write and to build each model, as
//! measured.
//!
//! Sizes are counted from the tree ([`count`]); how long a model takes to build is
//! measured by building it ([`build`]). Both lie beside a comparison, in
//! `effort.json`.

pub mod build;
pub mod count;
pub mod view;

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::{Deserialize, Serialize};

use crate::beside::Beside;
use crate::child::{self, Stopped};
use crate::interrupt::Interrupt;
use crate::lock::Lock;
use crate::plan::MODELS;
use crate::progress::Progress;
use crate::results::{Directory, safe_name};
use crate::session::End;
use crate::{host, report, workspace};

/// How often a model is built again after its first time.
const AGAIN: usize = 5;

/// `effort.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// The commit that was counted and built, `-dirty` if there was more.
    pub revision: String,
    /// One for each model.
    pub models: Vec<OfModel>,
}

/// What one model takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfModel {
    /// The model.
    pub model: String,
    /// Its size.
    #[serde(flatten)]
    pub size: Size,
    /// How long it takes to build, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
}

/// The size of one model's crate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// Lines of code of each workload's file: without blank lines and comments.
    pub workload_lines: Vec<(String, usize)>,
    /// Lines of code of all its files, tests and benches apart.
    pub lines: usize,
    /// How often the keyword `unsafe` is in these.
    pub unsafes: usize,
    /// Packages that are linked or run to build it, itself and this workspace's
    /// own apart.
    pub dependencies: usize,
}

/// How long one model takes to build, optimised, with the programs of a
/// comparison. All packages had been fetched before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Build {
    /// How many cores there were for it.
    pub cores: usize,
    /// From nothing to a program, in nanoseconds: once.
    pub cold_ns: Option<u64>,
    /// Again, each time after one workload's file was touched, in nanoseconds.
    pub incremental_ns: Vec<u64>,
    /// What went wrong, if anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl Effort {
    /// The name of its file.
    pub const FILE: &str = "effort.json";

    /// Takes over what has been measured of `models`; what is known of others
    /// stays, if it is about the same code.
    fn update(&mut self, newer: Self) {
        if self.revision != newer.revision {
            *self = newer;
            return;
        }
        for model in newer.models {
            let mut known = self.models.iter_mut();
            match known.find(|known| known.model == model.model) {
                Some(known) => *known = model,
                None => self.models.push(model),
            }
        }
    }
}

/// Measures what it takes to build each model, and puts it beside a comparison.
#[derive(Debug, Args)]
pub struct Options {
    /// The directory under results; the newest, if not given
    #[arg(value_parser = safe_name)]
    name: Option<String>,
    /// Which models, with commas; all, if none is named
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(MODELS))]
    models: Vec<String>,
    /// Where results are, for tests
    #[arg(long, hide = true)]
    output: Option<PathBuf>,
}

/// Counts and builds, and makes the comparison's page again.
///
/// # Errors
///
/// When there is no comparison to put it beside, or it cannot be written.
pub fn effort(options: &Options) -> anyhow::Result<End> {
    let root = workspace::root();
    let output = options.output.as_deref().unwrap_or(&root);
    let directory = Directory::named(&output.join("results"), options.name.as_deref())?;
    let comparison = directory.read()?;
    let target = output.join("target");
    std::fs::create_dir_all(&target)
        .with_context(|| format!("cannot make {}", target.display()))?;
    // A comparison at the same time would be measured along.
    let _lock = Lock::acquire(&target.join("paces.lock"))?;
    child::adopt_orphans()?;
    let interrupt = Interrupt::install().context("cannot take signals")?;
    let progress = Progress::new();

    let mut models: Vec<String> = MODELS.map(str::to_owned).to_vec();
    models.retain(|model| options.models.is_empty() || options.models.contains(model));
    let mut effort = Effort {
        revision: host::revision(&root),
        models: count::models(&root, &models)?,
    };
    match build::measure(&root, &target, &mut effort, &interrupt, &progress) {
        Ok(()) => {}
        Err(Stopped::Interrupted) => return Ok(End::Interrupted),
        Err(Stopped::Overtime(limit)) => anyhow::bail!("not within {limit:?}"),
        Err(Stopped::Failed(error)) => return Err(error),
    }
    let failed = |of: &OfModel| {
        of.build
            .as_ref()
            .is_some_and(|build| build.failed.is_some())
    };
    let failures = effort.models.iter().any(failed);
    let mut beside = Beside::read(directory.path())?;
    match &mut beside.effort {
        Some(known) => known.update(effort),
        none => *none = Some(effort),
    }
    beside.write(&directory)?;
    report::write(&directory, &comparison)?;
    progress.print(&directory.path().join(Effort::FILE).display().to_string());
    Ok(match failures {
        true => End::WithFailures,
        false => End::Well,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort(revision: &str, models: &[(&str, usize)]) -> Effort {
        let of = |&(model, lines): &(&str, usize)| OfModel {
            model: model.to_owned(),
            size: Size {
                workload_lines: Vec::new(),
                lines,
                unsafes: 0,
                dependencies: 0,
            },
            build: None,
        };
        Effort {
            revision: revision.to_owned(),
            models: models.iter().map(of).collect(),
        }
    }

    #[test]
    fn what_is_known_of_others_stays_if_it_is_of_the_same_code() {
        let mut known = effort("a", &[("serial", 1), ("tokio", 2)]);
        known.update(effort("a", &[("tokio", 3), ("smol", 4)]));
        let all = effort("a", &[("serial", 1), ("tokio", 3), ("smol", 4)]);
        assert_eq!(known, all);
        known.update(effort("b", &[("tokio", 5)]));
        assert_eq!(known, effort("b", &[("tokio", 5)]));
    }
}
