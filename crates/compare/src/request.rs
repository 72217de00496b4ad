//! What a comparison is asked for, and the cases that follow from it.

use lab::case::Case;
use lab::command_template::{self, CustomCommand};
use lab::models::Model;
use results::ClusterNodes;
use suite::{Invalid, Preset, Setting, Workload};

use crate::mode::Mode;
use crate::settings::refuse_unused;
use crate::sweep::SweepSpec;
use crate::{plan, self_check, sweep};

/// What a comparison is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The workloads; all, if none is named and nothing swept.
    pub workloads: Vec<Workload>,
    /// The models of the workspace.
    pub all_models: Vec<Model>,
    /// Those that take part, in the order of the tables.
    pub models: Vec<String>,
    /// The model whose times the ratios are given to, if it is not the baseline.
    pub reference: Option<String>,
    /// The nodes, if a model takes part whose units may be on other machines.
    pub cluster: Option<ClusterNodes>,
    /// Variables that are set for the models' programs.
    pub environment: Vec<(&'static str, String)>,
    /// The user's own commands that take part.
    pub custom_commands: Vec<CustomCommand>,
    /// How much time there is, and what it is spent on.
    pub mode: Mode,
    /// Changes to the jobs of all presets.
    pub settings: Vec<Setting>,
    /// Jobs that are measured at several values of one key.
    pub sweeps: Vec<SweepSpec>,
    /// The numbers of cores that the contestants are kept to; `None` is all of them.
    pub cores: Vec<Option<usize>>,
    /// The directory under `results`; date and time, if there is none.
    pub name: Option<String>,
    /// Worker threads of each model.
    pub threads: usize,
    /// Blocking calls at once of each model.
    pub blocking_threads: usize,
    /// An earlier run to compare with: a directory under `results`.
    pub baseline: Option<String>,
    /// The ratio to the earlier run above which a slower cell is a failure.
    pub fail_above: Option<f64>,
    /// Up to which part above 1 a ratio of times is equivalent.
    pub equivalence: f64,
    /// The part of the machine that others may use before rounds are retried.
    pub load_limit: f64,
    /// Whether every model is compared with itself.
    pub self_check: bool,
    /// The seed of the order within the rounds, and of the resamples.
    pub seed: u64,
}

impl Request {
    /// What is measured, in the order of the tables: the presets, then the sweeps.
    ///
    /// # Errors
    ///
    /// When a setting, a sweep or a custom command does not fit the workloads.
    pub fn cases(&self) -> Result<Vec<Case>, Invalid> {
        let compared: Vec<Workload> = if self.workloads.is_empty() && self.sweeps.is_empty() {
            Workload::ALL.to_vec()
        } else {
            self.workloads.clone()
        };
        let added = if self.mode.choosing {
            let mut added = sweep::for_choosing(&compared, &self.settings, &self.sweeps);
            if self.cluster.is_some() {
                added.extend(sweep::of_shares(&compared, &self.settings, &self.sweeps));
            }
            added
        } else {
            Vec::new()
        };
        let sweeps: Vec<&SweepSpec> = self.sweeps.iter().chain(&added).collect();
        sweep::refuse_twice(&sweeps)?;
        let swept = sweeps.iter().map(|sweep| sweep.workload);
        let all: Vec<_> = compared.iter().copied().chain(swept).collect();
        refuse_unused(&self.settings, &all)?;

        let variants = self.mode.variants || !self.workloads.is_empty();
        let presets = self.mode.presets;
        let mut cases = plan::cases(&compared, presets, &self.settings, variants)?;
        if self.mode.choosing
            && let Some(case) = plan::article_limits(
                &cases,
                &self.settings,
                &self.all_models,
                &self.custom_commands,
            )
            && let Some(last) = cases.iter().rposition(|other| other.shares_table(&case))
        {
            cases.insert(last + 1, case);
        }
        if self.mode.scale {
            // The article's numbers are what its claims are about.
            let article = |case: &&mut Case| case.preset == Preset::Article;
            cases
                .iter_mut()
                .filter(article)
                .for_each(|case| case.whole = true);
        }
        if self.self_check {
            self_check::keep_whole(&mut cases);
        }
        let mut cases = sweep::on_cores(cases, &self.cores);
        for sweep in sweeps {
            let points = sweep.cases(&self.settings)?;
            // The points of a curve stay together: each number of cores is a curve.
            for cores in &self.cores {
                cases.extend(sweep::on_cores(points.clone(), &[*cores]));
            }
        }
        command_template::check(&self.custom_commands, &cases, &self.all_models)?;
        Ok(cases)
    }
}
