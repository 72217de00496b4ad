//! All jobs and all models in one table, as ratios to the best: one panel for each
//! figure.

use results::{Cell, Comparison, JobVerdicts, MIN_ROUNDS, Verdict};

use crate::anchors::anchor;
use crate::distinct::distinct;
use crate::findings::unranked;
use crate::format::{NONE, count, ratio, three_digits};
use crate::metrics::{CPU, MEMORY, Metric, SWITCHES, TIME, verdict_mark};

/// One figure of every model at every job.
#[derive(Debug)]
pub(crate) struct Panel {
    /// What it is called, on the page and in its address.
    pub(crate) name: &'static str,
    /// What the figure is, and how sure.
    pub(crate) about: &'static str,
    /// One for each job.
    pub(crate) rows: Vec<Row>,
}

/// One job.
#[derive(Debug)]
pub(crate) struct Row {
    /// What kind of job.
    pub(crate) workload: String,
    /// Preset and variant.
    pub(crate) label: String,
    /// `article` or `heavy`.
    pub(crate) preset: String,
    /// Where its section is.
    pub(crate) anchor: String,
    /// One for each model, in the order of [`models`].
    pub(crate) places: Vec<Place>,
}

/// One model at one job.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Place {
    /// The ratio to the best, or why there is none.
    pub(crate) text: String,
    /// The ratio's interval, or the figure itself.
    pub(crate) beneath: String,
    /// A word of warning.
    pub(crate) mark: &'static str,
    /// What to sort by: the ratio.
    pub(crate) key: Option<f64>,
    /// From 0, the best, to 5: the step of the colors.
    pub(crate) step: Option<usize>,
    /// The logarithm of the ratio, as a part of the longest bar's, in percent.
    pub(crate) bar: f64,
}

/// What is said of times without verdicts.
const UNJUDGED: &str = "Median time of one job on a started model; beneath each ratio, the time \
    itself. This run has too few rounds for verdicts: which models tie is not known.";

const METRICS: [Metric; 4] = [TIME, CPU, MEMORY, SWITCHES];

/// The columns of the table: the models in the order asked for, then the custom
/// commands.
pub(crate) fn models(comparison: &Comparison) -> Vec<&str> {
    let cells = comparison.cells.iter().filter(|cell| cell.point.is_none());
    let asked = comparison.run.models.iter().map(|model| &**model);
    distinct(asked.chain(cells.map(|cell| &*cell.model)))
}

/// Whether any job has been judged: without, ratios have no intervals.
fn is_judged(comparison: &Comparison) -> bool {
    let mut verdicts = comparison.verdicts.iter();
    verdicts.any(|section| section.rounds >= MIN_ROUNDS && !section.pairs.is_empty())
}

/// A panel for each figure.
pub(crate) fn panels(comparison: &Comparison) -> Vec<Panel> {
    let models = models(comparison);
    let mut jobs = comparison.jobs();
    jobs.retain(|cells| cells[0].point.is_none());
    let is_judged = is_judged(comparison);
    let panel = |metric: &Metric| {
        let row = |cells: &Vec<&Cell>| row(cells, &models, metric, comparison);
        Panel {
            name: metric.name,
            about: if metric.is_time() && !is_judged {
                UNJUDGED
            } else {
                metric.about
            },
            rows: jobs.iter().map(row).collect(),
        }
    };
    METRICS.iter().map(panel).collect()
}

fn row(cells: &[&Cell], models: &[&str], metric: &Metric, comparison: &Comparison) -> Row {
    let first = cells[0];
    let judged = comparison.verdicts_of(&first.workload, &first.label);
    let judged = judged.filter(|_| metric.is_time());
    // Many a custom command is timed with its start: no model is held to that.
    let held = |cell: &&&Cell| !metric.is_time() || cell.is_job_time() && !cell.mostly_clock;
    let figures = cells.iter().filter(held);
    let figures = figures.filter_map(|cell| Some((*cell, (metric.value)(cell)?)));
    let best = figures.min_by(|(_, one), (_, other)| one.total_cmp(other));
    let best = best.filter(|_| !metric.is_time() || unranked(first).is_none());
    let place = |model: &&str| {
        let cell = cells.iter().find(|cell| cell.model == **model);
        cell.map_or_else(Place::default, |cell| place(cell, best, metric, judged))
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
    metric: &Metric,
    judged: Option<&JobVerdicts>,
) -> Place {
    let Some(figure) = (metric.value)(cell) else {
        let text = match crate::format::status(cell.status) {
            "ok" => NONE,
            other => other,
        };
        return Place {
            text: text.to_owned(),
            ..Place::default()
        };
    };
    let text = (metric.format)(figure);
    let mark = match judged {
        Some(judged) if judged.drifts(&cell.model) => "drifting",
        _ if metric.is_time() && !cell.is_job_time() => "whole process",
        _ if metric.is_time() && cell.mostly_clock => "mostly clock",
        _ if metric.is_time() && cell.origin_bound => "origin-bound",
        _ => "",
    };
    let best = best.filter(|(_, least)| *least > 0.0);
    let best = best.filter(|_| !metric.is_time() || !cell.mostly_clock);
    let Some((best, least)) = best else {
        // Nothing can be told in times of nothing, or of little but the clock.
        return Place {
            key: (!cell.mostly_clock).then_some(figure),
            text,
            mark,
            ..Place::default()
        };
    };
    let times = figure / least;
    let is_best = std::ptr::eq(cell, best) || times == 1.0;
    let verdict = judged.and_then(|judged| judged.verdict(&cell.model, &best.model));
    let interval = judged.and_then(|judged| judged.between(&cell.model, &best.model));
    let interval = interval.filter(|_| !is_best).map(|judged| {
        let [low, high] = [judged.low, judged.high].map(three_digits);
        format!("{low}–{high}")
    });
    let of_bar = times.max(1.0).ln() / LONGEST_BAR.ln() * 100.0;
    Place {
        text: if is_best {
            "best".to_owned()
        } else {
            format!("{}{}", verdict_mark(verdict), many_times(times))
        },
        beneath: interval.unwrap_or(text),
        mark,
        key: Some(times),
        step: Some(match verdict {
            Some(Verdict::NoDifference) => 0,
            _ => step(times),
        }),
        bar: of_bar.min(100.0),
    }
}

/// The ratio that fills a cell with its bar.
const LONGEST_BAR: f64 = 1000.0;

/// The least ratios of the steps after the first.
pub(crate) const STEPS: [f64; 5] = [1.0, 1.5, 3.0, 10.0, 100.0];

fn step(times: f64) -> usize {
    STEPS.iter().filter(|least| times > **least).count()
}

fn many_times(times: f64) -> String {
    match times {
        times if times < 1000.0 => ratio(times),
        times => format!("{}×", count(times as u64)),
    }
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
