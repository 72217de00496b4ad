//! Where things are in this checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the workspace that this was built in.
pub fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
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
