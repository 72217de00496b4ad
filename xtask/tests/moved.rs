//! A checkout that was moved or copied with its `target` is used where it is now.

use std::fs;
use std::path::Path;
use std::process::Command;

use lab::workspace;

#[test]
fn a_copied_checkout_is_read_and_written_itself() {
    let original = workspace::root().expect("a checkout");
    let copy = tempfile::tempdir().expect("a directory");
    // What there is to report on is in the copy alone.
    let results = copy.path().join("results/only-here");
    let program = copy.path().join("target/debug/xtask");
    for (from, to) in [
        (
            "xtask/Cargo.toml".as_ref(),
            copy.path().join("xtask/Cargo.toml"),
        ),
        (
            "results/reference/comparison.json".as_ref(),
            results.join("comparison.json"),
        ),
        (Path::new(env!("CARGO_BIN_EXE_xtask")), program.clone()),
    ] {
        fs::create_dir_all(to.parent().expect("it is below")).expect("a directory");
        fs::copy(original.join(from), to).expect("a copy");
    }
    let page = results.join("index.html");
    // Where cargo says that the package is counts before the current directory.
    for (current, package) in [
        (copy.path().join("results"), None),
        (original.clone(), Some(copy.path().join("xtask"))),
    ] {
        let mut command = Command::new(&program);
        command
            .args(["report", "only-here"])
            .current_dir(current)
            .env_remove("CARGO_MANIFEST_DIR")
            .envs(package.map(|package| ("CARGO_MANIFEST_DIR", package)));
        let done = command.output().expect("it starts");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
        let printed = String::from_utf8_lossy(&done.stdout);
        let printed = Path::new(printed.trim()).canonicalize().expect("the page");
        assert_eq!(printed, page.canonicalize().expect("the page"));
        fs::remove_file(&page).expect("it was made");
    }
    assert!(!original.join("results/only-here").exists());
}
