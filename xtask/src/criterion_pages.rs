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
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{
    AxisScale, Bencher, BenchmarkId, Criterion, PlotConfiguration, PlottingBackend, SamplingMode,
};
use lab::error::last_words;
use lab::executor::SAMPLES;
use lab::interrupt::Interrupt;
use lab::process;
use lab::process::Limits;
use report::page::criterion_links::{MADE_FROM, group, is_of_workload};
use results::{Cell, Comparison, ResultsDir, write_whole};
use suite::{Workload, setting_text};

use crate::criterion_index;

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
    let is_ours = |name: &str| {
        let mut workloads = Workload::ALL.iter();
        name == "report" || workloads.any(|of| is_of_workload(name, of.name()))
    };
    let entries = match fs::read_dir(home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_ours) {
            fs::remove_dir_all(entry.path())?;
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
    let benches = benches(&comparison.cells)?;
    if let Some(earlier) = earlier_run(&comparison, results)? {
        let earlier = called_as_now(self::benches(&earlier)?, &benches);
        run(&mut criterion().without_plots(), &earlier);
    }
    if benches.is_empty() {
        return Ok(()); // Criterion makes no pages then
    }
    let mut criterion = criterion();
    run(&mut criterion, &benches);
    criterion.final_summary();
    let home = std::env::var_os("CRITERION_HOME").unwrap_or_default();
    criterion_index::fill(&Path::new(&home).join("report/index.html"))
}

fn criterion() -> Criterion<Recorded> {
    Criterion::default()
        .with_measurement(Recorded(WallTime))
        .plotting_backend(PlottingBackend::Plotters)
        .nresamples(1001)
        // One iteration a sample, and nothing to warm up.
        .warm_up_time(Duration::from_nanos(1))
        .measurement_time(Duration::from_nanos(1))
}

/// The cells of the run that `comparison` was compared with: those that were the same job.
fn earlier_run(comparison: &Comparison, results: &Path) -> anyhow::Result<Option<Vec<Cell>>> {
    let Some(baseline) = &comparison.baseline else {
        return Ok(None);
    };
    let directory = results.with_file_name(&baseline.name);
    // It may have been removed since.
    let Ok(directory) = ResultsDir::open(directory) else {
        return Ok(None);
    };
    let mut cells = directory.read()?.cells;
    cells.retain(|cell| {
        let mut compared = baseline.cells.iter();
        compared.any(|of| cell.is_of(&of.workload, &of.label) && cell.model == of.model)
    });
    Ok(Some(cells))
}

/// Those of an `earlier` run that are there now, by the names that they have now, which
/// tell the number of samples: Criterion compares what has the same name. It would list
/// what is not there any more.
fn called_as_now<'a>(earlier: Vec<Bench<'a>>, now: &[Bench]) -> Vec<Bench<'a>> {
    let renamed = |bench: Bench<'a>| {
        let same = now.iter().find(|new| new.is_same(&bench))?;
        let function = same.function.clone();
        Some(Bench { function, ..bench })
    };
    earlier.into_iter().filter_map(renamed).collect()
}

/// Replays `benches`, those of a group together.
fn run(criterion: &mut Criterion<Recorded>, benches: &[Bench]) {
    for benches in benches.chunk_by(|one, other| one.group == other.group) {
        let mut group = criterion.benchmark_group(&benches[0].group);
        group.sampling_mode(SamplingMode::Flat);
        if is_wide(benches) {
            let scale = PlotConfiguration::default().summary_scale(AxisScale::Logarithmic);
            group.plot_config(scale);
        }
        for bench in benches {
            let samples = bench.samples;
            group.sample_size(samples.len() * repeats(samples.len()));
            let mut next = Replayed::new(samples);
            let routine = |bencher: &mut Bencher<Recorded>| {
                bencher.iter_custom(|_| next.sample());
            };
            match &bench.value {
                Some(value) => {
                    group.bench_function(BenchmarkId::new(&bench.function, value), routine)
                }
                None => group.bench_function(&bench.function, routine),
            };
        }
        group.finish();
    }
}

/// Whether the samples of a group need a logarithmic scale: on a linear one, all but the
/// slowest of them would be a stroke at its beginning. The values of a sweep are on that
/// scale, too, and so have to be above 0.
fn is_wide(benches: &[Bench]) -> bool {
    let samples = || benches.iter().flat_map(|bench| bench.samples).copied();
    let least = samples().fold(f64::INFINITY, f64::min);
    let most = samples().fold(0.0, f64::max);
    let values = benches
        .iter()
        .filter_map(|bench| bench.value.as_ref()?.parse::<f64>().ok());
    most > 10.0 * least && values.into_iter().all(|value| value > 0.0)
}

/// What Criterion's pages show of a cell.
struct Bench<'a> {
    group: String,
    model: String,
    /// The model, and how many samples it has, if they have to be repeated.
    function: String,
    /// The value of a sweep.
    value: Option<String>,
    samples: &'a [f64],
}

impl Bench<'_> {
    /// Whether both are the same model at the same job.
    fn is_same(&self, other: &Bench) -> bool {
        self.group == other.group && self.model == other.model && self.value == other.value
    }
}

/// What is shown of `cells`, in the order of their groups.
fn benches(cells: &[Cell]) -> anyhow::Result<Vec<Bench<'_>>> {
    let mut benches = Vec::new();
    for cell in cells {
        let Some(samples) = samples(cell) else {
            continue;
        };
        let sane = samples.iter().all(|ns| ns.is_finite() && *ns > 0.0);
        let named = || format!("{} {} {}", cell.workload, cell.model, cell.label);
        ensure!(sane, "{}: a sample that is no time", named());
        let value = cell.point.as_ref().map(|point| setting_text(&point.value));
        let (model, number) = (&cell.model, samples.len());
        let is_repeated = repeats(number) > 1 && value.is_none();
        benches.push(Bench {
            group: group(cell),
            model: model.clone(),
            function: match is_repeated {
                true if number == 1 => format!("{model} (1 sample)"),
                true => format!("{model} ({number} samples)"),
                false => model.clone(),
            },
            value,
            samples,
        });
    }
    benches.sort_by(|one, other| one.group.cmp(&other.group));
    Ok(benches)
}

/// How often each of this number of samples has to be replayed: Criterion takes no fewer than
/// [`SAMPLES`], and a job of fresh processes may have two.
fn repeats(samples: usize) -> usize {
    (SAMPLES as usize).div_ceil(samples)
}

/// What Criterion's pages show of a cell, if they do. Custom commands
/// are left out: their time is that of a whole process, and not of a job alone.
pub fn samples(cell: &Cell) -> Option<&[f64]> {
    let time = cell.time.as_ref().filter(|_| cell.is_model())?;
    Some(&*time.samples_ns).filter(|samples| !samples.is_empty())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_bench_is_called_as_it_is_now() {
        let bench = |model: &str, samples: usize| Bench {
            group: "offload article".to_owned(),
            model: model.to_owned(),
            function: format!("{model} ({samples} samples)"),
            value: None,
            samples: &[],
        };
        let then = vec![bench("tokio", 3), bench("smol", 4)];
        let renamed = called_as_now(then, &[bench("thread", 4), bench("tokio", 4)]);
        let functions: Vec<_> = renamed.iter().map(|bench| &*bench.function).collect();
        assert_eq!(functions, ["tokio (4 samples)"]);
    }
}
