//! `cargo xtask compare`: from the command line to `results/NAME/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use analysis::Rules;
use analysis::baseline::Against;
use analysis::holm::LEAST_DIFFERENCE;
use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use compare::contestants::Contestant;
use compare::mode::Mode;
use compare::session::Session;
use compare::settings::{refuse_idle, setting};
use compare::sweep::{self, SweepSpec};
use compare::{plan, self_check};
use lab::affinity::{self, Share};
use lab::background_load::{self, LoadMonitor};
use lab::build::{self, Built};
use lab::build_times;
use lab::case::Case;
use lab::command_template::{self, CustomCommand};
use lab::error::Interrupted;
use lab::executor::RunContext;
use lab::interrupt::Interrupt;
use lab::lock::Lock;
use lab::progress::{Progress, whole_seconds};
use lab::{host, process, sources, workspace};
use origin::Origin;
use report::{files, terminal, words};
use results::{
    Baseline, Cell, Comparison, Effort, ResultsDir, RunInfo, SCHEMA, SelfCheck, Sidecars, Status,
    safe_name,
};
use runner::{inputs, scratch};
use suite::models::MODELS;
use suite::{Invalid, Setting, Setup, Workload};

use crate::effort::count;
use crate::{Outcome, criterion_pages};

/// Measures models side by side, and writes results/NAME.
#[derive(Debug, Args)]
pub struct Options {
    /// Which workloads; all, if none is named and nothing swept
    #[arg(value_name = "WORKLOAD")]
    workloads: Vec<Workload>,
    /// Which models, with commas; all, if none is named
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(MODELS))]
    models: Vec<String>,
    /// The heavy preset only, scaled down where it is long: two minutes
    #[arg(long, conflicts_with = "thorough")]
    quick: bool,
    /// More rounds, and the sweeps that matter for choosing: an hour
    #[arg(long)]
    thorough: bool,
    /// Changes a job, in every preset
    #[arg(long = "set", value_name = "WORKLOAD.KEY=VALUE", value_parser = setting)]
    settings: Vec<Setting>,
    /// Puts a program of your own into the tables; can be given again
    ///
    /// In COMMAND, {urls} stands for every URL, {urls_file} for a file with them,
    /// {into} for an empty directory, {dir} for one with the job's files, {origin} for
    /// the server, {threads} for the number of worker threads, and {KEY} for any key of the job. A brace of its
    /// own is doubled. No shell is involved.
    #[arg(long = "contestant", value_name = "NAME=COMMAND")]
    custom_commands: Vec<CustomCommand>,
    /// Measures a job, heavy but for one key, at each of its values
    #[arg(long = "sweep", value_name = "WORKLOAD.KEY=VALUE,VALUE,...")]
    sweeps: Vec<SweepSpec>,
    /// On how many cores, with commas: `1,all` measures everything on both
    #[arg(
        long,
        value_name = "NUMBER|all",
        value_delimiter = ',',
        default_value = "all",
        conflicts_with = "threads",
        value_parser = affinity::parse
    )]
    cores: Vec<Option<usize>>,
    /// The directory under results; date and time, if not given
    #[arg(long, value_parser = safe_name)]
    name: Option<String>,
    /// Worker threads of each model; one a core that it may use, if not given
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Blocking calls at once of each model
    #[arg(
        long,
        default_value_t = Setup::BLOCKING_THREADS as u16,
        value_parser = clap::value_parser!(u16).range(1..=Setup::MOST_BLOCKING_THREADS as i64)
    )]
    blocking_threads: u16,
    /// Compares with an earlier run, too: a directory under results
    #[arg(long, value_name = "NAME", value_parser = safe_name)]
    baseline: Option<String>,
    /// Exit code 1 if a job takes more than so many times what it took then
    #[arg(long, value_name = "RATIO", requires = "baseline", value_parser = limit)]
    fail_above: Option<f64>,
    /// Percent by which times have to differ to be called different
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = LEAST_DIFFERENCE * 100.0,
        value_parser = percentage
    )]
    least_difference: f64,
    /// Percent of the machine that others may use before rounds are taken again, or
    /// marked; at 100, none ever are
    #[arg(
        long,
        alias = "neighbours-limit",
        value_name = "PERCENT",
        default_value_t = background_load::LIMIT * 100.0,
        value_parser = percentage
    )]
    load_limit: f64,
    /// Compares every model with itself: exit code 1 if that finds differences
    #[arg(long, conflicts_with = "baseline")]
    self_check: bool,
    /// What the order within the rounds is drawn from, and the verdicts'
    /// resamples; random, if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Another budget than the mode's, in seconds, for tests
    #[arg(long, hide = true, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    budget: Option<u32>,
    /// Where results and Criterion's pages go, for tests
    #[arg(long, hide = true)]
    output: Option<PathBuf>,
    /// Measures what stands in this directory instead of building, for tests
    #[arg(long, hide = true)]
    prebuilt: Option<PathBuf>,
}

/// Compares.
///
/// # Errors
///
/// When nothing can be compared: a setting that makes no sense, another
/// comparison that runs, a directory that cannot be written, an origin that
/// does not start.
pub fn compare(options: &Options) -> anyhow::Result<Outcome> {
    let mode = options.mode();
    let models = options.models();
    let cases = options.cases(&mode)?;
    command_template::check(&options.custom_commands, &cases)?;

    let root = workspace::root()?;
    let output = options.output.as_deref().unwrap_or(&root);
    let target = output.join("target");
    std::fs::create_dir_all(&target)
        .with_context(|| format!("cannot make {}", target.display()))?;
    let _lock = Lock::acquire(&target.join("paces.lock"))?;
    let mut comparison = options.comparison(&mode)?;
    let results = output.join("results");
    let against = options.against(&results, &comparison, &cases)?;
    let results = ResultsDir::prepare(results.join(&comparison.run.name))?;

    process::adopt_orphans()?;
    let interrupt = Interrupt::install().context("cannot take signals")?;
    let progress = Progress::new();
    let Built { models, origin } = match &options.prebuilt {
        Some(directory) => build::prebuilt(directory, &models),
        None => build::build(&root, &models, &interrupt, &progress)?,
    };
    let sidecars = match options.prebuilt {
        // Built from other code than this tree's.
        Some(_) => Sidecars::default(),
        None => options.sidecars(&root, &target, &mut comparison, &interrupt, &progress),
    };
    if interrupt.came() {
        return Err(Interrupted.into());
    }
    let models = models.into_iter();
    let mut contestants: Vec<_> = models
        .map(|(model, programs)| Contestant::model(model, programs))
        .collect();
    if options.self_check {
        contestants = self_check::contestants(contestants);
    }
    let model = |contestant: &Contestant| contestant.model.clone();
    comparison.run.models = contestants.iter().map(model).collect();
    contestants.extend(options.custom_commands.iter().map(Contestant::custom));

    let began = Instant::now();
    let needs_origin = cases.iter().any(|case| case.workload.needs_origin());
    // They live as long as this function: every run on so many cores asks the
    // same one.
    let mut origins: BTreeMap<Option<usize>, Origin> = BTreeMap::new();
    for &cores in options.cores.iter().filter(|_| needs_origin) {
        let started = affinity::kept_to(cores.map(Share::Origin), || Origin::spawn(&origin, &[]));
        origins.insert(cores, started.flatten()?);
    }
    let (temporary, scratch) = scratch::directory(plan::room_needed(&cases))?;
    comparison.run.scratch = scratch;
    let begin = |against: &Against| against.begin(&comparison, options.fail_above);
    comparison.baseline = against.as_ref().map(begin);
    let files = temporary.path().join("inputs");
    for case in plan::inputs_needed(&cases) {
        progress.doing(&format!("making the files of {}", case.title()));
        inputs::make(&files, &case.full)?;
    }
    let session = Session {
        context: RunContext {
            origins: origins
                .iter()
                .map(|(&cores, origin)| (cores, origin.url().to_owned()))
                .collect(),
            inputs: files,
            threads: comparison.run.threads,
            blocking_threads: comparison.run.blocking_threads,
            temporary,
            interrupt: interrupt.clone(),
        },
        monitor: LoadMonitor::new(mode.budget, options.load_limit / 100.0),
        mode,
        began,
        progress: &progress,
        rules: Rules {
            seed: comparison.run.seed,
            least: options.least_difference / 100.0,
        },
        against,
        comparison,
        sidecars,
        results: &results,
    };
    let mut comparison = session.run(cases, &contestants)?;
    if comparison.cells.is_empty() {
        let took = whole_seconds(began.elapsed());
        progress.print(&format!(
            "interrupted after {took}, before anything was measured"
        ));
        return Err(Interrupted.into());
    }
    progress.print(&terminal::tables(&comparison));
    if !comparison.run.interrupted {
        make_criterion_pages(&mut comparison, &results, &target, &interrupt, &progress);
    }
    comparison.run.took_s = began.elapsed().as_secs_f64();
    files::write(&results, &comparison)?;
    progress.print(&closing(&comparison, &results));
    // Also if only Criterion's pages are missing.
    if interrupt.came() {
        return Err(Interrupted.into());
    }
    Ok(Outcome::of(is_success(&comparison)))
}

/// Whether every cell is right or unsupported, and no slower than it may be, and the
/// comparison passed its check of itself.
fn is_success(comparison: &Comparison) -> bool {
    let right = |cell: &Cell| matches!(cell.status, Status::Ok | Status::Unsupported);
    let Comparison {
        cells,
        baseline,
        self_check,
        ..
    } = comparison;
    cells.iter().all(right)
        && baseline.as_ref().is_none_or(Baseline::holds)
        && self_check.as_ref().is_none_or(SelfCheck::passed)
}

/// What a comparison that cannot have them still has is whole, so failing to make
/// Criterion's pages is a note.
fn make_criterion_pages(
    comparison: &mut Comparison,
    results: &ResultsDir,
    target: &Path,
    interrupt: &Interrupt,
    progress: &Progress,
) {
    if !comparison.cells.iter().any(criterion_pages::shown) {
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

/// What is said when all has been written.
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
    for summary in words::summaries(comparison) {
        text += &format!("{}:\n  {}\n\n", summary.title, summary.lines.join("\n  "));
    }
    if let Some(load) = &run.neighbours {
        text += &format!("neighbours: {}\n", load.words());
    }
    text + &format!(
        "{how} {took}; results are in {path}:\n  {path}/{}",
        ResultsDir::PAGE
    )
}

impl Options {
    fn mode(&self) -> Mode {
        let mode = match (self.quick, self.thorough) {
            (true, _) => Mode::QUICK,
            (_, true) => Mode::THOROUGH,
            _ => Mode::DEFAULT,
        };
        Mode {
            budget: self
                .budget
                .map_or(mode.budget, |seconds| Duration::from_secs(seconds.into())),
            ..mode
        }
    }

    /// What is to be measured, in the order of the tables: the presets, then the
    /// sweeps.
    fn cases(&self, mode: &Mode) -> Result<Vec<Case>, Invalid> {
        let compared: Vec<Workload> = match &*self.workloads {
            [] if self.sweeps.is_empty() => Workload::ALL.to_vec(),
            named => named.to_vec(),
        };
        let own = match self.thorough {
            true => sweep::worth_an_hour(&compared, &self.settings, &self.sweeps),
            false => Vec::new(),
        };
        let sweeps: Vec<&SweepSpec> = self.sweeps.iter().chain(&own).collect();
        sweep::refuse_twice(&sweeps)?;
        let swept = sweeps.iter().map(|sweep| sweep.workload);
        let all: Vec<_> = compared.iter().copied().chain(swept).collect();
        refuse_idle(&self.settings, &all)?;

        let mut groups = match &*compared {
            [] => Vec::new(),
            named => plan::cases(named, mode.presets, &self.settings)?,
        };
        if self.thorough
            && let Some(group) = plan::article_limits(&groups, &self.settings)
            && let Some(last) = groups.iter().rposition(|other| other.shares_table(&group))
        {
            groups.insert(last + 1, group);
        }
        if self.self_check {
            self_check::keep_whole(&mut groups);
        }
        let mut on_cores = sweep::on_cores(groups, &self.cores);
        for sweep in sweeps {
            let points = sweep.cases(&self.settings)?;
            // A curve's points are neighbours: the next number of cores is another.
            for cores in &self.cores {
                on_cores.extend(sweep::on_cores(points.clone(), &[*cores]));
            }
        }
        Ok(on_cores)
    }

    /// The earlier run of `--baseline`, if it can be compared with this one.
    fn against(
        &self,
        results: &Path,
        comparison: &Comparison,
        cases: &[Case],
    ) -> anyhow::Result<Option<Against>> {
        let Some(name) = &self.baseline else {
            return Ok(None);
        };
        let refused = |why: String| Invalid::new("--baseline", name, why);
        if *name == comparison.run.name {
            return Err(refused("this run would be written over it".to_owned()).into());
        }
        let earlier = ResultsDir::open(results.join(name))
            .map_err(|error| refused(format!("{error:#}")))?
            .read()?;
        let jobs: Vec<_> = cases
            .iter()
            .map(|case| (case.workload.name(), case.label()))
            .collect();
        Ok(Some(Against::open(name, earlier, comparison, &jobs)?))
    }

    /// In the order of the tables, and each once, however they were named.
    fn models(&self) -> Vec<String> {
        let mut models: Vec<String> = MODELS.map(str::to_owned).to_vec();
        models.retain(|model| self.models.is_empty() || self.models.contains(model));
        models
    }

    /// The code that was built, and what it takes to make it. What cannot be had
    /// of that is a note, and no reason to measure nothing.
    fn sidecars(
        &self,
        root: &Path,
        target: &Path,
        comparison: &mut Comparison,
        interrupt: &Interrupt,
        progress: &Progress,
    ) -> Sidecars {
        let RunInfo {
            revision,
            models,
            notes,
            ..
        } = &mut comparison.run;
        let mut note = |what: &str, error: anyhow::Error| {
            let note = format!("{what}: {error:#}");
            progress.line(&note);
            notes.push(note);
        };
        let sources = sources::of_tree(root, revision, models);
        let sources = sources.map_err(|error| note("the code is not kept", error));
        let counted = count::models(root, models);
        let counted = counted.map_err(|error| note("the effort is not counted", error));
        let mut effort = counted.ok().map(|models| Effort {
            revision: revision.clone(),
            models,
        });
        if let Some(effort) = effort.as_mut().filter(|_| self.thorough)
            && let Err(error) = build_times::measure(root, target, effort, interrupt, progress)
        {
            note("no times of builds", error);
        }
        Sidecars {
            sources: sources.ok(),
            effort,
        }
    }

    /// All that is known before anything is measured.
    fn comparison(&self, mode: &Mode) -> anyhow::Result<Comparison> {
        let root = workspace::root()?;
        let started = jiff::Zoned::now();
        let now = || started.strftime("%Y-%m-%dT%H-%M-%S").to_string();
        Ok(Comparison {
            schema: SCHEMA,
            run: RunInfo {
                name: self.name.clone().unwrap_or_else(now),
                started: started.strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
                mode: mode.name.to_owned(),
                revision: host::revision(&root),
                seed: self.seed.unwrap_or_else(|| fastrand::u64(..1 << 32)),
                least_difference: Some(self.least_difference / 100.0),
                threads: self.threads.map_or_else(runner::cores, usize::from),
                blocking_threads: self.blocking_threads.into(),
                scratch: String::new(),
                models: self.models(),
                budget_s: mode.budget.as_secs_f64(),
                took_s: 0.0,
                interrupted: false,
                criterion: None,
                neighbours: None,
                notes: Vec::new(),
            },
            host: host::host(),
            versions: host::versions(&root)?,
            cells: Vec::new(),
            verdicts: Vec::new(),
            baseline: None,
            self_check: self.self_check.then(SelfCheck::default),
            sweeps: Vec::new(),
        })
    }
}

fn percentage(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').trim_end().parse();
    let percent = percent
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "has to be a number of percent from 0 to 100".to_owned())
}

fn limit(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok();
    let ratio = ratio.filter(|ratio: &f64| ratio.is_finite() && *ratio >= 1.0);
    ratio.ok_or_else(|| "has to be a ratio from 1: 1.10 is ten percent slower".to_owned())
}
