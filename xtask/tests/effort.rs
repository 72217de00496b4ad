//! `cargo xtask effort` with builds that succeed, fail or hang. The cargo
//! that it asks is a script; the tree that it copies is this one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Knows the models, and three packages, and builds everything but smol. It notes what it is asked.
const CARGO: &str = r#"#!/bin/sh
echo "$*" >> "$NOTES"
case "$*" in
  metadata*) exec "$REAL_CARGO" "$@";;
  tree*) printf 'model-x v0.1.0 (/x)\none v1.0.0\ntwo v1.0.0 (proc-macro)\none v1.0.0\nthree v1.0.0\n';;
  fetch*) ;;
  build*model-smol*) echo 'error: <b>no</b>' >&2; exit 101;;
  build*) [ -f crates/model-serial/src/counter.rs ] || exit 9
    mkdir -p "$CARGO_TARGET_DIR" && touch "$CARGO_TARGET_DIR/built";;
  *) exit 7;;
esac
"#;

struct Fixture(TempDir);

impl Fixture {
    fn new(cargo: &str) -> Self {
        let fixture = Self(tempfile::tempdir().expect("a directory"));
        fs::create_dir_all(fixture.results()).expect("a directory");
        let reference = lab::workspace::root()
            .expect("a checkout")
            .join("results/reference/comparison.json");
        fs::copy(reference, fixture.results().join("comparison.json")).expect("results");
        let path = fixture.0.path().join("cargo");
        fs::write(&path, cargo).expect("a script");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("a script");
        fixture
    }

    /// The path has a blank in it.
    fn output(&self) -> PathBuf {
        self.0.path().join("out put")
    }

    fn results(&self) -> PathBuf {
        self.output().join("results/made-up")
    }

    fn notes(&self) -> String {
        fs::read_to_string(self.0.path().join("notes")).unwrap_or_default()
    }

    fn effort(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .arg("effort")
            .args(args)
            .arg("--output")
            .arg(self.output())
            .env("CARGO", self.0.path().join("cargo"))
            .env(
                "REAL_CARGO",
                std::env::var_os("CARGO").expect("cargo runs this"),
            )
            .env("NOTES", self.0.path().join("notes"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn data(&self) -> Value {
        let text = fs::read(self.results().join("effort.json")).expect("data");
        serde_json::from_slice(&text).expect("JSON")
    }

    fn left_behind(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.output().join("target")).expect("a directory");
        let paths = entries.flatten().map(|entry| entry.path());
        paths.filter(|path| path.is_dir()).collect()
    }
}

fn model<'a>(data: &'a Value, name: &str) -> &'a Value {
    let mut models = data["models"].as_array().expect("a list").iter();
    models
        .find(|model| model["model"] == name)
        .expect("the model")
}

#[test]
fn builds_are_timed_and_those_that_fail_say_so() {
    let fixture = Fixture::new(CARGO);
    let done = fixture
        .effort(&["made-up", "--models", "serial,smol"])
        .output();
    let done = done.expect("it starts");
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("smol: model-smol does not build"), "{said}");

    let data = fixture.data();
    let serial = model(&data, "serial");
    assert_eq!(serial["dependencies"], 3);
    assert_eq!(serial["unsafes"], 0);
    assert!(serial["lines"].as_u64() > Some(100), "{serial}");
    assert!(serial["build"]["cold_ns"].as_u64() > Some(0), "{serial}");
    let again = serial["build"]["incremental_ns"]
        .as_array()
        .expect("a list");
    assert_eq!(again.len(), 5);
    let smol = model(&data, "smol");
    assert_eq!(smol["build"]["cold_ns"], Value::Null);
    let failed = smol["build"]["failed"].as_str().expect("a reason");
    assert!(failed.contains("<b>no</b>"), "{failed}");

    let notes = fixture.notes();
    let builds = notes.lines().filter(|line| line.starts_with("build"));
    assert_eq!(
        builds.filter(|line| line.contains("model-serial")).count(),
        6,
        "{notes}"
    );
    let page = fs::read_to_string(fixture.results().join("index.html")).expect("a page");
    assert!(page.contains("built from nothing") && !page.contains("<b>no</b>"));
    assert!(
        fixture.left_behind().is_empty(),
        "{:?}",
        fixture.left_behind()
    );

    // Of the same code, the others stay.
    let more = fixture.effort(&["made-up", "--models", "thread"]).output();
    assert!(more.expect("it starts").status.success());
    let data = fixture.data();
    assert!(model(&data, "thread")["build"]["cold_ns"].is_u64());
    assert_eq!(model(&data, "smol")["build"]["failed"], failed);
}

#[test]
fn ctrl_c_ends_a_build_and_leaves_nothing() {
    let hangs = CARGO.replace(
        "  build*) ",
        "  build*) echo hangs >> \"$NOTES\"; sleep 1000.5 & sleep 1000.5;;\n  never) ",
    );
    let fixture = Fixture::new(&hangs);
    let mut child = fixture
        .effort(&["--models", "serial"])
        .spawn()
        .expect("it starts");
    let started = Instant::now();
    while !fixture.notes().contains("hangs") {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "it builds nothing"
        );
        assert!(child.try_wait().expect("a child").is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = Pid::from_raw(child.id().cast_signed());
    kill(pid, Signal::SIGINT).expect("it is ours");
    let ended = child.wait().expect("a child");
    assert_eq!(ended.code(), Some(130));
    assert!(
        fixture.left_behind().is_empty(),
        "{:?}",
        fixture.left_behind()
    );
    assert!(!fixture.results().join("effort.json").exists());
}

#[test]
fn without_packages_or_results_it_says_what_is_missing() {
    let fixture =
        Fixture::new(&CARGO.replace("fetch*) ;;", "fetch*) echo 'no network' >&2; exit 1;;"));
    let refused = |args: &[&str], says: &str| {
        let done = fixture.effort(args).output().expect("it starts");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.contains(says), "no {says} in {said}");
    };
    refused(
        &["made-up", "--models", "serial"],
        "packages cannot be fetched: no network",
    );
    let missing = Path::new("results/none/comparison.json");
    refused(&["none"], &missing.display().to_string());
    assert!(
        fixture.left_behind().is_empty(),
        "{:?}",
        fixture.left_behind()
    );
}
