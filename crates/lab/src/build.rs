//! Builds the programs that are measured.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use cargo_metadata::Message;

use crate::interrupt::Interrupt;
use crate::process::Limits;
use crate::progress::Progress;
use crate::{process, workspace};

/// What a model is measured with.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `model-X run ...`: one job in a process of its own.
    pub runner: PathBuf,
    /// The Criterion bench.
    pub bench: PathBuf,
}

/// How a program is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As it is measured.
    Release,
    /// As it is tested: built sooner, and slower.
    Debug,
}

/// All that a comparison needs built.
#[derive(Debug)]
pub struct Built {
    /// Each model's programs, or why there are none, in the order asked for.
    pub models: Vec<(String, Result<Programs, String>)>,
    /// The origin's own program: were it a model's, that model would share
    /// pages with it and seem smaller than it is.
    pub origin: PathBuf,
}

/// Builds the programs of `models` and the origin, release. A model that does
/// not build takes part as a failure.
///
/// # Errors
///
/// When the origin does not build, or someone interrupts.
pub fn build(
    root: &Path,
    models: &[String],
    interrupt: &Interrupt,
    progress: &Progress,
) -> anyhow::Result<Built> {
    let build = |package: &str, target: [&str; 2]| {
        progress.doing(&format!("building {package} ({})", target.join(" ")));
        build_one(root, package, target, Profile::Release, interrupt)
    };
    let origin = build("origin", ["--bin", "origin"])?.map_err(|why| {
        progress.line(&why);
        anyhow::anyhow!("the origin does not build")
    })?;
    let mut built = Vec::new();
    for model in models {
        let package = workspace::package(model);
        // Two builds and not one: the bench's dev-dependencies would add their
        // features to the runner's.
        let runner = build(&package, ["--bin", &package])?;
        let bench = match &runner {
            Ok(_) => build(&package, ["--bench", "suite"])?,
            Err(_) => Err(String::new()),
        };
        let programs = runner.and_then(|runner| bench.map(|bench| Programs { runner, bench }));
        if let Err(why) = &programs {
            progress.line(&format!("{package} does not build:\n{why}"));
        }
        let programs = programs.map_err(|_| format!("{package} does not build"));
        built.push((model.clone(), programs));
    }
    Ok(Built {
        models: built,
        origin,
    })
}

/// Builds the program of `package`, which has its name. None if it does not
/// build: what the compiler said has been told.
///
/// # Errors
///
/// When someone interrupts.
pub fn program(
    root: &Path,
    package: &str,
    profile: Profile,
    interrupt: &Interrupt,
    progress: &Progress,
) -> anyhow::Result<Option<PathBuf>> {
    progress.doing(&format!("building {package}"));
    let built = build_one(root, package, ["--bin", package], profile, interrupt)?;
    let told = built.map_err(|why| progress.line(&format!("{package} does not build:\n{why}")));
    Ok(told.ok())
}

/// Programs that stand in `directory` already: `origin`, and `model-X` and
/// `bench-X` for each model.
pub fn prebuilt(directory: &Path, models: &[String]) -> Built {
    let programs = |model: &String| {
        let programs = Programs {
            runner: directory.join(workspace::package(model)),
            bench: directory.join(format!("bench-{model}")),
        };
        (model.clone(), Ok(programs))
    };
    Built {
        models: models.iter().map(programs).collect(),
        origin: directory.join("origin"),
    }
}

/// One `cargo build`: the program, or what the compiler said.
fn build_one(
    root: &Path,
    package: &str,
    target: [&str; 2],
    profile: Profile,
    interrupt: &Interrupt,
) -> anyhow::Result<Result<PathBuf, String>> {
    let mut command = workspace::cargo(root);
    command
        .args(["build", "--quiet", "--package", package])
        .args(target)
        .args((profile == Profile::Release).then_some("--release"))
        .arg("--message-format=json-render-diagnostics");
    let limits = Limits {
        // A cold build may wait for another one, which holds cargo's lock.
        timeout: Duration::from_secs(60 * 60),
        interrupt: interrupt.clone(),
    };
    let done = process::run(&mut command, &limits, None)?;
    if !done.status.success() {
        return Ok(Err(done.stderr));
    }
    Ok(executable(&done.stdout, target[1]).map_err(|error| format!("{error:#}")))
}

/// The program called `name` in what `cargo build --message-format=json` says.
fn executable(messages: &str, name: &str) -> anyhow::Result<PathBuf> {
    for message in Message::parse_stream(messages.as_bytes()) {
        if let Message::CompilerArtifact(artifact) = message.context("cargo's messages")?
            && artifact.target.name == name
            && let Some(executable) = artifact.executable
        {
            return Ok(executable.into());
        }
    }
    bail!("cargo built no {name}")
}
