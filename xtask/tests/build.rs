//! Contestants are built one by one, and one that does not build is alone in it.

use std::fs;

use tempfile::TempDir;
use xtask::contestants::{self, Means};
use xtask::interrupt::Interrupt;
use xtask::progress::Progress;

/// A workspace of programs that depend on nothing.
fn workspace(programs: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().expect("a directory");
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("it is below the root")).expect("a directory");
        fs::write(path, text).expect("a file");
    };
    write(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\nexclude = [\"target\"]\n",
    );
    for (name, main) in programs {
        let bench = "[[bench]]\nname = \"suite\"\nharness = false\n";
        let package = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n{bench}");
        write(&format!("{name}/Cargo.toml"), &package);
        write(&format!("{name}/src/main.rs"), main);
        write(&format!("{name}/benches/suite.rs"), "fn main() {}");
    }
    root
}

#[test]
fn what_does_not_build_fails_alone() {
    let fine = "fn main() {}";
    let broken = "fn main() { let here: u8 = \"not a number\"; }";
    let root = workspace(&[
        ("origin", fine),
        ("model-serial", fine),
        ("model-tokio", broken),
    ]);
    let models = ["serial", "tokio", "smol"].map(str::to_owned);
    let built = contestants::build(
        root.path(),
        &models,
        &Interrupt::default(),
        &Progress::new(),
    );
    let built = built.expect("the origin builds");
    assert!(built.origin.is_file());
    let programs: Vec<_> = built
        .contestants
        .iter()
        .map(|one| one.programs.as_ref())
        .collect();
    let Means::Model(serial) = programs[0].expect("it builds") else {
        panic!("{:?}", programs[0]);
    };
    assert!(serial.runner.ends_with("release/model-serial") && serial.bench.is_file());
    assert_eq!(
        programs[1].expect_err("it is broken"),
        "model-tokio does not build"
    );
    assert_eq!(
        programs[2].expect_err("there is none"),
        "model-smol does not build"
    );
}
