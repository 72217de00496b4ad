//! Criterion's pages, made from a comparison's own samples.
//!
//! Criterion's processes each know one model and overwrite each other's pages.
//! So the rounds are measured without pages, and this replays all samples under
//! the same ids in one process: the pages show every model, and say what the
//! tables say. It is a process of its own (`cargo xtask replay`, hidden),
//! because Criterion prints as it goes and panics where it has no answer.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use compare::SAMPLES;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, PlottingBackend, SamplingMode};
use lab::error::last_words;
use lab::interrupt::Interrupt;
use lab::process;
use lab::process::Limits;
use report::page::criterion_links::MADE_FROM;
use results::{Cell, Comparison, ResultsDir, write_whole};
use suite::Workload;

/// Makes Criterion's pages in `home` from the data in `results`, in a child.
///
/// # Errors
///
/// When Criterion fails.
pub fn make(results: &ResultsDir, home: &Path, interrupt: &Interrupt) -> anyhow::Result<()> {
    let run = || -> anyhow::Result<Command> {
        remove_stale(home).with_context(|| format!("cannot clear {}", home.display()))?;
        let mut command = Command::new(std::env::current_exe().context("this program")?);
        command.arg("replay").arg(results.path());
        command.env("CRITERION_HOME", home);
        Ok(command)
    };
    let limits = Limits {
        timeout: Duration::from_secs(300),
        interrupt: interrupt.clone(),
    };
    let done = process::run(&mut run()?, &limits, None)?;
    if done.status.success() {
        return note_origin(results, home);
    }
    let said = last_words(&done.stderr);
    bail!("{}: {said}", done.status)
}

/// Notes whose pages they are.
fn note_origin(results: &ResultsDir, home: &Path) -> anyhow::Result<()> {
    let run = results.read()?.run;
    let json = serde_json::to_string(&run).context("a run as JSON")?;
    write_whole(&home.join(MADE_FROM), &json)
}

/// Takes away what an earlier comparison left: Criterion would list it beside
/// this one's, and draw its figures into the same plots.
fn remove_stale(home: &Path) -> io::Result<()> {
    match fs::remove_file(home.join(MADE_FROM)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let groups = Workload::ALL.iter().map(|workload| workload.name());
    for stale in groups.chain(["report"]) {
        match fs::remove_dir_all(home.join(stale)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Replays the data in `results` through Criterion, whose home is in the
/// environment.
///
/// # Errors
///
/// When there are no such results.
pub fn replay(results: &Path) -> anyhow::Result<()> {
    ensure!(
        std::env::var_os("CRITERION_HOME").is_some(),
        "CRITERION_HOME says where the pages go, and is not set"
    );
    let comparison = ResultsDir::open(results.to_owned())?.read()?;
    let mut criterion = Criterion::default()
        .with_measurement(Recorded(WallTime))
        .plotting_backend(PlottingBackend::Plotters)
        .nresamples(1001)
        // One iteration a sample, and nothing to warm up.
        .warm_up_time(Duration::from_nanos(1))
        .measurement_time(Duration::from_nanos(1));
    for workload in workloads(&comparison) {
        let mut group = criterion.benchmark_group(workload);
        group.sampling_mode(SamplingMode::Flat);
        let cells = comparison.cells.iter().filter(|cell| shown(cell));
        for cell in cells.filter(|cell| cell.workload == workload) {
            let Some(samples) = samples(cell)? else {
                continue;
            };
            group.sample_size(samples.len());
            let id = BenchmarkId::new(&cell.model, &cell.label);
            let mut next = Replayed::new(samples);
            group.bench_function(id, |bencher| bencher.iter_custom(|_| next.sample()));
        }
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

/// The workloads that have cells, in the order of those.
fn workloads(comparison: &Comparison) -> Vec<&str> {
    let mut workloads: Vec<&str> = Vec::new();
    for cell in &comparison.cells {
        if shown(cell) && cell.time.is_some() && !workloads.contains(&&*cell.workload) {
            workloads.push(&cell.workload);
        }
    }
    workloads
}

/// Whether Criterion's pages have a cell. They have no use for the points of a
/// sweep: each would be one more violin beside the presets'. Nor for contestants
/// from outside: the times of whole processes are none beside those of jobs. And
/// Criterion takes no fewer than [`SAMPLES`].
pub fn shown(cell: &Cell) -> bool {
    let samples = cell.time.as_ref().map(|time| time.samples_ns.len());
    let enough = samples.is_none_or(|samples| samples >= SAMPLES as usize);
    cell.point.is_none() && cell.command.is_none() && enough
}

/// A cell's samples, if it has any, made sure to be what Criterion can take.
fn samples(cell: &Cell) -> anyhow::Result<Option<&[f64]>> {
    let Some(time) = &cell.time else {
        return Ok(None);
    };
    let samples = &time.samples_ns;
    let named = || format!("{} {} {}", cell.workload, cell.model, cell.label);
    let sane = samples.iter().all(|ns| ns.is_finite() && *ns > 0.0);
    ensure!(sane, "{}: a sample that is no time", named());
    Ok(Some(samples))
}

/// Gives one recorded sample after the other.
struct Replayed<'a> {
    samples: &'a [f64],
    /// Samples given; `None` before the warm-up, which comes first.
    given: Option<usize>,
}

impl<'a> Replayed<'a> {
    fn new(samples: &'a [f64]) -> Self {
        Self {
            samples,
            given: None,
        }
    }

    fn sample(&mut self) -> f64 {
        let Some(given) = &mut self.given else {
            self.given = Some(0);
            // Criterion warms up until its own clock has moved.
            let start = Instant::now();
            while start.elapsed() < Duration::from_micros(1) {}
            return self.samples[0];
        };
        let sample = self.samples[*given % self.samples.len()];
        *given += 1;
        sample
    }
}

/// Wall time that was taken before, in nanoseconds and parts of them: a
/// `Duration` would round a job of 30 ns by up to 2 %.
struct Recorded(WallTime);

impl Measurement for Recorded {
    type Intermediate = ();
    type Value = f64;

    fn start(&self) {}

    fn end(&self, (): ()) -> f64 {
        0.0
    }

    fn add(&self, one: &f64, other: &f64) -> f64 {
        one + other
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, ns: &f64) -> f64 {
        *ns
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self.0.formatter()
    }
}
