//! The models of this workspace, as their manifests describe them: a crate called
//! `model-NAME` with a table `[package.metadata.paces]` is one.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, ensure};
use cargo_metadata::{Metadata, MetadataCommand};
use results::ModelInfo;
pub use results::{Color, Kind};
use serde::Deserialize;
use suite::{Invalid, Workload};

/// A model of the workspace.
#[derive(Debug, Clone)]
pub struct Model {
    /// What a comparison keeps of it.
    pub info: ModelInfo,
    /// Its limit of downloads at once in the article.
    pub article_limit: usize,
    /// The packages that are its runtime.
    pub runtime: Vec<Runtime>,
    /// Paths that its runtime's functions have in its program, in whole parts:
    /// `tokio::net` is no beginning of `tokio::network::x`. No other model's program may
    /// have such functions, unless it lists the same.
    pub symbols: Vec<String>,
    /// Packages of another model's runtime that it may link all the same: what of them
    /// is in its program, the symbols tell.
    pub may_link: Vec<String>,
    /// Files that other models do not need, relative to its crate, or directories of
    /// such files with a `/` at the end.
    pub extra_files: Vec<String>,
}

/// A package that is a model's runtime, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// Its name.
    pub package: String,
    /// If any: it is one only with one of these features.
    #[serde(default)]
    pub features: Vec<String>,
}

/// `[package.metadata.paces]`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    /// Its place in the tables. Models of the same one are sorted by their names.
    order: u32,
    kind: Kind,
    #[serde(default)]
    baseline: bool,
    color: Color,
    units: String,
    made_of: String,
    http: String,
    article_limit: usize,
    #[serde(default)]
    runtime: Vec<Runtime>,
    #[serde(default)]
    symbols: Vec<String>,
    /// Each with its reason.
    #[serde(default)]
    may_link: std::collections::BTreeMap<String, String>,
    /// If it is, with the reason.
    built_alone: Option<String>,
    /// By workload.
    #[serde(default)]
    notes: std::collections::BTreeMap<String, String>,
    /// Each with its reason.
    #[serde(default)]
    extra_files: std::collections::BTreeMap<String, String>,
}

impl Model {
    /// Its name on the command line and in every table.
    pub fn name(&self) -> &str {
        &self.info.name
    }
}

/// Every model of the workspace at `root`, in the order of the tables.
///
/// # Errors
///
/// When a manifest says too little, too much or something else than is asked: the
/// error names it, and the key.
pub fn models(root: &Path) -> anyhow::Result<Vec<Model>> {
    of_metadata(&metadata(root)?)
}

/// The packages of those that are built in a run of cargo of their own, so that no other model's
/// packages have features that only they ask for.
///
/// # Errors
///
/// When cargo does not say what there is.
pub fn built_alone(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let packages = metadata(root)?.packages.into_iter();
    let alone = packages.filter(|package| !package.metadata["paces"]["built-alone"].is_null());
    Ok(alone.map(|package| package.name.to_string()).collect())
}

fn metadata(root: &Path) -> anyhow::Result<Metadata> {
    MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .context("what models there are")
}

fn of_metadata(metadata: &Metadata) -> anyhow::Result<Vec<Model>> {
    let mut models = Vec::new();
    for package in &metadata.packages {
        let table = package.metadata.get("paces");
        let in_manifest = || format!("{}: package.metadata.paces", package.manifest_path);
        match (package.name.strip_prefix("model-"), table) {
            (Some(name), Some(table)) => {
                let table = Table::deserialize(table).with_context(in_manifest)?;
                models.push((table.order, model(name, table).with_context(in_manifest)?));
            }
            (None, None) => {}
            (Some(_), None) => anyhow::bail!("{} is missing", in_manifest()),
            (None, Some(_)) => anyhow::bail!(
                "{} of no model: their names begin with model-",
                in_manifest()
            ),
        }
    }
    models.sort_by(|(one, a), (other, b)| (one, a.name()).cmp(&(other, b.name())));
    let models: Vec<Model> = models.into_iter().map(|(_, model)| model).collect();
    let baselines: Vec<_> = models
        .iter()
        .filter(|model| model.info.baseline)
        .map(Model::name)
        .collect();
    ensure!(
        baselines.len() == 1,
        "one model has to have `baseline = true` in its package.metadata.paces, and these have: {}",
        baselines.join(", ")
    );
    Ok(models)
}

fn model(name: &str, table: Table) -> anyhow::Result<Model> {
    ensure!(
        table.article_limit > 0,
        "article-limit: has to be 1 or more"
    );
    for (key, text) in [
        ("units", &table.units),
        ("made-of", &table.made_of),
        ("http", &table.http),
    ] {
        ensure!(!text.trim().is_empty(), "{key}: is empty");
    }
    for workload in table.notes.keys() {
        let known = workload.parse::<Workload>();
        known.with_context(|| format!("notes: {workload} is no workload"))?;
    }
    for (file, why) in &table.extra_files {
        ensure!(!why.trim().is_empty(), "extra-files: {file} has no reason");
    }
    let is_empty = |why: &String| why.trim().is_empty();
    ensure!(
        !table.built_alone.as_ref().is_some_and(is_empty),
        "built-alone: has no reason"
    );
    Ok(Model {
        info: ModelInfo {
            name: name.to_owned(),
            kind: table.kind,
            baseline: table.baseline,
            color: table.color,
            units: table.units,
            made_of: table.made_of,
            http: table.http,
            runtime: table
                .runtime
                .iter()
                .map(|one| one.package.clone())
                .collect(),
            notes: table.notes,
        },
        article_limit: table.article_limit,
        runtime: table.runtime,
        symbols: table.symbols,
        may_link: table.may_link.into_keys().collect(),
        extra_files: table.extra_files.into_keys().collect(),
    })
}

/// The models that are named, in the order of the tables and each once; `all` names all. If none
/// is named, all but those of clusters: most machines have no server for them.
///
/// # Errors
///
/// When there is no model of a name: it says which there are.
pub fn select(models: &[Model], option: &str, names: &[String]) -> Result<Vec<Model>, Invalid> {
    let is_all = names.iter().any(|name| name == "all");
    for name in names.iter().filter(|name| *name != "all") {
        find(models, option, name)?;
    }
    let is_chosen = |model: &&Model| match names {
        [] => model.info.kind != Kind::Cluster,
        names => is_all || names.iter().any(|name| name == model.name()),
    };
    Ok(models.iter().filter(is_chosen).cloned().collect())
}

/// The model of that name.
///
/// # Errors
///
/// When there is none: it says which there are.
pub fn find<'a>(models: &'a [Model], option: &str, name: &str) -> Result<&'a Model, Invalid> {
    models
        .iter()
        .find(|model| model.name() == name)
        .ok_or_else(|| {
            let known = names(models).join(", ");
            Invalid::new(option, name, format!("has to be one of {known}"))
        })
}

/// Their names.
pub fn names(models: &[Model]) -> Vec<String> {
    models.iter().map(|model| model.name().to_owned()).collect()
}

/// The paths of functions that `model`'s program must not have: those of the other
/// models' runtimes.
pub fn forbidden_symbols<'a>(models: &'a [Model], model: &Model) -> Vec<&'a str> {
    let all = models.iter().flat_map(|other| &other.symbols);
    let mut forbidden: Vec<&str> = all
        .filter(|prefix| !model.symbols.contains(prefix))
        .map(String::as_str)
        .collect();
    forbidden.sort_unstable();
    forbidden.dedup();
    forbidden
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::workspace;

    /// This workspace's metadata with the table of a package changed.
    fn changed(package: &str, change: impl FnOnce(&mut Value)) -> anyhow::Result<Vec<Model>> {
        let root = workspace::root().expect("a checkout");
        let mut command = MetadataCommand::new();
        command.current_dir(root).no_deps();
        let metadata = command.exec().expect("cargo tells");
        let mut metadata = serde_json::to_value(metadata).expect("JSON");
        let mut packages = metadata["packages"].as_array_mut().into_iter().flatten();
        let package = packages.find(|known| known["name"] == package);
        change(&mut package.expect("it is there")["metadata"]);
        of_metadata(&serde_json::from_value(metadata).expect("metadata"))
    }

    #[test]
    fn the_models_are_in_the_order_of_the_tables() {
        let models = changed("suite", |_| {}).expect("they are well described");
        let names = names(&models);
        assert_eq!(
            names,
            [
                "serial",
                "thread",
                "process",
                "tokio",
                "async-std",
                "smol",
                "cluster"
            ]
        );
        let limits: Vec<_> = models.iter().map(|model| model.article_limit).collect();
        assert_eq!(limits, [1, 10, 4, 100, 100, 100, 4]);
        let unnamed = select(&models, "--models", &[]).expect("the default");
        assert_eq!(self::names(&unnamed), names[..6]);
        let all = select(&models, "--models", &["all".to_owned()]).expect("all");
        assert_eq!(self::names(&all), names);
        let chosen = select(
            &models,
            "--models",
            &["smol".to_owned(), "serial".to_owned()],
        );
        assert_eq!(
            self::names(&chosen.expect("there are such")),
            ["serial", "smol"]
        );
        let refused = select(&models, "--models", &["go".to_owned()]).expect_err("no such");
        assert!(
            refused.to_string().contains("serial, thread, process"),
            "{refused}"
        );
    }

    #[test]
    fn what_models_share_is_forbidden_to_the_others() {
        let models = changed("suite", |_| {}).expect("they are well described");
        let of = |name| forbidden_symbols(&models, find(&models, "", name).expect("a model"));
        assert!(of("smol").contains(&"tokio::time"));
        assert!(of("smol").contains(&"async_std"));
        assert!(!of("smol").contains(&"async_io") && of("tokio").contains(&"async_io"));
    }

    #[test]
    fn a_manifest_that_says_something_else_is_named() {
        type Change = fn(&mut Value);
        let cases: [(&str, Change, &[&str]); 10] = [
            (
                "model-smol",
                |of| *of = Value::Null,
                &["model-smol/Cargo.toml", "missing"],
            ),
            (
                "suite",
                |of| *of = json!({"paces": {}}),
                &["suite/Cargo.toml", "no model"],
            ),
            (
                "model-smol",
                |of| drop(of["paces"].as_object_mut().map(|of| of.remove("units"))),
                &["model-smol/Cargo.toml", "`units`"],
            ),
            (
                "model-smol",
                |of| of["paces"]["colour"] = "red".into(),
                &["model-smol/Cargo.toml", "`colour`"],
            ),
            (
                "model-smol",
                |of| of["paces"]["color"]["dark"] = "red".into(),
                &["model-smol/Cargo.toml", "red"],
            ),
            (
                "model-smol",
                |of| of["paces"]["kind"] = "fiber".into(),
                &["model-smol/Cargo.toml", "`fiber`"],
            ),
            (
                "model-smol",
                |of| of["paces"]["article-limit"] = 0.into(),
                &["model-smol/Cargo.toml", "article-limit"],
            ),
            (
                "model-process",
                |of| of["paces"]["extra-files"]["src/shm/"] = "".into(),
                &["model-process/Cargo.toml", "src/shm/"],
            ),
            (
                "model-process",
                |of| of["paces"]["notes"] = json!({"knitting": "by hand"}),
                &["model-process/Cargo.toml", "knitting is no workload"],
            ),
            (
                "model-smol",
                |of| of["paces"]["baseline"] = true.into(),
                &["serial, smol"],
            ),
        ];
        for (package, change, says) in cases {
            let error = changed(package, change).expect_err("it is wrong");
            let error = format!("{error:#}");
            assert!(says.iter().all(|says| error.contains(says)), "{error}");
        }
    }
}
