//! `cargo xtask faults`, with every model's downloader and with one that does nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lab::build::{self, Profile};
use lab::interrupt::Interrupt;
use lab::progress::Progress;
use lab::workspace;

/// Runs the real command. It tells what was wrong.
#[track_caller]
fn faults(arguments: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("faults")
        .args(arguments)
        .output()
        .expect("it starts");
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{printed}\n{said}");
    printed
}

/// Lets one test at a time run the cases: several at once would only wait for each other, and
/// be late for what has to be in time.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static CASES: Mutex<()> = Mutex::new(());
    CASES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_downloaders_pass_every_test() {
    let _alone = one_at_a_time();
    let printed = faults(&[]);
    for words in ["what is right", "async-std", "36", " 0 failed"] {
        assert!(printed.contains(words), "no {words} in {printed}");
    }

    let printed = faults(&["--kills", "6", "--seed", "3"]);
    assert_eq!(printed.matches("pass").count(), 6, "{printed}");
    assert_eq!(printed.matches(" 6 kills").count(), 6, "{printed}");

    let printed = faults(&["--million", "20000"]);
    assert!(printed.contains("20000 URLs"), "{printed}");
}

#[test]
fn a_program_that_does_nothing_fails_every_test() {
    let _alone = one_at_a_time();
    let directory = tempfile::tempdir().expect("a directory");
    let (interrupt, progress) = (Interrupt::default(), Progress::new());
    let root = workspace::root().expect("a checkout");
    let origin = build::program(&root, "origin", Profile::Release, &interrupt, &progress);
    let origin = origin.expect("cargo runs").expect("it builds");
    symlink(origin, directory.path().join("origin")).expect("a link");
    let idle = directory.path().join("model-serial");
    fs::write(&idle, "#!/bin/sh\nexit $EXIT\n").expect("a program");
    fs::set_permissions(&idle, Permissions::from_mode(0o755)).expect("a program");
    for exit in ["0", "1"] {
        let done = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["faults", "--models", "serial", "--prebuilt"])
            .arg(directory.path())
            .env("EXIT", exit)
            .output()
            .expect("it starts");
        let printed = String::from_utf8_lossy(&done.stdout);
        assert_eq!(done.status.code(), Some(1), "{printed}");
        assert!(printed.contains(" models: 0 passed"), "{printed}");
    }
}

#[test]
fn what_is_not_there_is_not_run() {
    let done = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["faults", "--only", "99"])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("99"), "{said}");
}
