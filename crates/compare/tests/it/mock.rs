//! Executors whose times and failures are scripted, and comparisons of them.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use analysis::Rules;
use analysis::baseline::Against;
use compare::{Contestant, Mode, Request, Session};
use lab::background_load::LoadMonitor;
use lab::case::Case;
use lab::error::CellError;
use lab::executor::{BenchTimes, Executor, RunContext};
use lab::interrupt::Interrupt;
use lab::progress::Progress;
use lab::run::{Peaks, Run};
use lab::rusage::Usage;
use results::{Cell, Comparison, ResultsDir, Sidecars};
use serde_json::{Value, json};
use suite::Workload;
use tempfile::TempDir;

/// What an executor was called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A checked run, before anything is measured.
    Try,
    /// An unobserved run.
    Run,
    Observe,
    Bench,
}

type Script = dyn Fn(Call, &Case, usize) -> Result<u64, CellError>;

/// An executor without programs. The script gives the time of the job in nanoseconds
/// for each call, which it numbers from 1 within its kind.
pub struct MockExecutor {
    script: Box<Script>,
    command: Option<&'static str>,
    run: Run,
    pub calls: RefCell<Vec<(Call, String)>>,
}

impl fmt::Debug for MockExecutor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("MockExecutor").finish_non_exhaustive()
    }
}

impl MockExecutor {
    pub fn new(script: impl Fn(Call, &Case, usize) -> Result<u64, CellError> + 'static) -> Self {
        let usage = Usage {
            user: Duration::from_millis(2),
            system: Duration::from_millis(1),
            ..Usage::default()
        };
        Self {
            script: Box::new(script),
            command: None,
            run: Run {
                wall: Duration::from_millis(5),
                usage,
                elapsed_ns: 0,
                outcome: json!({"done": 1}),
                completion_ns: Vec::new(),
                launch_ns: None,
                start_ns: None,
                origin_cpu_ns: None,
            },
            calls: RefCell::default(),
        }
    }

    /// Every job takes this time.
    pub fn steady(ns: u64) -> Self {
        Self::new(move |_, _, _| Ok(ns))
    }

    /// It is a custom command.
    pub fn custom(mut self) -> Self {
        self.command = Some("a command");
        self
    }

    /// Its unobserved runs report this.
    pub fn reporting(mut self, change: impl FnOnce(&mut Run)) -> Self {
        change(&mut self.run);
        self
    }

    /// Its part in a comparison.
    pub fn named(self, name: &str) -> Contestant {
        contestant(name, &Rc::new(self))
    }

    fn call(&self, call: Call, case: &Case) -> Result<u64, CellError> {
        let number = {
            let mut calls = self.calls.borrow_mut();
            calls.push((call, case.label()));
            calls.iter().filter(|(made, _)| *made == call).count()
        };
        (self.script)(call, case, number)
    }
}

/// A contestant whose calls the caller can look at afterwards.
pub fn contestant(name: &str, executor: &Rc<MockExecutor>) -> Contestant {
    Contestant::new(name.to_owned(), Ok(Rc::clone(executor) as Rc<dyn Executor>))
}

impl Executor for MockExecutor {
    fn run(
        &self,
        _context: &RunContext,
        case: &Case,
        checked: bool,
        _timeout: Duration,
    ) -> Result<Run, CellError> {
        let call = if checked { Call::Try } else { Call::Run };
        let elapsed_ns = self.call(call, case)?;
        let wall = self.run.wall.max(Duration::from_nanos(elapsed_ns));
        let mut run = Run {
            elapsed_ns,
            wall,
            ..self.run.clone()
        };
        if checked {
            // A figure from here would be a mistake.
            run.completion_ns = vec![99_000_000_000];
        }
        Ok(run)
    }

    fn observe(
        &self,
        _context: &RunContext,
        case: &Case,
        _timeout: Duration,
    ) -> Result<Peaks, CellError> {
        let seen = self.call(Call::Observe, case)?;
        Ok(Peaks {
            memory: Some(seen),
            kernel: Some(1),
            own_memory: None,
            threads: Some(1),
            processes: 1,
        })
    }

    fn bench(
        &self,
        _context: &RunContext,
        _model: &str,
        case: &Case,
        _times: BenchTimes,
        _timeout: Duration,
    ) -> Result<Vec<f64>, CellError> {
        let ns = self.call(Call::Bench, case)?;
        Ok((0..10).map(|more| (ns + more) as f64).collect())
    }

    fn command(&self) -> Option<&str> {
        self.command
    }

    fn answers(&self) -> bool {
        self.command.is_none()
    }
}

/// A quick comparison of one workload; tests change what they are about.
pub fn request(workload: Workload, settings: &[&str]) -> Request {
    let settings = settings.iter().map(|text| compare::setting(text));
    Request {
        workloads: vec![workload],
        all_models: Vec::new(),
        models: Vec::new(),
        reference: None,
        cluster: None,
        environment: Vec::new(),
        custom_commands: Vec::new(),
        mode: Mode {
            budget: Duration::from_secs(60),
            ..Mode::QUICK
        },
        settings: settings.collect::<Result<_, _>>().expect("settings"),
        sweeps: Vec::new(),
        cores: vec![None],
        name: None,
        threads: 2,
        blocking_threads: 8,
        baseline: None,
        fail_above: None,
        equivalence: 0.1,
        load_limit: 0.03,
        self_check: false,
        seed: 7,
    }
}

/// The counter, without its other guards.
pub fn counter() -> Request {
    request(Workload::Counter, &["counter.guard=lock"])
}

/// What came of a comparison, and what it has written.
pub struct Compared {
    pub comparison: Comparison,
    pub directory: TempDir,
}

impl Compared {
    /// The first cell of a model.
    #[track_caller]
    pub fn cell(&self, model: &str) -> &Cell {
        let mut cells = self.comparison.cells.iter();
        let cell = cells.find(|cell| cell.model == model);
        cell.unwrap_or_else(|| panic!("no cell of {model}"))
    }

    /// The labels of all cells, each once.
    pub fn labels(&self) -> Vec<&str> {
        let cells = self.comparison.cells.iter();
        let mut labels: Vec<&str> = cells.map(|cell| &*cell.label).collect();
        labels.dedup();
        labels
    }
}

/// Compares without reading the background load.
pub fn compare(request: &Request, contestants: &[Contestant]) -> Compared {
    let mut monitor = LoadMonitor::new(request.mode.budget, request.load_limit);
    monitor.seen.unknown = Some("this is a test".to_owned());
    compare_with(request, contestants, monitor)
}

/// Compares with a monitor of the background load.
pub fn compare_with(
    request: &Request,
    contestants: &[Contestant],
    monitor: LoadMonitor,
) -> Compared {
    compare_against(request, contestants, monitor, None)
}

/// Compares with an earlier run.
pub fn compare_against(
    request: &Request,
    contestants: &[Contestant],
    monitor: LoadMonitor,
    against: Option<&Against>,
) -> Compared {
    let directory = tempfile::tempdir().expect("a directory");
    let results = ResultsDir::prepare(directory.path().join("results")).expect("it is writable");
    let mut comparison = empty(request, contestants);
    comparison.baseline = against.map(|against| against.begin(&comparison, request.fail_above));
    let (temporary, _) = runner::scratch::directory(0).expect("a directory");
    let session = Session {
        context: RunContext {
            origins: Default::default(),
            inputs: directory.path().join("inputs"),
            threads: request.threads,
            blocking_threads: request.blocking_threads,
            environment: request.environment.clone(),
            temporary,
            quota: None,
            interrupt: Interrupt::default(),
        },
        mode: request.mode,
        monitor,
        began: Instant::now(),
        progress: &Progress::new(),
        rules: Rules {
            seed: request.seed,
            equivalence: request.equivalence,
        },
        against,
        comparison: &mut comparison,
        sidecars: &Sidecars::default(),
        results: &results,
    };
    let cases = request.cases().expect("a request that makes sense");
    session.run(cases, contestants).expect("it is writable");
    Compared {
        comparison,
        directory,
    }
}

/// A comparison before anything was measured.
fn empty(request: &Request, contestants: &[Contestant]) -> Comparison {
    let models: Vec<&str> = contestants.iter().map(|one| &*one.model).collect();
    let mut json = json!({
        "schema": 1,
        "run": {
            "name": "mock", "started": "", "mode": "quick", "revision": "",
            "seed": request.seed, "threads": 2, "blocking_threads": 8, "models": models,
            "budget_s": 60.0, "took_s": 0.0, "interrupted": false,
        },
        "host": {"cpu": "", "cores": 2, "memory": 1, "kernel": "", "os": "", "clock_reading_ns": 40.0},
        "versions": {},
        "cells": [],
    });
    if request.self_check {
        json["self_check"] = json!({"pairs": 0, "different": 0, "share": 0.0});
    }
    serde_json::from_value(json).expect("of the schema")
}

/// As it is written.
pub fn json(data: &impl serde::Serialize) -> Value {
    serde_json::to_value(data).expect("JSON")
}
