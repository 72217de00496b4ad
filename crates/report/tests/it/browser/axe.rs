//! axe-core, which finds what shuts people out of a page. It comes from its package,
//! is held against a known digest, and is kept below `target`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Tab, on_path, skip};

const PACKAGE: &str = "axe-core@4.14.1";
const FILE: &str = "axe-core-4.14.1.tgz";
const SHA256: &str = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745";

/// Its script. `None`, said aloud, if it cannot be had here.
///
/// # Panics
///
/// When what comes is not what is expected.
pub fn script() -> Option<String> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("axe-core");
    let package = cache.join(FILE);
    if !package.is_file() {
        fetch(&cache)?;
    }
    let bytes = fs::read(&package).expect("it is there");
    let digest: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(digest, SHA256, "{} is another one", package.display());
    let mut tar = Command::new("tar");
    let tar = tar.arg("-xzOf").arg(&package).arg("package/axe.min.js");
    let unpacked = tar.output().expect("there is a tar");
    assert!(unpacked.status.success(), "{unpacked:?}");
    Some(String::from_utf8(unpacked.stdout).expect("it is text"))
}

/// Has npm fetch the package into `cache`, whole or not at all.
fn fetch(cache: &Path) -> Option<()> {
    let Some(npm) = on_path("npm") else {
        skip("there is no npm on the path, which brings axe-core");
        return None;
    };
    fs::create_dir_all(cache).expect("a directory");
    let place = tempfile::tempdir_in(cache).expect("a directory");
    let fetched = pack(&npm, place.path());
    if !fetched.status.success() {
        let said = String::from_utf8_lossy(&fetched.stderr).into_owned();
        skip(&format!("npm does not bring {PACKAGE}: {said}"));
        return None;
    }
    fs::rename(place.path().join(FILE), cache.join(FILE)).expect("it is there");
    Some(())
}

fn pack(npm: &PathBuf, place: &Path) -> std::process::Output {
    let mut command = Command::new(npm);
    command
        .args(["pack", "--silent", PACKAGE])
        .current_dir(place);
    command.output().expect("it starts")
}

/// What it finds on a tab's page: a line each, with the rule, how bad it is, and
/// where.
pub fn findings(tab: &mut Tab, script: &str) -> Vec<String> {
    tab.evaluate(&format!("{script}; null"));
    let found = tab.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then((results) => results.violations
           .flatMap((rule) => rule.nodes.map((node) =>
             `${rule.id} (${rule.impact}): ${node.target} ${node.html.slice(0, 200)}`)))",
    );
    let lines = found.as_array().into_iter().flatten();
    lines.filter_map(Value::as_str).map(str::to_owned).collect()
}
