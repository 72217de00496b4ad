//! Virtual environments of Python below `target`, with what a contestant needs.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::error::last_words;
use crate::interrupt::Interrupt;
use crate::process::{self, Limits};

/// How long one step may take: packages come over the network.
const LONGEST: Duration = Duration::from_secs(300);

/// How an environment begins while it is made.
const MAKING: &str = "making-";

/// The interpreter of an environment that has the packages of `requirements`. It is made for
/// the first use, next to its place, and moved there when it is complete: one that was not
/// finished is never used. The caller has the lock of `target`.
///
/// # Errors
///
/// When it cannot be made, for example without a network; and when a signal came.
pub(crate) fn environment(
    python: &Path,
    version: &str,
    requirements: &Path,
    target: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<PathBuf> {
    let packages = fs::read(requirements).with_context(|| requirements.display().to_string())?;
    let mut hasher = DefaultHasher::new();
    (python, packages).hash(&mut hasher);
    let all = target.join("python");
    fs::create_dir_all(&all).with_context(|| all.display().to_string())?;
    remove_unfinished(&all)?;

    let place = all.join(format!("venv-{version}-{:016x}", hasher.finish()));
    let python_of = |environment: &Path| environment.join("bin/python3");
    let run = |step: &str, program: &Path, args: &[&str]| {
        let mut command = Command::new(program);
        step_of(step, command.args(args), interrupt)
    };
    let import = ["-I", "-c", "import aiohttp"];
    if place.exists() {
        match run("import aiohttp", &python_of(&place), &import) {
            Ok(()) => return Ok(python_of(&place)),
            Err(error) if interrupt.came() => return Err(error),
            // Its interpreter may have gone since.
            Err(_) => fs::remove_dir_all(&place).with_context(|| place.display().to_string())?,
        }
    }
    let unfinished = tempfile::Builder::new()
        .prefix(MAKING)
        .tempdir_in(&all)
        .with_context(|| all.display().to_string())?;
    let made = unfinished.path().join("venv");
    let text = |path: &Path| path.display().to_string();
    run("venv", python, &["-I", "-m", "venv", &text(&made)])?;
    let install = [
        "-I",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--retries=1",
        "--timeout=15",
        "--require-hashes",
        "--only-binary=:all:",
        "--requirement",
        &text(requirements),
    ];
    run("pip install aiohttp", &python_of(&made), &install)?;
    run("import aiohttp", &python_of(&made), &import)?;
    fs::rename(&made, &place).with_context(|| place.display().to_string())?;
    Ok(python_of(&place))
}

/// Removes what a run that was killed has left.
fn remove_unfinished(all: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(all).with_context(|| all.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(MAKING) {
            let path = entry.path();
            fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

fn step_of(step: &str, command: &mut Command, interrupt: &Interrupt) -> anyhow::Result<()> {
    let limits = Limits {
        timeout: LONGEST,
        interrupt: interrupt.clone(),
    };
    let done = process::run(command, &limits, None).with_context(|| step.to_owned())?;
    if !done.status.success() {
        // pip says what was wrong before it says where to read about it, and that no server has
        // answered long before.
        let said = &done.stderr;
        let error = said.lines().rfind(|line| line.starts_with("ERROR:"));
        let unreachable = match said.contains("WARNING: Retrying") {
            true => " (the package index does not answer)",
            false => "",
        };
        bail!("{step}: {}{unreachable}", last_words(error.unwrap_or(said)));
    }
    Ok(())
}
