//! No model links another model's runtime.

use std::collections::BTreeMap;
use std::path::Path;

use crate::plan::MODELS;
use crate::workspace;

/// A package that makes a runtime, and who may have it.
struct Rule {
    package: &'static str,
    /// If any: it is one only with one of these features.
    features: &'static [&'static str],
    models: &'static [&'static str],
}

const fn rule(package: &'static str, models: &'static [&'static str]) -> Rule {
    Rule {
        package,
        features: &[],
        models,
    }
}

const RULES: &[Rule] = &[
    // hyper has its channels, which run nothing by themselves; that nothing else of it
    // is in the others' programs, `symbols` sees.
    rule("tokio", &["tokio", "async-std", "smol"]),
    rule("async-std", &["async-std"]),
    rule("async-global-executor", &["async-std"]),
    rule("surf", &["async-std"]),
    rule("smol", &["smol"]),
    // An adapter for any stream of futures-io; only with this feature it is more.
    Rule {
        package: "smol-hyper",
        features: &["smol"],
        models: &["smol"],
    },
    // Two APIs over one engine.
    rule("async-executor", &["async-std", "smol"]),
    rule("async-io", &["async-std", "smol"]),
    rule("blocking", &["async-std", "smol"]),
    rule("rayon", &["thread"]),
    rule("rayon-core", &["thread"]),
    // ipc-channel routes messages over it.
    rule("crossbeam-channel", &["thread", "process"]),
    rule("ipc-channel", &["process"]),
    // The harness is for tests and benches: it may link anything.
    rule("harness", &[]),
    rule("criterion", &[]),
    rule("xtask", &[]),
];

/// Every model links only its own runtime.
///
/// # Errors
///
/// With who links whose.
pub fn check(root: &Path) -> Result<(), String> {
    let mut found = String::new();
    for model in MODELS {
        for line in strangers(model, &packages(root, model)?) {
            found += &format!("{line}\n");
        }
    }
    match found.is_empty() {
        true => Ok(()),
        false => Err(found),
    }
}

/// The packages in `model`'s binary that it must not have.
fn strangers(model: &str, packages: &Packages) -> Vec<String> {
    let own = workspace::package(model);
    let mut found = Vec::new();
    for (package, features) in packages {
        let another = MODELS
            .iter()
            .any(|model| *package == workspace::package(model));
        if another && *package != own {
            found.push(format!(
                "{own} links {package}: models know nothing of each other"
            ));
        }
        let breaks = |rule: &&Rule| {
            let as_runtime = rule.features.is_empty()
                || features.iter().any(|on| rule.features.contains(&&**on));
            rule.package == package && as_runtime && !rule.models.contains(&model)
        };
        if let Some(rule) = RULES.iter().find(breaks) {
            let with = match rule.features {
                [] => String::new(),
                features => format!(" with one of {}", features.join(", ")),
            };
            let owners = match rule.models {
                [] => "no model may".to_owned(),
                owners => format!("only model-{} may", owners.join(" and model-")),
            };
            found.push(format!("{own} links {package}{with}: {owners}"));
        }
    }
    found
}

/// Packages by name, with the features that are on.
type Packages = BTreeMap<String, Vec<String>>;

/// All that the model's binary links.
fn packages(root: &Path, model: &str) -> Result<Packages, String> {
    // `cargo metadata` knows only the features of a build of the whole
    // workspace, which nobody measures; `cargo tree -p` those of a build with -p.
    let package = workspace::package(model);
    let output = workspace::cargo(root)
        .args([
            "tree",
            "--quiet",
            "--edges",
            "normal",
            "--package",
            &package,
        ])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}|{f}"])
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Lines like `tokio v1.54.0 (/path)|rt,sync`.
fn parse(tree: &str) -> Packages {
    let mut packages = Packages::new();
    for line in tree.lines() {
        let (package, features) = line.rsplit_once('|').unwrap_or((line, ""));
        let Some(name) = package.split_whitespace().next() else {
            continue;
        };
        let on = packages.entry(name.to_owned()).or_default();
        // Two versions of a package count as one with the features of both.
        for feature in features.split(',').filter(|feature| !feature.is_empty()) {
            if !on.iter().any(|known| known == feature) {
                on.push(feature.to_owned());
            }
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_isolated() {
        assert_eq!(check(&workspace::root()), Ok(()));
    }

    #[test]
    fn strangers_are_named() {
        let tree = "model-async-std v0.1.0 (/work)|\nsmol-hyper v0.1.1|\ntokio v1.54.0|rt\n";
        assert_eq!(strangers("async-std", &parse(tree)), Vec::<String>::new());
        for (line, says) in [
            (
                "smol-hyper v0.1.1|smol",
                "links smol-hyper with one of smol",
            ),
            ("rayon v1.12.0|", "only model-thread may"),
            ("model-tokio v0.1.0 (/work)|", "know nothing of each other"),
            ("harness v0.1.0 (/work)|", "no model may"),
            ("smol v2.0.2|", "only model-smol may"),
        ] {
            let found = strangers("async-std", &parse(&format!("{tree}{line}\n")));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(says), "{found:?}");
        }
    }
}
