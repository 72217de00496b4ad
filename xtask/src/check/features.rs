//! Every part of the workspace is built with the features of the whole.
//!
//! Cargo adds up what the packages that it builds at once ask of a dependency. If a
//! part alone asks for less than the whole does, Cargo builds the dependency again for
//! it, and what is measured depends on what it was built with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lab::workspace;

/// What is built of a package alone, as edges of Cargo's tree: two parts that both
/// agree with the whole agree with it when they are built together, too.
const PARTS: [&str; 2] = [
    // Its library and its program.
    "normal,build",
    // Its tests and benches.
    "normal,build,dev",
];

/// A package's name and version, and its features, by commas.
type Resolved = BTreeSet<(String, String)>;

/// Every package of the workspace has, built alone, the features that it has in a
/// build of the whole; and so has everything beneath it.
///
/// # Errors
///
/// With the packages that have other features, and where.
pub fn check(root: &Path) -> Result<(), String> {
    let whole = resolve(root, &["--workspace", "--edges", "normal,build,dev"])?;
    let mut differ: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for member in members(root)? {
        for edges in PARTS {
            let part = resolve(root, &["--package", &member, "--edges", edges])?;
            for package in part.difference(&whole) {
                let parts = differ.entry(package.clone()).or_default();
                parts.insert(member.clone());
            }
        }
    }
    if differ.is_empty() {
        return Ok(());
    }
    let lines = differ
        .iter()
        .map(|((package, features), parts)| {
            let of_all: Vec<_> = whole
                .iter()
                .filter(|(name, _)| name == package)
                .map(|(_, features)| features.as_str())
                .collect();
            format!(
                "{package} has the features [{features}] in a build of {}, and [{}] in one of \
                 everything: ask for the same in crates/features, or where it is depended on\n",
                Vec::from_iter(parts.iter().map(String::as_str)).join(", "),
                of_all.join("] or ["),
            )
        })
        .collect();
    Err(lines)
}

/// The packages of the workspace, but for the one that only asks for features, and
/// `results`: it is data, which nothing builds alone, and has no part in a measurement.
fn members(root: &Path) -> Result<Vec<String>, String> {
    let listed = tree(root, &["--workspace", "--depth", "0", "--format", "{p}"])?;
    let names = listed
        .lines()
        .filter_map(|line| Some(line.split_once(' ')?.0))
        .filter(|name| !["features", "results"].contains(name));
    Ok(names.map(str::to_owned).collect())
}

fn resolve(root: &Path, part: &[&str]) -> Result<Resolved, String> {
    let listed = tree(root, &[part, &["--format", "{p}|{f}"]].concat())?;
    Ok(listed.lines().filter_map(parse).collect())
}

/// A line like `tokio v1.54.0|rt,sync (*)`, where the mark is for what was there before.
/// Those of the workspace, which have a path, are passed over: their only feature is for
/// tests.
fn parse(line: &str) -> Option<(String, String)> {
    let (package, features) = line.trim_end_matches(" (*)").split_once('|')?;
    (!package.contains("(/")).then(|| (package.to_owned(), features.to_owned()))
}

fn tree(root: &Path, args: &[&str]) -> Result<String, String> {
    let output = workspace::cargo(root)
        .args(["tree", "--quiet", "--prefix", "none"])
        .args(args)
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_agrees() {
        assert_eq!(check(&workspace::root().expect("a checkout")), Ok(()));
    }
}
