//! Made-up comparisons whose answers are known, for tests of what reads one.

use serde_json::{Value, json};

use crate::models::OF_SCHEMA_1;
use crate::{
    Cell, ClusterNodes, Comparison, EQUIVALENCE, Host, JobVerdicts, Judged, Kind, MIN_ROUNDS,
    ModelInfo, Pair, Point, Resources, RunInfo, SCHEMA, Status, Time, Verdict,
};

/// The models of a made-up comparison, of which any can take part.
pub const MODELS: [&str; 6] = ["serial", "thread", "process", "tokio", "async-std", "smol"];

/// Samples of each round of [`scattered`].
const SAMPLES: usize = 10;

/// A cell that did its job right and has no figures.
pub fn cell(workload: &str, label: &str, model: &str) -> Cell {
    Cell {
        workload: workload.to_owned(),
        preset: label.split('-').next().unwrap_or(label).to_owned(),
        variant: None,
        point: None,
        cores: None,
        label: label.to_owned(),
        model: model.to_owned(),
        command: None,
        answers: false,
        python: None,
        job: json!({}),
        status: Status::Ok,
        reason: None,
        scaled: false,
        divisor: 1,
        time: None,
        from_runs: false,
        mostly_clock: false,
        cold: None,
        start_ns: None,
        completion: None,
        latency: None,
        resources: Resources::default(),
        outcome: None,
        disturbed: 0,
        throttled: 0,
        origin_ceiling_ns: None,
        origin_cpu_ns: None,
        origin_bound: false,
        origin_bound_by: None,
    }
}

/// `ns` in each of `rounds` rounds, with an interval of 1 % to each side.
pub fn steady(ns: f64, rounds: usize) -> Time {
    Time {
        median_ns: ns,
        low_ns: ns * 0.99,
        high_ns: ns * 1.01,
        samples_ns: vec![ns; rounds],
        rounds: vec![1; rounds],
    }
}

/// A cell with samples around `base` nanoseconds, as far from each other as real
/// ones and the same each time; each round's are `drift` slower than those of the
/// one before. Its other figures go by `base`, too.
pub fn scattered(
    workload: &str,
    label: &str,
    model: &str,
    base: f64,
    (rounds, drift): (usize, f64),
) -> Cell {
    let sample = |at: usize| {
        let (round, place) = (at / SAMPLES, at % SAMPLES);
        let wobble = ((at * 7919 + model.len() * 31) % 101) as f64 / 101.0 - 0.5;
        base * (1.0 + drift * round as f64 + 0.02 * wobble + 0.001 * place as f64)
    };
    let samples: Vec<f64> = (0..rounds * SAMPLES).map(sample).collect();
    let mut sorted = samples.clone();
    sorted.sort_by(f64::total_cmp);
    let quantile = |part: f64| sorted[(part * (sorted.len() - 1) as f64) as usize];
    let whole = base as u64;
    Cell {
        time: Some(Time {
            median_ns: quantile(0.5),
            low_ns: quantile(0.36),
            high_ns: quantile(0.64),
            samples_ns: samples,
            rounds: vec![SAMPLES; rounds],
        }),
        resources: Resources {
            wall_ns: Some(whole + 2_000_000),
            user_ns: Some(whole),
            system_ns: Some(whole / 7),
            peak_memory_bytes: Some(3_000_000 + whole % 90_000_000),
            peak_with_kernel_bytes: Some(4_000_000 + whole % 90_000_000),
            memory_method: Some("pss".to_owned()),
            voluntary_switches: Some(whole / 5_000),
            involuntary_switches: Some(whole % 17),
            threads: Some(3),
            processes: Some(1),
            runs: 5,
            ..Resources::default()
        },
        ..cell(workload, label, model)
    }
}

/// A comparison in the making.
#[derive(Debug, Clone)]
pub struct Builder(Comparison);

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Nothing was measured yet.
    pub fn new() -> Self {
        Self(Comparison {
            schema: SCHEMA,
            run: RunInfo {
                name: "made-up".to_owned(),
                started: "2026-01-02 03:04:05 +00:00".to_owned(),
                mode: "default".to_owned(),
                revision: "0123456789abcdef-dirty".to_owned(),
                seed: 1,
                equivalence: EQUIVALENCE,
                threads: 2,
                blocking_threads: 64,
                scratch: "memory, /dev/shm".to_owned(),
                models: Vec::new(),
                reference: None,
                cluster: None,
                budget_s: 900.0,
                took_s: 800.0,
                interrupted: false,
                criterion: None,
                background_load: None,
                notes: Vec::new(),
            },
            models: OF_SCHEMA_1.clone(),
            host: Host {
                usable_cores: None,
                machine_cores: None,
                quota: None,
                governor: None,
                on_battery: None,
                cpu: "a processor".to_owned(),
                cores: 2,
                memory: 8_000_000_000,
                kernel: "6".to_owned(),
                os: "a system".to_owned(),
                clock_reading_ns: None,
            },
            versions: Default::default(),
            build: Default::default(),
            cells: Vec::new(),
            verdicts: Vec::new(),
            baseline: None,
            self_check: None,
            sweeps: Vec::new(),
        })
    }

    /// Which models were asked for; none but those with cells, if this is not called.
    pub fn models(mut self, models: &[&str]) -> Self {
        self.0.run.models = models.iter().map(|&model| model.to_owned()).collect();
        self
    }

    /// Adds a model `cluster` with this number of nodes.
    pub fn nodes(mut self, nodes: usize, cores_each: Option<f64>) -> Self {
        self.0.models.push(ModelInfo {
            name: "cluster".to_owned(),
            kind: Kind::Cluster,
            units: "slots of nodes".to_owned(),
            made_of: "NATS JetStream".to_owned(),
            http: "hyper".to_owned(),
            // Drawn as the last of the others.
            ..OF_SCHEMA_1[OF_SCHEMA_1.len() - 1].clone()
        });
        self.0.run.cluster = Some(ClusterNodes {
            nodes: Some(nodes),
            cores_each,
        });
        self
    }

    /// Adds cells.
    pub fn cells(mut self, cells: impl IntoIterator<Item = Cell>) -> Self {
        self.0.cells.extend(cells);
        self
    }

    /// A job, and how many milliseconds each of these models took for it. All of
    /// them take 1 MiB.
    pub fn job(self, workload: &str, label: &str, job: Value, times: &[(&str, f64)]) -> Self {
        self.job_in_rounds(workload, label, job, times, MIN_ROUNDS)
    }

    /// The same in `rounds` rounds: with fewer than [`MIN_ROUNDS`] there is no verdict.
    pub fn job_in_rounds(
        self,
        workload: &str,
        label: &str,
        job: Value,
        times: &[(&str, f64)],
        rounds: usize,
    ) -> Self {
        let cells = times.iter().map(|&(model, ms)| Cell {
            job: job.clone(),
            time: Some(steady(ms * 1e6, rounds)),
            resources: Resources {
                wall_ns: Some((ms * 1e6) as u64),
                user_ns: Some(1_000_000),
                system_ns: Some(1_000_000),
                peak_memory_bytes: Some(1 << 20),
                peak_with_kernel_bytes: Some(2 << 20),
                memory_method: Some("pss".to_owned()),
                voluntary_switches: Some(1),
                involuntary_switches: Some(1),
                threads: Some(3),
                processes: Some(1),
                runs: 1,
                ..Resources::default()
            },
            ..cell(workload, label, model)
        });
        self.cells(cells)
    }

    /// The heavy job at each value of a key, as the points of a sweep.
    pub fn sweep(mut self, workload: &str, key: &str, points: &[(u64, &[(&str, f64)])]) -> Self {
        for &(value, times) in points {
            let label = format!("heavy-{key}={value}");
            self = self.job(workload, &label, json!({(key): value}), times);
            for (model, _) in times {
                self = self.with(model, |cell| {
                    cell.point = Some(Point {
                        key: key.to_owned(),
                        value: value.into(),
                    });
                });
            }
        }
        self
    }

    /// Changes the model's cell that was added last.
    ///
    /// # Panics
    ///
    /// When the model has none.
    pub fn with(mut self, model: &str, change: impl FnOnce(&mut Cell)) -> Self {
        let mut cells = self.0.cells.iter_mut().rev();
        change(
            cells
                .find(|cell| cell.model == model)
                .expect("it took part"),
        );
        self
    }

    /// Takes the time from the model's cell that was added last.
    pub fn without(self, model: &str, status: Status, reason: &str) -> Self {
        self.with(model, |cell| {
            cell.time = None;
            cell.status = status;
            cell.reason = Some(reason.to_owned());
        })
    }

    /// Changes what is known of the run and the machine.
    pub fn of_run(mut self, change: impl FnOnce(&mut Comparison)) -> Self {
        change(&mut self.0);
        self
    }

    /// The comparison, with verdicts by the ratios of its medians. It has no sweeps:
    /// those are computed.
    pub fn build(self) -> Comparison {
        let mut comparison = self.0;
        let jobs = comparison.jobs();
        comparison.verdicts = jobs.iter().filter_map(|job| verdicts(job)).collect();
        if comparison.run.models.is_empty() {
            for cell in comparison.cells.iter().filter(|cell| cell.is_model()) {
                if !comparison.run.models.contains(&cell.model) {
                    comparison.run.models.push(cell.model.clone());
                }
            }
        }
        comparison
    }
}

/// Every model's cell against each one after it.
fn verdicts(job: &[&Cell]) -> Option<JobVerdicts> {
    let rounds = job.iter().filter_map(|cell| cell.rounds()).min()?;
    let timed = job
        .iter()
        .filter(|cell| cell.is_job_time() && !cell.mostly_clock);
    let timed = timed.filter_map(|cell| Some((&cell.model, cell.median_ns()?)));
    let timed: Vec<_> = timed.filter(|_| rounds >= MIN_ROUNDS).collect();
    let pairs = timed.iter().enumerate().flat_map(|(at, (model, own))| {
        timed[at + 1..].iter().map(move |(other, others)| Pair {
            model: (*model).clone(),
            other: (*other).clone(),
            judged: judged(own / others),
        })
    });
    Some(JobVerdicts {
        workload: job[0].workload.clone(),
        preset: job[0].preset.clone(),
        label: job[0].label.clone(),
        rounds,
        pairs: pairs.collect(),
        drifting: Vec::new(),
    })
}

/// A verdict with an interval of 1 % to each side.
pub fn judged(ratio: f64) -> Judged {
    Judged {
        ratio,
        low: ratio * 0.99,
        high: ratio * 1.01,
        verdict: Verdict::of(ratio * 0.99, ratio * 1.01, EQUIVALENCE),
    }
}
