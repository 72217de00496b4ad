//! How long each model takes to build.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use results::{AGAIN, Build, Effort};
use suite::completion::nanoseconds;

use crate::child::Finished;
use crate::error::{Interrupted, TimedOut};
use crate::interrupt::Interrupt;
use crate::process::{self, Limits};
use crate::progress::Progress;
use crate::stops::again;
use crate::workspace;

/// The workload whose file is touched in between: every model has it, and it is
/// of a usual size.
const TOUCHED: &str = "counter";

/// What a build is made of, from the root.
const TREE: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    ".cargo",
    "crates",
    "xtask",
];

/// Builds each model of `effort` from nothing, and again after one of its files
/// was touched. A model that does not build says so, and the others go on.
///
/// All of it happens in a copy of the tree below `target`, which goes when this
/// returns: what stands in the tree stays as old as it is.
pub fn measure(
    root: &Path,
    target: &Path,
    effort: &mut Effort,
    interrupt: &Interrupt,
    progress: &Progress,
) -> anyhow::Result<()> {
    let copy = tempfile::Builder::new()
        .prefix("effort-")
        .tempdir_in(target)
        .with_context(|| format!("cannot write into {}", target.display()))?;
    let tree = copy.path().join("tree");
    fs::create_dir(&tree).with_context(|| format!("cannot make {}", tree.display()))?;
    for name in TREE {
        copy_of(&root.join(name), &tree.join(name))?;
    }
    let builder = Builder {
        tree,
        target: copy.path().join("target"),
        interrupt,
    };
    progress.stage("effort: fetching what the builds need");
    builder.fetch()?;
    for of in &mut effort.models {
        progress.stage(&format!("effort: building {} from nothing", of.model));
        let build = builder.measure(&of.model, progress)?;
        if let Some(why) = &build.failed {
            progress.line(&format!("effort: {}: {why}", of.model));
        }
        of.build = Some(build);
    }
    Ok(())
}

struct Builder<'a> {
    tree: PathBuf,
    target: PathBuf,
    interrupt: &'a Interrupt,
}

impl Builder<'_> {
    fn measure(&self, model: &str, progress: &Progress) -> anyhow::Result<Build> {
        let mut build = Build {
            cores: runner::cores(),
            cold_ns: None,
            incremental_ns: Vec::new(),
            failed: None,
        };
        match self.time_builds(model, &mut build, progress) {
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => build.failed = Some(format!("{error:#}")),
            Ok(()) => {}
        }
        Ok(build)
    }

    fn time_builds(
        &self,
        model: &str,
        build: &mut Build,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let say_again = |_| progress.line(&again(&format!("effort: building {model}")));
        let cold = || {
            // Another model's would be there to be used again.
            match fs::remove_dir_all(&self.target) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
            .with_context(|| format!("cannot empty {}", self.target.display()))?;
            self.build(model)
        };
        build.cold_ns = Some(nanoseconds(self.interrupt.unstopped(cold, say_again)??));
        let touched = workspace::source(&self.tree, model, TOUCHED);
        for time in 1..=AGAIN {
            progress.doing(&format!(
                "effort: building {model} again, {time} of {AGAIN}"
            ));
            let incremental = || {
                touch(&touched)?;
                self.build(model)
            };
            let time = self.interrupt.unstopped(incremental, say_again)??;
            build.incremental_ns.push(nanoseconds(time));
        }
        Ok(())
    }

    /// How long one build takes.
    fn build(&self, model: &str) -> anyhow::Result<Duration> {
        let package = workspace::package(model);
        let mut command = self.cargo();
        command
            .args(["build", "--quiet", "--release", "--offline"])
            .args(["--package", &package, "--bin", &package]);
        let done = match self.run(&mut command) {
            Err(error) if error.is::<TimedOut>() => bail!("not built: {error}"),
            done => done?,
        };
        if !done.status.success() {
            bail!("{package} does not build: {}", done.stderr.trim());
        }
        Ok(done.wall)
    }

    fn fetch(&self) -> anyhow::Result<()> {
        let done = self.run(self.cargo().args(["fetch", "--quiet"]))?;
        if !done.status.success() {
            bail!("packages cannot be fetched: {}", done.stderr.trim());
        }
        Ok(())
    }

    fn run(&self, command: &mut Command) -> anyhow::Result<Finished> {
        let limits = Limits {
            timeout: Duration::from_secs(60 * 60),
            interrupt: self.interrupt.clone(),
        };
        process::run(command, &limits, None)
    }

    /// Without a cache of what was built before.
    fn cargo(&self) -> Command {
        let mut command = workspace::cargo(&self.tree);
        command
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUSTC_WRAPPER", "")
            .env("RUSTC_WORKSPACE_WRAPPER", "");
        command
    }
}

fn touch(path: &Path) -> anyhow::Result<()> {
    let touched = File::options()
        .append(true)
        .open(path)
        .and_then(|file| file.set_modified(SystemTime::now()));
    touched.with_context(|| format!("cannot touch {}", path.display()))
}

/// Copies a file, or a directory with all that is in it but what cargo has built
/// there. What is not there is not copied: not all of a tree need be.
fn copy_of(from: &Path, to: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot copy {} to {}", from.display(), to.display());
    if from.is_dir() {
        fs::create_dir_all(to).with_context(cannot)?;
        for entry in fs::read_dir(from).with_context(cannot)? {
            let name = entry.with_context(cannot)?.file_name();
            if name != "target" {
                copy_of(&from.join(&name), &to.join(&name))?;
            }
        }
        return Ok(());
    }
    match fs::metadata(from) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(other) if !other.is_file() => bail!("{} is neither file nor directory", from.display()),
        _ => fs::copy(from, to).map(|_| ()).with_context(cannot),
    }
}
