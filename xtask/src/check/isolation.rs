//! No model links another model's runtime, and each of this project's own crates
//! depends only on those that it may.

use std::collections::BTreeMap;
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use lab::models::{self, Model};
use lab::workspace;

/// What each of this project's crates may depend on, of its own crates. What only
/// tests and benches have is not looked at. Every model is `model-*`.
const OWN: &[(&str, &[&str])] = &[
    (
        "suite",
        &[
            "transfer",
            "http-serve",
            "http-proxy",
            "port-scan",
            "chat-room",
            "file-send",
        ],
    ),
    ("features", &[]),
    ("transfer", &["features"]),
    ("origin", &["features", "load"]),
    ("load", &["features"]),
    ("file-send", &["features", "transfer"]),
    ("http-hyper", &["transfer"]),
    ("http-ureq", &["transfer"]),
    ("http-head", &["features"]),
    ("http-serve", &["features", "http-head"]),
    ("http-proxy", &["http-head"]),
    ("port-scan", &["features"]),
    ("chat-room", &["features"]),
    (
        "runner",
        &[
            "suite",
            "origin",
            "transfer",
            "load",
            "http-proxy",
            "port-scan",
            "chat-room",
            "file-send",
        ],
    ),
    (
        "harness",
        &[
            "runner",
            "suite",
            "origin",
            "transfer",
            "file-send",
            "http-serve",
            "http-proxy",
            "chat-room",
        ],
    ),
    (
        "model-*",
        &[
            "runner",
            "suite",
            "transfer",
            "file-send",
            "http-hyper",
            "http-ureq",
            "http-head",
            "http-serve",
            "http-proxy",
            "chat-room",
        ],
    ),
    ("results", &[]),
    ("analysis", &["results", "suite"]),
    ("lab", &["suite", "runner", "origin", "transfer", "results"]),
    (
        "compare",
        &["lab", "analysis", "results", "suite", "runner", "origin"],
    ),
    ("report", &["results", "suite"]),
    ("faults", &["lab", "origin", "runner", "suite"]),
    (
        "xtask",
        &[
            "analysis", "compare", "faults", "lab", "origin", "report", "results", "runner",
            "suite", "transfer",
        ],
    ),
];

/// What no model's program may have in it, of other people's packages.
const NEVER: [&str; 1] = ["criterion"];

/// Every model links only its own runtime, and every crate depends only on what it may.
pub fn check(root: &Path) -> Result<(), String> {
    let cannot = |error| format!("cargo does not tell what there is: {error}");
    let mut command = MetadataCommand::new();
    let metadata = command.current_dir(root).no_deps().exec().map_err(cannot)?;
    let mut found = own_crates(&metadata);
    let models = models::models(root).map_err(|error| format!("{error:#}"))?;
    for model in &models {
        found.extend(foreign(&models, model, &packages(root, model.name())?));
    }
    super::outcome(&found)
}

/// The dependencies among this project's own crates that [`OWN`] does not allow.
fn own_crates(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    let is_own = |name: &str| metadata.packages.iter().any(|own| own.name == name);
    for package in &metadata.packages {
        let row = match package.name.starts_with("model-") {
            true => "model-*",
            false => &package.name,
        };
        let Some((_, allowed)) = OWN.iter().find(|(name, _)| *name == row) else {
            let name = &package.name;
            found.push(format!(
                "{name}: nothing says which crates it may depend on"
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let name = &*dependency.name;
            let counts = dependency.kind != DependencyKind::Development && is_own(name);
            if counts && !allowed.contains(&name) {
                let may = match allowed {
                    [] => "no other crate of this project".to_owned(),
                    allowed => allowed.join(", "),
                };
                found.push(format!(
                    "{} depends on {name}: it may on {may}",
                    package.name
                ));
            }
        }
    }
    found
}

/// The packages in `model`'s binary that are others' runtimes.
fn foreign(models: &[Model], model: &Model, packages: &Packages) -> Vec<String> {
    let own = workspace::package(model.name());
    let mut found = Vec::new();
    for (package, on) in packages {
        if NEVER.contains(&&**package) {
            found.push(format!("{own} links {package}: no model may"));
        }
        // With the features that make it one, of all that list it.
        let as_runtime = models.iter().filter_map(|owner| {
            let mut runtime = owner.runtime.iter();
            let known = runtime.find(|known| known.package == *package)?;
            Some((owner.name(), &known.features))
        });
        let owners: Vec<_> = as_runtime.collect();
        if model.may_link.contains(package) {
            continue;
        }
        if owners.iter().any(|(owner, _)| *owner == model.name()) {
            continue;
        }
        let is_runtime =
            |features: &[String]| features.is_empty() || on.iter().any(|on| features.contains(on));
        if let Some((_, features)) = owners.iter().find(|(_, features)| is_runtime(features)) {
            let with = match &features[..] {
                [] => String::new(),
                features => format!(" with one of {}", features.join(", ")),
            };
            let owners: Vec<_> = owners.iter().map(|(owner, _)| *owner).collect();
            let owners = owners.join(" and model-");
            found.push(format!(
                "{own} links {package}{with}: only model-{owners} may"
            ));
        }
    }
    found
}

/// Packages by name, with the features that are on.
type Packages = BTreeMap<String, Vec<String>>;

/// All that the model's binary links.
fn packages(root: &Path, model: &str) -> Result<Packages, String> {
    let package = workspace::package(model);
    let part = ["--package", &package, "--edges", "normal"];
    let args = [&part[..], &["--no-dedupe", "--format", "{p}|{f}"]].concat();
    let tree = workspace::cargo_tree(root, &args);
    Ok(parse(&tree.map_err(|error| format!("{error:#}"))?))
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
    use serde_json::{Value, json};

    use super::*;

    /// This workspace's metadata after a change to a package.
    fn changed(package: &str, change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut command = MetadataCommand::new();
        let root = workspace::root().expect("a checkout");
        let metadata = command.current_dir(root).no_deps().exec();
        let mut metadata = serde_json::to_value(metadata.expect("cargo tells")).expect("JSON");
        let mut packages = metadata["packages"].as_array_mut().into_iter().flatten();
        let package = packages.find(|known| known["name"] == package);
        change(package.expect("it is there"));
        own_crates(&serde_json::from_value(metadata).expect("metadata"))
    }

    /// What is found after `package` has got another dependency.
    fn with(package: &str, dependency: &str, kind: Value) -> Vec<String> {
        changed(package, |package| {
            let dependencies = package["dependencies"].as_array_mut().expect("a list");
            let mut new = dependencies[0].clone();
            (new["name"], new["kind"]) = (dependency.into(), kind);
            dependencies.push(new);
        })
    }

    #[test]
    fn a_dependency_against_any_rule_is_found() {
        for (package, dependency) in [
            ("features", "suite"),
            ("suite", "runner"),
            ("transfer", "suite"),
            ("origin", "suite"),
            ("http-hyper", "suite"),
            ("http-ureq", "http-hyper"),
            ("http-serve", "transfer"),
            ("http-head", "suite"),
            ("http-proxy", "suite"),
            ("port-scan", "suite"),
            ("chat-room", "suite"),
            ("file-send", "suite"),
            ("runner", "results"),
            ("harness", "lab"),
            ("results", "suite"),
            ("analysis", "lab"),
            ("lab", "analysis"),
            ("compare", "report"),
            ("report", "lab"),
            ("faults", "results"),
            ("xtask", "harness"),
            ("model-tokio", "model-smol"),
            ("model-tokio", "harness"),
            ("model-tokio", "results"),
            ("model-tokio", "lab"),
            ("model-tokio", "compare"),
            ("model-tokio", "report"),
            ("model-tokio", "faults"),
            ("model-tokio", "analysis"),
            ("model-tokio", "xtask"),
            ("model-cluster", "model-tokio"),
            ("model-cluster", "faults"),
        ] {
            for kind in [Value::Null, json!("build")] {
                let found = with(package, dependency, kind);
                let says = format!("{package} depends on {dependency}: it may on ");
                assert_eq!(found.len(), 1, "{found:?}");
                assert!(found[0].starts_with(&says), "{found:?}");
            }
        }
        let rows: Vec<_> = OWN.iter().map(|(name, _)| *name).collect();
        assert_eq!(rows.len(), 23, "a rule for {rows:?} needs a line above");
        assert_eq!(with("model-tokio", "harness", json!("dev")), [""; 0]);
        let unknown = changed("suite", |package| package["name"] = "sweet".into());
        assert!(unknown[0].starts_with("sweet: nothing says"), "{unknown:?}");
    }

    #[test]
    fn the_runtime_of_another_model_is_found() {
        let models = models::models(&workspace::root().expect("a checkout")).expect("models");
        let smol = models::find(&models, "", "smol").expect("a model");
        let tree = "model-smol v0.1.0 (/work)|\nhyper v1.12.0|client\ntokio v1.54.0|sync\n";
        let foreign = |tree: &str| foreign(&models, smol, &parse(tree));
        assert_eq!(foreign(tree), Vec::<String>::new());
        assert_eq!(foreign("async-io v2.0.0|\n"), [""; 0]);
        for (line, says) in [
            ("rayon v1.12.0|", "only model-thread may"),
            (
                "crossbeam-channel v0.5.0|",
                "only model-thread and model-process may",
            ),
            ("criterion v0.8.2|", "no model may"),
            ("async-global-executor v2.4.1|", "only model-async-std may"),
            ("async-nats v0.51.0|jetstream", "only model-cluster may"),
        ] {
            let found = foreign(&format!("{tree}{line}\n"));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(says), "{found:?}");
        }
        // smol may link tokio, as its manifest says; a model whose does not, may not.
        let serial = models::find(&models, "", "serial").expect("a model");
        let found = super::foreign(&models, serial, &parse("tokio v1.54.0|rt\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("with one of rt"), "{found:?}");
    }

    #[test]
    fn a_model_may_have_what_its_client_library_brings_and_no_more() {
        let models = models::models(&workspace::root().expect("a checkout")).expect("models");
        let cluster = models::find(&models, "", "cluster").expect("a model");
        let tree = "model-cluster v0.1.0 (/work)|\nasync-nats v0.51.0|jetstream\n\
                    tokio v1.54.0|rt,net\n";
        assert_eq!(foreign(&models, cluster, &parse(tree)), [""; 0]);
        let tree = format!("{tree}async-io v2.0.0|\n");
        let found = foreign(&models, cluster, &parse(&tree));
        assert_eq!(found.len(), 1, "{found:?}");
        let says = "model-cluster links async-io: ";
        assert!(found[0].starts_with(says), "{found:?}");
    }
}
