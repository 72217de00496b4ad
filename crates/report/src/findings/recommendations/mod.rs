//! Which model for which work: every job of a comparison as a question, and the
//! rankings that answer it. Nothing here is said of a model by hand; what the models
//! are made of is in [`pairs`].

pub mod pairs;
pub mod sweep;

use results::{Cell, Comparison, Kind, Models, Status};
use suite::Workload;

use crate::anchors;
use crate::findings::unit_costs::{self, UnitCosts};
use crate::findings::{self, JobResults, LEAST_DIFFERENCE};
use crate::format::{NONE, count, memory, parameters, ratio, status, time};
use crate::metrics::{CPU, MEMORY, Metric, TIME};
use crate::words;

/// The part of a page that helps to choose.
#[derive(Debug)]
pub struct Recommendations {
    /// The kinds of work that were measured.
    pub kinds: Vec<Work>,
    /// What one unit of each model costs.
    pub units: Vec<UnitRow>,
    /// Every two models, in all they both did.
    pub pairs: Vec<pairs::ModelPair>,
}

/// A kind of work.
#[derive(Debug)]
pub struct Work {
    /// Its name as an anchor.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// At each size that was measured.
    pub questions: Vec<Question>,
    /// From which size on which model is first; one for each sweep.
    pub sweeps: Vec<sweep::SweepSummary>,
}

/// One job of that kind.
#[derive(Debug)]
pub struct Question {
    /// Which.
    pub title: String,
    /// Which, and of what size.
    pub scale: String,
    /// Where its figures are on the page.
    pub anchor: String,
    /// By time, memory and CPU.
    pub rankings: Vec<Ranking>,
    /// The models that did not do it, or have no time to rank, and why.
    pub missing: Vec<String>,
}

/// The models in the order of one figure.
#[derive(Debug, PartialEq)]
pub struct Ranking {
    /// Which figure.
    pub by: &'static str,
    /// Which model is best, in a sentence; or that it cannot be told.
    pub answer: String,
    /// Best first.
    pub places: Vec<Place>,
}

/// A model's place.
#[derive(Debug, PartialEq)]
pub struct Place {
    /// Shared by those that are no different from the first of it. `None` where
    /// that cannot be told.
    pub rank: Option<usize>,
    /// The model.
    pub model: String,
    /// Its figure.
    pub figure: String,
    /// How many times the first one's.
    pub to_first: String,
}

/// What one unit costs, in words.
#[derive(Debug)]
pub struct UnitRow {
    /// The model.
    pub model: String,
    /// Memory of one more.
    pub memory: String,
    /// The same with what the kernel holds for it.
    pub with_kernel: String,
    /// Between how many that is.
    pub between: String,
    /// A pass from one to the next.
    pub pass: String,
    /// From a process's start until it can begin with all of them.
    pub start: String,
}

/// Which workloads are shaped like which work: anchor, name, workloads.
const KINDS: [(&str, &str, &[Workload]); 11] = [
    ("download", "Downloads, with a limit", &[Workload::Download]),
    ("waiting", "Many that wait", &[Workload::Sleepers]),
    ("units", "Many short units", &[Workload::Spawn]),
    ("timeouts", "Waits with a deadline", &[Workload::Deadlines]),
    ("connections", "Many connections", &[Workload::Echo]),
    ("requests", "Requests, all at once", &[Workload::Fetch]),
    (
        "cpu",
        "Work for the CPU, over a pool",
        &[Workload::Primes, Workload::Thumbnails, Workload::Files],
    ),
    (
        "blocking",
        "Blocking calls next to a loop",
        &[Workload::Offload],
    ),
    (
        "queue",
        "A queue from one to another",
        &[Workload::Pipeline, Workload::Exchange],
    ),
    (
        "messages",
        "A message that is passed on",
        &[Workload::PingPong],
    ),
    ("shared", "Shared state", &[Workload::Counter]),
];

/// Which model a comparison recommends for which work.
pub fn recommendations(comparison: &Comparison) -> Recommendations {
    let jobs = findings::all(comparison);
    let models = comparison.models();
    let kind = |&(id, name, workloads): &(_, _, &[Workload])| {
        let is_of = |workload: &str| workloads.iter().any(|known| known.name() == workload);
        let of_kind = jobs.iter().filter(|job| is_of(job.workload()));
        let sweeps = comparison.sweeps.iter();
        let sweeps = sweeps.filter(|sweep| is_of(&sweep.workload));
        Work {
            id,
            name,
            questions: of_kind.filter_map(|job| question(job, models)).collect(),
            sweeps: sweeps
                .map(|sweep| sweep::summary(sweep, &comparison.cells, &jobs))
                .collect(),
        }
    };
    let kinds = KINDS.iter().map(kind);
    Recommendations {
        kinds: kinds.filter(|kind| !kind.questions.is_empty()).collect(),
        units: units(&jobs, models),
        pairs: pairs::pairs(&jobs, models),
    }
}

/// A job as a question. `None` if no model did it.
fn question(job: &JobResults, models: Models) -> Option<Question> {
    let is_model = |cell: &&Cell| models.find(&cell.model).is_some();
    let first = job.cells.iter().copied().find(is_model)?;
    let anchor = match &first.point {
        Some(point) => anchors::sweep(job.workload(), &point.key, first.cores),
        None => anchors::anchor(job.workload(), job.label()),
    };
    let missing = job.cells.iter().filter(|cell| cell.status != Status::Ok);
    let missing = missing.map(|cell| {
        let reason = cell.reason.as_deref().unwrap_or(NONE);
        format!("{}: {}: {reason}", cell.model, status(cell.status))
    });
    let untimed = job.cells.iter().filter(|cell| cell.mostly_clock);
    let untimed = untimed.map(|cell| format!("{}: {}", cell.model, words::mostly_clock()));
    let title = format!("{} {}", job.workload(), job.label());
    Some(Question {
        scale: format!("{title}: {}", parameters(&first.job)),
        title,
        anchor,
        rankings: METRICS.map(|metric| ranking(job, &metric)).into(),
        missing: missing.chain(untimed).collect(),
    })
}

/// What there is a ranking by.
const METRICS: [Metric; 3] = [TIME, MEMORY, CPU];

fn ranking(job: &JobResults, metric: &Metric) -> Ranking {
    if metric.is_time() {
        by_time(job)
    } else {
        by_figure(job, metric)
    }
}

/// Ranks by time, as the verdicts have them.
fn by_time(job: &JobResults) -> Ranking {
    let models = job.models();
    let ranks = job.ranks();
    let figures = models
        .iter()
        .filter_map(|model| Some((*model, job.time(model)?)));
    let figures: Vec<_> = figures.collect();
    let rank = |model: &str| {
        let mut ranks = ranks.iter();
        ranks
            .find(|(_, ranked)| *ranked == model)
            .map(|&(rank, _)| rank)
    };
    let places = places(&figures, rank, time);
    let answer = if ranks.is_empty() {
        cannot_tell(&places, &job.no_verdict())
    } else {
        answer(&places, &job.best(&ranks), "fastest")
    };
    Ranking {
        by: TIME.name,
        answer,
        places,
    }
}

/// Ranks by a figure without verdicts: models with up to [`LEAST_DIFFERENCE`] more
/// than the first of a rank share it.
fn by_figure(job: &JobResults, metric: &Metric) -> Ranking {
    let figure = |model: &str| {
        let cell = job.cell(model)?;
        (metric.value)(cell).filter(|_| cell.status == Status::Ok)
    };
    let mut figures: Vec<_> = job
        .models()
        .into_iter()
        .filter_map(|model| Some((model, figure(model)?)))
        .collect();
    figures.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let mut ranks: Vec<(usize, f64)> = Vec::new();
    for (place, &(_, own)) in figures.iter().enumerate() {
        let shared = ranks
            .last()
            .filter(|(_, first)| own <= first * (1.0 + LEAST_DIFFERENCE));
        ranks.push(shared.copied().unwrap_or((place + 1, own)));
    }
    let rank = |model: &str| {
        let place = figures.iter().position(|(ranked, _)| *ranked == model)?;
        Some(ranks[place].0)
    };
    let places = places(&figures, rank, metric.format);
    let by = metric.name;
    let answer = if places.is_empty() {
        format!("Cannot be told: {by} was not measured.")
    } else {
        let first = places.iter().filter(|place| place.rank == Some(1));
        let first: Vec<_> = first.map(|place| &*place.model).collect();
        answer(&places, &first, "least")
    };
    Ranking { by, answer, places }
}

fn places(
    figures: &[(&str, f64)],
    rank: impl Fn(&str) -> Option<usize>,
    text: fn(f64) -> String,
) -> Vec<Place> {
    let first = figures.first().map_or(f64::NAN, |(_, first)| *first);
    let place = |&(model, figure): &(&str, f64)| Place {
        rank: rank(model),
        model: model.to_owned(),
        figure: text(figure),
        to_first: ratio(figure / first),
    };
    figures.iter().map(place).collect()
}

/// `tokio: fastest. Next is smol, with 1.52× of that.` Or among which models it cannot
/// be told. Of those of the first rank, `best` are known to be no worse than any.
fn answer(places: &[Place], best: &[&str], word: &str) -> String {
    let of_first = |first: bool| {
        let is = move |place: &&Place| place.rank.is_some_and(|rank| (rank == 1) == first);
        places.iter().filter(is)
    };
    let next = of_first(false).next().map_or(String::new(), |next| {
        format!(" Next is {}, with {} of that.", next.model, next.to_first)
    });
    let others = of_first(true).map(|place| &*place.model);
    let others: Vec<_> = others.filter(|model| !best.contains(model)).collect();
    match (best, &others[..]) {
        ([], []) => "Cannot be told: no model was judged.".to_owned(),
        ([one], []) => format!("{one}: {word}.{next}"),
        (best, []) => format!(
            "{}: {word}, and no difference between them.{next}",
            either(best)
        ),
        ([], others) => format!(
            "Cannot be told: {}. None is shown to be faster than these.{next}",
            either(others)
        ),
        (best, others) => format!(
            "{}: {word}, and no difference to {}.{next}",
            either(best),
            either(others)
        ),
    }
}

/// `a, b or c`.
fn either(models: &[&str]) -> String {
    match models {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => models.concat(),
    }
}

fn cannot_tell(places: &[Place], why: &str) -> String {
    match places {
        [] => "Cannot be told: no model did it.".to_owned(),
        _ => format!("Cannot be told: {why}. This is the order of the medians."),
    }
}

fn units(jobs: &[JobResults], models: Models) -> Vec<UnitRow> {
    let concurrent = models.iter().filter(|model| model.kind != Kind::Serial);
    let of = concurrent.map(|model| unit_costs::of(jobs, &model.name));
    let known = of.filter(|costs| costs.memory.is_some() || costs.pass_ns.is_some());
    known.map(UnitRow::from).collect()
}

impl From<UnitCosts> for UnitRow {
    fn from(costs: UnitCosts) -> Self {
        let none = || NONE.to_owned();
        let memory_text = |costs: unit_costs::Memory| {
            if costs.from == costs.to {
                format!("at most {}", memory(costs.bytes as u64))
            } else if costs.bytes < 1024.0 {
                format!("{:.0} bytes", costs.bytes)
            } else {
                memory(costs.bytes as u64)
            }
        };
        let between = |costs: unit_costs::Memory| {
            let [from, to] = [costs.from, costs.to].map(count);
            if from == to {
                format!("{to} of {}, with their program", costs.workload)
            } else {
                format!("{from} and {to} of {}", costs.workload)
            }
        };
        Self {
            memory: costs.memory.map_or_else(none, memory_text),
            with_kernel: costs.with_kernel.map_or_else(none, memory_text),
            between: costs.memory.map_or_else(none, between),
            pass: costs.pass_ns.map_or_else(none, time),
            start: costs.start_ns.map_or_else(none, |ns| time(ns as f64)),
            model: costs.model,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_of_one_kind() {
        for workload in Workload::ALL {
            let kinds = KINDS.iter().filter(|(_, _, of)| of.contains(workload));
            assert_eq!(kinds.count(), 1, "{workload}");
        }
    }
}
