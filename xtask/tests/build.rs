//! What is said while cargo builds, and the end of a build. The cargo is a script.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Knows two crates, and begins to build one. The models are the real ones.
const CARGO: &str = r#"#!/bin/sh
case "$1" in
  metadata) exec "$REAL_CARGO" "$@";;
  tree) printf 'one v1.0.0\ntwo v1.0.0 (proc-macro)\none v1.0.0\n';;
  build) echo $$ > "$PID"
    echo 'error: a diagnostic' >&2
    echo '   Compiling one v1.0.0' >&2
    exec sleep 1000;;
  *) exit 7;;
esac
"#;

#[test]
fn a_build_is_never_silent_and_ctrl_c_ends_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let (cargo, pid) = (directory.path().join("cargo"), directory.path().join("pid"));
    fs::write(&cargo, CARGO).expect("a script");
    fs::set_permissions(&cargo, PermissionsExt::from_mode(0o755)).expect("a script");
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["download", "--model", "serial", "list"])
        .env("CARGO", &cargo)
        .env(
            "REAL_CARGO",
            std::env::var_os("CARGO").expect("cargo runs this"),
        )
        .env("PID", &pid)
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(xtask.stderr.take().expect("a pipe")).lines();
    for says in [
        "building: finding out what is needed",
        "error: a diagnostic",
        // Not at once: the last line was just now.
        "Compiling one v1.0.0 (0 of 2 crates)",
        "... still: Compiling one v1.0.0 (0 of 2 crates), ",
    ] {
        // On a busy machine, finding out may take long enough to be said again.
        let again = |line: &str| line.starts_with("... still: building: finding out");
        let line = lines.find(|line| !line.as_deref().is_ok_and(again));
        let line = line.expect("a line").expect("text");
        assert!(line.starts_with(says), "{line}");
    }
    let cargo = fs::read_to_string(pid).expect("it was started");
    let process = Path::new("/proc").join(cargo.trim());
    assert!(process.exists());
    let xtask_pid = Pid::from_raw(xtask.id().cast_signed());
    kill(xtask_pid, Signal::SIGINT).expect("it is ours");
    assert_eq!(xtask.wait().expect("it ends").code(), Some(130));
    assert!(!process.exists());
}
