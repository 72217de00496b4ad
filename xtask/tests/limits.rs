//! What limits a comparison: the rounds that are asked for, the place for temporary files,
//! a quota of CPU time.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use common::{Sandbox, assert_shown, skip, text};

const COUNTER: [&str; 3] = ["counter", "--set", "counter.guard=lock"];

#[test]
fn as_many_rounds_are_measured_as_are_asked_for() {
    let sandbox = Sandbox::with(&["serial", "tokio"]);
    let args = [&COUNTER[..], &["--models", "serial,tokio", "--rounds", "3"]];
    sandbox.compared(0, &args.concat());
    for model in ["serial", "tokio"] {
        assert_eq!(sandbox.cell(model)["time"]["rounds"], json!([10, 10, 10]));
    }
}

/// What the command says that has to end before anything is built.
#[track_caller]
fn refused(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let said = text(&output.stderr);
    assert_ne!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("building"), "{said}");
    said
}

#[test]
fn a_missing_place_for_temporary_files_is_found_before_anything_is_built() {
    let sandbox = Sandbox::empty();
    let [output, into] = ["output", "into"].map(|name| sandbox.path(name).display().to_string());
    for args in [
        &["compare", "counter", "--output", &output][..],
        &["faults", "--models", "serial"],
        &["download", "--model", "process", "list", "--into", &into],
    ] {
        let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let said = refused(xtask.args(args).env("TMPDIR", sandbox.path("not there")));
        assert!(said.contains("not there"), "{args:?}: {said}");
    }
    assert!(!sandbox.path("output").exists());
}

#[test]
fn a_long_place_for_sockets_is_found_before_anything_is_built() {
    let sandbox = Sandbox::empty();
    let long = sandbox.path(&"long".repeat(20));
    fs::create_dir(&long).expect("a directory");
    let output = sandbox.path("output").display().to_string();
    let into = sandbox.path("into").display().to_string();
    for args in [
        &["compare", "counter", "--output", &output][..],
        &["faults", "--models", "process"],
        &["download", "--model", "process", "list", "--into", &into],
    ] {
        let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let said = refused(xtask.args(args).env("TMPDIR", &long));
        assert!(
            said.contains("the sockets of process need"),
            "{args:?}: {said}"
        );
    }
    let sandbox = Sandbox::with(&["serial"]);
    let mut without = sandbox.command(&["primes", "--models", "serial"]);
    let output = without.env("TMPDIR", &long).output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn a_destination_that_cannot_be_written_is_found_before_anything_is_built() {
    let sandbox = Sandbox::with(&["serial"]);
    fs::write(sandbox.path("file"), "").expect("a file");
    for into in ["file", "file/below"] {
        let into = sandbox.path(into).display().to_string();
        let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let said = refused(xtask.args(["download", "list", &format!("--into={into}")]));
        assert!(said.contains("file is no directory"), "{said}");
    }

    // A checkout without a place for the table.
    let readme = sandbox.path("crates/transfer/README.md");
    for path in [sandbox.path("xtask/Cargo.toml"), readme] {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, "").expect("a file");
    }
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask
        .args(["faults", "--readme"])
        .current_dir(sandbox.path("."));
    let said = refused(xtask.env_remove("CARGO_MANIFEST_DIR"));
    assert!(said.contains("which are not there"), "{said}");

    // Root may write anywhere, unless it has given that right away.
    let mut setpriv = Command::new("setpriv");
    setpriv.args([
        "--bounding-set",
        "-dac_override",
        "--inh-caps",
        "-dac_override",
    ]);
    if !setpriv
        .arg("true")
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("SKIPPED: this needs root, and setpriv");
        return;
    }
    sandbox.compared(0, &["primes", "--models", "serial"]);
    let results = sandbox.path("results/made-up");
    fs::set_permissions(&results, PermissionsExt::from_mode(0o555)).expect("its own");
    let mut effort = Command::new("setpriv");
    effort
        .args([
            "--bounding-set",
            "-dac_override",
            "--inh-caps",
            "-dac_override",
        ])
        .args([env!("CARGO_BIN_EXE_xtask"), "effort", "made-up", "--output"])
        .arg(sandbox.path("."));
    let said = refused(&mut effort);
    assert!(said.contains("cannot write results into"), "{said}");
}

#[test]
fn cores_that_may_not_be_used_are_said() {
    let taskset = |command: Command| {
        Command::new("taskset")
            .args(["-c", "0"])
            .arg(command.get_program())
            .args(command.get_args())
            .output()
    };
    if fs::read_to_string("/sys/devices/system/cpu/online").is_ok_and(|all| all.trim() == "0") {
        eprintln!("SKIPPED: this machine has one core");
        return;
    }
    let sandbox = Sandbox::with(&["serial", "tokio"]);
    let args = [&COUNTER[..], &["--models", "serial,tokio"]].concat();
    let output = match taskset(sandbox.command(&args)) {
        Ok(output) => output,
        Err(error) => {
            skip(&format!("taskset: {error}"));
            return;
        }
    };
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert_shown(&sandbox, &printed, &["kept to 1 of the machine's "]);
    let mut measure = Command::new(env!("CARGO_BIN_EXE_xtask"));
    measure.args(["measure", "--", "true"]);
    let said = text(&taskset(measure).expect("it starts").stderr);
    assert!(said.contains("kept to 1 of the machine's "), "{said}");
}

#[test]
fn a_quota_of_cpu_time_is_said() {
    let group = format!("/sys/fs/cgroup/cpu/paces-test-{}", std::process::id());
    let quota = format!("{group}/cpu.cfs_quota_us");
    if fs::create_dir(&group)
        .and_then(|()| fs::write(quota, "50000"))
        // Before all others, so that nothing but the quota holds it back on a busy machine.
        .and_then(|()| fs::write(format!("{group}/cpu.shares"), "262144"))
        .is_err()
    {
        let _ = fs::remove_dir(&group);
        eprintln!("SKIPPED: no control group with a quota can be made here");
        return;
    }
    let sandbox = Sandbox::with(&["serial", "tokio"]);
    // More than half a core's time of two periods.
    let work = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done\n";
    sandbox.bench("tokio", work, "1000000");
    let limited = |inner: Command| {
        Command::new("sh")
            .args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"", &group])
            .arg(inner.get_program())
            .args(inner.get_args())
            .output()
            .expect("it starts")
    };
    let args = [&COUNTER[..], &["--models", "serial,tokio"]].concat();
    let output = limited(sandbox.command(&args));
    let mut measure = Command::new(env!("CARGO_BIN_EXE_xtask"));
    measure.args(["measure", "--json", "--", "sh", "-c", work]);
    let measured = limited(measure);
    fs::remove_dir(&group).expect("all that was in it has ended");
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert_shown(
        &sandbox,
        &printed,
        &[
            "CPU quota: 0.5 cores",
            "programs were stopped in",
            "stopped by the CPU quota in",
            "1 core, a quota of 0.5 cores' time",
        ],
    );
    assert!(sandbox.cell("tokio")["throttled"].as_u64() >= Some(1));
    let said = text(&measured.stderr);
    let figures: Value = serde_json::from_slice(&measured.stdout).expect(&said);
    assert_eq!(figures["quota"], 0.5, "{figures}");
    let count = |key: &str| figures[key].as_u64().expect(key);
    let throttled = count("throttled_periods");
    assert!((1..=count("periods")).contains(&throttled), "{figures}");
}
