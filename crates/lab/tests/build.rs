//! All programs are built by one run of cargo, and one that does not build fails alone.

use std::fs;

use lab::build::{self, Profile};
use lab::interrupt::Interrupt;
use lab::progress::Progress;
use tempfile::TempDir;

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
        "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n",
    );
    for (name, main) in programs {
        let bench = "[[bench]]\nname = \"suite\"\nharness = false\n";
        let package = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n{bench}");
        write(&format!("crates/{name}/Cargo.toml"), &package);
        write(&format!("crates/{name}/src/main.rs"), main);
        write(&format!("crates/{name}/benches/suite.rs"), "fn main() {}");
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
    let (interrupt, progress) = (Interrupt::default(), Progress::new());
    let models = ["serial", "tokio", "smol"].map(str::to_owned);
    let built = build::build(root.path(), &models, &interrupt, &progress);
    let built = built.expect("the origin builds");
    assert!(built.origin.is_file());
    let [(_, serial), (_, tokio), (_, smol)] = &built.models[..] else {
        panic!("{built:?}");
    };
    let serial = serial.as_ref().expect("it builds");
    assert!(serial.runner.ends_with("release/model-serial") && serial.bench.is_file());
    for (programs, why) in [
        (tokio, "model-tokio does not build"),
        (smol, "model-smol does not build"),
    ] {
        assert_eq!(programs.as_ref().expect_err(why), why);
    }

    let packages = ["origin", "model-tokio"];
    let programs = build::programs(
        root.path(),
        &packages,
        Profile::Debug,
        &interrupt,
        &progress,
    );
    let [Some(origin), None] = &programs.expect("cargo runs")[..] else {
        panic!("one builds");
    };
    assert!(origin.ends_with("debug/origin"));
}
