//! A download survives a power cut between any two of its writes: on a model of the disk
//! that loses what was not synced.
//!
//! strace records what a model's downloader does to the disk. For a cut after each of these
//! operations, the model of the disk says what could be left: what was synced, and of the
//! rest nothing, all, all names without the bytes, or any of it. In each such directory
//!
//! - a file that has its name is right, and so is every file that was reported as complete;
//! - the next run makes all of it right, and leaves nothing behind.
//!
//! The model is that of a journaling file system, as ext4, XFS and btrfs are: renames are
//! atomic, names change on the disk in the order in which they were changed, and to sync a
//! file also keeps the name that it was made under. Bytes are written in any order.

#[path = "../common/mod.rs"]
mod common;
mod disk;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use origin::{Run, Shape};

use crate::disk::{Disk, Left};
use crate::trace::{CALLS, Recorder};

/// The bookkeeping of a download.
const STATE: &str = ".paces-download";

/// Of more files than are synced one by one, and of fewer. They have 125 KB on average, which
/// are several writes.
const FILES: [u64; 2] = [7, 2];

#[test]
fn a_download_survives_a_power_cut_between_any_two_writes() {
    if !common::can_trace(&[]) {
        return;
    }
    let (origin, downloaders) = common::downloaders();
    for (model, program) in &downloaders {
        for images in FILES {
            let shape = Shape {
                images,
                image_bytes: 0,
                delay_ms: 0,
                mbit_per_s: 0,
            };
            let run = Run::open(origin.url(), &shape).expect("a run");
            let files = run.files().expect("its files");
            let urls: String = files.iter().map(|file| format!("{}\n", file.url)).collect();
            let cuts = survives(program, &urls, images as usize);
            println!("{model} with {images} files: {cuts} cuts");
        }
    }
}

/// Cuts the power after each operation of a download; how often that was.
fn survives(program: &Path, urls: &str, files: usize) -> usize {
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    let list = place.join("list");
    fs::write(&list, urls).expect("a list");
    let traced = place.join("traced");
    let log = place.join("log");
    let out = fs::File::create(place.join("out")).expect("a file");
    let status = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "1048576", "-e", CALLS, "-o"])
        .arg(&log)
        .arg(program)
        .arg("download")
        .arg(&list)
        .args(["--json", "--into"])
        .arg(&traced)
        .stdout(out)
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("strace").success());
    let right = named(&traced);
    assert_eq!(right.len(), files);
    let log = fs::read_to_string(&log).expect("text");
    let operations = Recorder::new(&traced, &place.join("out")).record(&log);
    // Each file is made, written, and gets its name.
    assert!(operations.len() > 3 * files, "{operations:?}");

    let mut cuts = 0;
    let mut tried = BTreeSet::new();
    for cut in 0..=operations.len() {
        for left in [
            Left::Synced,
            Left::All,
            Left::Names,
            Left::Any(1),
            Left::Any(2),
        ] {
            let disk = Disk::after(&operations[..cut], left);
            // Most cuts leave what another one has left.
            if !tried.insert(disk.digest()) {
                continue;
            }
            cuts += 1;
            let directory = place.join(format!("{cut}-{cuts}"));
            disk.write(&directory);
            let what = || {
                format!(
                    "{} after {cut} of {operations:#?}: {left:?}",
                    program.display()
                )
            };
            let there = named(&directory);
            for (name, bytes) in &there {
                assert_eq!(Some(bytes), right.get(name), "{name} is wrong: {}", what());
            }
            for name in &disk.reported {
                assert!(there.contains_key(name), "{name} was reported: {}", what());
            }
            let next = Command::new(program)
                .arg("download")
                .arg(&list)
                .args(["--quiet", "--into"])
                .arg(&directory)
                .output()
                .expect("it runs");
            let said = String::from_utf8_lossy(&next.stderr);
            assert!(next.status.success(), "{said}: {}", what());
            assert!(
                named(&directory) == right,
                "the next run: {said}: {}",
                what()
            );
            let state = fs::read_dir(directory.join(STATE)).expect("the bookkeeping");
            for entry in state {
                let name = entry.expect("an entry").file_name();
                assert!(
                    name == "journal" || name == "lock",
                    "{name:?} is left: {}",
                    what()
                );
            }
            fs::remove_dir_all(&directory).expect("it is ours");
        }
    }
    cuts
}

/// The files that have names, but for the bookkeeping.
fn named(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory) else {
        return BTreeMap::new();
    };
    let entries = entries.map(|entry| entry.expect("an entry"));
    let entries = entries.filter(|entry| entry.file_name() != STATE);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().expect("text");
            (name, fs::read(entry.path()).expect("a file"))
        })
        .collect()
}
