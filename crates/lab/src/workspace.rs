//! Where things are in this checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The root of the workspace that this runs in: looked for when it runs, as a
/// checkout can be moved or copied with everything that was built in it.
///
/// Cargo says where the package is that it runs; without it, the current directory
/// counts.
pub fn root() -> anyhow::Result<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let current = std::env::current_dir().context("the current directory")?;
    let is_root = |directory: &&Path| directory.join("xtask/Cargo.toml").is_file();
    let starts = package.iter().chain([&current]);
    let mut roots = starts.filter_map(|start| start.ancestors().find(is_root));
    roots.next().map(Path::to_owned).with_context(|| {
        let current = current.display();
        format!("{current} is in no checkout of this project")
    })
}

/// A model's package, as cargo knows it.
pub fn package(model: &str) -> String {
    format!("model-{model}")
}

/// A model's source of a workload.
pub fn source(root: &Path, model: &str, workload: &str) -> PathBuf {
    let file = format!("{}.rs", workload.replace('-', "_"));
    root.join("crates")
        .join(package(model))
        .join("src")
        .join(file)
}

/// The cargo that runs this, at `root`.
pub fn cargo(root: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root);
    // These are about xtask, which cargo started, and would mislead a build.
    for (name, _) in std::env::vars_os() {
        let named = name.to_string_lossy();
        if named.starts_with("CARGO_PKG_") || named.starts_with("CARGO_MANIFEST") {
            command.env_remove(&name);
        }
    }
    command
}

/// What `cargo tree` lists, a package a line. `cargo metadata` would know only the
/// features of a build of the whole workspace.
///
/// # Errors
///
/// When cargo cannot be run, or fails: with what it says.
pub fn cargo_tree(root: &Path, args: &[&str]) -> anyhow::Result<String> {
    let mut command = cargo(root);
    command
        .args(["tree", "--quiet", "--prefix", "none"])
        .args(args);
    let output = command.output().context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
