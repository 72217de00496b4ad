//! What a comparison needs before and around its measuring: a lock, a directory, the
//! earlier run to compare with, origins, a scratch directory and the jobs' files.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use analysis::Rules;
use analysis::baseline::Against;
use anyhow::Context;
use lab::affinity::{self, Share};
use lab::background_load::LoadMonitor;
use lab::build::Built;
use lab::case::Case;
use lab::command_template::CustomCommand;
use lab::cpu_quota::CpuQuota;
use lab::executor::RunContext;
use lab::host;
use lab::interrupt::Interrupt;
use lab::lock::Lock;
use lab::models::Model;
use lab::places;
use lab::progress::Progress;
use origin::Origin;
use results::{Comparison, ResultsDir, RunInfo, SCHEMA, SelfCheck, Sidecars};
use runner::{inputs, scratch};
use suite::Invalid;

use crate::contestants::Contestant;
use crate::request::Request;
use crate::session::Session;
use crate::{plan, self_check};

/// A comparison that can be run: its request makes sense, its results can be written,
/// and no other one runs as long as this lives.
#[derive(Debug)]
pub struct Preparation {
    /// All that is known of it so far.
    pub comparison: Comparison,
    request: Request,
    cases: Vec<Case>,
    against: Option<Against>,
    results: ResultsDir,
    _lock: Lock,
}

impl Preparation {
    /// Prepares a comparison of the tree at `root`, whose results go below `output`.
    ///
    /// # Errors
    ///
    /// When the request makes no sense, another comparison runs, the earlier run cannot
    /// be compared with, or results cannot be written.
    pub fn new(request: Request, root: &Path, output: &Path) -> anyhow::Result<Self> {
        let cases = request.cases()?;
        // Better now than after the build.
        let (scratch, _) = scratch::directory(plan::room_needed(&cases))?;
        let compared = |model: &&Model| request.models.iter().any(|name| name == model.name());
        let models = request.all_models.iter().filter(compared);
        places::check_sockets(models, scratch.path(), places::OWN_DIRECTORY)?;
        drop(scratch);
        let target = output.join("target");
        std::fs::create_dir_all(&target)
            .with_context(|| format!("cannot make {}", target.display()))?;
        let lock = Lock::acquire(&target.join("paces.lock"))?;
        let comparison = empty_comparison(&request, root)?;
        let results = output.join("results");
        let against = match &request.baseline {
            Some(name) => Some(earlier_run(name, &results, &comparison, &cases, &request)?),
            None => None,
        };
        Ok(Self {
            results: ResultsDir::prepare(results.join(&comparison.run.name))?,
            comparison,
            request,
            cases,
            against,
            _lock: lock,
        })
    }

    /// Whether a case needs an origin, which is asked over HTTP.
    pub fn needs_http(&self) -> bool {
        self.cases.iter().any(|case| case.workload.needs_origin())
    }

    /// Has `command` take the place of the custom command of its name, if that takes part.
    pub fn replace(&mut self, command: CustomCommand) {
        let mut commands = self.request.custom_commands.iter_mut();
        if let Some(before) = commands.find(|before| before.name == command.name) {
            *before = command;
        }
    }

    /// Where the results go.
    pub fn results(&self) -> &ResultsDir {
        &self.results
    }

    /// Measures the `built` programs, and writes the data with `sidecars`. Without any
    /// cell nothing is written. Returns whether every `--cleanup` succeeded.
    ///
    /// # Errors
    ///
    /// When an origin does not start, or files cannot be written.
    pub fn run(
        &mut self,
        built: Built,
        sidecars: &Sidecars,
        interrupt: &Interrupt,
        progress: &Progress,
    ) -> anyhow::Result<bool> {
        let began = Instant::now();
        let needs_http = self.needs_http();
        let (request, comparison) = (&self.request, &mut self.comparison);
        let rustc = built.with.rustc.unwrap_or_else(|| host::UNKNOWN.to_owned());
        comparison.versions.insert("rustc".to_owned(), rustc);
        comparison.build = built.with.settings;
        let mut contestants: Vec<_> = built
            .models
            .into_iter()
            .map(|(model, programs)| Contestant::model(model, programs))
            .collect();
        if request.self_check {
            contestants = self_check::contestants(contestants);
        }
        comparison.run.models = contestants.iter().map(|one| one.model.clone()).collect();
        contestants.extend(request.custom_commands.iter().map(Contestant::custom));

        let cores = if needs_http { &*request.cores } else { &[] };
        let origins = start_origins(&built.origin, cores)?;
        let (temporary, scratch) = scratch::directory(plan::room_needed(&self.cases))?;
        comparison.run.scratch = scratch;
        comparison.baseline = self
            .against
            .as_ref()
            .map(|against| against.begin(comparison, request.fail_above));
        let files = temporary.path().join("inputs");
        for case in plan::inputs_needed(&self.cases) {
            progress.stage(&format!("making the files of {}", case.title()));
            inputs::make(&files, &case.full)?;
        }
        let session = Session {
            context: RunContext {
                origins: origins
                    .iter()
                    .map(|(&cores, origin)| (cores, origin.url().to_owned()))
                    .collect(),
                inputs: files,
                threads: request.threads,
                blocking_threads: request.blocking_threads,
                environment: request.environment.clone(),
                temporary,
                quota: CpuQuota::find(),
                interrupt: interrupt.clone(),
            },
            monitor: LoadMonitor::new(request.mode.budget, request.load_limit),
            mode: request.mode,
            began,
            progress,
            rules: Rules {
                seed: request.seed,
                equivalence: request.equivalence,
            },
            against: self.against.as_ref(),
            comparison,
            sidecars,
            results: &self.results,
        };
        session.run(self.cases.clone(), &contestants)
    }
}

/// An origin for each number of cores that the contestants are kept to. They live until
/// the comparison ends: every run on that number of cores asks the same one. Ctrl-Z stops
/// them no more than the contestants, whose requests would fail.
fn start_origins(
    program: &Path,
    cores: &[Option<usize>],
) -> anyhow::Result<BTreeMap<Option<usize>, Origin>> {
    let mut origins = BTreeMap::new();
    for &cores in cores {
        let spawn = || Origin::spawn_in_own_group(program);
        let origin = affinity::kept_to(cores.map(Share::Origin), spawn).flatten()?;
        origins.insert(cores, origin);
    }
    Ok(origins)
}

/// The earlier run of `--baseline`, if it can be compared with this one.
fn earlier_run(
    name: &str,
    results: &Path,
    comparison: &Comparison,
    cases: &[Case],
    request: &Request,
) -> anyhow::Result<Against> {
    let refused = |why: String| Invalid::new("--baseline", name, why);
    if name == comparison.run.name {
        return Err(refused("this run would be written over it".to_owned()).into());
    }
    let mut earlier = ResultsDir::open(results.join(name))
        .map_err(|error| refused(format!("{error:#}")))?
        .read()?;
    // The directory may have got another name than the run had.
    earlier.run.name = name.to_owned();
    let jobs: Vec<_> = cases
        .iter()
        .map(|case| (case.workload.name().to_owned(), case.label()))
        .collect();
    let commands: Vec<_> = request
        .custom_commands
        .iter()
        .map(|command| &*command.name)
        .collect();
    Ok(Against::open(name, earlier, comparison, jobs, &commands)?)
}

/// All that is known before anything is measured.
fn empty_comparison(request: &Request, root: &Path) -> anyhow::Result<Comparison> {
    let started = jiff::Zoned::now();
    let now = || started.strftime("%Y-%m-%dT%H-%M-%S").to_string();
    Ok(Comparison {
        schema: SCHEMA,
        run: RunInfo {
            name: request.name.clone().unwrap_or_else(now),
            started: started.strftime(results::STARTED).to_string(),
            mode: request.mode.name.to_owned(),
            revision: host::revision(root),
            seed: request.seed,
            equivalence: request.equivalence,
            threads: request.threads,
            blocking_threads: request.blocking_threads,
            scratch: String::new(),
            models: request.models.clone(),
            reference: request.reference.clone(),
            cluster: request.cluster,
            budget_s: request.mode.budget.as_secs_f64(),
            took_s: 0.0,
            interrupted: false,
            criterion: None,
            background_load: None,
            notes: Vec::new(),
        },
        host: host::host(),
        models: request
            .all_models
            .iter()
            .map(|model| model.info.clone())
            .collect(),
        versions: host::versions(root, &request.all_models)?,
        build: BTreeMap::new(),
        cells: Vec::new(),
        verdicts: Vec::new(),
        baseline: None,
        self_check: request.self_check.then(SelfCheck::default),
        sweeps: Vec::new(),
    })
}
