//! `cargo xtask check`: what is kept by a tool and not by memory.

pub mod isolation;
pub mod symmetry;

use std::path::Path;

use lab::progress::print;
use lab::workspace;

/// A step, by name: nothing, or all that it found.
type Step = (&'static str, fn(&Path) -> Result<(), String>);

const STEPS: [Step; 5] = [
    ("fmt", fmt),
    ("clippy", clippy),
    ("docs", docs),
    ("isolation", isolation::check),
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

/// All code is formatted.
///
/// # Errors
///
/// With what is not.
pub fn fmt(root: &Path) -> Result<(), String> {
    cargo(root, &["fmt", "--all", "--check"], &[])
}

fn clippy(root: &Path) -> Result<(), String> {
    let args = ["clippy", "--quiet", "--workspace", "--all-targets"];
    cargo(root, &[&args[..], &["--", "-D", "warnings"]].concat(), &[])
}

fn docs(root: &Path) -> Result<(), String> {
    let args = ["doc", "--quiet", "--workspace", "--no-deps"];
    cargo(root, &args, &[("RUSTDOCFLAGS", "-D warnings")])
}

fn cargo(root: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<(), String> {
    let mut command = workspace::cargo(root);
    let output = command.args(args).envs(env.iter().copied()).output();
    let output = output.map_err(|error| format!("cannot start cargo: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err([output.stdout, output.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat())
}
