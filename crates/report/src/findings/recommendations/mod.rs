//! Which model for which work: every job of a comparison as a question, and the
//! rankings that answer it. Nothing here is said of a model by hand; what the models
//! are made of is in [`pairs`].

pub mod pairs;
pub mod sweep;

use results::{Cell, Comparison, Kind, Models, Status};
use serde_json::Value;
use suite::Workload;

use crate::anchors;
use crate::findings::unit_costs::{self, UnitCosts};
use crate::findings::{self, JobResults, LEAST_DIFFERENCE, machines};
use crate::format::{NONE, count, memory, parameters, ratio, status, time};
use crate::metrics::{CPU, LATENCY, MEMORY, Metric, TIME};
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
    /// Whether another machine pays, in sentences, where that is the question.
    pub machines: Vec<String>,
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
    /// By time, memory and CPU; by p99 instead of time, if it is a server at a rate.
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

/// A kind of work, and which jobs are shaped like it.
struct WorkKind {
    /// Its anchor.
    id: &'static str,
    name: &'static str,
    workloads: &'static [Workload],
    /// Of these workloads, the jobs with these parameters.
    is_of: fn(&Value) -> bool,
}

const fn all_of(id: &'static str, name: &'static str, workloads: &'static [Workload]) -> WorkKind {
    WorkKind {
        id,
        name,
        workloads,
        is_of: |_| true,
    }
}

const fn server(id: &'static str, name: &'static str, is_of: fn(&Value) -> bool) -> WorkKind {
    WorkKind {
        id,
        name,
        workloads: &[Workload::Serve],
        is_of,
    }
}

/// Whether this parameter of a job is more than 0.
fn some(job: &Value, key: &str) -> bool {
    job[key].as_u64().is_some_and(|number| number > 0)
}

const KINDS: [WorkKind; 19] = [
    all_of("download", "Downloads with a limit", &[Workload::Download]),
    all_of("waiting", "Many waiting units", &[Workload::Sleepers]),
    all_of("units", "Many short units", &[Workload::Spawn]),
    all_of(
        "timeouts",
        "Requests with a deadline",
        &[Workload::Deadlines],
    ),
    all_of("connections", "Many connections", &[Workload::Echo]),
    all_of("datagrams", "Small datagrams", &[Workload::Datagram]),
    server("server", "A server with many connections", |job| {
        !some(job, "idle") && !some(job, "burn")
    }),
    server("idle", "Many idle connections", |job| some(job, "idle")),
    server("cpu-and-io", "CPU work and I/O together", |job| {
        some(job, "burn") && !some(job, "idle")
    }),
    all_of("proxy", "A proxy", &[Workload::Proxy]),
    all_of(
        "connects",
        "Many short connections, some unanswered",
        &[Workload::Scan],
    ),
    all_of("room", "A room with many members", &[Workload::Chat]),
    all_of("machines", "Files between machines", &[Workload::Send]),
    all_of("requests", "Concurrent requests", &[Workload::Fetch]),
    all_of(
        "cpu",
        "CPU work in a pool",
        &[Workload::Primes, Workload::Thumbnails, Workload::Files],
    ),
    all_of(
        "blocking",
        "Blocking calls and an event loop",
        &[Workload::Offload],
    ),
    all_of(
        "queue",
        "Producers and consumers",
        &[Workload::Pipeline, Workload::Exchange],
    ),
    all_of("messages", "Message passing", &[Workload::PingPong]),
    all_of("shared", "Shared state", &[Workload::Counter]),
];

/// Which model a comparison recommends for which work.
pub fn recommendations(comparison: &Comparison) -> Recommendations {
    let jobs = findings::all(comparison);
    let models = comparison.models();
    let kind = |kind: &WorkKind| {
        let is_of = |workload: &str, job: &Value| {
            let mut known = kind.workloads.iter();
            known.any(|known| known.name() == workload) && (kind.is_of)(job)
        };
        let of_kind = jobs
            .iter()
            .filter(|job| is_of(job.workload(), &job.cells[0].job));
        let sweeps = comparison.sweeps.iter();
        let sweeps = sweeps.filter(|sweep| is_of(&sweep.workload, &sweep.job));
        Work {
            id: kind.id,
            name: kind.name,
            questions: of_kind.filter_map(|job| question(job, models)).collect(),
            sweeps: sweeps
                .map(|sweep| sweep::summary(sweep, &comparison.cells, &jobs))
                .collect(),
            machines: Vec::new(),
        }
    };
    let kinds = KINDS.iter().map(kind);
    let kinds = kinds.chain(more_machines(comparison, &jobs));
    Recommendations {
        kinds: kinds.filter(|kind| !kind.questions.is_empty()).collect(),
        units: units(&jobs, models),
        pairs: pairs::pairs(&jobs, models),
    }
}

/// What comes in shares that could be worked on elsewhere.
const IN_SHARES: [Workload; 4] = [
    Workload::Primes,
    Workload::Thumbnails,
    Workload::Files,
    Workload::Download,
];

/// Such work on several machines, as a kind of its own; none where no model has nodes.
fn more_machines(comparison: &Comparison, jobs: &[JobResults]) -> Option<Work> {
    let models = comparison.models();
    let is_on_nodes = |cell: &&Cell| {
        let model = models.find(&cell.model);
        model.is_some_and(|model| model.kind == Kind::Cluster)
    };
    let is_of = |job: &&JobResults| {
        let mut known = IN_SHARES.iter();
        known.any(|known| known.name() == job.workload()) && job.cells.iter().any(is_on_nodes)
    };
    Some(Work {
        id: "more-machines",
        name: machines::TITLE,
        machines: machines::pays(comparison, jobs)?.sentences,
        questions: jobs
            .iter()
            .filter(is_of)
            .filter_map(|job| question(job, models))
            .collect(),
        sweeps: Vec::new(),
    })
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
        rankings: rankings(job),
        missing: missing.chain(untimed).collect(),
    })
}

/// By time, memory and CPU; of a server at a rate, by the latency first, as the rate is all
/// that its time tells.
fn rankings(job: &JobResults) -> Vec<Ranking> {
    let mut latencies = job.cells.iter().filter_map(|cell| cell.latency.as_ref());
    let at_rate = latencies.any(|latency| latency.offered_per_s.is_some());
    let first = match at_rate {
        true => by_latency(job),
        false => by_time(job),
    };
    let others = [MEMORY, CPU];
    let others = others.iter().map(|metric| by_figure(job, metric));
    [first].into_iter().chain(others).collect()
}

/// Ranks by the 99th percentile: models of which some run was no slower than the slowest of
/// the first of a rank share it.
fn by_latency(job: &JobResults) -> Ranking {
    let range = |model: &str| {
        let cell = job.cell(model)?;
        (LATENCY.value)(cell).zip((LATENCY.interval)(cell))
    };
    let mut figures: Vec<_> = job
        .models()
        .into_iter()
        .filter_map(|model| Some((model, range(model)?)))
        .collect();
    figures.sort_by(|(_, (one, _)), (_, (other, _))| one.total_cmp(other));
    let ranks = ranks(figures.iter().map(|(_, (_, range))| *range));
    let figures: Vec<_> = figures
        .iter()
        .map(|(model, (p99, _))| (*model, *p99))
        .collect();
    figure_ranking(&figures, &ranks, &LATENCY, "shortest")
}

/// The rank of each, in the order of their figures: those whose range begins before that of
/// the first of a rank ends share it.
fn ranks(ranges: impl Iterator<Item = [f64; 2]>) -> Vec<usize> {
    let mut ranks: Vec<(usize, f64)> = Vec::new();
    for (place, [low, high]) in ranges.enumerate() {
        let shared = ranks.last().filter(|(_, end)| low <= *end);
        ranks.push(shared.copied().unwrap_or((place + 1, high)));
    }
    ranks.into_iter().map(|(rank, _)| rank).collect()
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
    let ranges = figures
        .iter()
        .map(|(_, own)| [*own, own * (1.0 + LEAST_DIFFERENCE)]);
    let ranks = ranks(ranges);
    figure_ranking(&figures, &ranks, metric, "least")
}

/// The ranking of figures in ascending order, with a rank for each.
fn figure_ranking(
    figures: &[(&str, f64)],
    ranks: &[usize],
    metric: &Metric,
    best: &str,
) -> Ranking {
    let rank = |model: &str| {
        let place = figures.iter().position(|(ranked, _)| *ranked == model)?;
        Some(ranks[place])
    };
    let places = places(figures, rank, metric.format);
    let by = metric.name;
    let answer = if places.is_empty() {
        format!("Cannot be told: {by} was not measured.")
    } else {
        let first = places.iter().filter(|place| place.rank == Some(1));
        let first: Vec<_> = first.map(|place| &*place.model).collect();
        answer(&places, &first, best)
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
    use suite::Preset;

    use super::*;

    #[test]
    fn every_workload_is_of_one_kind() {
        for &workload in Workload::ALL {
            for preset in Preset::ALL {
                let full = workload.job(preset);
                let variants = workload.variants(preset);
                let variants = variants.map(|variant| variant.of(&full).expect("it is one"));
                for job in variants.chain([full.clone()]) {
                    let job = job.to_json();
                    let is_of =
                        |kind: &&WorkKind| kind.workloads.contains(&workload) && (kind.is_of)(&job);
                    assert_eq!(KINDS.iter().filter(is_of).count(), 1, "{workload}: {job}");
                }
            }
        }
    }
}
