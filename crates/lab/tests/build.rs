//! Programs are built by one run of cargo, but for those that are built alone; and one that does
//! not build fails alone.

use std::fs;
use std::process::Command;

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

/// In a build of both, each would have the features that the other asks for.
#[test]
fn one_that_is_built_alone_gives_its_features_to_no_other() {
    let main = "fn main() { print!(\"{}\", shared::WHAT); }";
    let root = workspace(&[
        ("origin", "fn main() {}"),
        ("model-serial", main),
        ("model-cluster", main),
    ]);
    let shared = root.path().join("crates/shared");
    fs::create_dir_all(shared.join("src")).expect("a directory");
    let manifest = "[package]\nname = \"shared\"\nedition = \"2024\"\n[features]\nmore = []\n";
    fs::write(shared.join("Cargo.toml"), manifest).expect("a file");
    let code = "pub const WHAT: &str = if cfg!(feature = \"more\") { \"more\" } else { \"less\" };";
    fs::write(shared.join("src/lib.rs"), code).expect("a file");
    for (model, features, table) in [
        ("serial", "", ""),
        (
            "cluster",
            "\"more\"",
            "[package.metadata.paces]\nbuilt-alone = \"a test\"\n",
        ),
    ] {
        let manifest = root.path().join(format!("crates/model-{model}/Cargo.toml"));
        let text = fs::read_to_string(&manifest).expect("it was written");
        let depends = format!("shared = {{ path = \"../shared\", features = [{features}] }}\n");
        let text = format!("{text}[dependencies]\n{depends}{table}");
        fs::write(&manifest, text).expect("a file");
    }
    let models = ["serial", "cluster"].map(str::to_owned);
    let built = build::build(
        root.path(),
        &models,
        &Interrupt::default(),
        &Progress::new(),
    );
    let printed = |programs: &Result<build::Programs, String>| {
        let runner = &programs.as_ref().expect("it builds").runner;
        let done = Command::new(runner).output().expect("it starts");
        String::from_utf8(done.stdout).expect("text")
    };
    let printed: Vec<_> = built
        .expect("all build")
        .models
        .iter()
        .map(|(_, built)| printed(built))
        .collect();
    assert_eq!(printed, ["less", "more"]);
}
