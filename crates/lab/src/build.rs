//! Builds the programs that are measured.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use cargo_metadata::{Artifact, Message, TargetKind};

use crate::built_with::{self, BuiltWith};
use crate::child::Stream;
use crate::interrupt::Interrupt;
use crate::models;
use crate::process::{Limits, run_lines};
use crate::progress::Progress;
use crate::workspace;

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
    /// What the models' programs were built with.
    pub with: BuiltWith,
}

impl Built {
    /// Adds the compiler that is recorded in the models' programs.
    fn with_compiler(mut self) -> Self {
        let programs = self
            .models
            .iter()
            .filter_map(|(_, built)| built.as_ref().ok());
        let paths = programs.flat_map(|programs| [&*programs.runner, &*programs.bench]);
        self.with.rustc = built_with::rustc(paths);
        self
    }
}

const ORIGIN: &str = "origin";
const BENCH: &str = "suite";

/// Builds the programs of `models` and the origin, release, in one run of cargo, and one
/// more for each model that is built alone. A model that does not build takes part as a failure.
///
/// # Errors
///
/// When the origin does not build; [`Interrupted`](crate::error::Interrupted).
pub fn build(
    root: &Path,
    models: &[String],
    interrupt: &Interrupt,
    progress: &Progress,
) -> anyhow::Result<Built> {
    let names: Vec<String> = models
        .iter()
        .map(|model| workspace::package(model))
        .collect();
    let mut packages = vec![ORIGIN];
    packages.extend(names.iter().map(String::as_str));
    let options = ["--release", "--bench", BENCH];
    let built = cargo_build(root, &packages, &options, interrupt, progress)?;
    let programs = |package: &str| {
        Some(Programs {
            runner: built.program(package, package)?,
            bench: built.program(package, BENCH)?,
        })
    };
    let model = |(model, package): (&String, &String)| {
        let why = || does_not_build(package, progress);
        (model.clone(), programs(package).ok_or_else(why))
    };
    let built = Built {
        origin: built
            .program(ORIGIN, ORIGIN)
            .context("the origin does not build")?,
        models: models.iter().zip(&names).map(model).collect(),
        with: BuiltWith {
            settings: settings(root, &packages[1..], &options),
            rustc: None,
        },
    };
    Ok(built.with_compiler())
}

/// What is set for a build of `packages`, as cargo prints it.
fn settings(root: &Path, packages: &[&str], options: &[&str]) -> BTreeMap<String, String> {
    let mut config = workspace::cargo(root);
    config.args(["config", "get", "--format", "json"]);
    let mut graph = cargo(root, "build", packages);
    graph.args(["--bins", "--unit-graph"]).args(options);
    for command in [&mut config, &mut graph] {
        command.args(["-Z", "unstable-options"]);
    }
    built_with::settings_of(config, graph)
}

/// Builds the programs of `packages`, which have their names, in as many runs of cargo.
/// `None` for one that does not build: what the compiler said has been printed.
///
/// # Errors
///
/// [`Interrupted`](crate::error::Interrupted), or cargo cannot be run.
pub fn programs(
    root: &Path,
    packages: &[&str],
    profile: Profile,
    interrupt: &Interrupt,
    progress: &Progress,
) -> anyhow::Result<Vec<Option<PathBuf>>> {
    let options: &[&str] = match profile {
        Profile::Release => &["--release"],
        Profile::Debug => &[],
    };
    let built = cargo_build(root, packages, options, interrupt, progress)?;
    let program = |package: &&str| {
        let program = built.program(package, package);
        if program.is_none() {
            does_not_build(package, progress);
        }
        program
    };
    Ok(packages.iter().map(program).collect())
}

/// The same for one program.
///
/// # Errors
///
/// As [`programs`].
pub fn program(
    root: &Path,
    package: &str,
    profile: Profile,
    interrupt: &Interrupt,
    progress: &Progress,
) -> anyhow::Result<Option<PathBuf>> {
    let mut built = programs(root, &[package], profile, interrupt, progress)?;
    Ok(built.pop().flatten())
}

fn does_not_build(package: &str, progress: &Progress) -> String {
    let why = format!("{package} does not build");
    progress.line(&why);
    why
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
    let built = Built {
        models: models.iter().map(programs).collect(),
        origin: directory.join(ORIGIN),
        // Flags and profile cannot be read from a program.
        with: BuiltWith::default(),
    };
    built.with_compiler()
}

/// The programs that cargo has built, by package and target.
struct Executables(HashMap<(String, String), PathBuf>);

impl Executables {
    fn program(&self, package: &str, target: &str) -> Option<PathBuf> {
        let key = (package.to_owned(), target.to_owned());
        self.0.get(&key).cloned()
    }
}

/// Builds the programs of all `packages`: in one run of cargo, but for those of models that are
/// built alone. What one of them lacks, the others do not.
fn cargo_build(
    root: &Path,
    packages: &[&str],
    options: &[&str],
    interrupt: &Interrupt,
    progress: &Progress,
) -> anyhow::Result<Executables> {
    let alone = models::built_alone(root)?;
    let (alone, together): (Vec<&str>, Vec<&str>) = packages
        .iter()
        .copied()
        // Cargo would build nothing at all if it did not know one of them.
        .filter(|package| root.join("crates").join(package).is_dir())
        .partition(|package| alone.contains(*package));
    let mut built = HashMap::new();
    for packages in iter::once(&*together).chain(alone.chunks(1)) {
        if !packages.is_empty() {
            built.extend(one_build(root, packages, options, interrupt, progress)?);
        }
    }
    Ok(Executables(built))
}

/// The same in one run.
fn one_build(
    root: &Path,
    packages: &[&str],
    options: &[&str],
    interrupt: &Interrupt,
    progress: &Progress,
) -> anyhow::Result<HashMap<(String, String), PathBuf>> {
    let limits = Limits {
        // A cold build may wait for another one, which holds cargo's lock.
        timeout: Duration::from_secs(60 * 60),
        interrupt: interrupt.clone(),
    };
    progress.stage("building: finding out what is needed");
    let mut count = Count {
        total: count_crates(root, packages, options, &limits, progress)?,
        ..Count::default()
    };
    let mut built = HashMap::new();
    let mut command = cargo(root, "build", packages);
    command
        .args(["--bins", "--keep-going"])
        .args(options)
        .arg("--message-format=json-render-diagnostics");
    let began = Instant::now();
    // Cargo has said why it fails, and what it has not built is missing.
    run_lines(&mut command, &limits, |stream, line| {
        if stream == Stream::Stderr {
            match status(line) {
                Some(status) => progress.doing(&format!("{status} ({count})")),
                None => progress.line(line),
            }
            return;
        }
        if let Ok(Message::CompilerArtifact(artifact)) = serde_json::from_str(line) {
            count.add(&artifact);
            if let Some(left) = count.left(began.elapsed()) {
                progress.plan(began.elapsed() + left);
                progress.reached(began.elapsed());
            }
            let package = artifact.manifest_path.parent();
            let package = package.and_then(|directory| directory.file_name());
            if let (Some(package), Some(executable)) = (package, artifact.executable) {
                let key = (package.to_owned(), artifact.target.name);
                built.insert(key, executable.into());
            }
        }
    })?;
    progress.forget_plan();
    progress.line(&format!("built {count}"));
    Ok(built)
}

fn cargo(root: &Path, subcommand: &str, packages: &[&str]) -> Command {
    let mut command = workspace::cargo(root);
    command
        .arg(subcommand)
        .args(["--color", "never"])
        .args(packages.iter().flat_map(|package| ["--package", package]));
    command
}

/// Of how many crates these packages are built, on this platform and with these
/// features; `None` if cargo does not tell.
fn count_crates(
    root: &Path,
    packages: &[&str],
    options: &[&str],
    limits: &Limits,
    progress: &Progress,
) -> anyhow::Result<Option<usize>> {
    let (packages, edges) = if options.contains(&BENCH) {
        // The origin has no bench, so what only its tests need is not built. The
        // models need the rest of it, too.
        let models = packages.iter().filter(|&&package| package != ORIGIN);
        (models.copied().collect(), "normal,build,dev")
    } else {
        (packages.to_vec(), "normal,build")
    };
    let mut crates = BTreeSet::new();
    let mut command = cargo(root, "tree", &packages);
    command
        .args(["--edges", edges, "--prefix", "none"])
        .args(["--no-dedupe", "--format", "{p}"]);
    let status = run_lines(&mut command, limits, |stream, line| match stream {
        Stream::Stdout if line.is_empty() => {}
        Stream::Stdout => drop(crates.insert(line.trim_end_matches(" (proc-macro)").to_owned())),
        // It downloads what is missing. If it fails, so does the build, and says why.
        Stream::Stderr => progress.doing(line.trim()),
    })?;
    Ok(status.success().then_some(crates.len()))
}

/// A line like `   Compiling serde v1.0.228`, as cargo writes them: a verb that ends
/// in the twelfth column. All others are the compiler's, or errors.
fn status(line: &str) -> Option<&str> {
    let (verb, rest) = line.split_at_checked(12)?;
    let is_verb = verb
        .trim_start()
        .chars()
        .all(|letter| letter.is_ascii_alphabetic());
    let capital = verb
        .trim_start()
        .starts_with(|c: char| c.is_ascii_uppercase());
    (is_verb && capital && rest.starts_with(' ')).then(|| line.trim())
}

/// How many crates are built; those that were built before count.
#[derive(Debug, Default)]
struct Count {
    total: Option<usize>,
    done: HashSet<String>,
    /// Those that were not built before.
    compiled: usize,
}

impl Count {
    fn add(&mut self, artifact: &Artifact) {
        // A crate's build script comes before it.
        if artifact.target.is_kind(TargetKind::CustomBuild) {
            return;
        }
        let new = self.done.insert(artifact.package_id.repr.clone());
        self.compiled += usize::from(new && !artifact.fresh);
    }

    /// The time that the rest takes, at the pace of those compiled so far.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let rest = self.total?.saturating_sub(self.done.len());
        (self.compiled > 0).then(|| elapsed.mul_f64(rest as f64 / self.compiled as f64))
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let done = self.done.len();
        match self.total {
            // The total is cargo's answer to another question, and may be a little off.
            Some(total) => write!(f, "{done} of {} crates", total.max(done)),
            None => write!(f, "{done} crates"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_own_lines_are_not_the_compilers() {
        for own in [
            "   Compiling serde v1.0.228",
            "    Blocking waiting for file lock on build directory",
            " Downloading crates ...",
            "    Finished `release` profile [optimized] target(s) in 0.05s",
        ] {
            assert_eq!(status(own), Some(own.trim()));
        }
        for other in [
            "",
            "error[E0308]: mismatched types",
            "warning: unused variable: `x`",
            "            |     ^^^^^^^ expected",
            "123 |     let x: u8 = \"not a number\";",
            "   = note: `#[warn(unused)]` on by default",
            "  Caused by:",
        ] {
            assert_eq!(status(other), None, "{other}");
        }
    }

    #[test]
    fn what_was_built_before_does_not_count_for_the_pace() {
        let done = (0..30).map(|number| number.to_string()).collect();
        let count = Count {
            total: Some(40),
            done,
            compiled: 10,
        };
        assert_eq!(count.to_string(), "30 of 40 crates");
        let left = count.left(Duration::from_secs(5));
        assert_eq!(left, Some(Duration::from_secs(5)));
    }
}
