//! Finds the size of a share from which another machine pays. It compares what nodes do together
//! with what one model does with as many cores of this machine, without a network in between.

use results::{Comparison, Kind, MIN_ROUNDS, Models, Status, Time, quota_words};

use crate::findings::{self, JobResults};
use crate::format::{counted, ratio, time};
use crate::words::Summary;

/// The title of the question.
pub(crate) const TITLE: &str = "More than one machine";

/// The workload whose sweep answers it, and the key that is swept.
pub(crate) const WORKLOAD: &str = "primes";
const KEY: &str = "share";

/// The least part of the work of N machines that N nodes have to do, for another machine to pay.
const LEAST: f64 = 0.8;

/// The rule that gives the answer. `{processes}` is replaced by the models of child processes.
pub(crate) const RULE: &str = "\
    Another machine pays where N nodes do at least 0.8 of the work of N machines. What one of \
    these does is what {processes} does at the same size of a share, in proportion to its cores. \
    The whole interval has to be on one side, of five rounds at least.";

/// The answer to the question.
#[derive(Debug)]
pub(crate) struct Pays {
    /// Whether another machine pays from some size of a share on. `None` if the data do not show
    /// it.
    pub(crate) holds: Option<bool>,
    /// The answer, then the figures.
    pub(crate) sentences: Vec<String>,
}

/// The nodes, and what they are compared with.
struct Machines<'a> {
    /// The model of child processes.
    process: &'a str,
    /// The model of nodes.
    cluster: &'a str,
    nodes: usize,
    /// How many cores each node has.
    each: f64,
    /// How many cores the other model has.
    cores: usize,
}

/// One size of a share.
struct Point {
    share: u64,
    /// The time that one core needs for a share, in nanoseconds.
    work_ns: Option<f64>,
    /// The part of the work of as many machines that the nodes do: low, median and high; or why it
    /// is unknown.
    done: Result<[f64; 3], String>,
}

/// Whether another machine pays; `None` if no model with nodes took part.
pub(crate) fn pays(comparison: &Comparison, jobs: &[JobResults]) -> Option<Pays> {
    let cluster = taking_part(jobs, comparison.models(), Kind::Cluster)?;
    let cannot = |why: String| Pays {
        holds: None,
        sentences: vec![format!("Cannot be told: {why}.")],
    };
    Some(told(comparison, jobs, cluster).unwrap_or_else(cannot))
}

/// The answer for a terminal; `None` if the sweep was not measured.
pub(crate) fn summary(comparison: &Comparison) -> Option<Summary> {
    let jobs = findings::all(comparison);
    jobs.iter().find(|job| is_point(job))?;
    Some(Summary {
        title: TITLE.to_owned(),
        lines: pays(comparison, &jobs)?.sentences,
    })
}

/// The first model of a kind that took part.
fn taking_part<'a>(jobs: &[JobResults], models: Models<'a>, kind: Kind) -> Option<&'a str> {
    let mut of_kind = models.of_kind(kind).into_iter();
    of_kind.find(|model| jobs.iter().any(|job| job.cell(model).is_some()))
}

/// Whether this is a job of the sweep, with a size: with 0, each model chooses its own.
fn is_point(job: &JobResults) -> bool {
    let point = job.cells[0].point.as_ref();
    let is_swept = point.is_some_and(|point| point.key == KEY) && job.number(KEY) > Some(0);
    job.workload() == WORKLOAD && job.on_all_cores() && is_swept
}

fn told(comparison: &Comparison, jobs: &[JobResults], cluster: &str) -> Result<Pays, String> {
    let mut swept: Vec<_> = jobs.iter().filter(|job| is_point(job)).collect();
    swept.sort_by_key(|job| job.number(KEY));
    let Some(first) = swept.first() else {
        return Err(format!("{WORKLOAD}.{KEY} was not swept"));
    };
    let process = taking_part(jobs, comparison.models(), Kind::Process);
    let process = process.ok_or("no model of child processes took part")?;
    let workers = first.number("workers").unwrap_or(1) as usize;
    let of_run = comparison.run.cluster.unwrap_or_default();
    let nodes = of_run.nodes.unwrap_or(comparison.run.threads).min(workers);
    if nodes < 2 {
        return Err("there was a single node".to_owned());
    }
    let cores = comparison.host.cores.min(workers);
    // Together the nodes have no more cores than this machine.
    let most = cores as f64 / nodes as f64;
    let machines = Machines {
        process,
        cluster,
        nodes,
        each: of_run.cores_each.map_or(most, |each| each.min(most)),
        cores,
    };
    // The largest share has the least cost besides its work.
    let number_ns = swept.iter().rev().find_map(|job| machines.number_ns(job));
    let point = |job: &&JobResults| {
        let share = job.number(KEY)?;
        Some(Point {
            share,
            work_ns: number_ns.map(|ns| ns * share as f64),
            done: machines.done(job),
        })
    };
    let points: Vec<_> = swept.iter().filter_map(point).collect();
    let (holds, answer) = answer(&points, nodes);
    let figures = points.iter().map(|point| machines.figures(point));
    Ok(Pays {
        holds,
        sentences: [answer]
            .into_iter()
            .chain(figures)
            .chain([machines.caveat()])
            .collect(),
    })
}

impl Machines<'_> {
    /// The part of the work of as many machines that the nodes do: the other model's time divided
    /// by theirs, as if both had the same number of cores.
    fn done(&self, job: &JobResults) -> Result<[f64; 3], String> {
        let both = timed(job, self.process).zip(timed(job, self.cluster));
        let Some((process, cluster)) = both else {
            return Err(job.missing(&[self.process, self.cluster]));
        };
        if process.rounds.len().min(cluster.rounds.len()) < MIN_ROUNDS {
            return Err(job.no_verdict());
        }
        let ratios = [
            process.low_ns / cluster.high_ns,
            process.median_ns / cluster.median_ns,
            process.high_ns / cluster.low_ns,
        ];
        let power = self.each * self.nodes as f64 / self.cores as f64;
        Ok(ratios.map(|ratio| ratio / power))
    }

    /// The time that one core needs for a number of the range, in nanoseconds.
    fn number_ns(&self, job: &JobResults) -> Option<f64> {
        let numbers = job.number("end")?.checked_sub(job.number("start")?)?;
        let ns = timed(job, self.process)?.median_ns * self.cores as f64;
        (numbers > 0).then(|| ns / numbers as f64)
    }

    fn figures(&self, point: &Point) -> String {
        let at = point.words();
        match &point.done {
            Ok(done) => {
                let [low, median, high] = done.map(|part| ratio(part * self.nodes as f64));
                let nodes = self.nodes;
                format!("{at}: {nodes} nodes do {median} the work of one ({low} to {high})")
            }
            Err(why) => format!("{at}: {why}"),
        }
    }

    fn caveat(&self) -> String {
        format!(
            "One does what {} does here with {}, in proportion to {}. The nodes shared this \
             machine's cores with their parent and the server, which counts against them; a \
             network's delays for each share are missing.",
            self.process,
            counted(self.cores, "core"),
            quota_words(self.each)
        )
    }
}

/// A model's time at a job, if it is meaningful.
fn timed<'a>(job: &JobResults<'a>, model: &str) -> Option<&'a Time> {
    let cell = job.cell(model)?;
    let is_ranked = cell.status == Status::Ok && !cell.mostly_clock;
    cell.time.as_ref().filter(|_| is_ranked)
}

impl Point {
    /// Whether another machine pays at this size.
    fn pays(&self) -> Option<bool> {
        match self.done {
            Ok([low, ..]) if low >= LEAST => Some(true),
            Ok([.., high]) if high < LEAST => Some(false),
            _ => None,
        }
    }

    fn words(&self) -> String {
        let share = self.share;
        match self.work_ns {
            Some(ns) => format!("{KEY} = {share} ({} of work)", time(ns)),
            None => format!("{KEY} = {share}"),
        }
    }
}

/// Finds the size from which another machine pays. `points` are in ascending order of size.
fn answer(points: &[Point], nodes: usize) -> (Option<bool>, String) {
    let all_from = |at: &usize| points[*at..].iter().all(|point| point.pays() == Some(true));
    let Some((largest, smaller)) = points.split_last() else {
        return (None, format!("Cannot be told: no {KEY} is known."));
    };
    if let Some(from) = (0..points.len()).find(all_from) {
        let mut text = format!("Another machine pays from {} on", points[from].words());
        let below = &points[..from];
        let mut not = below.iter().filter(|point| point.pays() == Some(false));
        if let Some(largest) = not.next_back() {
            text += &format!(", and not at {}", largest.words());
        }
        let unknown = below.iter().filter(|point| point.pays().is_none());
        let unknown: Vec<_> = unknown.map(|point| point.share.to_string()).collect();
        if !unknown.is_empty() {
            text += &format!("; it cannot be told at {KEY} = {}", unknown.join(", "));
        }
        return (Some(true), format!("{text}."));
    }
    let at = largest.words();
    match (&largest.done, largest.pays()) {
        (_, Some(_)) => {
            let nowhere = smaller.iter().all(|point| point.pays() == Some(false));
            let where_not = if nowhere { "Up to" } else { "At" };
            let text = format!(
                "{where_not} {at}, the largest share, {nodes} nodes do less than {LEAST} of the \
                 work of {nodes} machines, so by this rule another does not pay."
            );
            (Some(false), text)
        }
        (Err(why), None) => (None, format!("Cannot be told at {at}: {why}.")),
        (Ok(_), None) => {
            let text = format!("Cannot be told: it is too close at {at}, the largest share.");
            (None, text)
        }
    }
}
