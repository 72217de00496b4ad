//! How many system calls a downloaded file takes, by model: seen by strace. What is bounded
//! is what the disk is asked; the rest is printed, as it depends on how the threads meet.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

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
        println!("{model}: {}", all.join(", "));
        for (call, most) in MOST {
            let calls = of_a_file(call);
            assert!(calls <= most, "{}: {calls} times {call} a file", model);
        }
        // Or nothing was counted.
        assert!(of_a_file("renameat2") > 0.9, "{}: {all:?}", model);
    }
}

/// How often a download of this many files makes each system call.
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
