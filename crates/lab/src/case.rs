//! One job that every model does.

use std::rc::Rc;

use results::Point;
use suite::{Job, Preset, Variant, Workload, setting_text};

use crate::affinity::Share;

/// One job that all models do, and are ranked by.
#[derive(Debug, Clone)]
pub struct Case {
    /// What kind of job.
    pub workload: Workload,
    /// Whose numbers.
    pub preset: Preset,
    /// A second way to do it.
    pub variant: Option<&'static Variant>,
    /// What is not the same for all models.
    pub own: Option<Rc<PerModel>>,
    /// Which point of a sweep it is, if it is of one.
    pub point: Option<Point>,
    /// How many cores the models are kept to; all, if none is given.
    pub cores: Option<usize>,
    /// The job at its full size.
    pub full: Job,
    /// Whether it keeps that, whatever time it takes: its size is what is swept.
    pub whole: bool,
    /// What it was divided by to fit the time, a power of two: so two runs on
    /// one machine get the same job, unless it is just at the edge.
    pub divisor: u64,
}

impl Case {
    /// Its name within the workload: `heavy`, `heavy-racy`, or
    /// `heavy workers=4 cores=1`.
    pub fn label(&self) -> String {
        let mut label = self.preset.to_string();
        if let Some(variant) = self.variant_name() {
            label += &format!("-{variant}");
        }
        if let Some(Point { key, value }) = &self.point {
            label += &format!(" {key}={}", setting_text(value));
        }
        if let Some(cores) = self.cores {
            label += &format!(" cores={cores}");
        }
        label
    }

    /// What sets it apart from its preset, in a word.
    pub fn variant_name(&self) -> Option<&'static str> {
        let own = self.own.as_ref().map(|own| own.name);
        self.variant.map(|variant| variant.name).or(own)
    }

    /// Its name among all cases: `counter heavy-racy`.
    pub fn title(&self) -> String {
        format!("{} {}", self.workload, self.label())
    }

    /// The job that is measured.
    pub fn job(&self) -> Job {
        self.full.scaled(self.divisor)
    }

    /// The same as one model does it. A custom command has no value of its own.
    ///
    /// # Panics
    ///
    /// Never: a test sees that what models have of their own can be set.
    pub fn of(&self, model: &str) -> Self {
        let mut case = self.clone();
        if let Some(own) = &self.own
            && let Some((_, value)) = own.values.iter().find(|(name, _)| *name == model)
        {
            case.full.set(own.key, value).expect("it can be set");
        }
        case
    }

    /// Which cores its models run on.
    pub fn share(&self) -> Option<Share> {
        self.cores.map(Share::Contestants)
    }

    /// Whether its figures go into one table with another's: all presets of a
    /// workload do, and all points of a sweep.
    pub fn shares_table(&self, other: &Self) -> bool {
        let points = match (&self.point, &other.point) {
            (None, None) => true,
            (Some(own), Some(other_point)) => {
                own.key == other_point.key && self.cores == other.cores
            }
            _ => false,
        };
        self.workload == other.workload && points
    }

    /// Whether its job has to be of one size with another's: else a curve, or a
    /// comparison of one core with all, would tell nothing.
    pub fn shares_size(&self, other: &Self) -> bool {
        let key = |case: &Self| case.point.as_ref().map(|point| point.key.clone());
        (self.workload, self.preset, self.variant_name(), key(self))
            == (
                other.workload,
                other.preset,
                other.variant_name(),
                key(other),
            )
    }

    /// The job as a runner's `--set` options: what differs from the preset.
    pub fn settings(&self) -> Vec<String> {
        let preset = self.workload.job(self.preset).to_json();
        let job = self.job().to_json();
        let keys = job.as_object().into_iter().flatten();
        keys.filter(|(key, value)| preset.get(key) != Some(value))
            .map(|(key, value)| format!("{key}={}", setting_text(value)))
            .collect()
    }
}

/// A parameter of which each model has a value of its own.
#[derive(Debug)]
pub struct PerModel {
    /// Its name in tables.
    pub name: &'static str,
    /// Which parameter.
    pub key: &'static str,
    /// The models, and their values.
    pub values: Vec<(String, String)>,
}
