//! All jobs and all models in one table, as ratios to the best: one panel for each
//! figure.

use results::JobVerdicts;
use results::MIN_ROUNDS;
use results::{Cell, Comparison};

use crate::format::{count, memory, ratio, three_digits, time};
use crate::page::anchors::anchor;
use crate::tables;

/// One figure of every model at every job.
#[derive(Debug)]
pub struct Panel {
    /// What it is called, on the page and in its address.
    pub name: &'static str,
    /// What the figure is, and how sure.
    pub about: &'static str,
    /// One for each job.
    pub rows: Vec<Row>,
}

/// One job.
#[derive(Debug)]
pub struct Row {
    /// What kind of job.
    pub workload: String,
    /// Preset and variant.
    pub label: String,
    /// `article` or `heavy`.
    pub preset: String,
    /// Where its section is.
    pub anchor: String,
    /// One for each model, in the order of [`models`].
    pub places: Vec<Place>,
}

/// One model at one job.
#[derive(Debug, Default, PartialEq)]
pub struct Place {
    /// The ratio to the best, or why there is none.
    pub text: String,
    /// The ratio's interval, or the figure itself.
    pub beneath: String,
    /// A word of warning.
    pub mark: &'static str,
    /// What to sort by: the ratio.
    pub key: Option<f64>,
    /// From 0, the best, to 5: the step of the colours.
    pub step: Option<usize>,
    /// The logarithm of the ratio, as a part of the longest bar's, in percent.
    pub bar: f64,
}

/// A figure of a cell: its name, its value, and how it is written.
struct Kind {
    name: &'static str,
    about: &'static str,
    of: fn(&Cell) -> Option<f64>,
    text: fn(f64) -> String,
}

/// The figure that has samples, and so intervals and verdicts.
const TIME: &str = "time";

/// What is said of times that nobody has judged.
const UNJUDGED: &str = "Median time of one job on a started model; beneath each ratio, the time \
    itself. This run has too few rounds for verdicts: who ties with whom is not known.";

const KINDS: [Kind; 4] = [
    Kind {
        name: TIME,
        about: "Median time of one job on a started model. Beneath each ratio is its interval, by \
                the verdicts; ≈ marks who cannot be told from the best.",
        of: Cell::median_ns,
        text: time,
    },
    Kind {
        name: "CPU",
        about: "Time on processors, user and system, of a whole process tree from start to end. \
                These are medians of a few runs: they have neither intervals nor verdicts, so \
                small differences mean nothing.",
        of: |cell| {
            let (user, system) = (cell.resources.user_ns?, cell.resources.system_ns?);
            Some(user.saturating_add(system) as f64)
        },
        text: time,
    },
    Kind {
        name: "memory",
        about: "The most memory of a whole process tree, with shared pages once. It has neither \
                intervals nor verdicts, so small differences mean nothing.",
        of: |cell| Some(cell.resources.peak_memory_bytes? as f64),
        text: |bytes| memory(bytes as u64),
    },
    Kind {
        name: "switches",
        about: "Context switches, voluntary and not, of a whole process tree from start to end. \
                These are medians of a few runs: they have neither intervals nor verdicts, so \
                small differences mean nothing.",
        of: |cell| {
            let figures = &cell.resources;
            let (own, forced) = (figures.voluntary_switches?, figures.involuntary_switches?);
            Some(own.saturating_add(forced) as f64)
        },
        text: |switches| count(switches as u64),
    },
];

/// Who is in the table: the models in the order asked for, then whoever else has
/// cells.
pub fn models(comparison: &Comparison) -> Vec<&str> {
    let cells = comparison.cells.iter().filter(|cell| cell.point.is_none());
    let asked = comparison.run.models.iter().map(|model| &**model);
    let mut models: Vec<&str> = Vec::new();
    for model in asked.chain(cells.map(|cell| &*cell.model)) {
        if !models.contains(&model) {
            models.push(model);
        }
    }
    models
}

/// Whether any job has been judged: without, ratios have no intervals.
fn is_judged(comparison: &Comparison) -> bool {
    let mut verdicts = comparison.verdicts.iter();
    verdicts.any(|section| section.rounds >= MIN_ROUNDS && !section.pairs.is_empty())
}

/// A panel for time, CPU, memory and switches each.
pub fn panels(comparison: &Comparison) -> Vec<Panel> {
    let models = models(comparison);
    let jobs = jobs(comparison);
    let judged = is_judged(comparison);
    let panel = |kind: &Kind| Panel {
        name: kind.name,
        about: match kind.name {
            TIME if !judged => UNJUDGED,
            _ => kind.about,
        },
        rows: jobs
            .iter()
            .map(|cells| row(cells, &models, kind, &comparison.verdicts))
            .collect(),
    };
    KINDS.iter().map(panel).collect()
}

/// The cells of each job, in the order of the data.
fn jobs(comparison: &Comparison) -> Vec<Vec<&Cell>> {
    let mut jobs: Vec<Vec<&Cell>> = Vec::new();
    for cell in comparison.cells.iter().filter(|cell| cell.point.is_none()) {
        let same = |job: &&mut Vec<&Cell>| {
            (&job[0].workload, &job[0].label) == (&cell.workload, &cell.label) //
        };
        match jobs.iter_mut().find(same) {
            Some(job) => job.push(cell),
            None => jobs.push(vec![cell]),
        }
    }
    jobs
}

fn row(cells: &[&Cell], models: &[&str], kind: &Kind, verdicts: &[JobVerdicts]) -> Row {
    let first = cells[0];
    let judged = verdicts.iter().find(|section| section.is_of(first));
    // A contestant from outside is timed with its start: no model is held to that.
    let held = |cell: &&&Cell| cell.command.is_none() || kind.name != TIME;
    let figures = cells.iter().filter(held);
    let figures = figures.filter_map(|cell| Some((*cell, (kind.of)(cell)?)));
    let best = figures.min_by(|(_, one), (_, other)| one.total_cmp(other));
    let place = |model: &&str| {
        let cell = cells.iter().find(|cell| cell.model == **model);
        cell.map_or_else(Place::default, |cell| place(cell, best, kind, judged))
    };
    Row {
        workload: first.workload.clone(),
        label: first.label.clone(),
        preset: first.preset.clone(),
        anchor: anchor(&first.workload, &first.label),
        places: models.iter().map(place).collect(),
    }
}

fn place(
    cell: &Cell,
    best: Option<(&Cell, f64)>,
    kind: &Kind,
    judged: Option<&JobVerdicts>,
) -> Place {
    let Some(figure) = (kind.of)(cell) else {
        let text = match crate::format::status(cell.status) {
            "ok" => tables::NONE,
            other => other,
        };
        return Place {
            text: text.to_owned(),
            ..Place::default()
        };
    };
    let text = (kind.text)(figure);
    let judged = judged.filter(|_| kind.name == TIME);
    let mark = match judged {
        Some(judged) if judged.drifts(&cell.model) => "drifting",
        _ if kind.name == TIME && cell.command.is_some() => "whole process",
        _ if kind.name == TIME && cell.origin_bound => "origin-bound",
        _ => "",
    };
    let Some((best, least)) = best.filter(|(_, least)| *least > 0.0) else {
        // Nothing can be told in times of nothing.
        return Place {
            key: Some(figure),
            text,
            mark,
            ..Place::default()
        };
    };
    let times = figure / least;
    let of_bar = times.max(1.0).ln() / LONGEST_BAR.ln() * 100.0;
    let place = Place {
        text: String::new(),
        beneath: text,
        mark,
        key: Some(times),
        step: Some(step(times)),
        bar: of_bar.min(100.0),
    };
    let ties = judged.is_some_and(|judged| judged.ties(&cell.model, &best.model));
    let interval = judged.and_then(|judged| interval(judged, &cell.model, &best.model));
    let beneath = interval.unwrap_or_else(|| place.beneath.clone());
    match times {
        times if std::ptr::eq(cell, best) || times == 1.0 => Place {
            text: "best".to_owned(),
            ..place
        },
        times if ties => Place {
            text: format!("≈ {}", many_times(times)),
            beneath,
            step: Some(0),
            ..place
        },
        times => Place {
            text: many_times(times),
            beneath,
            ..place
        },
    }
}

/// The ratio that fills a cell with its bar.
const LONGEST_BAR: f64 = 1000.0;

/// The least ratios of the steps after the first.
pub const STEPS: [f64; 5] = [1.0, 1.5, 3.0, 10.0, 100.0];

fn step(times: f64) -> usize {
    STEPS.iter().filter(|least| times > **least).count()
}

fn many_times(times: f64) -> String {
    match times {
        times if times < 1000.0 => ratio(times),
        times => format!("{}×", count(times as u64)),
    }
}

/// From where to where the ratio of these two goes.
fn interval(judged: &JobVerdicts, model: &str, best: &str) -> Option<String> {
    judged.pairs.iter().find_map(|pair| {
        let (low, high) = (pair.judged.low, pair.judged.high);
        let (low, high) = match (&*pair.model, &*pair.other) {
            names if names == (model, best) => (low, high),
            names if names == (best, model) => (1.0 / high, 1.0 / low),
            _ => return None,
        };
        Some(format!("{}–{}", three_digits(low), three_digits(high)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_left_when_its_end_is_passed() {
        let steps = [1.0, 1.01, 1.5, 1.6, 3.5, 11.0, 100.0, 101.0, 1e9];
        let expected = [0, 1, 1, 2, 3, 4, 4, 5, 5];
        assert_eq!(steps.map(step), expected);
        assert_eq!(many_times(4197.2), "4,197×");
    }
}
