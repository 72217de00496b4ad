//! A model is its crate: a copy of one under another name is built, compared and shown
//! without a change to anything else.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const COPIED: &str = "thread";
const NEW: &str = "crew";
const COLORS: [&str; 2] = ["#a1b2c3", "#d4e5f6"];

/// The same place every time, so that the second build is a short one.
fn place() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("seventh-model")
}

/// What git knows of this workspace, by its paths.
fn tracked(root: &Path) -> Vec<String> {
    let git = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .expect("git");
    let paths = String::from_utf8(git.stdout).expect("paths");
    let paths = paths.split('\0').map(str::to_owned);
    let there = |path: &String| root.join(path).is_file();
    paths.filter(there).collect()
}

/// Writes a file unless it is there already, as cargo looks at when it was written.
fn put(path: &Path, text: &[u8]) {
    if fs::read(path).is_ok_and(|known| known == text) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    fs::write(path, text).expect("a file");
}

/// A file of the new crate: with another name in it, and other colors.
fn renamed(path: &str, text: &str) -> String {
    let [old, new] = [COPIED, NEW];
    let text = text
        .replace(&format!("model-{old}"), &format!("model-{new}"))
        .replace(&format!("model_{old}"), &format!("model_{new}"));
    match path {
        "Cargo.toml" => {
            let line = |line: &str| match line.split_once(" = ") {
                Some(("color", _)) => {
                    let [light, dark] = COLORS;
                    format!(
                        "color = {{ light = \"{light}\", dark = \"{dark}\", dashes = \"2 2\" }}\n"
                    )
                }
                Some(("order", _)) => "order = 7\n".to_owned(),
                _ => format!("{line}\n"),
            };
            text.lines().map(line).collect()
        }
        "src/lib.rs" => text.replacen(&format!("\"{old}\""), &format!("\"{new}\""), 1),
        _ => text,
    }
}

/// The workspace and its new crate.
fn make(place: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace");
    let copied = format!("crates/model-{COPIED}/");
    let mut kept = HashSet::from([place.join("target")]);
    let mut keep = |path: PathBuf, text: &[u8]| {
        put(&path, text);
        kept.insert(path);
    };
    for path in tracked(root) {
        let text = fs::read(root.join(&path)).expect("a file");
        keep(place.join(&path), &text);
        if let Some(within) = path.strip_prefix(&copied) {
            let text = String::from_utf8(text).expect("text");
            let new = place.join(format!("crates/model-{NEW}")).join(within);
            keep(new, renamed(within, &text).as_bytes());
        }
    }
    remove_others(place, &kept);
}

/// Removes what an earlier run of this test has left, of another tree: cargo and the checks
/// would find it.
fn remove_others(directory: &Path, kept: &HashSet<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if kept.contains(&path) {
            continue;
        }
        if path.is_dir() {
            remove_others(&path, kept);
            // Only if nothing is left in it.
            let _ = fs::remove_dir(path);
        } else {
            fs::remove_file(path).expect("it is ours");
        }
    }
}

/// What is built of packages from elsewhere, as it would take minutes to build again.
/// Not the directory itself: cargo gives the crates of both workspaces the same names
/// there.
fn copy_built(place: &Path) {
    let program = Path::new(env!("CARGO_BIN_EXE_xtask"));
    let profile = program.parent().expect("a profile's directory");
    let copy = place
        .join("target")
        .join(profile.file_name().expect("its name"));
    if copy.exists() {
        return;
    }
    fs::create_dir_all(&copy).expect("a directory");
    // With the times that cargo compares.
    let done = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .args(["deps", "build", ".fingerprint"].map(|name| profile.join(name)))
        .arg(&copy)
        .status();
    assert!(done.expect("cp").success());
}

fn xtask(place: &Path, args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(args)
        .current_dir(place)
        .env_remove("CARGO_MANIFEST_DIR")
        .env("CARGO_TARGET_DIR", place.join("target"))
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .expect("xtask");
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{args:?}\n{out}\n{err}");
    output
}

#[test]
fn a_seventh_model_is_one_crate_more() {
    let place = place();
    make(&place);
    copy_built(&place);
    xtask(&place, &["check", "isolation", "symmetry"]);
    let job = ["compare", "primes", "--models", NEW, "--name", NEW];
    let small = ["--quick", "--budget", "10", "--set", "primes.end=1010000"];
    xtask(&place, &[&job[..], &small].concat());

    let read = |name: &str| {
        let path = place.join("results").join(NEW).join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let data: Value = serde_json::from_str(&read("comparison.json")).expect("JSON");
    let known = data["models"].as_array().expect("a list");
    assert_eq!(known.last().expect("a model")["name"], NEW);
    let cells = data["cells"].as_array().expect("a list");
    let right = |cell: &Value| cell["model"] == NEW && cell["status"] == "ok";
    assert!(!cells.is_empty() && cells.iter().all(right), "{cells:?}");
    let table = read("comparison.md");
    assert!(table.contains(&format!("| {NEW} | ")), "{table}");
    let page = read("index.html");
    for color in COLORS {
        assert!(page.contains(color), "the page does not have {color}");
    }
    assert!(
        page.contains(&format!("<bdi>{NEW}</bdi>")),
        "the page does not show it"
    );
}
