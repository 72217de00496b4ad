//! How often verdicts are right: comparisons of made-up models, of which it is known how
//! they differ, by the scheduler and the tests of a real comparison.

use std::fmt::Write;
use std::thread;
use std::time::Duration;

use analysis::{Rules, verdicts};
use fastrand::Rng;
use lab::executor::SAMPLES;
use results::fixture::cell;
use results::{Cell, EQUIVALENCE, Time, Verdict};

use crate::budget::{Part, RoundEstimate, rounds};
use crate::mode::Mode;

/// Comparisons of each kind.
const TRIALS: u64 = 200;

const MODELS: [&str; 6] = ["serial", "thread", "process", "tokio", "async-std", "smol"];

/// One kind of job: the first model takes `first` times as long as the five others.
struct Truth {
    name: &'static str,
    first: f64,
    /// By what the rounds of a model scatter, as a standard deviation of logarithms.
    between: f64,
    /// What a round is slowed down by: of all models, given its number; and of one alone.
    shared: fn(usize) -> f64,
    own: fn(&mut Rng) -> f64,
}

fn steady(_: usize) -> f64 {
    1.0
}

fn alone(_: &mut Rng) -> f64 {
    1.0
}

const TRUTHS: [Truth; 7] = [
    Truth {
        name: "equal",
        first: 1.0,
        between: 0.02,
        shared: steady,
        own: alone,
    },
    Truth {
        name: "equal, with much scatter",
        first: 1.0,
        between: 0.1,
        shared: steady,
        own: alone,
    },
    Truth {
        name: "equal, each round in one of two modes, 1.4 apart",
        first: 1.0,
        between: 0.02,
        shared: steady,
        own: |random| if random.bool() { 1.4 } else { 1.0 },
    },
    Truth {
        name: "equal, and 2 % slower with each round",
        first: 1.0,
        between: 0.02,
        shared: |round| 1.0 + 0.02 * round as f64,
        own: alone,
    },
    Truth {
        name: "1.05 times as slow",
        first: 1.05,
        between: 0.02,
        shared: steady,
        own: alone,
    },
    Truth {
        name: "1.2 times as slow",
        first: 1.2,
        between: 0.02,
        shared: steady,
        own: alone,
    },
    Truth {
        name: "1.5 times as slow",
        first: 1.5,
        between: 0.1,
        shared: steady,
        own: alone,
    },
];

impl Truth {
    /// A round of one model, of ten samples with a long tail.
    fn round(&self, model: usize, number: usize, random: &mut Rng) -> Vec<f64> {
        let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        let factor = if model == 0 { self.first } else { 1.0 };
        let scatter = (self.between * normal()).exp();
        let samples: Vec<f64> = (0..SAMPLES).map(|_| 1.0 + 0.02 * normal().abs()).collect();
        let of_round = 1e6 * factor * scatter * (self.shared)(number) * (self.own)(random);
        samples.iter().map(|sample| sample * of_round).collect()
    }
}

/// A job of one comparison, while it is measured.
struct Simulated {
    cells: Vec<Cell>,
    estimate: RoundEstimate,
}

impl Simulated {
    fn new() -> Self {
        let empty = |model: &&str| Cell {
            time: Some(Time {
                median_ns: 1e6,
                low_ns: 1e6,
                high_ns: 1e6,
                samples_ns: Vec::new(),
                rounds: Vec::new(),
            }),
            ..cell("counter", "heavy", model)
        };
        Self {
            cells: MODELS.iter().map(empty).collect(),
            estimate: RoundEstimate {
                part: Part::Job,
                done: 0,
                round: Duration::from_secs(1),
                width: None,
            },
        }
    }

    fn round(&mut self, truth: &Truth, rules: Rules, random: &mut Rng) {
        let number = self.estimate.done as usize;
        for (model, cell) in self.cells.iter_mut().enumerate() {
            let time = cell.time.as_mut().expect("it is new");
            let samples = truth.round(model, number, random);
            time.rounds.push(samples.len());
            time.samples_ns.extend(samples);
        }
        self.estimate.record_round(self.estimate.round);
        self.estimate.look(&self.cells, rules);
    }
}

/// One comparison that has a job of each kind: the verdicts of each, on the first model
/// against the others, and on the others.
fn compare(seed: u64) -> Vec<[Vec<Verdict>; 2]> {
    let rules = Rules {
        seed,
        equivalence: EQUIVALENCE,
    };
    // Enough for some of them to get all the rounds that they need.
    let mut time = Duration::from_secs(120);
    let mut random = Rng::with_seed(seed);
    let mut jobs: Vec<_> = TRUTHS.iter().map(|_| Simulated::new()).collect();
    loop {
        let estimates: Vec<_> = jobs.iter().map(|job| job.estimate).collect();
        let goals = rounds(&estimates, time, &Mode::THOROUGH);
        let mut measured_any = false;
        for ((job, goal), truth) in jobs.iter_mut().zip(goals).zip(&TRUTHS) {
            if job.estimate.done < goal {
                job.round(truth, rules, &mut random);
                time = time.saturating_sub(job.estimate.round);
                measured_any = true;
            }
        }
        if !measured_any {
            break;
        }
    }
    let verdicts_of = |job: &Simulated| {
        let pairs = verdicts::all_pairs(&job.cells);
        let judged = verdicts::job_verdicts(&job.cells, &pairs, rules).expect("times");
        let of = |first: bool| {
            let pairs = judged.pairs.iter();
            let pairs = pairs.filter(|pair| (pair.model == MODELS[0]) == first);
            pairs.map(|pair| pair.judged.verdict).collect()
        };
        [of(true), of(false)]
    };
    jobs.iter().map(verdicts_of).collect()
}

/// How often something is so, in percent.
fn share<T>(all: &[T], is: impl Fn(&T) -> bool) -> f64 {
    100.0 * all.iter().filter(|one| is(one)).count() as f64 / all.len() as f64
}

#[test]
fn the_readme_says_how_often_verdicts_are_right() {
    let half = |first: u64| move || (first..TRIALS).step_by(2).map(compare).collect::<Vec<_>>();
    let other = thread::spawn(half(1));
    let mut comparisons = half(0)();
    comparisons.extend(other.join().expect("it ends"));

    let mut table =
        "| the first model is | `faster` | `slower` | `no difference` | `cannot tell` | \
        jobs in which equal models are called different |\n|---|--:|--:|--:|--:|--:|\n"
            .to_owned();
    let mut wrong = Vec::new();
    for (at, truth) in TRUTHS.iter().enumerate() {
        let jobs: Vec<_> = comparisons.iter().map(|jobs| &jobs[at]).collect();
        let first: Vec<Verdict> = jobs.iter().flat_map(|[first, _]| first.clone()).collect();
        let rate = |verdict| share(&first, |one| *one == verdict);
        let differs = |verdicts: &[Verdict]| verdicts.iter().any(|one| one.is_difference());
        let is_wrong = |[first, others]: &&[Vec<Verdict>; 2]| {
            differs(others) || truth.first == 1.0 && differs(first)
        };
        let called = share(&jobs, |job| is_wrong(job));
        let [faster, slower, same, unknown] = [
            Verdict::Faster,
            Verdict::Slower,
            Verdict::NoDifference,
            Verdict::CannotTell,
        ]
        .map(rate);
        writeln!(
            table,
            "| {} | {faster:.1} % | {slower:.1} % | {same:.1} % | {unknown:.1} % | {called:.1} % |",
            truth.name
        )
        .expect("a string");
        wrong.push(called);
        if truth.first > 1.0 {
            assert_eq!(faster, 0.0, "{}", truth.name);
        }
        if truth.first > 1.0 + EQUIVALENCE {
            assert!(same < 1.0 && slower > 95.0, "{table}");
        }
    }
    assert!(wrong.iter().all(|share| *share <= 5.0), "{table}");
    let readme = include_str!("../README.md");
    assert!(readme.contains(&table), "README.md does not have\n{table}");
}
