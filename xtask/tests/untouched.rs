//! Nothing is observed while it is timed, and nothing reads `/proc` meanwhile but a
//! run's own first and last reads: seen in the system calls of a real comparison of all
//! models, by strace.
//!
//! A timed program reads `/proc` at its start (its stack, by the C library; its own
//! path; the limits on its cores, by std) and, once its job is done, to say what it
//! takes up. (One of `datagram` also reads the system's counters of dropped datagrams, right before
//! each job and after it; it is not compared here.) No system call tells when a job begins or ends, as it is timed without one.
//! But
//!
//! - a run (`model-X run --json`) says in its line how long the job took, and next lists
//!   `/proc` for its own processes. If nothing in its tree reads `/proc` during the job,
//!   at least that time lies between this read and the one before; otherwise less does.
//!   A call is noted while its thread is stopped, so the clock of the job runs in
//!   between.
//! - a bench has Criterion print `Collecting` before its first sample and `Analyzing`
//!   after its last.

mod common;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use lab::build::{self, Built};
use lab::interrupt::Interrupt;
use lab::progress::Progress;
use lab::workspace;
use results::fixture::MODELS;
use serde_json::Value;

/// What is traced: programs and threads, reads, and what is printed. A name that this
/// processor's system does not have is passed over.
const CALLS: &str = "trace=?execve,?clone,?clone3,?fork,?vfork,?open,?openat,?openat2,\
    ?readlink,?readlinkat,?read,?pread64,?readv,?getdents64,?write";

#[test]
fn nothing_looks_while_something_is_timed() {
    if !common::can_trace(&["--seccomp-bpf"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    build(directory);
    let log = directory.join("strace.log");
    let output = Command::new("strace")
        .args([
            "--seccomp-bpf",
            "-f",
            "-ttt",
            "-T",
            "-y",
            "-s",
            "4096",
            "-e",
            CALLS,
            "-o",
        ])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_xtask"))
        .args(["compare", "--quick", "--budget", "30", "--name", "traced"])
        .args(["fetch", "--set", "fetch.delays_ms=50"])
        // A sweep of the size: its jobs are not scaled, and long enough.
        .args(["--sweep", "primes.end=1100000,1200000", "--prebuilt"])
        .arg(directory)
        .arg("--output")
        .arg(directory)
        .output()
        .expect("strace");
    let said = String::from_utf8_lossy(&output.stderr);
    let data = fs::read(directory.join("results/traced/comparison.json"));
    let data = data.unwrap_or_else(|error| panic!("{error}: {said}"));
    let data: Value = serde_json::from_slice(&data).expect("JSON");
    let cells = data["cells"].as_array().expect("a list");
    assert_eq!(cells.len(), 3 * MODELS.len(), "{said}");
    for cell in cells {
        assert_eq!(cell["status"], "ok", "{}: {said}", cell["reason"]);
    }

    let trace = Trace::parse(&fs::read_to_string(&log).expect("text"));
    for model in MODELS {
        let of_model: Vec<_> = trace.programs(model).collect();
        for kind in [Kind::Run, Kind::Bench, Kind::Held] {
            let of_kind = || of_model.iter().filter(move |program| program.kind == kind);
            // A round of each of the three jobs at least.
            assert!(of_kind().count() >= 3, "{kind:?} of {model}: {said}");
            for program in of_kind() {
                let from_outside = trace.reads_from_outside(program);
                match kind {
                    // What is observed is seen to be, so the other two would be.
                    Kind::Held => assert!(!from_outside.is_empty(), "{program:?}"),
                    _ => assert!(from_outside.is_empty(), "{program:?}: {from_outside:?}"),
                }
                match kind {
                    Kind::Run => trace.assert_untouched_run(program),
                    Kind::Bench => trace.assert_untouched_bench(program),
                    Kind::Held => {}
                }
            }
        }
    }
}

/// All models' programs, as they are measured.
fn build(directory: &Path) {
    let root = workspace::root().expect("a checkout");
    let models = MODELS.map(str::to_owned);
    let built = build::build(&root, &models, &Interrupt::default(), &Progress::new());
    let Built { models, origin, .. } = built.expect("the origin builds");
    let link = |program: &Path, name: &str| {
        symlink(program, directory.join(name)).expect("a link");
    };
    link(&origin, "origin");
    for (model, programs) in models {
        let programs = programs.expect("it builds");
        link(&programs.runner, &format!("model-{model}"));
        link(&programs.bench, &format!("bench-{model}"));
    }
}

/// What the comparison starts to measure something.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Timed, in a process of its own.
    Run,
    /// Timed, by Criterion.
    Bench,
    /// Observed, and not timed.
    Held,
}

/// A program that the comparison has started.
#[derive(Debug)]
struct Program {
    process: u32,
    kind: Kind,
    began: u64,
    ended: u64,
}

/// A system call. Times are in microseconds.
#[derive(Debug)]
struct Call {
    thread: u32,
    /// As strace writes it: `read(3</proc/stat>, "cpu ..", 4096) = 1200`.
    text: String,
    began: u64,
    ended: u64,
}

impl Call {
    /// Whether it opens, lists, follows or reads something under `/proc`.
    fn reads_proc(&self) -> bool {
        let (name, rest) = self.text.split_once('(').unwrap_or_default();
        let argument = match name {
            "read" | "pread64" | "readv" | "getdents64" => rest.split(", ").next(),
            "write" | "execve" => None,
            _ => Some(rest),
        };
        argument.is_some_and(|text| text.contains("\"/proc") || text.contains("</proc"))
    }

    /// What it prints to standard output or error.
    fn prints(&self) -> Option<&str> {
        let rest = self.text.strip_prefix("write(")?;
        rest.starts_with(['1', '2'])
            .then(|| rest.split_once(", ").map(|(_, text)| text))?
    }
}

/// What a comparison and all that it started have called.
struct Trace {
    calls: Vec<Call>,
    root: u32,
    /// Each thread by the one that started it, and whether it is a process of its own.
    started: HashMap<u32, (u32, bool)>,
    exits: HashMap<u32, u64>,
}

impl Trace {
    fn parse(log: &str) -> Self {
        let mut trace = Self {
            calls: Vec::new(),
            root: 0,
            started: HashMap::new(),
            exits: HashMap::new(),
        };
        // Calls during which another thread's were written.
        let mut unfinished: HashMap<u32, (u64, &str)> = HashMap::new();
        for line in log.lines() {
            let (thread, rest) = line.split_once(' ').expect("a thread");
            let (at, text) = rest.trim_start().split_once(' ').expect("a time");
            let thread: u32 = thread.parse().expect("a number");
            let at = microseconds(at);
            if trace.root == 0 {
                trace.root = thread;
            }
            if text.starts_with("+++") {
                trace.exits.insert(thread, at);
            } else if let Some(begin) = text.strip_suffix(" <unfinished ...>") {
                unfinished.insert(thread, (at, begin));
            } else if text.starts_with("<...") {
                let (_, end) = text.split_once(" resumed>").expect("its rest");
                let (began, begin) = unfinished.remove(&thread).expect("its begin");
                trace.add(thread, format!("{begin}{end}"), began, at);
            } else if let Some((call, took)) = text.rsplit_once(" <") {
                let ended = at + microseconds(took.trim_end_matches('>'));
                trace.add(thread, call.to_owned(), at, ended);
            }
        }
        trace
    }

    fn add(&mut self, thread: u32, text: String, began: u64, ended: u64) {
        if text.starts_with("clone") || text.starts_with("fork") || text.starts_with("vfork") {
            let result = text.rsplit_once(" = ").map_or("", |(_, result)| result);
            let new = result.split(' ').next().and_then(|new| new.parse().ok());
            let is_process = !text.contains("CLONE_THREAD");
            self.started
                .extend(new.map(|new: u32| (new, (thread, is_process))));
        }
        self.calls.push(Call {
            thread,
            text,
            began,
            ended,
        });
    }

    /// The threads that have started this one, beginning with itself.
    fn ancestry(&self, thread: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(thread), |thread| {
            self.started.get(thread).map(|(starter, _)| *starter)
        })
    }

    /// Whether a thread is of the process, or of one below it.
    fn is_below(&self, thread: u32, process: u32) -> bool {
        self.ancestry(thread).any(|one| one == process)
    }

    /// The programs of a model that the comparison itself has started.
    fn programs(&self, model: &str) -> impl Iterator<Item = Program> {
        let (runner, bench) = (format!("/model-{model}\""), format!("/bench-{model}\""));
        self.calls.iter().filter_map(move |call| {
            let command = call.text.strip_prefix("execve(")?;
            let path = command.split(", ").next()?;
            let kind = if path.ends_with(&bench) {
                Kind::Bench
            } else if !path.ends_with(&runner) {
                return None;
            } else if command.contains("\"--hold\"") {
                Kind::Held
            } else {
                Kind::Run
            };
            let mut ancestry = self.ancestry(call.thread).skip(1);
            // A thread of the comparison, but no child of another model's program.
            let of_root = ancestry.all(|thread| {
                thread == self.root || self.started.get(&thread).is_some_and(|(_, own)| !own)
            });
            of_root.then(|| Program {
                process: call.thread,
                kind,
                began: call.began,
                ended: self.exits[&call.thread],
            })
        })
    }

    /// Reads of `/proc` while a program lived, by others.
    fn reads_from_outside(&self, program: &Program) -> Vec<&Call> {
        let meanwhile = |call: &&Call| call.ended >= program.began && call.began <= program.ended;
        self.calls
            .iter()
            .filter(meanwhile)
            .filter(|call| call.reads_proc() && !self.is_below(call.thread, program.process))
            .collect()
    }

    /// All calls in the tree of a program, in the order in which they began.
    fn own_calls(&self, program: &Program) -> Vec<&Call> {
        let own = self.calls.iter();
        let mut own: Vec<_> = own
            .filter(|call| self.is_below(call.thread, program.process))
            .collect();
        own.sort_by_key(|call| call.began);
        own
    }

    #[track_caller]
    fn assert_untouched_run(&self, program: &Program) {
        let calls = self.own_calls(program);
        let mut lines = calls.iter().filter_map(|call| call.prints());
        let elapsed = lines.find_map(|line| {
            let (_, number) = line.split_once(r#"elapsed_ns\":"#)?;
            let end = number.find(|c: char| !c.is_ascii_digit())?;
            number[..end].parse::<u64>().ok()
        });
        let elapsed_us = elapsed.expect("its line") / 1000;
        let reads: Vec<_> = calls.iter().filter(|call| call.reads_proc()).collect();
        let lists = |call: &&Call| call.text.contains("\"/proc\"");
        let last = reads.iter().position(|call| lists(call));
        let last = last.expect("it lists processes when its job is done");
        let before = reads[..last].iter().map(|call| call.ended).max();
        let before = before.expect("it reads its own path at its start");
        assert!(
            reads[last].began - before >= elapsed_us,
            "{program:?}: a job of {elapsed_us} us, in these reads: {reads:#?}"
        );
    }

    #[track_caller]
    fn assert_untouched_bench(&self, program: &Program) {
        let calls = self.own_calls(program);
        let printed = |words: &str| {
            let mut calls = calls.iter();
            let call = calls.find(|call| call.prints().is_some_and(|text| text.contains(words)));
            call.unwrap_or_else(|| panic!("no {words} of {program:?}"))
                .began
        };
        let (first, last) = (printed(": Collecting"), printed(": Analyzing"));
        let reads: Vec<_> = calls.iter().filter(|call| call.reads_proc()).collect();
        let meanwhile = |call: &&&&Call| call.ended >= first && call.began <= last;
        let inside: Vec<_> = reads.iter().filter(meanwhile).collect();
        assert!(inside.is_empty(), "{program:?}: {inside:?}");
        assert!(reads.iter().any(|call| call.ended < first), "{program:?}");
    }
}

/// Of seconds with six digits after the point.
fn microseconds(seconds: &str) -> u64 {
    let (whole, part) = seconds.split_once('.').expect("a point");
    whole.parse::<u64>().expect("a number") * 1_000_000 + part.parse::<u64>().expect("a number")
}
