//! A comparison's jobs, one by one, for whoever draws conclusions: who did it, in
//! what time, with what memory, and what the verdicts say.

pub mod claims;
pub mod recommend;
pub mod unit_costs;

use std::cmp::Ordering;

use results::{Cell, Comparison, Status};
use results::{JobVerdicts, Pair};
use results::{MIN_ROUNDS, Verdict};
use serde_json::Value;

use crate::format::{memory, ratio, time};

/// Memory and CPU have no verdicts. Less than this part more than another one's is
/// no difference: peaks are looked for, and a few are missed.
pub const LEAST_DIFFERENCE: f64 = 0.1;

/// One job, and all who did it or did not.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// The cells: one for each model.
    pub cells: Vec<&'a Cell>,
    verdicts: Option<&'a JobVerdicts>,
}

/// Something that was said and measured: whether it is so, if that can be told,
/// and by which figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// `None` if it cannot be told.
    pub holds: Option<bool>,
    /// The figures, or why it cannot.
    pub words: String,
}

impl Statement {
    /// A statement.
    pub fn new(holds: Option<bool>, words: impl Into<String>) -> Self {
        let words = words.into();
        Self { holds, words }
    }
}

/// All jobs of a comparison, in its order. The verdicts of a self-check are on each
/// model and itself, and say nothing of two.
pub fn all(comparison: &Comparison) -> Vec<Evidence<'_>> {
    let verdicts: &[JobVerdicts] = match comparison.self_check {
        None => &comparison.verdicts,
        Some(_) => &[],
    };
    let mut jobs: Vec<Evidence> = Vec::new();
    for cell in &comparison.cells {
        match jobs.iter_mut().find(|job| job.is_of(cell)) {
            Some(job) => job.cells.push(cell),
            None => jobs.push(Evidence {
                cells: vec![cell],
                verdicts: verdicts.iter().find(|of| of.is_of(cell)),
            }),
        }
    }
    jobs
}

impl<'a> Evidence<'a> {
    fn is_of(&self, cell: &Cell) -> bool {
        (self.workload(), self.label()) == (&cell.workload, &cell.label)
    }

    /// What kind of job.
    pub fn workload(&self) -> &'a str {
        &self.cells[0].workload
    }

    /// Which: preset, variant, point and cores.
    pub fn label(&self) -> &'a str {
        &self.cells[0].label
    }

    /// One of its parameters, if all models had the same.
    pub fn parameter(&self, key: &str) -> Option<&'a Value> {
        let value = self.cells[0].job.get(key)?;
        let same = |cell: &&Cell| cell.job.get(key) == Some(value);
        self.cells.iter().all(same).then_some(value)
    }

    /// A parameter that is a whole number.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.parameter(key)?.as_u64()
    }

    /// Whether it is one of a sweep's points.
    pub fn is_point(&self) -> bool {
        self.cells[0].point.is_some()
    }

    /// Whether its models could use all cores.
    pub fn on_all_cores(&self) -> bool {
        self.cells[0].cores.is_none()
    }

    /// The models that did it, fastest first. Contestants from outside are none of
    /// them: their time is another one, with their start.
    pub fn models(&self) -> Vec<&'a str> {
        let timed = |cell: &&&Cell| cell.command.is_none() && cell.median_ns().is_some();
        let mut cells: Vec<&Cell> = self.cells.iter().filter(timed).copied().collect();
        cells.sort_by(|one, other| {
            let order = one.median_ns().partial_cmp(&other.median_ns());
            order.unwrap_or(Ordering::Equal)
        });
        cells.into_iter().map(|cell| &*cell.model).collect()
    }

    /// One model's cell.
    pub fn cell(&self, model: &str) -> Option<&'a Cell> {
        self.cells.iter().copied().find(|cell| cell.model == model)
    }

    /// The median time of a model, in nanoseconds.
    pub fn time(&self, model: &str) -> Option<f64> {
        self.cell(model).and_then(Cell::median_ns)
    }

    /// The most memory of a model, in bytes.
    pub fn memory(&self, model: &str) -> Option<u64> {
        let cell = self.cell(model)?;
        let right = cell.status == Status::Ok;
        cell.resources.peak_memory_bytes.filter(|_| right)
    }

    /// The processor time of a model, in nanoseconds.
    pub fn cpu(&self, model: &str) -> Option<u64> {
        let figures = &self
            .cell(model)
            .filter(|cell| cell.status == Status::Ok)?
            .resources;
        Some(figures.user_ns?.saturating_add(figures.system_ns?))
    }

    /// The ranks of those that were judged, fastest first. None if nobody was.
    pub fn ranks(&self) -> Vec<(usize, &'a str)> {
        let judged = self.verdicts.filter(|verdicts| !verdicts.pairs.is_empty());
        judged.map_or(Vec::new(), |verdicts| verdicts.ranks(self.models()))
    }

    /// What was judged of two models, whichever way round.
    pub fn pair(&self, one: &str, other: &str) -> Option<&'a Pair> {
        let both =
            |pair: &&Pair| [(one, other), (other, one)].contains(&(&pair.model, &pair.other));
        self.verdicts?.pairs.iter().find(both)
    }

    /// How the one's time is to the other's, by their verdict.
    pub fn verdict(&self, one: &str, other: &str) -> Option<Verdict> {
        let pair = self.pair(one, other)?;
        Some(match pair.judged.verdict {
            Verdict::Faster if pair.model != one => Verdict::Slower,
            Verdict::Slower if pair.model != one => Verdict::Faster,
            verdict => verdict,
        })
    }

    /// Whether the one is faster than the other, by their verdict.
    pub fn faster(&self, one: &str, other: &str) -> Statement {
        let Some((own, others)) = self.time(one).zip(self.time(other)) else {
            return Statement::new(None, self.missing(&[one, other]));
        };
        let times = format!("{one} {}, {other} {}", time(own), time(others));
        match self.verdict(one, other) {
            None => Statement::new(None, format!("{times}: {}", self.no_verdict())),
            Some(verdict) => {
                let words = match verdict {
                    Verdict::Faster => format!("{} as fast", ratio(others / own)),
                    Verdict::Slower => format!("{} the time", ratio(own / others)),
                    Verdict::NoDifference => "no difference".to_owned(),
                };
                Statement::new(
                    Some(verdict == Verdict::Faster),
                    format!("{times}: {words}"),
                )
            }
        }
    }

    /// Whether the one takes less memory than the other, by more than
    /// [`LEAST_DIFFERENCE`].
    pub fn smaller(&self, one: &str, other: &str) -> Statement {
        let Some((own, others)) = self.memory(one).zip(self.memory(other)) else {
            return Statement::new(None, self.missing(&[one, other]));
        };
        let text = |bytes: f64| memory(bytes as u64);
        smaller((one, own as f64), (other, others as f64), text)
    }

    /// Why there are no verdicts.
    pub fn no_verdict(&self) -> String {
        let times = self.cells.iter().filter_map(|cell| cell.time.as_ref());
        match times.map(|time| time.rounds.len()).min() {
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
            Some(_) => None,
        });
        why.unwrap_or_else(|| format!("{label} has no such figure"))
    }
}

/// Whether the one figure is smaller than the other, by more than
/// [`LEAST_DIFFERENCE`].
pub fn smaller(
    (one, own): (&str, f64),
    (other, others): (&str, f64),
    text: impl Fn(f64) -> String,
) -> Statement {
    let figures = format!("{one} {}, {other} {}", text(own), text(others));
    let less = |one: f64, other: f64| one * (1.0 + LEAST_DIFFERENCE) < other;
    let words = match less(own, others) || less(others, own) {
        true => format!("{} as much", ratio(own / others)),
        false => "no difference".to_owned(),
    };
    Statement::new(Some(less(own, others)), format!("{figures}: {words}"))
}
