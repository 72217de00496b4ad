//! `cargo xtask compare`: from the command line to `results/NAME/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use origin::Origin;
use runner::{inputs, scratch};
use suite::{Invalid, Setup, Workload};

use crate::baseline::Against;
use crate::beside::Beside;
use crate::child::{self, Stopped};
use crate::contestants::{self, Built, Contestant};
use crate::cores::{self, Share};
use crate::effort::{Effort, build, count};
use crate::interrupt::Interrupt;
use crate::judge::{LEAST_DIFFERENCE, Rules};
use crate::lab::Lab;
use crate::lock::Lock;
use crate::neighbours::{self, Watch};
use crate::outsider::{self, Outsider};
use crate::plan::{self, Group, MODELS, Mode, Setting};
use crate::progress::Progress;
use crate::results::{Comparison, Directory, Run, SCHEMA, safe_name};
use crate::self_check::SelfCheck;
use crate::session::{End, Session};
use crate::sources::Sources;
use crate::sweep::{self, Sweep};
use crate::{host, self_check, workspace};

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
    #[arg(long = "set", value_name = "WORKLOAD.KEY=VALUE")]
    settings: Vec<Setting>,
    /// Puts a program of your own into the tables; can be given again
    ///
    /// In COMMAND, {urls} stands for every URL, {urls_file} for a file with them,
    /// {into} for an empty directory, {dir} for one with the job's files, {origin} for
    /// the server, {threads} for the number of worker threads, and {KEY} for any key of the job. A brace of its
    /// own is doubled. No shell is involved.
    #[arg(long = "contestant", value_name = "NAME=COMMAND")]
    outsiders: Vec<Outsider>,
    /// Measures a job, heavy but for one key, at each of its values
    #[arg(long = "sweep", value_name = "WORKLOAD.KEY=VALUE,VALUE,...")]
    sweeps: Vec<Sweep>,
    /// On how many cores, with commas: `1,all` measures everything on both
    #[arg(
        long,
        value_name = "NUMBER|all",
        value_delimiter = ',',
        default_value = "all",
        conflicts_with = "threads",
        value_parser = cores::parse
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
        value_name = "PERCENT",
        default_value_t = neighbours::LIMIT * 100.0,
        value_parser = percentage
    )]
    neighbours_limit: f64,
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
pub fn compare(options: &Options) -> anyhow::Result<End> {
    let mode = options.mode();
    let models = options.models();
    let groups = options.groups(&mode)?;
    outsider::check(&options.outsiders, &groups)?;

    let root = workspace::root();
    let output = options.output.as_deref().unwrap_or(&root);
    let target = output.join("target");
    std::fs::create_dir_all(&target)
        .with_context(|| format!("cannot make {}", target.display()))?;
    let _lock = Lock::acquire(&target.join("paces.lock"))?;
    let mut comparison = options.comparison(&mode)?;
    let results = output.join("results");
    let against = |name: &String| Against::open(&results, name, &comparison, &groups);
    let against = options.baseline.as_ref().map(against).transpose()?;
    let results = Directory::prepare(results.join(&comparison.run.name))?;

    child::adopt_orphans()?;
    let interrupt = Interrupt::install().context("cannot take signals")?;
    let progress = Progress::new();
    let built = match &options.prebuilt {
        Some(directory) => Ok(contestants::prebuilt(directory, &models)),
        None => contestants::build(&root, &models, &interrupt, &progress),
    };
    let Built {
        contestants,
        origin,
    } = match built {
        Ok(built) => built,
        Err(Stopped::Failed(error)) => return Err(error),
        Err(Stopped::Interrupted | Stopped::Overtime(_)) => return Ok(End::Interrupted),
    };

    let beside = match options.prebuilt {
        // Made of who knows what.
        Some(_) => Beside::default(),
        None => options.beside(&root, &target, &mut comparison, &interrupt, &progress),
    };
    if interrupt.came() {
        return Ok(End::Interrupted);
    }
    let mut contestants = match options.self_check {
        true => self_check::contestants(contestants),
        false => contestants,
    };
    let model = |contestant: &Contestant| contestant.model.clone();
    comparison.run.models = contestants.iter().map(model).collect();
    contestants.extend(options.outsiders.iter().map(Contestant::from));

    let began = Instant::now();
    let needs_origin = groups.iter().any(|group| group.workload.needs_origin());
    // They live as long as this function: every run on so many cores asks the
    // same one.
    let mut origins: BTreeMap<Option<usize>, Origin> = BTreeMap::new();
    for &cores in options.cores.iter().filter(|_| needs_origin) {
        let started = cores::kept_to(cores.map(Share::Origin), || Origin::spawn(&origin, &[]));
        origins.insert(cores, started.flatten()?);
    }
    let (temporary, scratch) = scratch::directory(plan::room_needed(&groups))?;
    comparison.run.scratch = scratch;
    let begin = |against: &Against| against.begin(&comparison, options.fail_above);
    comparison.baseline = against.as_ref().map(begin);
    let files = temporary.path().join("inputs");
    for group in plan::inputs_needed(&groups) {
        progress.doing(&format!("making the files of {}", group.title()));
        inputs::make(&files, &group.full)?;
    }
    let session = Session {
        lab: Lab {
            origins: origins
                .iter()
                .map(|(&cores, origin)| (cores, origin.url().to_owned()))
                .collect(),
            inputs: files,
            threads: comparison.run.threads,
            blocking_threads: comparison.run.blocking_threads,
            temporary,
            interrupt,
        },
        watch: Watch::new(mode.budget, options.neighbours_limit / 100.0),
        mode,
        began,
        progress,
        rules: Rules {
            seed: comparison.run.seed,
            least: options.least_difference / 100.0,
        },
        against,
        comparison,
        beside,
        results,
    };
    session.run(groups, &contestants, &target)
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
    fn groups(&self, mode: &Mode) -> Result<Vec<Group>, Invalid> {
        let compared: Vec<Workload> = match &*self.workloads {
            [] if self.sweeps.is_empty() => Workload::ALL.to_vec(),
            named => named.to_vec(),
        };
        let own = match self.thorough {
            true => sweep::worth_an_hour(&compared, &self.settings, &self.sweeps),
            false => Vec::new(),
        };
        let sweeps: Vec<&Sweep> = self.sweeps.iter().chain(&own).collect();
        sweep::refuse_twice(&sweeps)?;
        let swept = sweeps.iter().map(|sweep| sweep.workload);
        let all: Vec<_> = compared.iter().copied().chain(swept).collect();
        plan::refuse_idle(&self.settings, &all)?;

        let mut groups = match &*compared {
            [] => Vec::new(),
            named => plan::groups(named, mode.presets, &self.settings)?,
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
            let points = sweep.groups(&self.settings)?;
            // A curve's points are neighbours: the next number of cores is another.
            for cores in &self.cores {
                on_cores.extend(sweep::on_cores(points.clone(), &[*cores]));
            }
        }
        Ok(on_cores)
    }

    /// In the order of the tables, and each once, however they were named.
    fn models(&self) -> Vec<String> {
        let mut models: Vec<String> = MODELS.map(str::to_owned).to_vec();
        models.retain(|model| self.models.is_empty() || self.models.contains(model));
        models
    }

    /// The code that was built, and what it takes to make it. What cannot be had
    /// of that is a note, and no reason to measure nothing.
    fn beside(
        &self,
        root: &Path,
        target: &Path,
        comparison: &mut Comparison,
        interrupt: &Interrupt,
        progress: &Progress,
    ) -> Beside {
        let Run {
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
        let sources = Sources::of_tree(root, revision, models);
        let sources = sources.map_err(|error| note("the code is not kept", error));
        let counted = count::models(root, models);
        let counted = counted.map_err(|error| note("the effort is not counted", error));
        let mut effort = counted.ok().map(|models| Effort {
            revision: revision.clone(),
            models,
        });
        if let Some(effort) = effort.as_mut().filter(|_| self.thorough)
            && let Err(Stopped::Failed(error)) =
                build::measure(root, target, effort, interrupt, progress)
        {
            note("no times of builds", error);
        }
        Beside {
            sources: sources.ok(),
            effort,
        }
    }

    /// All that is known before anything is measured.
    fn comparison(&self, mode: &Mode) -> anyhow::Result<Comparison> {
        let root = workspace::root();
        let started = jiff::Zoned::now();
        let now = || started.strftime("%Y-%m-%dT%H-%M-%S").to_string();
        Ok(Comparison {
            schema: SCHEMA,
            run: Run {
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
