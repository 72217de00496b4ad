//! Who takes part: each model's two programs, built as they are measured.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use cargo_metadata::Message;

use crate::child::{self, Limits, Stopped};
use crate::interrupt::Interrupt;
use crate::outsider::Outsider;
use crate::plan::Group;
use crate::progress::Progress;
use crate::{self_check, workspace};

/// Who takes part.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// Its name: a model's, or one that the user has given.
    pub model: String,
    /// What it is measured with, or why there is nothing.
    pub programs: Result<Means, String>,
    /// Whose copy it is, if it is one.
    pub copy: Option<CopyOf>,
}

/// What a contestant is measured with.
#[derive(Debug, Clone)]
pub enum Means {
    /// A model's programs.
    Model(Programs),
    /// A command of the user's own.
    Outsider(Outsider),
}

/// What a contestant is that has another one's programs.
#[derive(Debug, Clone)]
pub struct CopyOf {
    /// The model, as its programs call themselves.
    pub model: String,
    /// Whether it is given more to do: see [`self_check::slowed`].
    pub slowed: bool,
}

impl Contestant {
    /// The model, as its programs call themselves.
    pub fn original(&self) -> &str {
        self.copy.as_ref().map_or(&self.model, |copy| &copy.model)
    }

    /// What this contestant does where the others do `group`: the same, unless it
    /// is a slowed copy. `None` if it takes no part in that.
    pub fn group<'a>(&self, group: &'a Group) -> Option<Cow<'a, Group>> {
        match &self.copy {
            Some(CopyOf { slowed: true, .. }) => self_check::slowed(group).map(Cow::Owned),
            _ => Some(Cow::Borrowed(group)),
        }
    }
}

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
    /// The models, in the order asked for.
    pub contestants: Vec<Contestant>,
    /// The origin's own program: were it a model's, that model would share
    /// pages with it and seem smaller than it is.
    pub origin: PathBuf,
}

/// Builds the programs of `models` and the origin, release. A model that does
/// not build takes part as a failure.
///
/// # Errors
///
/// When the origin does not build, or someone interrupts; [`Stopped`] tells.
pub fn build(
    root: &Path,
    models: &[String],
    interrupt: &Interrupt,
    progress: &Progress,
) -> Result<Built, Stopped> {
    let build = |package: &str, target: [&str; 2]| {
        progress.doing(&format!("building {package} ({})", target.join(" ")));
        build_one(root, package, target, Profile::Release, interrupt)
    };
    let origin = build("origin", ["--bin", "origin"])?.map_err(|why| {
        progress.line(&why);
        Stopped::Failed(anyhow::anyhow!("the origin does not build"))
    })?;
    let mut contestants = Vec::new();
    for model in models {
        let package = workspace::package(model);
        // Two builds and not one: the bench's dev-dependencies would add their
        // features to the runner's.
        let runner = build(&package, ["--bin", &package])?;
        let bench = match &runner {
            Ok(_) => build(&package, ["--bench", "suite"])?,
            Err(_) => Err(String::new()),
        };
        let programs = runner.and_then(|runner| {
            bench.map(|bench| Means::Model(Programs { runner, bench })) //
        });
        if let Err(why) = &programs {
            progress.line(&format!("{package} does not build:\n{why}"));
        }
        contestants.push(Contestant {
            model: model.clone(),
            programs: programs.map_err(|_| format!("{package} does not build")),
            copy: None,
        });
    }
    Ok(Built {
        contestants,
        origin,
    })
}

/// Builds the program of `package`, which has its name. None if it does not
/// build: what the compiler said has been told.
///
/// # Errors
///
/// When someone interrupts; [`Stopped`] tells.
pub fn program(
    root: &Path,
    package: &str,
    profile: Profile,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Result<Option<PathBuf>, Stopped> {
    progress.doing(&format!("building {package}"));
    let built = build_one(root, package, ["--bin", package], profile, interrupt)?;
    let told = built.map_err(|why| progress.line(&format!("{package} does not build:\n{why}")));
    Ok(told.ok())
}

/// Programs that stand in `directory` already: `origin`, and `model-X` and
/// `bench-X` for each model.
pub fn prebuilt(directory: &Path, models: &[String]) -> Built {
    let contestant = |model: &String| Contestant {
        model: model.clone(),
        programs: Ok(Means::Model(Programs {
            runner: directory.join(workspace::package(model)),
            bench: directory.join(format!("bench-{model}")),
        })),
        copy: None,
    };
    Built {
        contestants: models.iter().map(contestant).collect(),
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
) -> Result<Result<PathBuf, String>, Stopped> {
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
    let done = child::run(&mut command, &limits, None)?;
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
