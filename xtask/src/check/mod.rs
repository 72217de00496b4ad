//! `cargo xtask check`: what is kept by a tool and not by memory.

pub mod features;
pub mod isolation;
pub mod symbols;
pub mod symmetry;

use std::path::Path;
use std::process::Stdio;

use lab::progress::print;
use lab::workspace;

/// A step, by name: nothing, or all that it found.
type Step = (&'static str, fn(&Path) -> Result<(), String>);

const STEPS: [Step; 7] = [
    ("fmt", fmt),
    ("clippy", clippy),
    ("docs", docs),
    ("features", features::check),
    ("isolation", isolation::check),
    ("symbols", symbols::check),
    ("symmetry", symmetry::check),
];

/// The names of the steps.
pub fn steps() -> [&'static str; STEPS.len()] {
    STEPS.map(|(name, _)| name)
}

/// Takes the steps that are named, every one if none is, whatever came of those
/// before, and says whether all went well.
pub fn check(names: &[String]) -> anyhow::Result<bool> {
    let root = workspace::root()?;
    let mut well = true;
    let named = |step: &&Step| names.is_empty() || names.iter().any(|name| name == step.0);
    for (name, step) in STEPS.iter().filter(named) {
        match step(&root) {
            Ok(()) => print(&format!("{name}: ok")),
            Err(found) => {
                print(&format!("{name}: FAILED\n{}", found.trim_end()));
                well = false;
            }
        }
    }
    Ok(well)
}

/// What a step comes to that has `found` this.
fn outcome(found: &[String]) -> Result<(), String> {
    match found {
        [] => Ok(()),
        found => Err(found.join("\n")),
    }
}

fn fmt(root: &Path) -> Result<(), String> {
    cargo(root, &["fmt", "--all", "--check"], &[])
}

fn clippy(root: &Path) -> Result<(), String> {
    let args = ["clippy", "--workspace", "--all-targets"];
    cargo(root, &[&args[..], &["--", "-D", "warnings"]].concat(), &[])
}

fn docs(root: &Path) -> Result<(), String> {
    let args = ["doc", "--workspace", "--no-deps"];
    cargo(root, &args, &[("RUSTDOCFLAGS", "-D warnings")])
}

/// Cargo's own lines show how far it is, and what is wrong with the code.
fn cargo(root: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<(), String> {
    let mut command = workspace::cargo(root);
    command.args(args).envs(env.iter().copied());
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot start cargo: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stdout).into_owned())
}
