//! Every model crate has the same files, and the tree has only those.
//!
//! Symmetry is the product: `diff crates/model-smol/src/counter.rs
//! crates/model-tokio/src/counter.rs` is worth reading only while both exist
//! and begin alike.

use std::fs;
use std::path::Path;

use lab::models::{self, Model};
use lab::workspace;
use results::Kind;
use suite::Workload;

/// What stands at the top, beside what git ignores.
const TOP: &[&str] = &[
    ".cargo",
    ".ci",
    ".github",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "crates",
    "results",
    "rust-toolchain.toml",
    "xtask",
];

/// What git keeps, builds and other tools leave there.
const IGNORED: &[&str] = &[".git", "target"];

/// Files that a model crate has, from its own root, beside its workloads.
const COMMON: &[&str] = &[
    "Cargo.toml",
    "benches/suite.rs",
    // Clients that are set up once, for fetch and download.
    "src/http.rs",
    "src/lib.rs",
    "src/main.rs",
    // What serve and proxy share: who is accepted, and what is asked next.
    "src/server.rs",
    "tests/conformance.rs",
];

/// How each workload's file begins, in this order: the first things that a reader asks.
const OPENING: [&str; 3] = ["Unit: ", " Shares: ", " Ends: "];

/// The tree has the files it should have, and no others.
pub fn check(root: &Path) -> Result<(), String> {
    let mut found = Vec::new();
    for name in names(root)? {
        if !TOP.contains(&&*name) && !IGNORED.contains(&&*name) {
            found.push(format!("{name} does not belong at the top"));
        }
    }
    let models = models::models(root).map_err(|error| format!("{error:#}"))?;
    for model in &models {
        let crate_root = root.join("crates").join(workspace::package(model.name()));
        model_crate(root, model, &crate_root, &mut found)?;
    }
    for workload in Workload::ALL {
        translations(root, &models, workload.name(), &mut found);
    }
    super::outcome(&found)
}

/// Whether a file's first paragraph has the opening's parts, in their order.
fn opens(text: &str) -> bool {
    let lines = text.lines().map_while(|line| line.strip_prefix("//! "));
    let paragraph = lines.collect::<Vec<_>>().join(" ");
    let mut rest = paragraph.as_str();
    rest.starts_with(OPENING[0])
        && OPENING.iter().all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
}

/// A workload's files read like translations of one text: what two models call alike
/// comes in the same order, and models of tasks have the same functions.
fn translations(root: &Path, models: &[Model], workload: &str, found: &mut Vec<String>) {
    // One that is missing is found elsewhere.
    let read = |model: &Model| {
        let text = fs::read_to_string(workspace::source(root, model.name(), workload));
        (
            model.name().to_owned(),
            model.info.kind,
            functions(&text.unwrap_or_default()),
        )
    };
    let mut texts: Vec<_> = models.iter().map(read).collect();
    texts.retain(|(_, _, functions)| !functions.is_empty());
    for (at, (one, kind, ours)) in texts.iter().enumerate() {
        for (other, others_kind, theirs) in &texts[at + 1..] {
            let common = |from: &[String], with: &[String]| -> Vec<String> {
                from.iter()
                    .filter(|name| with.contains(name))
                    .cloned()
                    .collect()
            };
            let (first, second) = (common(ours, theirs), common(theirs, ours));
            if first != second {
                found.push(format!(
                    "{workload}: {one} has {} in this order, {other} {}",
                    first.join(", "),
                    second.join(", ")
                ));
            } else if kind == others_kind && *kind == Kind::Task && ours != theirs {
                found.push(format!(
                    "{workload}: {one} has the functions {}, {other} {}",
                    ours.join(", "),
                    theirs.join(", ")
                ));
            }
        }
    }
}

/// The names of a file's functions and methods, in their order.
fn functions(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let name = |line: &str| {
        let mut line = line.trim_start();
        for word in ["pub ", "pub(crate) ", "async "] {
            line = line.strip_prefix(word).unwrap_or(line);
        }
        let rest = line.strip_prefix("fn ")?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        Some(rest[..end].to_owned())
    };
    code.lines().filter_map(name).collect()
}

fn model_crate(
    root: &Path,
    model: &Model,
    crate_root: &Path,
    found: &mut Vec<String>,
) -> Result<(), String> {
    let package = workspace::package(model.name());
    let mut expected: Vec<String> = COMMON.iter().map(|file| (*file).to_owned()).collect();
    for workload in Workload::ALL {
        let path = workspace::source(root, model.name(), workload.name());
        let file = path.strip_prefix(crate_root).unwrap_or(&path);
        expected.push(file.display().to_string());
        // One that is missing is found below.
        let text = fs::read_to_string(&path).unwrap_or_default();
        if path.exists() && !opens(&text) {
            found.push(format!(
                "{package}/{}: does not begin with `//! {}`",
                file.display(),
                OPENING.join("…")
            ));
        }
    }
    let present = files(crate_root)?;
    for file in &expected {
        if !present.contains(file) {
            found.push(format!("{package}/{file}: missing"));
        }
    }
    let covers = |extra: &str, file: &str| match extra.ends_with('/') {
        true => file.starts_with(extra),
        false => file == extra,
    };
    let allowed = |file: &String| {
        let mut extra = model.extra_files.iter();
        expected.contains(file) || extra.any(|extra| covers(extra, file))
    };
    for extra in &model.extra_files {
        if !present.iter().any(|file| covers(extra, file)) {
            found.push(format!(
                "{package}/{extra}: its manifest names it, and it is missing"
            ));
        }
    }
    for file in present.iter().filter(|file| !allowed(file)) {
        found.push(format!("{package}/{file}: no other model has it"));
    }
    Ok(())
}

/// All files below `directory`, relative to it.
fn files(directory: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut next = vec![String::new()];
    while let Some(relative) = next.pop() {
        for name in names(&directory.join(&relative))? {
            let path = match relative.is_empty() {
                true => name,
                false => format!("{relative}/{name}"),
            };
            match directory.join(&path).is_dir() {
                true => next.push(path),
                false => found.push(path),
            }
        }
    }
    Ok(found)
}

fn names(directory: &Path) -> Result<Vec<String>, String> {
    let cannot = |error| format!("cannot read {}: {error}", directory.display());
    let entries = fs::read_dir(directory).map_err(cannot)?;
    let names = entries.map(|entry| Ok(entry.map_err(cannot)?.file_name()));
    let mut names = names
        .map(|name| name.map(|name| name.to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>, String>>()?;
    names.sort();
    Ok(names)
}
