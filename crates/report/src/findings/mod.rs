//! A comparison's jobs, one by one, to draw conclusions from: which models did it,
//! in what time, with what memory, and what the verdicts say.

pub mod claims;
pub(crate) mod machines;
pub mod recommendations;
pub(crate) mod slow_members;
pub(crate) mod unit_costs;

use std::cmp::Ordering;

use results::{Cell, Comparison, Interpreter, JobVerdicts, MIN_ROUNDS, Status, Verdict};
use serde_json::Value;

use crate::format::{memory, ratio, time};
use crate::words;

/// Memory and CPU have no verdicts. Less than this part more than another one's is
/// no difference: peaks are looked for, and a few are missed.
pub(crate) const LEAST_DIFFERENCE: f64 = 0.1;

/// One job, and how each model and custom command came out.
#[derive(Debug, Clone)]
pub(crate) struct JobResults<'a> {
    /// The cells: one for each model.
    pub(crate) cells: Vec<&'a Cell>,
    verdicts: Option<&'a JobVerdicts>,
}

/// Something that was said and measured: whether it is so, if that can be told,
/// and by which figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// `None` if it cannot be told.
    pub(crate) holds: Option<bool>,
    /// The figures, or why it cannot.
    pub(crate) words: String,
}

impl Finding {
    pub(crate) fn new(holds: Option<bool>, words: impl Into<String>) -> Self {
        let words = words.into();
        Self { holds, words }
    }
}

/// All jobs of a comparison, in its order, without those in Python.
pub(crate) fn all(comparison: &Comparison) -> Vec<JobResults<'_>> {
    of(comparison, |cell| cell.python.is_none())
}

/// All jobs of the contestants that one interpreter runs.
pub(crate) fn in_python<'a>(
    comparison: &'a Comparison,
    interpreter: &Interpreter,
) -> Vec<JobResults<'a>> {
    of(comparison, |cell| {
        let python = cell.python.as_ref();
        python.is_some_and(|python| python.interpreter == *interpreter)
    })
}

/// The jobs of these cells. The verdicts of a self-check are on each model and itself, and say
/// nothing of two.
fn of(comparison: &Comparison, takes_part: impl Fn(&Cell) -> bool) -> Vec<JobResults<'_>> {
    let jobs = comparison.jobs().into_iter().filter_map(|mut cells| {
        cells.retain(|cell| takes_part(cell));
        let first = cells.first()?;
        let verdicts = comparison.verdicts_of(&first.workload, &first.label);
        Some(JobResults {
            verdicts: verdicts.filter(|_| comparison.self_check.is_none()),
            cells,
        })
    });
    jobs.collect()
}

impl<'a> JobResults<'a> {
    /// What kind of job.
    pub(crate) fn workload(&self) -> &'a str {
        &self.cells[0].workload
    }

    /// Which: preset, variant, point and cores.
    pub(crate) fn label(&self) -> &'a str {
        &self.cells[0].label
    }

    /// One of its parameters, if all models had the same.
    pub(crate) fn parameter(&self, key: &str) -> Option<&'a Value> {
        let value = self.cells[0].job.get(key)?;
        let same = |cell: &&Cell| cell.job.get(key) == Some(value);
        self.cells.iter().all(same).then_some(value)
    }

    /// A parameter that is a whole number.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.parameter(key)?.as_u64()
    }

    /// Whether it is one of a sweep's points.
    pub(crate) fn is_point(&self) -> bool {
        self.cells[0].point.is_some()
    }

    /// Whether its models could use all cores.
    pub(crate) fn on_all_cores(&self) -> bool {
        self.cells[0].cores.is_none()
    }

    /// The models that did it, fastest first, Rust's or Python's. Custom commands are none of
    /// them: the time of most is another one, with their start.
    pub(crate) fn models(&self) -> Vec<&'a str> {
        let is_model = |cell: &Cell| cell.is_model() || cell.python.is_some();
        let timed = |cell: &&&Cell| is_model(cell) && cell.median_ns().is_some();
        let mut cells: Vec<&Cell> = self.cells.iter().filter(timed).copied().collect();
        cells.sort_by(|one, other| {
            let order = one.median_ns().partial_cmp(&other.median_ns());
            order.unwrap_or(Ordering::Equal)
        });
        cells.into_iter().map(|cell| &*cell.model).collect()
    }

    /// One model's cell.
    pub(crate) fn cell(&self, model: &str) -> Option<&'a Cell> {
        self.cells.iter().copied().find(|cell| cell.model == model)
    }

    /// The median time of a model, in nanoseconds, if it may be ranked.
    pub(crate) fn time(&self, model: &str) -> Option<f64> {
        self.cell(model).and_then(Cell::ranked_ns)
    }

    /// The most memory of a model, in bytes.
    pub(crate) fn memory(&self, model: &str) -> Option<u64> {
        let cell = self.cell(model)?;
        let right = cell.status == Status::Ok;
        cell.resources.peak_memory_bytes.filter(|_| right)
    }

    /// The same with what the kernel holds for it.
    pub(crate) fn memory_with_kernel(&self, model: &str) -> Option<u64> {
        let cell = self.cell(model)?;
        let right = cell.status == Status::Ok;
        cell.resources.peak_with_kernel_bytes.filter(|_| right)
    }

    /// The ranks of the models that were judged, fastest first.
    pub(crate) fn ranks(&self) -> Vec<(usize, &'a str)> {
        if unranked(self.cells[0]).is_some() {
            return Vec::new();
        }
        let judged = self.verdicts.filter(|verdicts| !verdicts.pairs.is_empty());
        judged.map_or(Vec::new(), |verdicts| verdicts.ranks(self.models()))
    }

    /// The best of those `ranks`.
    pub(crate) fn best(&self, ranks: &[(usize, &'a str)]) -> Vec<&'a str> {
        self.verdicts
            .map_or(Vec::new(), |verdicts| verdicts.best(ranks))
    }

    /// How the one's time is to the other's, by their verdict.
    pub(crate) fn verdict(&self, one: &str, other: &str) -> Option<Verdict> {
        self.verdicts?.verdict(one, other)
    }

    /// Whether the one is faster than the other, by their verdict.
    pub(crate) fn faster(&self, one: &str, other: &str) -> Finding {
        let Some((own, others)) = self.time(one).zip(self.time(other)) else {
            return Finding::new(None, self.missing(&[one, other]));
        };
        let times = format!("{one} {}, {other} {}", time(own), time(others));
        match self.verdict(one, other) {
            None => Finding::new(None, format!("{times}: {}", self.no_verdict())),
            Some(verdict) => {
                let words = match verdict {
                    Verdict::Faster => format!("{} as fast", ratio(others / own)),
                    Verdict::Slower => format!("{} the time", ratio(own / others)),
                    Verdict::NoDifference => "no difference".to_owned(),
                    Verdict::CannotTell => "cannot tell".to_owned(),
                };
                let is_known = verdict != Verdict::CannotTell;
                let holds = is_known.then_some(verdict == Verdict::Faster);
                Finding::new(holds, format!("{times}: {words}"))
            }
        }
    }

    /// Whether the one takes less memory than the other, by more than
    /// [`LEAST_DIFFERENCE`].
    pub(crate) fn smaller(&self, one: &str, other: &str) -> Finding {
        let Some((own, others)) = self.memory(one).zip(self.memory(other)) else {
            return Finding::new(None, self.missing(&[one, other]));
        };
        let text = |bytes: f64| memory(bytes as u64);
        smaller((one, own as f64), (other, others as f64), text)
    }

    /// Why there are no verdicts, or no ranks.
    pub(crate) fn no_verdict(&self) -> String {
        if let Some(why) = unranked(self.cells[0]) {
            return format!("not ranked: {why}");
        }
        match self.cells.iter().filter_map(|cell| cell.rounds()).min() {
            Some(rounds) if rounds < MIN_ROUNDS => {
                format!("no verdict, as that takes {MIN_ROUNDS} rounds and this had {rounds}")
            }
            _ => "no verdict".to_owned(),
        }
    }

    /// Why one of these has no figure.
    fn missing(&self, models: &[&str]) -> String {
        let label = format!("{} {}", self.workload(), self.label());
        let why = models.iter().find_map(|model| match self.cell(model) {
            None => Some(format!("{model} did not take part in {label}")),
            Some(cell) if cell.status != Status::Ok => Some(format!(
                "{model} at {label}: {}",
                crate::format::status(cell.status)
            )),
            Some(cell) if cell.mostly_clock => {
                Some(format!("{model} at {label}: {}", words::mostly_clock()))
            }
            Some(_) => None,
        });
        why.unwrap_or_else(|| format!("{label} has no such figure"))
    }
}

/// Why no model may be ranked by a cell's job, if so.
pub(crate) fn unranked(cell: &Cell) -> Option<&'static str> {
    suite::unranked(&cell.workload, &cell.job)
}

/// Whether the one figure is smaller than the other, by more than
/// [`LEAST_DIFFERENCE`].
pub(crate) fn smaller(
    (one, own): (&str, f64),
    (other, others): (&str, f64),
    text: impl Fn(f64) -> String,
) -> Finding {
    let figures = format!("{one} {}, {other} {}", text(own), text(others));
    let less = |one: f64, other: f64| one * (1.0 + LEAST_DIFFERENCE) < other;
    let words = if less(own, others) || less(others, own) {
        format!("{} as much", ratio(own / others))
    } else {
        "no difference".to_owned()
    };
    Finding::new(Some(less(own, others)), format!("{figures}: {words}"))
}
