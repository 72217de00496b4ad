//! What a comparison keeps of the models that there were.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// What a model's units are: what the article's claims are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It does one thing after the other.
    Serial,
    /// Operating system threads.
    Thread,
    /// Child processes.
    Process,
    /// Tasks of a runtime.
    Task,
    /// Processes that may be on other machines.
    Cluster,
}

/// A color as CSS has it: `#` and six hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rgb(String);

impl TryFrom<String> for Rgb {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix('#').unwrap_or_default();
        match digits.len() == 6 && digits.chars().all(|c| c.is_ascii_hexdigit()) {
            true => Ok(Self(text)),
            false => Err(format!("{text:?} is not a color such as #0b66b5")),
        }
    }
}

impl From<Rgb> for String {
    fn from(color: Rgb) -> Self {
        color.0
    }
}

impl std::fmt::Display for Rgb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a model is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Color {
    /// On a light page.
    pub light: Rgb,
    /// On a dark one.
    pub dark: Rgb,
    /// The strokes and gaps of its lines, as SVG's `stroke-dasharray`.
    pub dashes: String,
}

/// A model of the workspace, whether it took part or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// What its units are, in a word.
    pub kind: Kind,
    /// Whether ratios are also given to its times.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub baseline: bool,
    /// How it is drawn.
    pub color: Color,
    /// What its units are, in words: `tasks on tokio's multi-thread runtime`.
    pub units: String,
    /// What it is made of; may be empty.
    pub made_of: String,
    /// Its HTTP library.
    pub http: String,
    /// The packages that are its runtime.
    pub runtime: Vec<String>,
    /// By workload, what makes its cells unlike the other models'.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

/// The models of a comparison, in the order of its tables.
#[derive(Debug, Clone, Copy)]
pub struct Models<'a>(pub &'a [ModelInfo]);

impl<'a> Models<'a> {
    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = &'a ModelInfo> {
        self.0.iter()
    }

    /// The one of that name.
    pub fn find(self, name: &str) -> Option<&'a ModelInfo> {
        self.iter().find(|model| model.name == name)
    }

    /// The names of one kind.
    pub fn of_kind(self, kind: Kind) -> Vec<&'a str> {
        let of_kind = self.iter().filter(|model| model.kind == kind);
        of_kind.map(|model| &*model.name).collect()
    }

    /// Whether that is a model which does one thing after the other.
    pub fn is_serial(self, name: &str) -> bool {
        self.find(name)
            .is_some_and(|model| model.kind == Kind::Serial)
    }

    /// The name of the one that ratios are also given to.
    pub fn baseline(self) -> Option<&'a str> {
        let mut models = self.iter();
        models
            .find(|model| model.baseline)
            .map(|model| &*model.name)
    }
}

/// The models of every comparison of schema 1, which does not list them.
pub(crate) static OF_SCHEMA_1: LazyLock<Vec<ModelInfo>> = LazyLock::new(|| {
    use Kind::{Process, Serial, Task, Thread};
    const ENGINE: [&str; 3] = ["async-executor", "async-io", "blocking"];
    let model = |name: &str, kind, [light, dark, dashes]: [&str; 3], http: &str| ModelInfo {
        name: name.to_owned(),
        kind,
        baseline: kind == Serial,
        color: Color {
            light: Rgb(light.to_owned()),
            dark: Rgb(dark.to_owned()),
            dashes: dashes.to_owned(),
        },
        units: String::new(),
        made_of: String::new(),
        http: http.to_owned(),
        runtime: Vec::new(),
        notes: BTreeMap::new(),
    };
    let of = |units: &str, made_of: &str, runtime: &[&str], model| ModelInfo {
        units: units.to_owned(),
        made_of: made_of.to_owned(),
        runtime: runtime.iter().map(|&package| package.to_owned()).collect(),
        ..model
    };
    vec![
        of(
            "one thing after the other",
            "",
            &[],
            model("serial", Serial, ["#5b6167", "#b0b6bc", "1 4"], "ureq"),
        ),
        of(
            "operating system threads",
            "std's, rayon's pool, crossbeam-channel, ureq",
            &[],
            model("thread", Thread, ["#0b66b5", "#6db3f2", "none"], "ureq"),
        ),
        of(
            "child processes, started once and kept",
            "ipc-channel, shared memory, ureq",
            &[],
            model("process", Process, ["#b3410e", "#f59a62", "9 3"], "ureq"),
        ),
        of(
            "tasks on tokio's multi-thread runtime",
            "tokio, flume, hyper",
            &["tokio"],
            model("tokio", Task, ["#1d7a3d", "#6ccf8b", "none"], "hyper"),
        ),
        of(
            "tasks on async-std's global executor",
            "async-std, async-channel 1, surf over hyper",
            &ENGINE,
            model("async-std", Task, ["#8a2f9e", "#d692e6", "5 3"], "hyper"),
        ),
        of(
            "tasks on an executor and threads of its own",
            "smol, async-channel 2, hyper",
            &ENGINE,
            model("smol", Task, ["#806000", "#e0bb4a", "12 3 2 3"], "hyper"),
        ),
    ]
});
