//! One program's figures, by the real command.

mod common;

use std::fs;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use common::{text, until};

const FOOTPRINT: &str = env!("CARGO_BIN_EXE_footprint");
const MIB: f64 = 1024.0 * 1024.0;

/// Held by each test: ten thousand threads would keep another one's samples waiting, and all
/// that starts is in the slab of the machine.
static MACHINE: Mutex<()> = Mutex::new(());

fn one_at_a_time() -> MutexGuard<'static, ()> {
    // It guards no data that a test that failed could have left half done.
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("measure").args(args);
    command
}

fn measure(args: &[&str]) -> Output {
    command(args).output().expect("it starts")
}

#[track_caller]
fn figures(args: &[&str]) -> Value {
    let output = measure(&[&["--json"], args].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

/// Peak memory in MiB.
#[track_caller]
fn memory(args: &[&str]) -> f64 {
    let figures = figures(args);
    assert_eq!(figures["memory_method"], "pss", "{figures}");
    figures["peak_memory_bytes"].as_u64().expect("a figure") as f64 / MIB
}

/// How many processes have this among their arguments, and run `sleep`.
fn sleeping(argument: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("a Linux system").flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let sleeps = |line: &Vec<u8>| text(line).trim_end_matches('\0') == format!("sleep\0{argument}");
    lines.filter(sleeps).count()
}

#[test]
fn memory_is_what_a_program_of_known_size_takes_up() {
    let _alone = one_at_a_time();
    for (more, size) in [
        (&[][..], 100.0),
        (&["--children", "4"], 200.0),
        (&["--children", "4", "--shared"], 100.0),
    ] {
        let each = if more.len() == 2 { "50" } else { "100" };
        let of = |each| memory(&[&["--hold", "--", FOOTPRINT, each], more].concat());
        // What the program itself takes, with as many children.
        let (own, all) = (of("0"), of(each));
        let taken = all - own;
        let off = (taken - size).abs() / size;
        println!("{more:?}: {all:.2} MiB, {own:.2} of them its own, {size} is right");
        assert!(off <= 0.02, "{more:?}: {taken} MiB, and {size} is right");
        assert!(own < 32.0, "{more:?}: {own} MiB for nothing");
    }
}

/// What the kernel holds for the footprint with these options, in MiB, without what it
/// holds for one that takes up nothing. It is the median of three: whatever else
/// runs is in the slab of the machine.
fn kernel_memory(args: &[&str]) -> f64 {
    let of = |args: &[&str]| {
        let mut taken: Vec<f64> = (0..3)
            .map(|_| {
                let figures = figures(&[&["--hold", "--", FOOTPRINT], args].concat());
                let number = |key: &str| figures[key].as_u64().expect(key) as f64;
                (number("peak_with_kernel_bytes") - number("peak_memory_bytes")) / MIB
            })
            .collect();
        taken.sort_by(f64::total_cmp);
        taken[1]
    };
    of(args) - of(&["0"])
}

/// How large the kernel's objects of these kinds are together, in bytes. `None` where
/// that may not be read, or where the kernel keeps some with others of their size.
fn objects(kinds: &[(&str, u32)]) -> Option<f64> {
    let slabs = fs::read_to_string("/proc/slabinfo").ok()?;
    let size = |kind: &str| {
        let line = slabs
            .lines()
            .find(|line| line.split(' ').next() == Some(kind));
        let size = line?.split_whitespace().nth(3).expect("a size");
        Some(size.parse::<f64>().expect("a size"))
    };
    let all = kinds
        .iter()
        .map(|&(kind, number)| Some(size(kind)? * f64::from(number)));
    all.sum()
}

#[test]
fn what_the_kernel_holds_is_that_of_programs_of_known_size() {
    let _alone = one_at_a_time();
    // A page of tables for each 2 MiB.
    let tables = kernel_memory(&["1000"]);
    println!("1000 MiB: {tables:.2} MiB, 1.95 is right");
    assert!((1.0..4.0).contains(&tables), "{tables} MiB");

    // A thread has its stack in the kernel and one in the process, which takes a page of
    // tables; both of that and of its alternate signal stack are two mappings.
    let thread = [("task_struct", 1), ("vm_area_struct", 4), ("pid", 1)];
    let socket = [
        ("TCP", 1),
        ("sock_inode_cache", 1),
        ("filp", 1),
        ("dentry", 1),
    ];
    for (args, units, pages, kinds) in [
        (["0", "--threads", "10000"], 10_000.0, 5.0, &thread[..]),
        (["0", "--connections", "4000"], 8_000.0, 0.0, &socket),
    ] {
        let Some(objects) = objects(kinds) else {
            eprintln!("SKIPPED: /proc/slabinfo does not say how large these are");
            return;
        };
        let right = units * (pages * 4096.0 + objects) / MIB;
        let taken = kernel_memory(&args);
        let off = taken / right - 1.0;
        println!("{args:?}: {taken:.2} MiB, {right:.2} is right");
        assert!(
            off.abs() <= 0.1,
            "{args:?}: {taken} MiB, and {right} is right"
        );
    }
}

#[test]
fn a_peak_is_seen_while_it_lasts() {
    let _alone = one_at_a_time();
    // The program does not say when it is there: it lasts as long as a hundred samples.
    let brief = ["--brief", "400"];
    let of = |size| memory(&[&["--", FOOTPRINT, size][..], &brief].concat());
    let taken = of("100") - of("0");
    assert!((98.0..=102.0).contains(&taken), "{taken} MiB");
}

#[test]
fn the_figures_are_those_of_a_cell() {
    let _alone = one_at_a_time();
    // A shell that uses its processor, and a child that waits for the end of its input.
    let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done
        exec 3<&0; cat <&3 & echo line; echo complaint >&2; wait";
    let figures = figures(&["--hold", "--runs", "2", "--", "sh", "-c", script]);
    let keys: Vec<_> = figures.as_object().expect("an object").keys().collect();
    let resources = serde_json::to_value(results::Resources::default());
    let resources = resources.expect("JSON");
    let mut right = vec!["command"];
    right.extend(
        resources
            .as_object()
            .expect("an object")
            .keys()
            .map(|key| &**key),
    );
    right.extend(["left_behind", "quota", "periods", "throttled_periods"]);
    assert_eq!(keys, right);
    assert_eq!(figures["command"][1], "-c");
    assert_eq!(figures["runs"], 2);
    assert_eq!(figures["processes"], 2);
    assert_eq!(figures["threads"], 2);
    assert_eq!(figures["left_behind"], 0);
    let number = |key: &str| figures[key].as_u64().expect(key);
    assert!(number("wall_ns") >= number("user_ns").min(number("system_ns")));
    assert!(number("user_ns") + number("system_ns") > 0);
    assert!(number("voluntary_switches") > 0);
    assert!(number("own_peak_memory_bytes") > 0);

    let output = measure(&["--", "sh", "-c", "echo out"]);
    let printed = text(&output.stdout);
    assert!(printed.starts_with("sh -c echo out\n  wall "), "{printed}");
    assert!(!printed.contains("\nout"), "{printed}");
}

#[test]
fn a_program_is_run_under_the_conditions_that_are_asked_for() {
    let _alone = one_at_a_time();
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name).display().to_string();
    let (log, input) = (path("log"), path("input"));
    fs::write(&input, "input\n").expect("a file");
    let [prepare, cleanup] = ["prepare", "cleanup"].map(|what| format!("echo {what} >> {log}"));
    let program = format!("cat >> {log}; exit $0");
    let conditions = [
        "--prepare",
        &prepare,
        "--cleanup",
        &cleanup,
        "--input",
        &input,
    ];
    let run = |ignored: &str, exit: &str| {
        fs::write(&log, "").expect("a file");
        let more = ["--ignore-exit", ignored, "--", "sh", "-c", &program, exit];
        let output = measure(&[&conditions[..], &more].concat());
        (
            output.status.code(),
            fs::read_to_string(&log).expect("a file"),
        )
    };
    // One run for its time, and one for its memory.
    let all = "prepare\ninput\nprepare\ninput\ncleanup\n";
    assert_eq!(run("3,4", "4"), (Some(0), all.to_owned()));
    assert_eq!(run("3", "0"), (Some(0), all.to_owned()));
    let first = "prepare\ninput\ncleanup\n";
    assert_eq!(run("3", "5"), (Some(1), first.to_owned()));
}

#[test]
fn a_program_is_run_as_often_or_as_long_as_is_asked_for() {
    let _alone = one_at_a_time();
    let place = tempfile::tempdir().expect("a directory");
    let log = place.path().join("log");
    let program = format!("echo >> {}", log.display());
    let runs = |options: &[&str]| {
        fs::write(&log, "").expect("a file");
        let figures = figures(&[options, &["--", "sh", "-c", &program]].concat());
        let all = fs::read_to_string(&log).expect("a file").lines().count() as u64;
        // As often for its memory.
        assert_eq!(figures["runs"], all / 2, "{figures}");
        all / 2
    };
    assert_eq!(runs(&["--rounds", "3"]), 3);
    assert!(runs(&["--time", "1"]) > 1);
    let sleeps = figures(&["--time", "1", "--", "sleep", "1.1"]);
    assert_eq!(sleeps["runs"], 1);
}

#[test]
fn output_is_read_and_not_kept() {
    let _alone = one_at_a_time();
    let writes = ["measure", "--", "head", "-c", "200000000", "/dev/zero"];
    let taken = memory(&[&["--", env!("CARGO_BIN_EXE_xtask")], &writes[..]].concat());
    assert!(taken < 64.0, "{taken} MiB");
}

#[test]
fn what_fails_or_cannot_be_is_named() {
    let _alone = one_at_a_time();
    for (args, code, says) in [
        (
            &["--", "sh", "-c", "echo boom >&2; exit 7"][..],
            1,
            "sh: exit status: 7\nboom",
        ),
        (&["--", "sh", "-c", "kill -9 $$"], 1, "signal: 9"),
        (
            &["--", "/no/such/program"],
            1,
            "cannot start /no/such/program",
        ),
        (&[], 2, "COMMAND"),
        (&["--runs", "0", "--", "true"], 2, "1..=10000"),
        (&["--time", "0", "--", "true"], 2, "1..=86400"),
        (&["--time", "1", "--rounds", "1", "--", "true"], 2, "--runs"),
        (
            &["--prepare", "echo why >&2; exit 9", "--", "true"],
            1,
            "--prepare echo why >&2; exit 9: exit status: 9: why",
        ),
        (
            &["--cleanup", "exit 9", "--", "true"],
            1,
            "--cleanup exit 9",
        ),
        (
            &["--input", "/no/such", "--", "true"],
            2,
            "/no/such: cannot be read",
        ),
        (&["--input", "/", "--", "true"], 2, "is a directory"),
        (&["--input", "/", "--hold", "--", "true"], 2, "--hold"),
        (&["true"], 2, "true"),
    ] {
        let output = measure(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn nothing_outlives_it() {
    let _alone = one_at_a_time();
    let nap = format!("10005.{}", std::process::id());
    // One in the group, one that has left it.
    let naps = format!("sleep {nap} >/dev/null 2>&1 & setsid sleep {nap} >/dev/null 2>&1 &");
    let left = figures(&["--", "sh", "-c", &format!("{naps} exit 0")]);
    assert_eq!(left["left_behind"], 2);
    assert_eq!(sleeping(&nap), 0);
    let own = figures(&["--prepare", &naps, "--cleanup", &naps, "--", "true"]);
    assert_eq!(own["left_behind"], 0);
    assert_eq!(sleeping(&nap), 0);

    let mut waits = command(&["--", "sh", "-c", &format!("{naps} wait")]);
    let waits = waits.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let waits = waits.expect("it starts");
    until("both sleep", || sleeping(&nap) == 2);
    let pid = Pid::from_raw(waits.id().cast_signed());
    kill(pid, Signal::SIGINT).expect("it runs");
    let output = waits.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert_eq!(sleeping(&nap), 0);
}
