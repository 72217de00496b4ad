//! Sweeps: a job with a list of values for one of its keys, each a point.
//!
//! A point is a group like any other: all models do it in every round. Its job is
//! the heavy preset's in everything that is neither swept nor set.

use lab::case::Case;
use results::Point;
use serde_json::Value;
use suite::{Invalid, Preset, Setting, Workload};

use crate::plan;
use crate::settings::{of_workload, setting};

/// One `--sweep workload.key=value,value,...`.
#[derive(Debug, Clone)]
pub struct SweepSpec {
    /// What kind of job.
    pub workload: Workload,
    key: String,
    values: Vec<String>,
}

impl std::str::FromStr for SweepSpec {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let shape = || Invalid::new("--sweep", text, "has to be workload.key=value,value,...");
        let (path, values) = text.split_once('=').ok_or_else(shape)?;
        let (workload, key) = path.split_once('.').ok_or_else(shape)?;
        let sweep = Self {
            workload: workload.parse()?,
            key: key.to_owned(),
            values: values.split(',').map(str::to_owned).collect(),
        };
        let job = sweep.workload.job(Preset::Heavy).to_json();
        if job.get(key).is_some_and(Value::is_array) {
            let allowed = "is a list already, and cannot be swept";
            return Err(Invalid::new(path, values, allowed));
        }
        // So that a wrong key or value is refused where it was given.
        for value in &sweep.values {
            setting(&format!("{path}={value}"))?;
        }
        if sweep.values.len() < 2 {
            let allowed = "has to be two values or more, with commas";
            return Err(Invalid::new(path, values, allowed));
        }
        Ok(sweep)
    }
}

impl SweepSpec {
    /// A group for each value: numbers in their order, words in the one given.
    ///
    /// # Errors
    ///
    /// When a value makes no sense, or is there twice.
    pub fn cases(&self, settings: &[Setting]) -> Result<Vec<Case>, Invalid> {
        let mut groups: Vec<Case> = Vec::new();
        for text in &self.values {
            let mut settings = of_workload(settings, self.workload);
            settings.insert(&self.key, text);
            let full = plan::job(self.workload, Preset::Heavy, &settings)?;
            let point = Point {
                key: self.key.clone(),
                value: full.to_json()[&self.key].clone(),
            };
            if groups
                .iter()
                .any(|group| group.point.as_ref() == Some(&point))
            {
                return Err(Invalid::new(self.path(), text, "has to be there only once"));
            }
            groups.push(Case {
                workload: self.workload,
                preset: Preset::Heavy,
                variant: None,
                own: None,
                point: Some(point),
                cores: None,
                full,
                whole: false,
                divisor: 1,
            });
        }
        // Half a job would not have the value that it is named after.
        let is_size = |group: &Case| {
            let half = group.full.scaled(2).to_json();
            group
                .point
                .as_ref()
                .is_some_and(|point| half[&point.key] != point.value)
        };
        let whole = groups.iter().any(is_size);
        groups.iter_mut().for_each(|group| group.whole = whole);
        // Words have no number, and stay as they are.
        groups.sort_by_key(|group| group.point.as_ref().and_then(|point| point.value.as_u64()));
        Ok(groups)
    }

    fn path(&self) -> String {
        format!("{}.{}", self.workload, self.key)
    }
}

/// The sweeps that matter for choosing, which `--thorough` makes: how a model
/// bears units that contend, and units that do not; how many downloads at once
/// are enough; and what ten times as many units cost.
pub const WORTH_AN_HOUR: [&str; 4] = [
    "counter.workers=1,2,4,8,16,64",
    "primes.workers=1,2,4,8",
    "download.limit=1,4,10,20,50,100",
    "sleepers.units=100,1000,10000",
];

/// Those of [`WORTH_AN_HOUR`] whose workload is compared and whose key neither a
/// setting nor a sweep has chosen values for.
///
/// # Panics
///
/// Never: a test parses them.
pub fn worth_an_hour(
    compared: &[Workload],
    settings: &[Setting],
    chosen: &[SweepSpec],
) -> Vec<SweepSpec> {
    let all = WORTH_AN_HOUR.map(|text| text.parse::<SweepSpec>().expect("a sweep"));
    let open = |sweep: &SweepSpec| {
        let set = of_workload(settings, sweep.workload);
        compared.contains(&sweep.workload)
            && !set.contains_key(&*sweep.key)
            && !chosen.iter().any(|other| other.path() == sweep.path())
    };
    all.into_iter().filter(open).collect()
}

/// Refuses two sweeps of one key: they would be one curve.
///
/// # Errors
///
/// When there are such.
pub fn refuse_twice(sweeps: &[&SweepSpec]) -> Result<(), Invalid> {
    for (at, sweep) in sweeps.iter().enumerate() {
        if sweeps[..at]
            .iter()
            .any(|other| other.path() == sweep.path())
        {
            let allowed = "has been swept already: all of its values belong into one --sweep";
            return Err(Invalid::new(sweep.path(), sweep.values.join(","), allowed));
        }
    }
    Ok(())
}

/// Each group on each number of cores, once.
pub fn on_cores(groups: Vec<Case>, cores: &[Option<usize>]) -> Vec<Case> {
    let on = |group: Case| {
        let each = cores.iter().enumerate();
        let once = each.filter(|(at, number)| !cores[..*at].contains(number));
        let with = |(_, &cores): (usize, &Option<usize>)| Case {
            cores,
            ..group.clone()
        };
        once.map(with).collect::<Vec<_>>()
    };
    groups.into_iter().flat_map(on).collect()
}

/// Gives groups whose jobs have to be of one size the smallest that one of them
/// needs.
pub fn even_out(groups: &[&Case], divisors: &mut [u64]) {
    let smallest = |group: &&Case| {
        if group.whole {
            return 1;
        }
        let related = groups.iter().zip(&*divisors);
        let related = related.filter(|(other, _)| other.shares_size(group));
        related.map(|(_, divisor)| *divisor).max().unwrap_or(1)
    };
    let even: Vec<u64> = groups.iter().map(smallest).collect();
    divisors.copy_from_slice(&even);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(text: &str) -> SweepSpec {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn labels(sweep: &SweepSpec, settings: &[Setting]) -> Vec<String> {
        let groups = sweep.cases(settings).expect("they make sense");
        groups.iter().map(Case::label).collect()
    }

    #[test]
    fn a_point_is_the_heavy_job_with_what_is_set_and_its_value() {
        let set: Setting = "counter.increments=100".parse().expect("a setting");
        let groups = sweep("counter.workers=16,2,4").groups(&[set]);
        let groups = groups.expect("they make sense");
        let labels: Vec<_> = groups.iter().map(Case::label).collect();
        let expected = ["heavy workers=2", "heavy workers=4", "heavy workers=16"];
        assert_eq!(labels, expected);
        assert_eq!(groups[1].settings(), ["workers=4", "increments=100"]);
    }

    #[test]
    fn words_stay_in_the_order_given() {
        let racy = sweep("counter.guard=racy,lock,atomic");
        let expected = ["heavy guard=racy", "heavy guard=lock", "heavy guard=atomic"];
        assert_eq!(labels(&racy, &[]), expected);
    }

    #[test]
    fn a_job_whose_size_is_swept_is_not_scaled() {
        // One unit cannot be made fewer, but those beside it could.
        let units = sweep("sleepers.units=1,1000").groups(&[]);
        let units = units.expect("they make sense");
        let workers = sweep("counter.workers=1,2").groups(&[]);
        let workers = workers.expect("they make sense");
        let mut divisors = [64, 64, 8, 4];
        let both: Vec<_> = units.iter().chain(&workers).collect();
        even_out(&both, &mut divisors);
        assert_eq!(divisors, [1, 1, 8, 8]);
    }

    #[test]
    fn a_curve_has_jobs_of_one_size_and_so_has_every_number_of_cores() {
        let points = sweep("primes.workers=1,2")
            .groups(&[])
            .expect("they make sense");
        let mut groups = on_cores(points, &[Some(1), None, Some(1)]);
        assert_eq!(groups.len(), 4);
        assert_eq!(groups[0].label(), "heavy workers=1 cores=1");
        groups.extend(plan::cases(&[Workload::Primes], &[Preset::Heavy], &[]).expect("a preset"));
        let groups: Vec<_> = groups.iter().collect();
        let mut divisors = [1, 2, 4, 1, 64];
        even_out(&groups, &mut divisors);
        assert_eq!(divisors, [4, 4, 4, 4, 64]);
    }

    #[test]
    fn an_hours_sweeps_give_way_to_what_was_chosen() {
        let all = worth_an_hour(Workload::ALL, &[], &[]);
        assert_eq!(all.len(), WORTH_AN_HOUR.len());
        for sweep in &all {
            sweep.cases(&[]).expect("they make sense");
        }
        let set: Setting = "primes.workers=3".parse().expect("a setting");
        let own = sweep("counter.workers=1,2");
        let left = worth_an_hour(&[Workload::Primes, Workload::Counter], &[set], &[own]);
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, says) in [
            ("counter.workers", "workload.key=value,value"),
            ("workers=1,2", "workload.key=value,value"),
            ("contour.workers=1,2", "counter"),
            ("counter.wrkers=1,2", "workers, increments, guard"),
            ("counter.guard=lock,luck", "luck"),
            ("counter.workers=1,", "whole number"),
            ("counter.workers=1", "two values"),
            ("fetch.delays_ms=1,2", "fetch.delays_ms = 1,2: is a list"),
            ("download.into=/a,/b", "of its own"),
        ] {
            let refused = text.parse::<SweepSpec>().expect_err(text).to_string();
            assert!(refused.contains(says), "{refused}");
        }
        for (text, says) in [
            (
                "counter.workers=0,1",
                "counter.workers = 0: has to be from 1",
            ),
            (
                "counter.workers=1,2,01",
                "counter.workers = 01: has to be there only",
            ),
        ] {
            let refused = sweep(text).groups(&[]).expect_err(text).to_string();
            assert!(refused.contains(says), "{refused}");
        }
        let twice = [&sweep("counter.workers=1,2"), &sweep("counter.workers=4,8")];
        let refused = refuse_twice(&twice).expect_err("twice").to_string();
        assert!(refused.contains("counter.workers = 4,8"), "{refused}");
    }
}
