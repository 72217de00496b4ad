//! How many system calls a downloaded file takes, by model: seen by strace. What is bounded
//! is what the disk is asked; the rest is printed, as it depends on how the threads meet.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use lab::build::{self, Profile};
use lab::interrupt::Interrupt;
use lab::models;
use lab::progress::Progress;
use lab::workspace;
use origin::{Origin, Run, Shape};

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

/// Two downloads of so many files: what they differ by is not the start of the program.
const FILES: [u64; 2] = [100, 400];

#[test]
fn a_file_takes_few_calls() {
    let works = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status();
    if !works.is_ok_and(|status| status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "strace is missing or not permitted"
        );
        eprintln!("SKIPPED: this needs strace, which is missing or not permitted");
        return;
    }
    let root = workspace::root().expect("a checkout");
    let models = models::models(&root).expect("models");
    let names = models.iter().map(|model| workspace::package(model.name()));
    let packages: Vec<String> = ["origin".to_owned()].into_iter().chain(names).collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let (interrupt, progress) = (Interrupt::default(), Progress::new());
    let programs = build::programs(&root, &packages, Profile::Release, &interrupt, &progress);
    let mut programs = programs.expect("cargo runs").into_iter();
    let program = programs.next().flatten().expect("the origin builds");
    let origin = Origin::spawn(&program, &[]).expect("it starts");
    for (model, program) in models.iter().zip(programs) {
        let program = program.expect("it builds");
        let [few, many] = FILES.map(|files| calls(&program, &origin, files));
        let more = (FILES[1] - FILES[0]) as f64;
        let of_a_file = |call: &str| {
            let count = |calls: &BTreeMap<String, u64>| calls.get(call).copied().unwrap_or(0);
            (count(&many) as f64 - count(&few) as f64) / more
        };
        let all: Vec<String> = many
            .keys()
            .map(|call| (call, of_a_file(call)))
            .filter(|(_, calls)| *calls >= 0.05)
            .map(|(call, calls)| format!("{call} {calls:.2}"))
            .collect();
        println!("{}: {}", model.name(), all.join(", "));
        for (call, most) in MOST {
            let calls = of_a_file(call);
            assert!(
                calls <= most,
                "{}: {calls} times {call} a file",
                model.name()
            );
        }
        // Or nothing was counted.
        assert!(of_a_file("renameat2") > 0.9, "{}: {all:?}", model.name());
    }
}

/// What a download of so many files calls, and how often.
fn calls(program: &Path, origin: &Origin, files: u64) -> BTreeMap<String, u64> {
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
    let summary = place.path().join("summary");
    let status = Command::new("strace")
        .args(["-f", "-c", "-o"])
        .arg(&summary)
        .arg(program)
        .arg("download")
        .arg(&list)
        .args(["--quiet", "--limit", "20", "--into"])
        .arg(place.path().join("files"))
        .status();
    assert!(status.expect("strace").success());
    let summary = fs::read_to_string(summary).expect("text");
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
