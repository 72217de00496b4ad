//! What is to be compared: groups, each one job that every model does.

use std::collections::BTreeMap;
use std::time::Duration;

use runner::inputs;
use serde_json::Value;
use suite::{Invalid, Job, Preset, Variant, Workload, files, thumbnails};

use crate::cores::Share;
use crate::results::Point;

/// Every model, as named on the command line; `model-NAME` is its package.
pub const MODELS: [&str; 6] = ["serial", "thread", "process", "tokio", "async-std", "smol"];

/// The model that ratios are also given against.
pub const BASELINE: &str = "serial";

/// How much time there is, and what it is spent on.
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    /// Its name in the results.
    pub name: &'static str,
    /// All the time after the build.
    pub budget: Duration,
    /// Which presets are compared.
    pub presets: &'static [Preset],
    /// Whether jobs are made smaller until they fit.
    pub scale: bool,
    /// Rounds that every group gets.
    pub least_rounds: u32,
    /// Rounds after which more would not tell more.
    pub most_rounds: u32,
    /// What one bench process spends on its ten samples, or more if ten jobs
    /// take more.
    pub sampling: Duration,
    /// What one bench process spends on warming up, or one job.
    pub warm_up: Duration,
    /// Runs in which memory is looked at, up to one a round.
    pub memory_runs: u32,
}

impl Mode {
    /// One preset, five rounds, in two minutes.
    pub const QUICK: Mode = Mode {
        name: "quick",
        budget: Duration::from_secs(120),
        presets: &[Preset::Heavy],
        scale: true,
        least_rounds: 5,
        most_rounds: 5,
        sampling: Duration::from_millis(50),
        warm_up: Duration::from_millis(5),
        memory_runs: 1,
    };

    /// Everything, unscaled, in a quarter of an hour.
    pub const DEFAULT: Mode = Mode {
        name: "default",
        budget: Duration::from_secs(15 * 60),
        presets: &Preset::ALL,
        scale: false,
        least_rounds: 1,
        most_rounds: 10,
        sampling: Duration::from_millis(100),
        warm_up: Duration::from_millis(20),
        memory_runs: 3,
    };

    /// The same with more rounds: in an hour, with the timing of builds before it.
    pub const THOROUGH: Mode = Mode {
        name: "thorough",
        budget: Duration::from_secs(50 * 60),
        most_rounds: 30,
        memory_runs: 5,
        ..Mode::DEFAULT
    };
}

/// One job that all models do, and are ranked by.
#[derive(Debug, Clone)]
pub struct Group {
    /// What kind of job.
    pub workload: Workload,
    /// Whose numbers.
    pub preset: Preset,
    /// A second way to do it.
    pub variant: Option<&'static Variant>,
    /// What is not the same for all models.
    pub own: Option<&'static Own>,
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

impl Group {
    /// Its name within the workload: `heavy`, `heavy-racy`, or
    /// `heavy workers=4 cores=1`.
    pub fn label(&self) -> String {
        let mut label = self.preset.to_string();
        if let Some(variant) = self.variant_name() {
            label += &format!("-{variant}");
        }
        if let Some(Point { key, value }) = &self.point {
            label += &format!(" {key}={}", plain(value));
        }
        if let Some(cores) = self.cores {
            label += &format!(" cores={cores}");
        }
        label
    }

    /// What sets it apart from its preset, in a word.
    pub fn variant_name(&self) -> Option<&'static str> {
        let own = self.own.map(|own| own.name);
        self.variant.map(|variant| variant.name).or(own)
    }

    /// Its name among all groups: `counter heavy-racy`.
    pub fn title(&self) -> String {
        format!("{} {}", self.workload, self.label())
    }

    /// The job that is measured.
    pub fn job(&self) -> Job {
        self.full.scaled(self.divisor)
    }

    /// The same as one model does it.
    ///
    /// # Panics
    ///
    /// Never: a test sees that what models have of their own can be set.
    pub fn of(&self, model: &str) -> Self {
        let mut group = self.clone();
        if let Some(own) = self.own
            && let Some((_, value)) = own.values.iter().find(|(name, _)| *name == model)
        {
            group.full.set(own.key, value).expect("it can be set");
        }
        group
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
        let key = |group: &Self| group.point.as_ref().map(|point| point.key.clone());
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
            .map(|(key, value)| format!("{key}={}", plain(value)))
            .collect()
    }
}

/// A parameter of which each model has a value of its own.
#[derive(Debug)]
pub struct Own {
    /// Its name in tables.
    pub name: &'static str,
    /// Which parameter.
    pub key: &'static str,
    /// The models, and their values.
    pub values: &'static [(&'static str, &'static str)],
}

/// The article's own setting of its download: 10 threads, 4 processes, and all
/// of its 100 images at once as tasks. Whoever does one after the other has one.
const ARTICLE_LIMITS: Own = Own {
    name: "own-limits",
    key: "limit",
    values: &[
        ("serial", "1"),
        ("thread", "10"),
        ("process", "4"),
        ("tokio", "100"),
        ("async-std", "100"),
        ("smol", "100"),
    ],
};

/// The article's download, each model with the limit that it has there; none if
/// `groups` have no such job, or one whose limit was chosen.
pub fn article_limits(groups: &[Group], settings: &[Setting]) -> Option<Group> {
    let chosen = |set: &Setting| set.workload == Workload::Download && set.key == "limit";
    let article =
        |group: &&Group| group.workload == Workload::Download && group.preset == Preset::Article;
    let group = groups.iter().find(article)?;
    (!settings.iter().any(chosen)).then(|| Group {
        own: Some(&ARTICLE_LIMITS),
        ..group.clone()
    })
}

/// A job's value as `--set` takes it: bare text, lists with commas.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// One `--set workload.key=value`.
#[derive(Debug, Clone)]
pub struct Setting {
    workload: Workload,
    key: String,
    value: String,
}

impl std::str::FromStr for Setting {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let shape = || Invalid::new("--set", text, "has to be workload.key=value");
        let (path, value) = text.split_once('=').ok_or_else(shape)?;
        let (workload, key) = path.split_once('.').ok_or_else(shape)?;
        let setting = Self {
            workload: workload.parse()?,
            key: key.to_owned(),
            value: value.to_owned(),
        };
        if (setting.workload, key) == (Workload::Download, "into") {
            let allowed = "every run gets an empty directory of its own";
            return Err(Invalid::new(path, value, allowed));
        }
        // So that a wrong key or value is refused where it was given.
        setting.workload.job(Preset::Heavy).set(key, value)?;
        Ok(setting)
    }
}

/// Refuses a setting for a workload that is not compared: it would do nothing.
///
/// # Errors
///
/// When there is one.
pub fn refuse_idle(settings: &[Setting], workloads: &[Workload]) -> Result<(), Invalid> {
    let idle = |set: &&Setting| !workloads.contains(&set.workload);
    let Some(setting) = settings.iter().find(idle) else {
        return Ok(());
    };
    let key = format!("{}.{}", setting.workload, setting.key);
    let all: Vec<_> = workloads.iter().map(|workload| workload.name()).collect();
    let allowed = format!("only {} is compared", all.join(", "));
    Err(Invalid::new(key, &setting.value, allowed))
}

/// A workload's keys and values, of all settings.
pub fn of_workload(settings: &[Setting], workload: Workload) -> BTreeMap<&str, &str> {
    settings
        .iter()
        .filter(|set| set.workload == workload)
        .map(|set| (&*set.key, &*set.value))
        .collect()
}

/// A job with a preset's numbers, changed as `settings` say.
///
/// # Errors
///
/// When that makes no sense.
pub fn job(
    workload: Workload,
    preset: Preset,
    settings: &BTreeMap<&str, &str>,
) -> Result<Job, Invalid> {
    let mut full = workload.job(preset);
    for (key, value) in settings {
        full.set(key, value)?;
    }
    full.validate()?;
    if let Job::Download(job) = &full
        && let Some(list) = job.urls.as_ref().filter(|list| !list.is_file())
    {
        let allowed = "has to be a file with a URL on each line";
        return Err(Invalid::new("download.urls", list.display(), allowed));
    }
    if let Job::Files(files::Job { dir, .. }) | Job::Thumbnails(thumbnails::Job { dir, .. }) = &full
        && let Some(dir) = dir.as_ref().filter(|dir| !dir.is_dir())
    {
        let key = format!("{workload}.dir");
        return Err(Invalid::new(key, dir.display(), "has to be a directory"));
    }
    Ok(full)
}

/// The groups of a comparison, workload by workload; all workloads if none is
/// named.
///
/// # Errors
///
/// When a setting makes no sense.
pub fn groups(
    workloads: &[Workload],
    presets: &[Preset],
    settings: &[Setting],
) -> Result<Vec<Group>, Invalid> {
    let selected = |workload: &Workload| workloads.is_empty() || workloads.contains(workload);
    let mut groups = Vec::new();
    for &workload in Workload::ALL.iter().filter(|workload| selected(workload)) {
        let settings = of_workload(settings, workload);
        for &preset in presets {
            let full = job(workload, preset, &settings)?;
            let group = |variant, full| Group {
                workload,
                preset,
                variant,
                own: None,
                point: None,
                cores: None,
                full,
                whole: false,
                divisor: 1,
            };
            groups.push(group(None, full.clone()));
            for variant in workload.variants() {
                let (key, value) = variant.set;
                // Whoever sets what the variant sets has chosen.
                if !settings.contains_key(key) {
                    let mut full = full.clone();
                    full.set(key, value)?;
                    groups.push(group(Some(variant), full));
                }
            }
        }
    }
    Ok(groups)
}

/// An image of the origin's mixed set, on average, in bytes.
const MIXED_IMAGE: u64 = 125_000;

/// The bytes of the largest download, twice: it is written again before the one
/// before is gone. And those of all files that are made for jobs.
pub fn room_needed(groups: &[Group]) -> u64 {
    let bytes = |group: &Group| match &group.full {
        Job::Download(job) if job.image_bytes > 0 => job.images.saturating_mul(job.image_bytes),
        Job::Download(job) => job.images.saturating_mul(MIXED_IMAGE),
        _ => 0,
    };
    let largest = groups.iter().map(bytes).max().unwrap_or(0);
    let inputs = inputs_needed(groups);
    let inputs = inputs.iter().map(|group| inputs::room(&group.full));
    largest.saturating_mul(2).saturating_add(inputs.sum())
}

/// The groups whose files have to be made, the largest of each workload: those of
/// the others are among them.
pub fn inputs_needed(groups: &[Group]) -> Vec<&Group> {
    let size = |group: &Group| inputs::to_make(&group.full);
    let mut largest: Vec<&Group> = Vec::new();
    for group in groups.iter().filter(|group| size(group) > 0) {
        let mut known = largest.iter_mut();
        match known.find(|known| known.workload == group.workload) {
            Some(known) if size(known) >= size(group) => {}
            Some(known) => *known = group,
            None => largest.push(group),
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(texts: &[&str]) -> Vec<Setting> {
        let settings = texts.iter().map(|text| text.parse().expect("a setting"));
        settings.collect()
    }

    #[test]
    fn every_workload_has_its_groups() {
        let all = groups(&[], &Preset::ALL, &[]).expect("presets make sense");
        for &workload in Workload::ALL {
            let labels: Vec<_> = all
                .iter()
                .filter(|group| group.workload == workload)
                .map(Group::label)
                .collect();
            assert_eq!(labels.len(), 2 * (1 + workload.variants().len()));
            assert_eq!(labels[0], "article");
        }
    }

    #[test]
    fn settings_reach_the_job_and_the_runner() {
        let set = settings(&["fetch.delays_ms=1,2", "counter.guard=atomic"]);
        let all = groups(&[], &[Preset::Heavy], &set).expect("they make sense");
        let of = |workload| all.iter().filter(move |group| group.workload == workload);
        let fetch = of(Workload::Fetch).next().expect("fetch");
        assert_eq!(fetch.settings(), ["delays_ms=1,2"]);
        // The guard was chosen, so there is no second one beside it.
        assert_eq!(of(Workload::Counter).count(), 1);
        let primes = of(Workload::Primes).next().expect("primes");
        assert!(primes.settings().is_empty());
    }

    #[test]
    fn a_scaled_job_is_what_the_runner_is_told() {
        let set = settings(&["counter.increments=100"]);
        let all = groups(&[Workload::Counter], &[Preset::Heavy], &set).expect("they make sense");
        let racy = Group {
            divisor: 4,
            ..all[1].clone()
        };
        assert_eq!(racy.label(), "heavy-racy");
        assert_eq!(racy.settings(), ["increments=25", "guard=racy"]);
    }

    #[test]
    fn each_model_has_the_articles_limit() {
        let all = groups(&[Workload::Download], &Preset::ALL, &[]).expect("they make sense");
        let own = article_limits(&all, &[]).expect("it is compared");
        assert_eq!(own.label(), "article-own-limits");
        for (model, limit) in MODELS.iter().zip([1, 10, 4, 100, 100, 100]) {
            assert_eq!(own.of(model).job().to_json()["limit"], limit, "{model}");
        }
        assert_eq!(own.of("thread").settings(), ["limit=10"]);
        let chosen = settings(&["download.limit=3"]);
        assert!(article_limits(&all, &chosen).is_none());
        assert!(article_limits(&[], &[]).is_none());
    }

    #[test]
    fn files_are_made_once_for_the_largest_job() {
        let all = groups(&[], &Preset::ALL, &[]).expect("presets make sense");
        let titles = inputs_needed(&all).into_iter().map(Group::title);
        let titles: Vec<_> = titles.collect();
        assert_eq!(titles, ["files heavy", "thumbnails heavy"]);
        let own = settings(&["files.dir=/", "thumbnails.dir=/"]);
        let all = groups(&[Workload::Files, Workload::Thumbnails], &Preset::ALL, &own);
        let all = all.expect("there is such a directory");
        assert!(inputs_needed(&all).is_empty() && room_needed(&all) == 0);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, says) in [
            ("workers=1", "workload.key=value"),
            ("counter.workers", "workload.key=value"),
            ("contour.workers=1", "counter"),
            ("counter.wrkers=1", "workers, increments, guard"),
            ("counter.guard=luck", "lock"),
            ("download.into=/tmp", "of its own"),
            ("ping-pong.units=many", "whole number"),
        ] {
            let refused = text.parse::<Setting>().expect_err(text).to_string();
            assert!(refused.contains(says), "{refused}");
        }
        let set = settings(&["counter.workers=0"]);
        let refused = groups(&[], &[Preset::Heavy], &set).expect_err("0 workers");
        assert!(refused.to_string().contains("from 1"), "{refused}");
        let nowhere = settings(&["files.dir=/no/such"]);
        let refused = groups(&[], &[Preset::Heavy], &nowhere).expect_err("no directory");
        assert!(refused.to_string().contains("/no/such: has"), "{refused}");
        let refused = refuse_idle(&set, &[Workload::Primes]).expect_err("no counter");
        assert!(refused.to_string().contains("only primes"), "{refused}");
    }
}
