//! How large each model's crate is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use results::{OfModel, Size};
use suite::Workload;

use crate::workspace;

/// Counts the lines of code of a text of Rust, and how often `unsafe` is in it. `None`
/// if it is not Rust.
pub type Count = fn(&str) -> Option<(usize, usize)>;

/// The sizes of `models`, as they are at `root`; nothing of how they build.
///
/// # Errors
///
/// When a file cannot be read or is not Rust, or cargo does not tell what a model
/// depends on.
pub fn sizes(root: &Path, models: &[String], count: Count) -> anyhow::Result<Vec<OfModel>> {
    let of = |model: &String| {
        Ok(OfModel {
            model: model.clone(),
            size: size(root, model, count)?,
            build: None,
        })
    };
    models.iter().map(of).collect()
}

fn size(root: &Path, model: &str, count: Count) -> anyhow::Result<Size> {
    let (mut lines, mut unsafes) = (0, 0);
    let mut directories = vec![
        root.join("crates")
            .join(workspace::package(model))
            .join("src"),
    ];
    while let Some(directory) = directories.pop() {
        for path in entries(&directory)? {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let (of_file, unsafes_of_file) = file(&path, count)?;
                lines += of_file;
                unsafes += unsafes_of_file;
            }
        }
    }
    let of_workload = |workload: &Workload| {
        let path = workspace::source(root, model, workload.name());
        Ok((workload.name().to_owned(), file(&path, count)?.0))
    };
    Ok(Size {
        workload_lines: Workload::ALL
            .iter()
            .map(of_workload)
            .collect::<anyhow::Result<_>>()?,
        lines,
        unsafes,
        dependencies: dependencies(root, model)?,
    })
}

fn entries(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    });
    entries.with_context(|| format!("cannot read {}", directory.display()))
}

/// Lines of code of a file, and how often `unsafe` is in it.
fn file(path: &Path, count: Count) -> anyhow::Result<(usize, usize)> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    count(&text).with_context(|| format!("{} is not Rust", path.display()))
}

/// How many packages from elsewhere a model is built with, on this platform and
/// with the features of its own build. Packages of the same name and of two
/// versions are two.
fn dependencies(root: &Path, model: &str) -> anyhow::Result<usize> {
    let package = workspace::package(model);
    let part = ["--package", &package, "--edges", "normal,build"];
    let args = [&part[..], &["--no-dedupe", "--format", "{p}"]].concat();
    Ok(packages(&workspace::cargo_tree(root, &args)?))
}

/// A package of the workspace stands there with its path.
fn packages(tree: &str) -> usize {
    let lines = tree
        .lines()
        .map(|line| line.trim_end_matches(" (proc-macro)"));
    let from_elsewhere = lines.filter(|line| !line.is_empty() && !line.ends_with(')'));
    from_elsewhere.collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_from_elsewhere_counts_once() {
        let tree = "model-x v0.1.0 (/a (b)/crates/model-x)\nhttp v1.0.0\nsuite v0.1.0 (/a/suite)\n\
                    http v1.0.0\nhttp v0.2.0\nserde_derive v1.0.0 (proc-macro)\n\n";
        assert_eq!(packages(tree), 3);
    }

    #[test]
    fn each_file_and_package_counts() {
        let root = workspace::root().expect("a checkout");
        let names = ["serial", "tokio"].map(str::to_owned);
        let all = sizes(&root, &names, |text| Some((text.lines().count(), 1)));
        let all = all.expect("they can be read");
        let [serial, tokio] = &all[..] else {
            panic!("{all:?}");
        };
        for OfModel { size, .. } in &all {
            let of_workloads: usize = size.workload_lines.iter().map(|(_, lines)| lines).sum();
            assert_eq!(size.workload_lines.len(), Workload::ALL.len());
            assert!(of_workloads > 0 && of_workloads < size.lines, "{size:?}");
            assert!(size.unsafes > Workload::ALL.len(), "one a file: {size:?}");
        }
        assert!(serial.size.dependencies < tokio.size.dependencies);
        assert!(sizes(&root, &names, |_| None).is_err());
    }
}
