//! A sweep as its readers see it: the same figures, in words, for the terminal,
//! for Markdown and for the page.

use results::{Cell, Comparison, Crossover, MIN_ROUNDS, Models, Status, Sweep};
use serde_json::Value;
use suite::setting_text;

use crate::anchors;
use crate::chart::{Chart, Dot, Series};
use crate::format::{NONE, counted, kept_to, parameters, status};
use crate::metrics::{CPU, LATENCY, MEMORY, Metric, RATE, TIME};
use crate::page::criterion_links::sweep_group;
use crate::table::{Row, Table, Text};

/// The rule that makes a crossover.
pub(crate) const RULE: &str = "One model overtakes another between two values if the verdicts call it \
    slower at the one and faster at the other. Values between them, if there are any, leave it \
    open.";

/// One sweep: one table, and a chart for each figure.
#[derive(Debug)]
pub(crate) struct SweepTable {
    /// What is swept: `counter.workers`, or `counter.workers on 1 core`.
    pub(crate) title: String,
    /// Only the key: `workers`.
    pub(crate) key: String,
    /// What Criterion's pages call it.
    pub(crate) criterion: String,
    /// The title as an anchor on a page.
    pub(crate) anchor: String,
    /// The job's other parameters.
    pub(crate) job: String,
    /// What to know about the job before reading its figures.
    pub(crate) remarks: Vec<String>,
    /// A group for each figure, a row for each model, a column for each value.
    pub(crate) table: Table,
    /// Each figure that can be drawn, by its name.
    pub(crate) charts: Vec<(&'static str, Chart)>,
    /// Where one model overtakes another, a sentence each; or that none does.
    pub(crate) crossovers: Vec<String>,
    /// Whether there are any: then their charts have their numbers.
    pub(crate) has_crossovers: bool,
    /// Where a model's figures end, or have a gap, and why; a sentence each.
    pub(crate) gaps: Vec<String>,
}

const METRICS: [Metric; 5] = [TIME, CPU, MEMORY, LATENCY, RATE];

/// The tables of each sweep of a comparison.
pub(crate) fn sweeps(comparison: &Comparison) -> Vec<SweepTable> {
    let table = |sweep: &Sweep| SweepTable::new(sweep, &comparison.cells, comparison.models());
    comparison.sweeps.iter().map(table).collect()
}

/// A model's cells along a sweep.
struct Line<'a> {
    model: &'a str,
    /// One for each value, where it was tried.
    cells: Vec<Option<&'a Cell>>,
}

impl<'a> Line<'a> {
    fn new(sweep: &Sweep, cells: &'a [Cell], model: &'a str) -> Self {
        let at = |value: &Value| sweep.cell(cells, model, value);
        Self {
            model,
            cells: sweep.values.iter().map(at).collect(),
        }
    }
}

impl SweepTable {
    /// A sweep in words; `cells` and `models` are those of its comparison.
    fn new(sweep: &Sweep, cells: &[Cell], all: Models) -> Self {
        let name = format!("{}.{}", sweep.workload, sweep.key);
        let title = match sweep.cores {
            None => name,
            Some(cores) => format!("{name} on {}", counted(cores, "core")),
        };
        let anchor = anchors::sweep(&sweep.workload, &sweep.key, sweep.cores);
        let models = sweep.models(cells).into_iter();
        let lines: Vec<Line> = models.map(|model| Line::new(sweep, cells, model)).collect();
        let values: Vec<String> = sweep.values.iter().map(setting_text).collect();
        let heads = ["figure", "model"].into_iter();
        // Those of a load generator only where there was one.
        let is_known = |metric: &&Metric| {
            let of_load = [LATENCY.name, RATE.name].contains(&metric.name);
            let mut cells = lines.iter().flat_map(|line| line.cells.iter().flatten());
            !of_load || cells.any(|cell| cell.latency.is_some())
        };
        let metrics: Vec<&Metric> = METRICS.iter().filter(is_known).collect();
        let charts = metrics.iter().filter_map(|metric| {
            let chart = chart(sweep, &anchor, metric, &lines, all)?;
            Some((metric.name, chart))
        });
        Self {
            table: Table {
                groups: metrics.iter().map(|metric| rows(metric, &lines)).collect(),
                ..Table::new(heads.chain(values.iter().map(|value| &**value)), 2, false)
            },
            charts: charts.collect(),
            title,
            key: sweep.key.clone(),
            criterion: sweep_group(&sweep.workload, &sweep.key, sweep.cores),
            anchor,
            job: parameters(&sweep.job),
            remarks: remarks(sweep, cells),
            has_crossovers: !sweep.crossovers.is_empty(),
            crossovers: match &*sweep.crossovers {
                [] if rounds(sweep, cells).is_some_and(|(_, most)| most < MIN_ROUNDS) => {
                    vec![format!(
                        "which model overtakes which is open: verdicts take {MIN_ROUNDS} rounds"
                    )]
                }
                [] => vec!["no model overtakes another".to_owned()],
                some => some.iter().map(|found| sentence(found, sweep)).collect(),
            },
            gaps: lines.iter().flat_map(|line| gaps(line, sweep)).collect(),
        }
    }
}

/// The least and the most rounds that any of its points has.
fn rounds(sweep: &Sweep, cells: &[Cell]) -> Option<(usize, usize)> {
    let points = cells.iter().filter(|cell| sweep.has(cell));
    let rounds = points.filter_map(Cell::rounds);
    rounds.clone().min().zip(rounds.max())
}

fn remarks(sweep: &Sweep, cells: &[Cell]) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks.extend(sweep.cores.map(kept_to));
    if sweep.divisor > 1 {
        remarks.push(format!("scaled to 1/{} to fit the time", sweep.divisor));
    }
    remarks.extend(rounds(sweep, cells).map(|(least, most)| {
        if least == most {
            format!("{} at each value", counted(most, "round"))
        } else {
            format!("{least} to {most} rounds at each value")
        }
    }));
    remarks
}

/// A row for each model: its figure at each value.
fn rows(metric: &Metric, lines: &[Line]) -> Vec<Row> {
    let figure = |line: &Line, at: usize| line.cells[at].and_then(metric.value);
    // A time that is mostly the reading of the clock is not the best.
    let ranked = |line: &Line, at: usize| {
        let unranked = metric.is_time() && line.cells[at].is_some_and(|cell| cell.mostly_clock);
        figure(line, at).filter(|_| !unranked)
    };
    let least = |at: usize| {
        let all = lines.iter().filter_map(|line| ranked(line, at));
        all.min_by(f64::total_cmp)
    };
    let row = |line: &Line| {
        let text = |(at, cell): (usize, &Option<&Cell>)| match figure(line, at) {
            Some(value) => Text {
                // The more requests a second, the better.
                best: metric.name != RATE.name
                    && ranked(line, at).is_some_and(|ranked| Some(ranked) == least(at)),
                ..Text::from((metric.format)(value))
            },
            None => cell.map_or(NONE, |cell| status(cell.status)).into(),
        };
        let names = [metric.name.into(), line.model.into()].into_iter();
        Row {
            texts: names
                .chain(line.cells.iter().enumerate().map(text))
                .collect(),
            best: false,
        }
    };
    lines.iter().map(row).collect()
}

fn chart(
    sweep: &Sweep,
    anchor: &str,
    metric: &Metric,
    lines: &[Line],
    models: Models,
) -> Option<Chart> {
    let series = |line: &Line| {
        let dot = |(value, cell): (&Value, &Option<&Cell>)| {
            let cell = (*cell)?;
            let figure = (metric.value)(cell)?;
            let [low, high] = (metric.interval)(cell).unwrap_or([figure; 2]);
            let text = (metric.format)(figure);
            let value = setting_text(value);
            Some(Dot {
                low,
                value: figure,
                high,
                title: format!("{}, {} = {value}: {text}", line.model, sweep.key),
            })
        };
        Series {
            name: line.model.to_owned(),
            color: anchors::color(models, line.model),
            dashes: anchors::dashes(models, line.model),
            dots: sweep.values.iter().zip(&line.cells).map(dot).collect(),
        }
    };
    let series: Vec<Series> = lines.iter().map(series).collect();
    let mut chart = Chart::new(&sweep.values, &series, metric.unit, metric.format)?;
    chart.id = format!("{anchor}-{}", metric.name);
    chart.title = format!("{} of {} by {}", metric.name, sweep.workload, sweep.key);
    chart.description = description(&series);
    if metric.is_time() {
        chart.mark(&sweep.crossovers);
    }
    Some(chart)
}

/// All dots of a chart in words.
fn description(series: &[Series]) -> String {
    let dots = series
        .iter()
        .flat_map(|series| series.dots.iter().flatten());
    let titles: Vec<&str> = dots.map(|dot| &*dot.title).collect();
    titles.join("; ")
}

fn sentence(crossover: &Crossover, sweep: &Sweep) -> String {
    let Crossover {
        model, overtakes, ..
    } = crossover;
    let (key, after, before) = (
        &sweep.key,
        setting_text(&crossover.after),
        setting_text(&crossover.before),
    );
    if sweep.values.iter().all(Value::is_number) {
        format!("{model} overtakes {overtakes} between {key} = {after} and {before}")
    } else {
        // There is nothing between two words.
        format!("{overtakes} is faster than {model} with {key} = {after}, and slower with {before}")
    }
}

/// What a model's figures lack: their end, if nothing comes after it.
fn gaps(line: &Line, sweep: &Sweep) -> Vec<String> {
    let tell = |verb: &str, missing: &[(&Value, &Cell)]| {
        let (value, cell) = missing.first()?;
        let reason = cell.reason.as_deref().unwrap_or(NONE);
        Some(format!(
            "{} {verb} {} = {}, {}: {reason}",
            line.model,
            sweep.key,
            setting_text(value),
            status(cell.status)
        ))
    };
    let tried = sweep.values.iter().zip(&line.cells);
    let tried = tried.filter_map(|(value, cell)| Some((value, (*cell)?)));
    let tried: Vec<(&Value, &Cell)> = tried.collect();
    let is_ok = |point: &(&Value, &Cell)| point.1.status == Status::Ok;
    let stretches: Vec<_> = tried
        .chunk_by(|one, next| is_ok(one) == is_ok(next))
        .collect();
    let gap = |(at, stretch): (usize, &&[(&Value, &Cell)])| {
        let verb = if stretches.len() == 1 {
            "has no curve from"
        } else if at + 1 == stretches.len() {
            "ends before"
        } else {
            "has a gap at"
        };
        tell(verb, stretch).filter(|_| !is_ok(&stretch[0]))
    };
    stretches.iter().enumerate().filter_map(gap).collect()
}

#[cfg(test)]
mod tests {
    use results::fixture::{cell, steady};
    use results::{Cell, Point};

    use super::*;

    #[test]
    fn a_line_that_ends_says_where_and_why() {
        let values = [10, 100, 1000];
        let sweep = Sweep {
            workload: "sleepers".to_owned(),
            key: "units".to_owned(),
            job: Value::Null,
            divisor: 1,
            cores: None,
            values: values.map(Value::from).to_vec(),
            crossovers: Vec::new(),
        };
        let gaps = |statuses: [Status; 3]| {
            let points = values.into_iter().zip(statuses);
            let cells = points.map(|(value, status)| Cell {
                point: Some(Point {
                    key: "units".to_owned(),
                    value: value.into(),
                }),
                status,
                reason: (status != Status::Ok).then(|| format!("not {value} processes")),
                time: (status == Status::Ok).then(|| steady(1e6, 5)),
                ..cell("sleepers", &format!("heavy-units={value}"), "process")
            });
            SweepTable::new(&sweep, &cells.collect::<Vec<_>>(), Models(&[])).gaps
        };
        use Status::{Failed, Ok, Unsupported};
        for (statuses, says) in [
            (
                [Ok, Unsupported, Unsupported],
                "process ends before units = 100, unsupported: not 100 processes",
            ),
            (
                [Ok, Failed, Ok],
                "process has a gap at units = 100, failed: not 100 processes",
            ),
            (
                [Failed, Failed, Failed],
                "process has no curve from units = 10, failed: not 10 processes",
            ),
        ] {
            assert_eq!(gaps(statuses), [says]);
        }
        assert!(gaps([Ok; 3]).is_empty());
    }
}
