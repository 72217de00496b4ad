//! `cargo xtask effort`: what it takes to write and to build each model, as
//! measured.
//!
//! Sizes are counted from the tree ([`crate_size`]); how long a model takes to build is
//! measured by building it ([`build_times`]). Both are a comparison's sidecar file,
//! `effort.json`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use lab::cpu_quota::CpuQuota;
use lab::interrupt::Interrupt;
use lab::lock::Lock;
use lab::progress::Progress;
use lab::{build_times, crate_size, host, machine, models, process, workspace};
use report::highlight::RustCode;
use results::{Effort, OfModel, ResultsDir, Sidecars, check_writable, safe_name};

use crate::Outcome;

/// Measures what it takes to build each model, for the page of a comparison.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The directory under results; the newest, if not given
    #[arg(value_parser = safe_name)]
    name: Option<String>,
    /// Which models, with commas, or `all`; all but `cluster`, if none is named
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// Where results are, for tests
    #[arg(long, hide = true)]
    output: Option<PathBuf>,
}

/// Counts and builds, and makes the comparison's page again.
pub(crate) fn effort(options: &Options) -> anyhow::Result<Outcome> {
    let root = workspace::root()?;
    let models = models::select(&models::models(&root)?, "--models", &options.models)?;
    let output = options.output.as_deref().unwrap_or(&root);
    let directory = ResultsDir::named(&output.join("results"), options.name.as_deref())?;
    let comparison = directory.read()?;
    check_writable(directory.path())?;
    let target = output.join("target");
    std::fs::create_dir_all(&target)
        .with_context(|| format!("cannot make {}", target.display()))?;
    // A comparison at the same time would be measured along.
    let _lock = Lock::acquire(&target.join("paces.lock"))?;
    process::adopt_orphans()?;
    let interrupt = Interrupt::install().context("cannot take signals")?;
    let progress = Progress::new();

    let mut effort = Effort {
        revision: host::revision(&root),
        models: crate_size::sizes(&root, &models::names(&models), RustCode::count)?,
    };
    for note in machine::notes(&host::host(), CpuQuota::find().as_ref()) {
        progress.line(&note);
    }
    build_times::measure(&root, &target, &mut effort, &interrupt, &progress)?;
    let failed = |of: &OfModel| {
        of.build
            .as_ref()
            .is_some_and(|build| build.failed.is_some())
    };
    let failures = effort.models.iter().any(failed);
    let mut sidecars = Sidecars::read(directory.path())?;
    match &mut sidecars.effort {
        Some(known) => known.update(effort),
        none => *none = Some(effort),
    }
    sidecars.write(&directory)?;
    report::files::write(&directory, &comparison)?;
    progress.print(&directory.path().join(Effort::FILE).display().to_string());
    Ok(Outcome::of(!failures))
}
