//! Nothing that is timed is looked at, and nothing looks under `/proc` while it is
//! timed but for a run's own first and last looks: seen in every system call of a real
//! comparison of all models.
//!
//! A timed program's own looks are those of its start (its stack by the C library, its
//! own path, and the limits on its cores, by which std counts them) and, once its job is
//! done, the one at what it takes up. No system call says when a job begins or ends, as
//! it is timed without one. But
//!
//! - a run (`model-X run --json`) says in its line how long the job took, and what it
//!   does next is to list `/proc` for the processes that it has. So if nobody in its
//!   tree looks meanwhile, at least that time lies between this look and the one before;
//!   and if somebody did, less does. Nothing has to be known of the clock for that: each
//!   look is noted while whoever looks stands still, before or after its job.
//! - a bench has Criterion say `Collecting` before its first sample and `Analyzing` after
//!   its last.

mod trace;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::contestants::{self, Built, Means};
use xtask::interrupt::Interrupt;
use xtask::plan::MODELS;
use xtask::progress::Progress;
use xtask::workspace;

use trace::{Look, Process, Trace, trace};

#[test]
fn nothing_looks_while_something_is_timed() {
    let stage = tempfile::tempdir().expect("a directory");
    let stage = stage.path();
    build(stage);
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["compare", "--quick", "--budget", "30", "--name", "traced"]);
    command.args(["fetch", "--set", "fetch.delays_ms=50"]);
    // A sweep, as its jobs are not made smaller: the longer a job, the clearer.
    command.args(["--sweep", "primes.end=1500000,2000000"]);
    command
        .arg("--prebuilt")
        .arg(stage)
        .arg("--output")
        .arg(stage);
    let output = stage.join("output");
    let Some(traced) = trace(&command, File::create(&output).expect("a file")) else {
        // Where this runs for everybody, it has to be able to.
        assert!(std::env::var_os("CI").is_none(), "ptrace is not permitted");
        eprintln!("SKIPPED: ptrace is not permitted here, so nothing was looked into");
        return;
    };
    let said = fs::read_to_string(&output).expect("text");
    let data = stage.join("results/traced/comparison.json");
    let data = fs::read(data).unwrap_or_else(|error| panic!("{error}: {said}"));
    let data: Value = serde_json::from_slice(&data).expect("JSON");
    let cells = &data["cells"];
    let cells = cells.as_array().expect("a list");
    assert!(
        cells.len() == 18 && cells.iter().all(|cell| cell["status"] == "ok"),
        "{said}"
    );

    let started = |process: &&Process| process.parent == traced.root;
    let started: Vec<&Process> = traced.processes.iter().filter(started).collect();
    let of = |kind: Kind| {
        started
            .iter()
            .filter(move |one| Kind::of(one) == Some(kind))
    };
    for model in MODELS {
        for kind in [Kind::Run, Kind::Bench, Kind::Held] {
            let name = kind.program(model);
            let there = of(kind).filter(|one| one.command[0].ends_with(&name));
            // A round of each of the three jobs at least.
            assert!(there.count() >= 3, "{kind:?} of {model}: {said}");
        }
    }
    for run in of(Kind::Run) {
        untouched_from_outside(&traced, run);
        untouched_run(&traced, run);
    }
    for bench in of(Kind::Bench) {
        untouched_from_outside(&traced, bench);
        untouched_bench(&traced, bench);
    }
    // What is looked at is seen to be: so the above could be seen as well.
    for held in of(Kind::Held) {
        let outside = looks_from_outside(&traced, held);
        assert!(
            !outside.is_empty(),
            "{:?} was never looked at",
            held.command
        );
    }
}

/// What the comparison starts to measure something.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Timed, in a process of its own.
    Run,
    /// Timed, by Criterion.
    Bench,
    /// Looked at, and not timed.
    Held,
}

impl Kind {
    fn of(process: &Process) -> Option<Self> {
        let program = process.command.first()?;
        let has = |word: &str| process.command.iter().any(|own| own == word);
        let is = |kind: Self| {
            MODELS
                .iter()
                .any(|model| program.ends_with(&kind.program(model)))
        };
        match () {
            () if is(Self::Bench) => Some(Self::Bench),
            () if is(Self::Held) && has("--hold") => Some(Self::Held),
            () if is(Self::Run) => Some(Self::Run),
            () => None,
        }
    }

    fn program(self, model: &str) -> String {
        match self {
            Self::Bench => format!("/bench-{model}"),
            Self::Run | Self::Held => format!("/model-{model}"),
        }
    }
}

/// All models' programs, as they are measured.
fn build(stage: &Path) {
    let models = MODELS.map(str::to_owned);
    let (interrupt, progress) = (Interrupt::default(), Progress::new());
    let built = contestants::build(&workspace::root(), &models, &interrupt, &progress);
    let Built {
        contestants,
        origin,
    } = built.expect("the origin builds");
    let link = |program: &Path, name: &str| {
        symlink(program, stage.join(name)).expect("a link");
    };
    link(&origin, "origin");
    for contestant in contestants {
        let model = contestant.model;
        let Ok(Means::Model(programs)) = contestant.programs else {
            panic!("{model} does not build");
        };
        link(&programs.runner, &format!("model-{model}"));
        link(&programs.bench, &format!("bench-{model}"));
    }
}

/// Looks while a process lived, by whoever is neither that nor below it.
fn looks_from_outside<'a>(traced: &'a Trace, process: &Process) -> Vec<&'a Look> {
    let ended = process.ended.expect("it was waited for");
    let others = traced.processes.iter();
    let others = others.filter(|other| !traced.is_below(other, process));
    let meanwhile = |look: &&Look| look.ended >= process.began && look.began <= ended;
    let looks = others.flat_map(|other| &other.looks);
    looks.filter(meanwhile).collect()
}

#[track_caller]
fn untouched_from_outside(traced: &Trace, process: &Process) {
    let looks = looks_from_outside(traced, process);
    assert!(looks.is_empty(), "during {:?}: {looks:?}", process.command);
}

/// All looks in the tree of a process, in the order in which they began.
fn own_looks<'a>(traced: &'a Trace, top: &Process) -> Vec<&'a Look> {
    let tree = traced.processes.iter();
    let tree = tree.filter(|process| traced.is_below(process, top));
    let mut looks: Vec<_> = tree.flat_map(|process| &process.looks).collect();
    looks.sort_by_key(|look| look.began);
    looks
}

#[track_caller]
fn untouched_run(traced: &Trace, run: &Process) {
    let line = run.said.iter().find(|(_, said)| said.starts_with('{'));
    let line: Value = serde_json::from_str(&line.expect("its line").1).expect("JSON");
    let elapsed = Duration::from_nanos(line["elapsed_ns"].as_u64().expect("a number"));
    let looks = own_looks(traced, run);
    let listing = |look: &&Look| look.path == "/proc";
    let last = looks.iter().position(listing);
    let last = last.expect("it lists processes when its job is done");
    let (before, after) = looks.split_at(last);
    let latest = before.iter().map(|look| look.ended).max();
    let latest = latest.expect("it looks for its own path at its start");
    assert!(
        after[0].began - latest >= elapsed,
        "{:?}: a job of {elapsed:?}, in these looks: {looks:?}",
        run.command
    );
}

#[track_caller]
fn untouched_bench(traced: &Trace, bench: &Process) {
    let said = |words: &str| -> Instant {
        let mut said = bench.said.iter();
        let found = said.find(|(_, said)| said.contains(words));
        found
            .unwrap_or_else(|| panic!("no {words} in {:?}", bench.said))
            .0
    };
    let (first, last) = (said(": Collecting"), said(": Analyzing"));
    let looks = own_looks(traced, bench);
    let inside = looks
        .iter()
        .filter(|look| look.ended >= first && look.began <= last);
    let inside: Vec<_> = inside.collect();
    assert!(inside.is_empty(), "{:?}: {inside:?}", bench.command);
    assert!(
        looks.iter().any(|look| look.ended < first),
        "{:?}",
        bench.command
    );
}
