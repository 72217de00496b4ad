//! Sweeps: a job with a list of values for one of its keys, each a point.
//!
//! A point is a case like any other: all models do it in every round. Its job is the
//! heavy preset's, but for the swept key and what is set.

use lab::case::Case;
use results::Point;
use serde_json::Value;
use suite::{Invalid, Preset, Setting, Workload};

use crate::plan;
use crate::settings::{of_workload, setting};

/// What `--sweep workload.key=value,value,...` says.
#[derive(Debug, Clone)]
pub struct SweepSpec {
    pub(crate) workload: Workload,
    key: String,
    values: Vec<String>,
    /// Settings of the same workload that hold unless the command line has others.
    with: Vec<Setting>,
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
            with: Vec::new(),
        };
        let job = sweep.workload.job(Preset::Heavy).to_json();
        if job.get(key).is_some_and(Value::is_array) {
            let allowed = "is a list already, and cannot be swept";
            return Err(Invalid::new(path, values, allowed));
        }
        // A wrong key or value is refused here, with the text that was given.
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
    /// A case for each value: numbers in ascending order, words in the order given.
    pub(crate) fn cases(&self, settings: &[Setting]) -> Result<Vec<Case>, Invalid> {
        let mut cases: Vec<Case> = Vec::new();
        for text in &self.values {
            let mut all = of_workload(&self.with, self.workload);
            all.extend(of_workload(settings, self.workload));
            let mut settings = all;
            settings.insert(&self.key, text);
            let full = plan::job(self.workload, Preset::Heavy, &settings)?;
            let point = Point {
                key: self.key.clone(),
                value: full.to_json()[&self.key].clone(),
            };
            if cases.iter().any(|case| case.point.as_ref() == Some(&point)) {
                return Err(Invalid::new(self.path(), text, "has to be there only once"));
            }
            cases.push(Case {
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
        // Scaling must not change the swept value.
        let is_size = |case: &Case| {
            let half = case.full.scaled(2).to_json();
            let point = case.point.as_ref();
            point.is_some_and(|point| half[&point.key] != point.value)
        };
        let whole = cases.iter().any(is_size);
        cases.iter_mut().for_each(|case| case.whole = whole);
        // Words have no number and keep their order: the sort is stable.
        cases.sort_by_key(|case| case.point.as_ref().and_then(|point| point.value.as_u64()));
        Ok(cases)
    }

    fn path(&self) -> String {
        format!("{}.{}", self.workload, self.key)
    }

    /// Whether its workload is compared, and its key neither set nor swept already.
    fn is_open(&self, compared: &[Workload], settings: &[Setting], chosen: &[SweepSpec]) -> bool {
        compared.contains(&self.workload)
            && !of_workload(settings, self.workload).contains_key(&*self.key)
            && !chosen.iter().any(|other| other.path() == self.path())
    }
}

/// The sweeps that matter for choosing a model, which `--thorough` adds: units that
/// contend and units that do not, how many downloads at once are enough, what ten times as
/// many units cost, and what a server does with more requests and more connections. Each
/// with the settings that go with it.
const CHOOSING: [(&str, &[&str]); 7] = [
    ("counter.workers=1,2,4,8,16,64", &[]),
    ("primes.workers=1,2,4,8", &[]),
    ("download.limit=1,4,10,20,50,100", &[]),
    ("sleepers.units=100,1000,10000", &[]),
    (
        "serve.rate=1000,2000,4000,8000,16000",
        &["serve.requests=2000"],
    ),
    ("serve.connections=1,16,256,4096", &["serve.requests=4000"]),
    (
        "serve.idle=0,1000,4000",
        &["serve.requests=2000", "serve.connections=40"],
    ),
];

/// From which size of a share on another machine pays, where nodes take part: 8,192 numbers whose
/// roots are a million, so that a share takes from some tenths of a millisecond to some hundredths
/// of a second, and the largest are still several for each of some nodes.
const SHARES: (&str, &[&str]) = (
    "primes.share=4,16,64,256",
    &["primes.start=1000000000000", "primes.end=1000000008192"],
);

/// Those of [`CHOOSING`] whose workload is compared and whose key is neither set nor
/// swept already.
pub(crate) fn for_choosing(
    compared: &[Workload],
    settings: &[Setting],
    chosen: &[SweepSpec],
) -> Vec<SweepSpec> {
    let all = CHOOSING.map(spec).into_iter();
    let is_open = |sweep: &SweepSpec| sweep.is_open(compared, settings, chosen);
    all.filter(is_open).collect()
}

/// [`SHARES`], unless something of it is set or swept already.
pub(crate) fn of_shares(
    compared: &[Workload],
    settings: &[Setting],
    chosen: &[SweepSpec],
) -> Option<SweepSpec> {
    let sweep = spec(SHARES);
    // Either end of a range makes no sense with another range's other end.
    let set = of_workload(settings, sweep.workload);
    let is_set = sweep.with.iter().any(|with| set.contains_key(&*with.key));
    (!is_set && sweep.is_open(compared, settings, chosen)).then_some(sweep)
}

fn spec((text, with): (&str, &[&str])) -> SweepSpec {
    SweepSpec {
        with: with
            .iter()
            .map(|text| setting(text).expect("a test parses them"))
            .collect(),
        ..text.parse().expect("a test parses them")
    }
}

/// Refuses two sweeps of one key: they would be one curve.
pub(crate) fn refuse_twice(sweeps: &[&SweepSpec]) -> Result<(), Invalid> {
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

/// Each case on each number of cores, once.
pub(crate) fn on_cores(cases: Vec<Case>, cores: &[Option<usize>]) -> Vec<Case> {
    let mut all = Vec::new();
    for case in cases {
        for (at, &number) in cores.iter().enumerate() {
            if !cores[..at].contains(&number) {
                all.push(Case {
                    cores: number,
                    ..case.clone()
                });
            }
        }
    }
    all
}

/// Gives cases whose jobs have to be of one size the largest divisor that one of them
/// needs.
pub(crate) fn even_out(cases: &[&Case], divisors: &mut [u64]) {
    let common = |case: &&Case| {
        if case.whole {
            return 1;
        }
        cases
            .iter()
            .zip(&*divisors)
            .filter(|(other, _)| other.shares_size(case))
            .map(|(_, divisor)| *divisor)
            .max()
            .unwrap_or(1)
    };
    let even: Vec<u64> = cases.iter().map(common).collect();
    divisors.copy_from_slice(&even);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(text: &str) -> SweepSpec {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn labels(sweep: &SweepSpec, settings: &[Setting]) -> Vec<String> {
        let cases = sweep.cases(settings).expect("they make sense");
        cases.iter().map(Case::label).collect()
    }

    #[test]
    fn a_point_is_the_heavy_job_with_what_is_set_and_its_value() {
        let set: Setting = "counter.increments=100".parse().expect("a setting");
        let cases = sweep("counter.workers=16,2,4").cases(&[set]);
        let cases = cases.expect("they make sense");
        let labels: Vec<_> = cases.iter().map(Case::label).collect();
        let expected = ["heavy workers=2", "heavy workers=4", "heavy workers=16"];
        assert_eq!(labels, expected);
        assert_eq!(cases[1].settings(), ["workers=4", "increments=100"]);
    }

    #[test]
    fn words_stay_in_the_order_given() {
        let racy = sweep("counter.guard=racy,lock,atomic");
        let expected = ["heavy guard=racy", "heavy guard=lock", "heavy guard=atomic"];
        assert_eq!(labels(&racy, &[]), expected);
    }

    #[test]
    fn a_job_whose_size_is_swept_is_not_scaled() {
        let units = sweep("sleepers.units=1,1000").cases(&[]);
        let units = units.expect("they make sense");
        let workers = sweep("counter.workers=1,2").cases(&[]);
        let workers = workers.expect("they make sense");
        let mut divisors = [64, 64, 8, 4];
        let both: Vec<_> = units.iter().chain(&workers).collect();
        even_out(&both, &mut divisors);
        assert_eq!(divisors, [1, 1, 8, 8]);
    }

    #[test]
    fn a_curve_has_jobs_of_one_size_and_so_has_every_number_of_cores() {
        let points = sweep("primes.workers=1,2")
            .cases(&[])
            .expect("they make sense");
        let mut cases = on_cores(points, &[Some(1), None, Some(1)]);
        assert_eq!(cases.len(), 4);
        assert_eq!(cases[0].label(), "heavy workers=1 cores=1");
        cases.extend(
            plan::cases(&[Workload::Primes], &[Preset::Heavy], &[], true).expect("a preset"),
        );
        let cases: Vec<_> = cases.iter().collect();
        let mut divisors = [1, 2, 4, 1, 64];
        even_out(&cases, &mut divisors);
        assert_eq!(divisors, [4, 4, 4, 4, 64]);
    }

    #[test]
    fn sweeps_for_choosing_give_way_to_what_was_asked_for() {
        let all = for_choosing(Workload::ALL, &[], &[]);
        assert_eq!(all.len(), CHOOSING.len());
        for sweep in &all {
            sweep.cases(&[]).expect("they make sense");
        }
        let set: Setting = "primes.workers=3".parse().expect("a setting");
        let own = sweep("counter.workers=1,2");
        let left = for_choosing(&[Workload::Primes, Workload::Counter], &[set], &[own]);
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn shares_are_swept_unless_their_range_is_chosen() {
        let shares = of_shares(Workload::ALL, &[], &[]).expect("nothing is chosen");
        let cases = shares.cases(&[]).expect("they make sense");
        assert_eq!(cases[0].title(), "primes heavy share=4");
        // A share is of one size in a job that is scaled, too.
        assert!(cases.iter().all(|case| !case.whole));
        let workers: Setting = "primes.workers=8".parse().expect("a setting");
        assert!(of_shares(Workload::ALL, &[workers], &[]).is_some());
        for text in ["primes.share=3", "primes.start=3", "primes.end=1000003"] {
            let set = text.parse().expect("a setting");
            assert!(of_shares(Workload::ALL, &[set], &[]).is_none(), "{text}");
        }
        let own = sweep("primes.share=1,2");
        assert!(of_shares(Workload::ALL, &[], &[own]).is_none());
        assert!(of_shares(&[Workload::Counter], &[], &[]).is_none());
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
            let refused = sweep(text).cases(&[]).expect_err(text).to_string();
            assert!(refused.contains(says), "{refused}");
        }
        let twice = [&sweep("counter.workers=1,2"), &sweep("counter.workers=4,8")];
        let refused = refuse_twice(&twice).expect_err("twice").to_string();
        assert!(refused.contains("counter.workers = 4,8"), "{refused}");
    }
}
