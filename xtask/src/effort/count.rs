//! How large each model's crate is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use lab::workspace;
use report::highlight::RustCode;
use results::{OfModel, Size};
use suite::Workload;

/// The sizes of `models`, as they are at `root`; nothing of how they build.
pub(crate) fn models(root: &Path, models: &[String]) -> anyhow::Result<Vec<OfModel>> {
    let of = |model: &String| {
        Ok(OfModel {
            model: model.clone(),
            size: size(root, model)?,
            build: None,
        })
    };
    models.iter().map(of).collect()
}

fn size(root: &Path, model: &str) -> anyhow::Result<Size> {
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
                let (of_file, unsafes_of_file) = file(&path)?;
                lines += of_file;
                unsafes += unsafes_of_file;
            }
        }
    }
    let of_workload = |workload: &Workload| {
        let path = workspace::source(root, model, workload.name());
        Ok((workload.name().to_owned(), file(&path)?.0))
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
fn file(path: &Path) -> anyhow::Result<(usize, usize)> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let code = RustCode::of(&text).with_context(|| format!("{} is not Rust", path.display()))?;
    Ok((code.lines(), code.unsafes()))
}

/// How many packages from elsewhere a model is built with, on this platform and
/// with the features of its own build. Packages of the same name and of two
/// versions are two.
fn dependencies(root: &Path, model: &str) -> anyhow::Result<usize> {
    // `cargo metadata` knows only the features of a build of the whole workspace.
    let package = workspace::package(model);
    let output = workspace::cargo(root)
        .args(["tree", "--quiet", "--package", &package])
        .args(["--edges", "normal,build", "--prefix", "none", "--no-dedupe"])
        .args(["--format", "{p}"])
        .output()
        .context("cannot start cargo")?;
    ensure!(
        output.status.success(),
        "cargo does not tell what {package} depends on: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(packages(&String::from_utf8_lossy(&output.stdout)))
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
    fn the_models_of_this_workspace_have_a_size() {
        let root = workspace::root().expect("a checkout");
        let names = ["serial", "process", "tokio"].map(str::to_owned);
        let models = models(&root, &names).expect("they can be read");
        let [serial, process, tokio] = &models[..] else {
            panic!("{models:?}");
        };
        for of in &models {
            let size = &of.size;
            let of_workloads: usize = size.workload_lines.iter().map(|(_, lines)| lines).sum();
            assert_eq!(size.workload_lines.len(), Workload::ALL.len());
            assert!(of_workloads > 0 && of_workloads < size.lines, "{of:?}");
        }
        // The lint that denies it elsewhere is at work.
        assert_eq!((serial.size.unsafes, tokio.size.unsafes), (0, 0));
        assert!(process.size.unsafes > 0);
        assert!(serial.size.dependencies < tokio.size.dependencies);
    }
}
