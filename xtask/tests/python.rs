//! `compare --python`: the contestants in Python do their jobs right, whatever interpreters
//! there are, and a command line that names none is refused.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};

use common::{Sandbox, assert_shown, skip, text};
use serde_json::Value;

/// Every job that Python does, small.
const SMALL: [&str; 34] = [
    "--set",
    "counter.increments=500",
    "--set",
    "pipeline.items=1000",
    "--set",
    "primes.end=1000500",
    "--set",
    "exchange.messages=200",
    "--set",
    "fetch.delays_ms=1,2,3",
    "--set",
    "offload.calls=8",
    "--set",
    "download.images=12",
    "--set",
    "download.image_bytes=4096",
    "--set",
    "download.limit=5",
    "--set",
    "ping-pong.units=4",
    "--set",
    "ping-pong.passes=200",
    "--set",
    "sleepers.units=20",
    "--set",
    "sleepers.wait_ms=20",
    "--set",
    "spawn.units=20",
    "--set",
    "spawn.batch=10",
    "--set",
    "deadlines.operations=60",
    "--set",
    "deadlines.limit=6",
];

const WORKLOADS: [&str; 11] = [
    "counter",
    "pipeline",
    "primes",
    "exchange",
    "fetch",
    "offload",
    "download",
    "ping-pong",
    "sleepers",
    "spawn",
    "deadlines",
];

/// The oldest and the newest interpreter on `PATH`: their paths and versions.
fn interpreters() -> Vec<(String, [u32; 2])> {
    let names = (8..=15).flat_map(|minor| ["", "t"].map(|t| format!("python3.{minor}{t}")));
    let names = names.chain(["python3".to_owned()]);
    let mut found = BTreeMap::new();
    for name in names {
        let ask = "import sys; print(sys.executable, *sys.version_info[:2])";
        let said = Command::new(&name).args(["-I", "-c", ask]).output();
        let Some(said) = said.ok().filter(|said| said.status.success()) else {
            continue;
        };
        let said = text(&said.stdout);
        let [path, major, minor] = said.split_whitespace().collect::<Vec<_>>()[..] else {
            continue;
        };
        let number = |text: &str| text.parse().expect("a number");
        // One interpreter has several names.
        let file = fs::canonicalize(path).expect("it runs");
        found.insert(file, (path.to_owned(), [number(major), number(minor)]));
    }
    let mut found: Vec<_> = found
        .into_values()
        .filter(|(_, version)| *version >= [3, 8])
        .collect();
    found.sort_by_key(|(_, version)| *version);
    match &found[..] {
        [] => skip("this needs Python 3.8 or later, and there is none"),
        [_, .., _] => {
            found.drain(1..found.len() - 1);
        }
        [_] => {}
    }
    found
}

/// The cells of contestants in Python.
fn cells(sandbox: &Sandbox) -> Vec<Value> {
    let results = sandbox.results("made-up");
    let cells = results["cells"].as_array().expect("a list").iter();
    cells
        .filter(|cell| cell["python"].is_object())
        .cloned()
        .collect()
}

fn reason(cell: &Value) -> &str {
    cell["reason"].as_str().unwrap_or_default()
}

#[test]
fn every_model_does_its_jobs_right_with_each_interpreter() {
    for (path, version) in interpreters() {
        let sandbox = Sandbox::with(&["serial"]).with_origin();
        let with = ["--models", "serial", "--rounds", "1", "--budget", "100"];
        let at = ["--python-at", &path];
        let args = [&WORKLOADS[..], &SMALL, &with, &at].concat();
        let printed = sandbox.compared(0, &args);
        let cells = cells(&sandbox);
        for model in ["py-thread", "py-process", "py-asyncio"] {
            for workload in WORKLOADS {
                let is_of = |cell: &&Value| {
                    let name = cell["model"].as_str().unwrap_or_default();
                    name.starts_with(model) && cell["workload"] == workload
                };
                let of: Vec<_> = cells.iter().filter(is_of).collect();
                let right = of.iter().filter(|cell| cell["status"] == "ok").count();
                let why = of
                    .iter()
                    .map(|cell| reason(cell))
                    .collect::<Vec<_>>()
                    .join("; ");
                if why.contains("aiohttp") && (version < [3, 10] || why.contains("pip install")) {
                    eprintln!("SKIPPED: {path}: {workload}: {why}");
                    continue;
                }
                if (model, workload) == ("py-process", "deadlines") {
                    assert!(why.contains("threads or asyncio"), "{path}: {why}");
                    continue;
                }
                assert!(right >= 1, "{path}: {model} at {workload}: {why}");
                assert!(of.iter().all(|cell| cell["answers"] == true), "{of:?}");
            }
        }
        assert!(
            printed.contains("The article's claims, with Python"),
            "{printed}"
        );
    }
}

fn output(sandbox: &Sandbox, args: &[&str], path: Option<&str>) -> Output {
    let mut command = sandbox.command(args);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command.output().expect("it starts")
}

#[test]
fn what_is_no_interpreter_is_refused() {
    let sandbox = Sandbox::with(&["serial"]);
    sandbox.script("old", "echo '{\"version\": [3, 7, 9], \"gil\": true, \"interpreters\": false, \"environments\": true, \"path\": \"/old\"}'");
    sandbox.script("babbles", "echo hello; echo 'what is this' >&2");
    sandbox.script("fails", "exit 3");
    let refused = |args: &[&str], path: Option<&str>, says: &[&str]| {
        let all = [&["primes", "--models", "serial"], args].concat();
        let output = output(&sandbox, &all, path);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        for says in says {
            assert!(said.contains(says), "{args:?}: no {says} in {said}");
        }
    };
    for (program, says) in [
        ("missing", "missing"),
        ("old", "has to be Python 3.8 or later, and is 3.7.9"),
        ("babbles", "what is this"),
        ("fails", "has to be Python 3.8 or later"),
    ] {
        let path = sandbox.path(program).display().to_string();
        refused(
            &["--python-at", &path],
            None,
            &["--python-at", program, says],
        );
    }
    let empty = sandbox.path("empty");
    fs::create_dir(&empty).expect("a directory");
    let empty = empty.display().to_string();
    refused(&["--python"], Some(&empty), &["--python", "python3"]);
    if let Some((path, _)) = interpreters().first() {
        let twice = ["--python-at", path, "--python-at", path];
        refused(&twice, None, &["was named before"]);
    }
}

#[test]
fn an_interpreter_may_lie_at_a_path_with_a_space() {
    let Some((path, _)) = interpreters().pop() else {
        return;
    };
    let sandbox = Sandbox::with(&["serial"]);
    let directory = sandbox.path("it's a {place}");
    fs::create_dir(&directory).expect("a directory");
    let link = directory.join("python3");
    symlink(fs::canonicalize(path).expect("it runs"), &link).expect("a link");
    let link = link.display().to_string();
    let args = ["primes", "--models", "serial", "--python-at", &link];
    sandbox.compared(0, &[&args[..], &["--set", "primes.end=1000500"]].concat());
    let cells = cells(&sandbox);
    assert!(cells.len() >= 3, "{cells:?}");
    for cell in cells {
        assert_eq!(cell["status"], "ok", "{cell}");
        let command = cell["command"].as_str().expect("it has one");
        assert!(command.contains("it's a {place}/python3"), "{command}");
        assert_eq!(cell["python"]["interpreter"]["path"], link, "{cell}");
    }
}

#[test]
fn without_a_network_asyncio_does_what_needs_no_http() {
    let newer = |(_, version): &(String, [u32; 2])| *version >= [3, 10];
    let Some((path, _)) = interpreters().into_iter().find(newer) else {
        return skip("this needs Python 3.10 or later, and there is none");
    };
    let sandbox = Sandbox::with(&["serial"]).with_origin();
    let environments = sandbox.path("target/python");
    // A run that was killed has left it.
    fs::create_dir_all(environments.join("making-of-old/venv/bin")).expect("a directory");
    let args = [
        "fetch",
        "primes",
        "--models",
        "serial",
        "--python-at",
        &path,
    ];
    let args = [
        &args[..],
        &[
            "--set",
            "fetch.delays_ms=1,2",
            "--set",
            "primes.end=1000500",
        ],
    ];
    let mut command = sandbox.command(&args.concat());
    // Nothing listens there.
    command.env("PIP_INDEX_URL", "http://127.0.0.1:1/simple");
    command.env("PIP_NO_CACHE_DIR", "1");
    let output = command.output().expect("it starts");
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let cells = cells(&sandbox);
    for cell in &cells {
        let is_asyncio = cell["model"]
            .as_str()
            .is_some_and(|name| name.starts_with("py-asyncio"));
        if is_asyncio && cell["workload"] == "fetch" {
            assert_eq!(cell["status"], "unsupported", "{cell}");
            let why = reason(cell);
            assert!(
                why.contains("needs the package aiohttp: pip install"),
                "{why}"
            );
        } else {
            assert_eq!(cell["status"], "ok", "{cell}");
        }
    }
    assert!(cells.len() >= 6, "{cells:?}");
    assert_shown(&sandbox, &printed, &["has no aiohttp: pip install"]);
    let left: Vec<PathBuf> = fs::read_dir(&environments)
        .expect("it is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
