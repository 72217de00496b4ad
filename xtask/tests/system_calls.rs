//! How many system calls a downloaded file takes, by model: seen by strace. What is bounded
//! is what the disk is asked; the rest is printed, as it depends on how the threads meet.
//! The table in the README of `transfer` comes from here, too.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use origin::{Origin, Run, Shape};
use report::readme;

/// The most of each call for a file of 16 KiB, which is written at once: opened, checked,
/// locked, written, noted in the journal, named, closed. Runtimes also wake each other by
/// writes.
const MOST: [(&str, f64); 6] = [
    ("openat", 1.1),
    ("fstat", 1.1),
    ("flock", 1.1),
    ("write", 3.5),
    ("renameat2", 1.1),
    ("close", 1.2),
];

/// Two downloads with these numbers of files: their difference is without the start of the
/// program.
const FILES: [u64; 2] = [100, 400];

#[test]
fn a_file_takes_few_calls() {
    if !common::can_trace(&[]) {
        return;
    }
    let (origin, downloaders) = common::downloaders();
    for (model, program) in &downloaders {
        let [few, many] = FILES.map(|files| calls(program, &origin, files));
        let of_a_file = |call: &str| of_a_file(&few, &many, call);
        let all: Vec<String> = many
            .keys()
            .map(|call| (call, of_a_file(call)))
            .filter(|(_, calls)| *calls >= 0.05)
            .map(|(call, calls)| format!("{call} {calls:.2}"))
            .collect();
        println!("{model}: {}", all.join(", "));
        for (call, most) in MOST {
            let calls = of_a_file(call);
            assert!(calls <= most, "{}: {calls} times {call} a file", model);
        }
        // Or nothing was counted.
        assert!(of_a_file("renameat2") > 0.9, "{}: {all:?}", model);
    }
}

/// What the table in the README shows of each model: calls a file.
const SHOWN: [&str; 8] = [
    "openat",
    "write",
    "flock",
    "fstat",
    "renameat2",
    "close",
    "recvfrom",
    "futex",
];
const MARKS: [&str; 2] = [
    "<!-- costs: written by `cargo test --release -p xtask --test system_calls -- --ignored` -->",
    "<!-- /costs -->",
];
/// How often the time in syncs is measured, and with how many files.
const ROUNDS: usize = 12;
const SYNCED_FILES: u64 = 1_000;

/// Rounds lie all over the run: each has every model once.
#[test]
#[ignore = "writes the table in crates/transfer/README.md; for a machine that does nothing else"]
fn the_readmes_table_of_costs() {
    assert!(common::can_trace(&[]), "without strace there is no table");
    let (origin, downloaders) = common::downloaders();
    let mut syncs = vec![Vec::new(); downloaders.len()];
    for _ in 0..ROUNDS {
        for ((_, program), syncs) in downloaders.iter().zip(&mut syncs) {
            syncs.push(time_in_syncs(program, &origin));
        }
    }
    let mut table = format!(
        "| model | {} | 1,000 files | in syncs, all threads together |\n|---|{}---|---|\n",
        SHOWN.join(" | "),
        "---|".repeat(SHOWN.len()),
    );
    for ((model, program), syncs) in downloaders.iter().zip(syncs) {
        let [few, many] = FILES.map(|files| calls(program, &origin, files));
        let calls = SHOWN.map(|call| format!("{:.1}", of_a_file(&few, &many, call)));
        let (all, synced): (Vec<_>, Vec<_>) = syncs.into_iter().unzip();
        let [all, synced] = [all, synced].map(spread);
        let calls = calls.join(" | ");
        table += &format!("| `{model}` | {calls} | {all} | {synced} |\n");
    }
    let root = lab::workspace::root().expect("a checkout");
    let readme = root.join("crates/transfer/README.md");
    readme::replace(&readme, MARKS, &table).expect("the README");
}

/// The median, and the least and the most, in milliseconds.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let ms = |at: usize| times[at].as_millis();
    let last = times.len() - 1;
    format!("{} ms [{}..{}]", ms(times.len() / 2), ms(0), ms(last))
}

/// How long a download takes, and in how much of that a sync was under way.
fn time_in_syncs(program: &Path, origin: &Origin) -> (Duration, Duration) {
    // Or this run would wait for the writes of the one before.
    rustix::fs::sync();
    let only_syncs = [
        "-f",
        "-T",
        "--seccomp-bpf",
        "-e",
        "trace=fsync,fdatasync,syncfs",
    ];
    let (log, all) = traced(program, origin, SYNCED_FILES, &only_syncs);
    // `12345 syncfs(3) = 0 <0.012345>`
    let time = |line: &str| {
        let (_, seconds) = line.strip_suffix('>')?.rsplit_once('<')?;
        Some(Duration::from_secs_f64(seconds.parse().ok()?))
    };
    let synced: Duration = log.lines().filter_map(time).sum();
    assert!(!synced.is_zero(), "nothing was synced: {log}");
    (all, synced)
}

/// Calls that one more file takes.
fn of_a_file(few: &BTreeMap<String, u64>, many: &BTreeMap<String, u64>, call: &str) -> f64 {
    let count = |calls: &BTreeMap<String, u64>| calls.get(call).copied().unwrap_or(0) as f64;
    (count(many) - count(few)) / (FILES[1] - FILES[0]) as f64
}

/// Downloads this number of files of 16 KiB under strace: its output, and how long that took.
fn traced(program: &Path, origin: &Origin, files: u64, strace: &[&str]) -> (String, Duration) {
    let place = tempfile::tempdir().expect("a directory");
    let shape = Shape {
        images: files,
        image_bytes: 16 * 1024,
        delay_ms: 0,
        mbit_per_s: 0,
    };
    let run = Run::open(origin.url(), &shape).expect("a run");
    let urls = run.files().expect("its files").into_iter();
    let urls: String = urls.map(|file| format!("{}\n", file.url)).collect();
    let list = place.path().join("list");
    fs::write(&list, urls).expect("a list");
    let log = place.path().join("log");
    let began = Instant::now();
    let status = Command::new("strace")
        .args(strace)
        .arg("-o")
        .arg(&log)
        .arg(program)
        .arg("download")
        .arg(&list)
        .args(["--quiet", "--limit", "20", "--into"])
        .arg(place.path().join("files"))
        .status();
    assert!(status.expect("strace").success());
    let took = began.elapsed();
    (fs::read_to_string(log).expect("text"), took)
}

/// How often a download of this many files makes each system call.
fn calls(program: &Path, origin: &Origin, files: u64) -> BTreeMap<String, u64> {
    let (summary, _) = traced(program, origin, files, &["-f", "-c"]);
    // `% time     seconds  usecs/call     calls    errors syscall`, without errors if none.
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, calls, .., name] = words[..] else {
            return None;
        };
        Some((name.to_owned(), calls.parse().ok()?))
    };
    let mut calls: BTreeMap<String, u64> = summary.lines().filter_map(line).collect();
    calls.remove("total");
    // As it is called on other processors.
    if let Some(stat) = calls.remove("newfstatat") {
        *calls.entry("fstat".to_owned()).or_default() += stat;
    }
    calls
}
