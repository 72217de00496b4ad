//! Every part of the workspace is built with the features of the whole.
//!
//! Cargo adds up what the packages that it builds at once ask of a dependency. If a
//! part alone asks for less than the whole does, Cargo builds the dependency again for
//! it, and what is measured depends on what it was built with. A model whose manifest says that it
//! is built alone is no part of the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lab::{models, workspace};

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
pub fn check(root: &Path) -> Result<(), String> {
    let alone = models::built_alone(root).map_err(|error| format!("{error:#}"))?;
    let mut all = vec!["--workspace", "--edges", "normal,build,dev"];
    all.extend(alone.iter().flat_map(|package| ["--exclude", package]));
    let whole = resolve(root, &all)?;
    let mut differ: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    let members = members(root)?;
    for member in members.iter().filter(|member| !alone.contains(*member)) {
        for edges in PARTS {
            let part = resolve(root, &["--package", member, "--edges", edges])?;
            for package in part.difference(&whole) {
                let parts = differ.entry(package.clone()).or_default();
                parts.insert(member.clone());
            }
        }
    }
    let lines: Vec<_> = differ
        .iter()
        .map(|((package, features), parts)| {
            let of_all: Vec<_> = whole
                .iter()
                .filter(|(name, _)| name == package)
                .map(|(_, features)| features.as_str())
                .collect();
            format!(
                "{package} has the features [{features}] in a build of {}, and [{}] in one of \
                 everything: ask for the same in crates/features, or where it is depended on",
                Vec::from_iter(parts.iter().map(String::as_str)).join(", "),
                of_all.join("] or ["),
            )
        })
        .collect();
    super::outcome(&lines)
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
/// Those of the workspace, which have a path, are passed over: they have none.
fn parse(line: &str) -> Option<(String, String)> {
    let (package, features) = line.trim_end_matches(" (*)").split_once('|')?;
    (!package.contains("(/")).then(|| (package.to_owned(), features.to_owned()))
}

fn tree(root: &Path, args: &[&str]) -> Result<String, String> {
    workspace::cargo_tree(root, args).map_err(|error| format!("{error:#}"))
}
