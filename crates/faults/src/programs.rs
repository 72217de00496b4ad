//! The programs that take part: the models' and the origin's.

use std::path::{Path, PathBuf};

use anyhow::Context;
use lab::build::{self, Profile};
use lab::interrupt::Interrupt;
use lab::models::{self, Kind};
use lab::progress::Progress;
use lab::workspace;

use crate::matrix::Model;

const ORIGIN: &str = "origin";

/// Builds them, and tells where the origin is.
///
/// # Errors
///
/// When the origin does not build; [`Interrupted`](lab::error::Interrupted).
pub fn build(
    root: &Path,
    models: &[models::Model],
    profile: Profile,
    interrupt: &Interrupt,
    progress: &Progress,
) -> anyhow::Result<(Vec<Model>, PathBuf)> {
    let packages = models.iter().map(|model| workspace::package(model.name()));
    let packages: Vec<_> = [ORIGIN.to_owned()].into_iter().chain(packages).collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let mut programs = build::programs(root, &packages, profile, interrupt, progress)?;
    let origin = programs.remove(0).context("the origin does not build")?;
    Ok((with_programs(models, programs), origin))
}

/// Those in a directory.
pub fn in_directory(directory: &Path, models: &[models::Model]) -> (Vec<Model>, PathBuf) {
    let program = |model: &models::Model| Some(directory.join(workspace::package(model.name())));
    let programs = models.iter().map(program).collect();
    (with_programs(models, programs), directory.join(ORIGIN))
}

fn with_programs(models: &[models::Model], programs: Vec<Option<PathBuf>>) -> Vec<Model> {
    let pairs = models.iter().zip(programs);
    let model = pairs.map(|(model, program)| Model {
        name: model.name().to_owned(),
        serial: model.info.kind == Kind::Serial,
        program,
    });
    model.collect()
}
