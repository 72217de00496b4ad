//! The programs that take part: the models' and the origin's.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

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

/// The server that the cluster model needs, found as that finds it.
pub fn nats_server() -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        let metadata = fs::metadata(path);
        metadata.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if let Some(given) = env::var_os("PACES_NATS_SERVER") {
        return Some(PathBuf::from(given)).filter(is_program);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian has it where only root looks for programs.
    let directories = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let mut programs = directories.map(|directory| directory.join("nats-server"));
    programs.find(is_program)
}
