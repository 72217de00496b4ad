//! A directory with shell scripts in the place of models' programs, which `cargo xtask
//! compare` measures.

// Each test uses its own part of it.
#![allow(dead_code)]

pub mod served;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lab::build::{self, Profile};
use lab::interrupt::Interrupt;
use lab::models;
use lab::progress::Progress;
use lab::workspace;
use origin::Origin;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A runner that prints `@TIMED` where it is timed. When it is held, it has a child that
/// waits for its input.
const RUNNER: &str = r#"
case "$*" in *--hold*) exec 3<&0; cat <&3 & esac
case "$*" in
*--hold*) echo '@HELD' ;;
*--unchecked*) echo '@TIMED' ;;
*) echo '@CHECKED' ;;
esac
wait
"#;

/// A bench whose samples take `@NS` and some nanoseconds. `of KEY` is a value of the
/// job, and `$0.log` a list of its calls.
const BENCH: &str = r#"
of() { echo "$PACES_CELLS" | sed "s/.*\"$1\":\"*\([^\",}]*\).*/\1/"; }
label=$(of label)
echo "$label: $(nproc) cores, $PACES_THREADS threads" >> "$0.log"
ns=@NS
new="$CRITERION_HOME/$(of workload)/@MODEL/$label/new"
mkdir -p "$new"
times=$ns
for more in 1 2 3 4 5 6 7 8 9; do times="$times,$((ns + more))"; done
echo "{\"sampling_mode\":\"Flat\",\"iters\":[1,1,1,1,1,1,1,1,1,1],\"times\":[$times]}" \
  > "$new/sample.json"
"#;

pub struct Sandbox(TempDir);

impl Sandbox {
    pub fn empty() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    /// With models that get everything right in 1 ms.
    pub fn with(models: &[&str]) -> Self {
        let sandbox = Self::empty();
        for model in models {
            sandbox.model(model, "1000000");
        }
        sandbox
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Adds a program: a shell script.
    pub fn script(&self, name: &str, body: &str) {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{body}")).expect("a script");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("a script");
    }

    /// Adds a model that gets everything right. Its job takes `ns`, as the shell
    /// evaluates it.
    pub fn model(&self, name: &str, ns: &str) {
        let report = json!({
            "elapsed_ns": 1_000_000, "outcome": {"total": 1},
            "peak_memory_bytes": 1, "threads": 7,
        });
        self.model_reporting(name, ns, &report);
    }

    /// Adds a model whose timed runs print `report`. The others have completion times
    /// that must not be used.
    pub fn model_reporting(&self, name: &str, ns: &str, report: &Value) {
        let mut report = report.clone();
        for (key, value) in [
            ("model", json!(name)),
            ("workload", json!("counter")),
            ("preset", json!("heavy")),
            ("job", json!({})),
        ] {
            report[key] = value;
        }
        let mut other = report.clone();
        other["outcome"]["completion_ns"] = json!([99_000_000_000_u64]);
        let mut held = other.clone();
        held["outcome"]["total"] = json!(999);
        let runner = RUNNER
            .replace("@TIMED", &report.to_string())
            .replace("@HELD", &held.to_string())
            .replace("@CHECKED", &other.to_string());
        self.script(&format!("model-{name}"), &runner);
        self.bench(name, "", ns);
    }

    /// Replaces a model's bench: `first` runs before it.
    pub fn bench(&self, name: &str, first: &str, ns: &str) {
        let bench = BENCH.replace("@NS", ns).replace("@MODEL", name);
        self.script(&format!("bench-{name}"), &format!("{first}{bench}"));
    }

    /// Adds a real origin.
    pub fn with_origin(self) -> Self {
        let root = workspace::root().expect("a checkout");
        let (interrupt, progress) = (Interrupt::default(), Progress::new());
        let origin = build::program(&root, "origin", Profile::Release, &interrupt, &progress);
        let origin = origin.expect("no signal came").expect("it builds");
        symlink(origin, self.path("origin")).expect("a link");
        self
    }

    /// A quick comparison of these programs, called `made-up` unless named.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(["compare", "--quick", "--prebuilt"])
            .arg(self.0.path())
            .arg("--output")
            .arg(self.0.path())
            .args(args);
        for (option, value) in [("--name", "made-up"), ("--budget", "40"), ("--seed", "7")] {
            if !args.contains(&option) {
                command.args([option, value]);
            }
        }
        command
    }

    pub fn compare(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it starts")
    }

    /// What a comparison prints that has to end with this code.
    #[track_caller]
    pub fn compared(&self, code: i32, args: &[&str]) -> String {
        let output = self.compare(args);
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {printed}");
        printed
    }

    pub fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// One of the files of the comparison `made-up`.
    pub fn result(&self, file: &str) -> String {
        self.read(&format!("results/made-up/{file}"))
    }

    /// All data of a comparison.
    pub fn results(&self, name: &str) -> Value {
        let text = self.read(&format!("results/{name}/comparison.json"));
        serde_json::from_str(&text).expect("it is JSON")
    }

    /// The first cell of a model in `made-up`.
    #[track_caller]
    pub fn cell(&self, model: &str) -> Value {
        let results = self.results("made-up");
        let mut cells = results["cells"].as_array().expect("a list").iter();
        let cell = cells.find(|cell| cell["model"] == model);
        cell.unwrap_or_else(|| panic!("no cell of {model}")).clone()
    }

    #[track_caller]
    pub fn assert_cell(&self, model: &str, status: &str, says: &str) {
        let cell = self.cell(model);
        assert_eq!(cell["status"], status, "{cell}");
        let reason = cell["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(says), "{model}: {reason}");
    }
}

/// Waits for a fact that another process brings about.
#[track_caller]
pub fn until(what: &str, fact: impl Fn() -> bool) {
    let start = Instant::now();
    while !fact() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Looks for all of `words` in what was printed, and in the two files.
#[track_caller]
pub fn assert_shown(sandbox: &Sandbox, printed: &str, words: &[&str]) {
    for file in ["comparison.md", "index.html"] {
        let shown = sandbox.result(file).replace('\\', "");
        let shown = shown.replace("&#34;", "\"").replace("&#39;", "'");
        for words in words {
            assert!(shown.contains(words), "no {words} in {file}: {shown}");
        }
    }
    for words in words {
        assert!(printed.contains(words), "no {words} in {printed}");
    }
}

/// Says that a test is skipped, and fails it where all tools have to be there.
#[track_caller]
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("SKIPPED: {why}");
}

/// Whether strace works here, with these options. If not, the test that needs it is
/// [skipped](skip).
pub fn can_trace(options: &[&str]) -> bool {
    let works = Command::new("strace")
        .args(options)
        .args(["-f", "-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        skip("this needs strace, which is missing or not permitted");
    }
    works
}

/// The models that are measured if none is named: all that need nothing which most machines do
/// not have.
pub fn default_models() -> Vec<models::Model> {
    let root = workspace::root().expect("a checkout");
    let models = models::models(&root).expect("models");
    models::select(&models, "", &[]).expect("none was named")
}

/// An origin, and the programs of the [default models](default_models) by their names.
pub fn downloaders() -> (Origin, Vec<(String, PathBuf)>) {
    let root = workspace::root().expect("a checkout");
    let models = default_models();
    let names = models.iter().map(|model| workspace::package(model.name()));
    let packages: Vec<String> = ["origin".to_owned()].into_iter().chain(names).collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let (interrupt, progress) = (Interrupt::default(), Progress::new());
    let programs = build::programs(&root, &packages, Profile::Release, &interrupt, &progress);
    let programs = programs.expect("cargo runs").into_iter();
    let mut programs = programs.map(|program| program.expect("it builds"));
    let origin = programs.next().expect("the origin");
    let origin = Origin::spawn(&origin, &[]).expect("it starts");
    let names = models.iter().map(|model| model.name().to_owned());
    (origin, names.zip(programs).collect())
}
