//! The checks find what they are for, in a copy of this workspace that breaks it.

use std::fs;
use std::path::Path;
use std::process::Command;

use lab::workspace;
use tempfile::TempDir;

/// Takes one step of `cargo xtask check` at `root`: what it has found, if anything.
fn check(root: &Path, step: &str) -> Result<(), String> {
    let done = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["check", step])
        .current_dir(root)
        .env_remove("CARGO_MANIFEST_DIR")
        .output()
        .expect("it starts");
    let printed = String::from_utf8_lossy(&done.stdout);
    if done.status.success() {
        assert_eq!(printed, format!("{step}: ok\n"));
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    let found = printed.strip_prefix(&format!("{step}: FAILED\n"));
    Err(found
        .unwrap_or_else(|| panic!("{printed}{said}"))
        .to_owned())
}

/// A copy of what the checks read.
fn copy() -> TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    let root = workspace::root().expect("a checkout");
    for name in ["Cargo.toml", "Cargo.lock", "crates", "xtask"] {
        copy_tree(&root.join(name), &copy.path().join(name));
    }
    copy
}

fn copy_tree(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).expect("a copy");
        return;
    }
    fs::create_dir(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory").flatten() {
        if entry.file_name() != "target" {
            copy_tree(&entry.path(), &to.join(entry.file_name()));
        }
    }
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("a file");
    assert!(text.contains(from), "{} has no {from}", path.display());
    fs::write(path, text.replacen(from, to, 1)).expect("a file");
}

#[test]
fn another_runtime_is_found() {
    let copy = copy();
    let root = copy.path();
    assert_eq!(check(root, "isolation"), Ok(()));
    let manifest = root.join("crates/model-thread/Cargo.toml");
    replace(
        &manifest,
        "rayon.workspace = true",
        "rayon.workspace = true\nsmol.workspace = true\n\
         tokio = { workspace = true, features = [\"rt\"] }",
    );
    let found = check(root, "isolation").expect_err("a model has another's runtime");
    for says in [
        "model-thread links smol: only model-smol may",
        "model-thread links blocking: only model-async-std and model-smol may",
        "model-thread links tokio with one of rt",
    ] {
        assert!(found.contains(says), "{found}");
    }
    assert!(!found.contains("model-serial"), "{found}");
}

#[test]
fn a_harness_in_a_binary_is_found() {
    let copy = copy();
    let manifest = copy.path().join("crates/model-serial/Cargo.toml");
    replace(&manifest, "[dev-dependencies]", "");
    let found = check(copy.path(), "isolation").expect_err("the harness is in a binary");
    assert!(
        found.contains("model-serial depends on harness: it may on"),
        "{found}"
    );
}

#[test]
fn features_that_differ_are_found() {
    let copy = copy();
    let manifest = copy.path().join("crates/features/Cargo.toml");
    // A library's, and a procedural macro's.
    replace(&manifest, "\nmemchr = ", "\n# memchr = ");
    replace(&manifest, "\nsyn = ", "\n# syn = ");
    let found = check(copy.path(), "features").expect_err("the parts differ");
    let mut packages: Vec<_> = found.lines().map(|line| line.split(' ').next()).collect();
    // There is a line for each of the other sets of features.
    packages.dedup();
    assert_eq!(packages, [Some("memchr"), Some("syn")], "{found}");
    for says in [
        "model-serial",
        "[alloc,std] in a build of",
        "one of everything",
    ] {
        assert!(found.contains(says), "no {says} in {found}");
    }
    assert!(!found.contains("model-async-std,"), "{found}");
}

#[test]
fn a_missing_or_strange_file_is_found() {
    let copy = copy();
    let root = copy.path();
    assert_eq!(check(root, "symmetry"), Ok(()));
    let tokio = root.join("crates/model-tokio/src");
    fs::remove_file(tokio.join("counter.rs")).expect("it was there");
    fs::write(tokio.join("shared.rs"), "").expect("a file");
    fs::remove_file(root.join("crates/model-smol/benches/suite.rs")).expect("it was there");
    replace(
        &root.join("crates/model-serial/src/primes.rs"),
        "//! Unit: ",
        "//! It is ",
    );
    fs::write(root.join("notes.txt"), "").expect("a file");
    let found = check(root, "symmetry").expect_err("it is not symmetric");
    let mut lines: Vec<_> = found.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "model-serial/src/primes.rs: does not begin with `//! Unit: … Shares: … Ends: `",
            "model-smol/benches/suite.rs: missing",
            "model-tokio/src/counter.rs: missing",
            "model-tokio/src/shared.rs: no other model has it",
            "notes.txt does not belong at the top",
        ]
    );
}

#[test]
fn files_that_are_no_translations_are_found() {
    let copy = copy();
    let root = copy.path();
    let source = |model: &str, file: &str| root.join(format!("crates/model-{model}/src/{file}.rs"));
    replace(
        &source("smol", "exchange"),
        "async fn write(",
        "async fn send(",
    );
    let exchange = fs::read_to_string(source("thread", "exchange")).expect("a file");
    let read = exchange.find("fn read(").expect("it reads");
    let write = exchange.find("/// `None` is").expect("it writes");
    let turned = [
        &exchange[..write],
        &exchange[read..],
        &exchange[write..read],
    ]
    .concat();
    fs::write(source("thread", "exchange"), turned).expect("a file");
    replace(&source("serial", "exchange"), " Shares: ", " Has: ");
    let found = check(root, "symmetry").expect_err("they are no translations");
    for says in [
        "exchange: thread has run, read, write in this order, tokio run, write, read",
        "exchange: tokio has the functions run, write, read, smol run, send, read",
        "model-serial/src/exchange.rs: does not begin with",
    ] {
        assert!(found.contains(says), "no {says} in {found}");
    }
}

#[test]
fn unformatted_code_is_found() {
    let copy = copy();
    assert_eq!(check(copy.path(), "fmt"), Ok(()));
    let main = copy.path().join("crates/model-tokio/src/main.rs");
    replace(&main, "fn main", "fn   main");
    let found = check(copy.path(), "fmt").expect_err("it is not formatted");
    assert!(found.contains("model-tokio/src/main.rs"), "{found}");
}
