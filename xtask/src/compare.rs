//! `cargo xtask compare`: from the command line to `results/NAME/`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use compare::{Mode, Preparation, Request, SweepSpec, setting};
use lab::command_template::CustomCommand;
use lab::error::Interrupted;
use lab::interrupt::Interrupt;
use lab::models::{self, Model};
use lab::progress::{Progress, whole_seconds};
use lab::{affinity, background_load, build, build_times, crate_size, process, sources, workspace};
use report::highlight::RustCode;
use report::{files, terminal, words};
use results::{
    Baseline, Cell, ClusterNodes, Comparison, EQUIVALENCE, Effort, ResultsDir, RunInfo, SelfCheck,
    Sidecars, Status, safe_name,
};
use suite::{Invalid, Setting, Setup, Workload};

use crate::{Outcome, cluster, conditions, criterion_pages, python};

/// Measures models side by side, and writes results/NAME.
#[derive(Debug, Args)]
pub struct Options {
    /// Which workloads; all, if none is named and nothing swept
    #[arg(value_name = "WORKLOAD")]
    workloads: Vec<Workload>,
    /// Which models, with commas, or `all`; all but `cluster`, if none is named
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// The model whose times the ratios are given to [default: serial]
    #[arg(long, value_name = "MODEL")]
    reference: Option<String>,
    /// The heavy preset only, without variants unless their workload is named, and with long
    /// jobs scaled down: three minutes
    #[arg(long, conflicts_with = "thorough")]
    quick: bool,
    /// More rounds, and the sweeps that matter for choosing a model: two hours, of which half
    /// an hour times builds, unless workloads are named
    #[arg(long)]
    thorough: bool,
    /// Changes a job in all presets
    #[arg(long = "set", value_name = "WORKLOAD.KEY=VALUE", value_parser = setting)]
    settings: Vec<Setting>,
    /// Adds a program of your own to the tables; can be repeated
    ///
    /// In COMMAND, {urls} stands for every URL, {urls_file} for a file with them,
    /// {into} for an empty directory, {dir} for one with the job's files, {origin} for
    /// the server, {threads} for the number of worker threads, and {KEY} for any key of
    /// the job. Double a brace to keep it. No shell is involved.
    #[arg(long = "contestant", value_name = "NAME=COMMAND")]
    custom_commands: Vec<CustomCommand>,
    #[command(flatten)]
    cluster: cluster::Options,
    #[command(flatten)]
    python: python::Options,
    #[command(flatten)]
    conditions: conditions::Options,
    /// Measures the heavy job at each of these values of one key
    #[arg(long = "sweep", value_name = "WORKLOAD.KEY=VALUE,VALUE,...")]
    sweeps: Vec<SweepSpec>,
    /// On how many cores, with commas: `1,all` measures everything twice
    #[arg(
        long,
        value_name = "NUMBER|all",
        value_delimiter = ',',
        default_value = "all",
        conflicts_with = "threads",
        value_parser = affinity::parse
    )]
    cores: Vec<Option<usize>>,
    /// The directory under results [default: date and time]
    #[arg(long, value_parser = safe_name)]
    name: Option<String>,
    /// Worker threads of each model [default: one for each core it may use]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Blocking calls at once of each model
    #[arg(
        long,
        default_value_t = Setup::BLOCKING_THREADS as u16,
        value_parser = clap::value_parser!(u16).range(1..=Setup::MOST_BLOCKING_THREADS as i64)
    )]
    blocking_threads: u16,
    /// Also compares with an earlier run: a directory under results
    #[arg(long, value_name = "NAME", value_parser = safe_name)]
    baseline: Option<String>,
    /// Exit code 1 if a job takes more than RATIO times as long as in that run
    #[arg(long, value_name = "RATIO", requires = "baseline", value_parser = limit)]
    fail_above: Option<f64>,
    #[command(flatten)]
    equivalence: Equivalence,
    /// How much of the machine other programs may use before rounds are measured again,
    /// or marked; 100 turns that off
    #[arg(
        long,
        alias = "neighbours-limit",
        value_name = "PERCENT",
        default_value_t = background_load::LIMIT * 100.0,
        value_parser = percentage
    )]
    load_limit: f64,
    /// Compares every model with itself; exit code 1 if that finds differences
    #[arg(long, conflicts_with = "baseline")]
    self_check: bool,
    /// Seeds the order within the rounds and the verdicts' resamples [default: random]
    #[arg(long)]
    seed: Option<u64>,
    /// How long to measure, in seconds, after the build [default: the mode's]
    #[arg(
        long,
        alias = "budget",
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    time: Option<u32>,
    /// How many rounds of every job to measure, if there is time; a verdict takes five
    /// [default: by the width of the job's intervals]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: Option<u32>,
    /// Where results and Criterion's pages go
    #[arg(long, hide = true)]
    output: Option<PathBuf>,
    /// Measures the programs in this directory instead of building
    #[arg(long, hide = true)]
    prebuilt: Option<PathBuf>,
}

/// Compares, and writes what came of it.
///
/// # Errors
///
/// When the options make no sense, another comparison runs, something cannot be
/// written, the origin does not start, or a signal came.
pub fn compare(options: &Options) -> anyhow::Result<Outcome> {
    process::adopt_orphans()?;
    let interrupt = Interrupt::install().context("cannot take signals")?;
    let interpreters = options.python.interpreters(&interrupt)?;
    let progress = Progress::new();
    let root = workspace::root()?;
    let all = models::models(&root)?;
    let models = models::select(&all, "--models", &options.models)?;
    if let Some(reference) = &options.reference {
        models::find(&models, "--reference", reference)?;
    }
    let nodes = options.cluster.nodes(&models)?;
    let models = models::names(&models);
    let output = options.output.as_deref().unwrap_or(&root);
    let target = output.join("target");
    let in_python = interpreters.contestants(&root)?;
    let request = options.request(all, models.clone(), nodes, in_python)?;
    let mut preparation = Preparation::new(request, &root, output)?;
    if options.python.is_given() {
        let places = (&*root, &*target);
        python::prepare(
            interpreters,
            &mut preparation,
            places,
            &interrupt,
            &progress,
        )?;
    }
    let (built, sidecars) = match &options.prebuilt {
        // It may have been built from other code than this tree's.
        Some(directory) => (build::prebuilt(directory, &models), Sidecars::default()),
        None => {
            let built = build::build(&root, &models, &interrupt, &progress)?;
            let run = &mut preparation.comparison.run;
            let sidecars = options.sidecars(&root, &target, run, &interrupt, &progress);
            (built, sidecars)
        }
    };
    if interrupt.came() {
        return Err(Interrupted.into());
    }
    let cleaned_up = preparation.run(built, &sidecars, &interrupt, &progress)?;
    let mut comparison = preparation.comparison.clone();
    if comparison.cells.is_empty() {
        let took = whole_seconds(Duration::from_secs_f64(comparison.run.took_s));
        progress.print(&format!(
            "interrupted after {took}, before anything was measured"
        ));
        return Err(Interrupted.into());
    }
    let columns = terminal::columns(terminal::COLUMNS);
    progress.print(&terminal::tables(&comparison, columns));
    let results = preparation.results();
    let measured = Instant::now();
    if !comparison.run.interrupted {
        make_criterion_pages(&mut comparison, results, &target, &interrupt, &progress);
    }
    comparison.run.took_s += measured.elapsed().as_secs_f64();
    files::write(results, &comparison)?;
    progress.print(&closing(&comparison, results));
    // Also when it came while Criterion's pages were made.
    if interrupt.came() {
        return Err(Interrupted.into());
    }
    Ok(Outcome::of(cleaned_up && is_success(&comparison)))
}

/// Whether all cells are right or unsupported, none is slower than `--fail-above`
/// allows, and a self-check passed.
fn is_success(comparison: &Comparison) -> bool {
    let right = |cell: &Cell| matches!(cell.status, Status::Ok | Status::Unsupported);
    comparison.cells.iter().all(right)
        && comparison.baseline.as_ref().is_none_or(Baseline::holds)
        && comparison.self_check.as_ref().is_none_or(SelfCheck::passed)
}

/// Without Criterion's pages the results are still complete, so a failure to make them
/// is a note.
fn make_criterion_pages(
    comparison: &mut Comparison,
    results: &ResultsDir,
    target: &Path,
    interrupt: &Interrupt,
    progress: &Progress,
) {
    let mut cells = comparison.cells.iter();
    if !cells.any(|cell| criterion_pages::samples(cell).is_some()) {
        return;
    }
    progress.stage("making Criterion's pages");
    let home = target.join("criterion");
    match criterion_pages::make(results, &home, interrupt) {
        Ok(()) => comparison.run.criterion = Some("target/criterion".to_owned()),
        Err(error) => {
            let note = format!("Criterion's pages could not be made: {error:#}");
            progress.line(&note);
            comparison.run.notes.push(note);
        }
    }
}

/// The text after the tables: findings, background load, and where the results are.
fn closing(comparison: &Comparison, results: &ResultsDir) -> String {
    let path = results.path().display();
    let run = &comparison.run;
    let how = if run.interrupted {
        "interrupted after"
    } else {
        "took"
    };
    let took = whole_seconds(Duration::from_secs_f64(run.took_s));
    let mut text = String::new();
    for summary in words::summaries_with_claims(comparison) {
        text += &format!("{}:\n  {}\n\n", summary.title, summary.lines.join("\n  "));
    }
    if let Some(load) = &run.background_load {
        text += &format!("background load: {}\n", load.words());
    }
    text + &format!(
        "{how} {took}; results are in {path}:\n  {path}/{}",
        ResultsDir::PAGE
    )
}

impl Options {
    fn request(
        &self,
        all_models: Vec<Model>,
        models: Vec<String>,
        nodes: Option<ClusterNodes>,
        in_python: Vec<CustomCommand>,
    ) -> Result<Request, Invalid> {
        let conditions = self.conditions.conditions()?;
        if let Some(option) = self.conditions.first()
            && self.custom_commands.is_empty()
        {
            return Err(Invalid::new(
                option,
                "",
                "is for --contestant, and there is none",
            ));
        }
        let custom_commands = self.custom_commands.iter().cloned();
        let custom_commands = custom_commands.map(|command| command.under(&conditions));
        let mode = match (self.quick, self.thorough) {
            (true, _) => Mode::QUICK,
            (_, true) => Mode::THOROUGH,
            _ => Mode::DEFAULT,
        };
        let time = self.time.map(|seconds| Duration::from_secs(seconds.into()));
        Ok(Request {
            workloads: self.workloads.clone(),
            all_models,
            models,
            reference: self.reference.clone(),
            cluster: nodes,
            environment: cluster::environment(nodes),
            custom_commands: in_python.into_iter().chain(custom_commands).collect(),
            mode: Mode {
                budget: time.unwrap_or(mode.budget),
                least_rounds: self.rounds.unwrap_or(mode.least_rounds),
                most_rounds: self.rounds.unwrap_or(mode.most_rounds),
                scale: mode.scale || self.python.is_given(),
                ..mode
            },
            settings: self.settings.clone(),
            sweeps: self.sweeps.clone(),
            cores: self.cores.clone(),
            name: self.name.clone(),
            threads: self.threads.map_or_else(runner::cores, usize::from),
            blocking_threads: self.blocking_threads.into(),
            baseline: self.baseline.clone(),
            fail_above: self.fail_above,
            equivalence: self.equivalence.part(),
            load_limit: self.load_limit / 100.0,
            self_check: self.self_check,
            seed: self.seed.unwrap_or_else(|| fastrand::u64(..1 << 32)),
        })
    }

    /// The code that was built, its size, and with `--thorough` how long it builds, which takes
    /// half an hour: not for a comparison of a few workloads. What cannot be had of that is a
    /// note, and the rest is measured all the same.
    fn sidecars(
        &self,
        root: &Path,
        target: &Path,
        run: &mut RunInfo,
        interrupt: &Interrupt,
        progress: &Progress,
    ) -> Sidecars {
        let RunInfo {
            revision,
            models,
            notes,
            ..
        } = run;
        let mut note = |what: &str, error: anyhow::Error| {
            let note = format!("{what}: {error:#}");
            progress.line(&note);
            notes.push(note);
        };
        let sources = sources::of_tree(root, revision, models)
            .map_err(|error| note("the code is not kept", error))
            .ok();
        let mut effort = crate_size::sizes(root, models, RustCode::count)
            .map_err(|error| note("the effort is not counted", error))
            .ok()
            .map(|models| Effort {
                revision: revision.clone(),
                models,
            });
        let times_builds = self.thorough && self.workloads.is_empty();
        if let Some(effort) = effort.as_mut().filter(|_| times_builds)
            && let Err(error) = build_times::measure(root, target, effort, interrupt, progress)
        {
            note("no times of builds", error);
        }
        Sidecars { sources, effort }
    }
}

/// A part, given in percent.
fn percentage(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').trim_end().parse();
    let percent = percent
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "has to be a number of percent from 0 to 100".to_owned())
}

/// Up to which difference two times count as equal: an option of several commands.
#[derive(clap::Args, Debug)]
pub(crate) struct Equivalence {
    /// Times that are shown to be closer than this have no difference that matters
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = EQUIVALENCE * 100.0,
        value_parser = percentage
    )]
    equivalence: f64,
}

impl Equivalence {
    /// As a part of the time.
    pub(crate) fn part(&self) -> f64 {
        self.equivalence / 100.0
    }
}

/// From which ratio on a slower cell is a failure.
pub(crate) fn limit(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok();
    let ratio = ratio.filter(|ratio: &f64| ratio.is_finite() && *ratio >= 1.0);
    ratio.ok_or_else(|| "has to be a ratio from 1: 1.10 is ten percent slower".to_owned())
}
