//! A sweep as its readers see it: the same figures, in words, for the terminal,
//! for Markdown and for the page.

use results::MIN_ROUNDS;
use results::{Cell, Comparison, Models, Status};
use results::{Crossover, Curve, CurvePoint, Sweep};
use serde_json::Value;
use suite::setting_text;

use crate::format::{memory, time};
use crate::page::anchors;
use crate::page::chart::{Chart, Dot, Series};
use crate::tables::NONE;

/// The rule that makes a crossover, for whoever reads one.
pub const RULE: &str = "One model overtakes another between two values if the verdicts call it \
    slower at the one and faster at the other. Values between them, if there are any, leave it \
    open.";

/// One sweep: one table, and a chart for each figure.
#[derive(Debug)]
pub struct SweepView {
    /// What is swept: `counter.workers`, or `counter.workers on 1 core`.
    pub title: String,
    /// Only the key: `workers`.
    pub key: String,
    /// The title as an anchor on a page.
    pub anchor: String,
    /// The job's other parameters.
    pub job: String,
    /// What to know about the job before reading its figures.
    pub remarks: Vec<String>,
    /// The values: the heads of the table's columns.
    pub values: Vec<String>,
    /// Time, CPU and memory.
    pub figures: Vec<Figure>,
    /// Where one model overtakes another, a sentence each; or that none does.
    pub crossovers: Vec<String>,
    /// Whether there are any: then their charts have their numbers.
    pub has_crossovers: bool,
    /// Where a curve ends, or has a gap, and why; a sentence each.
    pub gaps: Vec<String>,
}

/// One figure of every model, over the values.
#[derive(Debug)]
pub struct Figure {
    /// `time`, `CPU` or `memory`.
    pub name: &'static str,
    /// The models.
    pub rows: Vec<Row>,
    /// The same, drawn; nothing if there is nothing to draw.
    pub chart: Option<Chart>,
}

/// One model's figures.
#[derive(Debug)]
pub struct Row {
    /// The model.
    pub model: String,
    /// A text for each value, or [`NONE`].
    pub texts: Vec<Text>,
}

/// One figure.
#[derive(Debug)]
pub struct Text {
    /// With its unit.
    pub text: String,
    /// The least of all models.
    pub best: bool,
}

/// One kind of figure: its name, its value and interval at a point, how it is
/// written, and in which units it is round.
struct Kind {
    name: &'static str,
    of: fn(&CurvePoint) -> Option<[f64; 3]>,
    text: fn(f64) -> String,
    unit: f64,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "time",
        of: |point| Some([point.low_ns?, point.median_ns?, point.high_ns?]),
        text: time,
        unit: 1.0,
    },
    Kind {
        name: "CPU",
        of: |point| point.cpu_ns.map(|ns| [ns as f64; 3]),
        text: time,
        unit: 1.0,
    },
    Kind {
        name: "memory",
        of: |point| point.peak_memory_bytes.map(|bytes| [bytes as f64; 3]),
        text: |bytes| memory(bytes as u64),
        unit: 1024.0 * 1024.0,
    },
];

/// A view of each sweep of a comparison.
pub fn sweeps(comparison: &Comparison) -> Vec<SweepView> {
    let view = |sweep: &Sweep| SweepView::new(sweep, &comparison.cells, comparison.models());
    comparison.sweeps.iter().map(view).collect()
}

/// The anchor of a sweep on the page.
pub fn anchor(workload: &str, key: &str, cores: Option<usize>) -> String {
    match cores {
        None => format!("sweep-{workload}.{key}"),
        Some(cores) => format!("sweep-{workload}.{key}-{cores}"),
    }
}

impl SweepView {
    /// A sweep in words; `cells` and `models` are those of its comparison.
    pub fn new(sweep: &Sweep, cells: &[Cell], models: Models) -> Self {
        let name = format!("{}.{}", sweep.workload, sweep.key);
        let title = match sweep.cores {
            None => name,
            Some(cores) => format!("{name} on {}", crate::format::cores(cores)),
        };
        let anchor = anchor(&sweep.workload, &sweep.key, sweep.cores);
        let figures = KINDS
            .iter()
            .map(|kind| figure(sweep, &anchor, kind, models));
        Self {
            figures: figures.collect(),
            title,
            key: sweep.key.clone(),
            anchor,
            job: crate::format::parameters(&sweep.job),
            remarks: remarks(sweep, cells),
            values: sweep.values.iter().map(setting_text).collect(),
            has_crossovers: !sweep.crossovers.is_empty(),
            crossovers: match &*sweep.crossovers {
                [] if rounds(sweep, cells).is_some_and(|(_, most)| most < MIN_ROUNDS) => {
                    vec![format!(
                        "who overtakes whom is open: verdicts take {MIN_ROUNDS} rounds"
                    )]
                }
                [] => vec!["no model overtakes another".to_owned()],
                some => some.iter().map(|found| sentence(found, sweep)).collect(),
            },
            gaps: sweep
                .curves
                .iter()
                .flat_map(|curve| gaps(curve, sweep))
                .collect(),
        }
    }
}

/// The least and the most rounds that any of its points has.
fn rounds(sweep: &Sweep, cells: &[Cell]) -> Option<(usize, usize)> {
    let points = cells.iter().filter(|cell| sweep.has(cell));
    let rounds = points.filter_map(|cell| Some(cell.time.as_ref()?.rounds.len()));
    rounds.clone().min().zip(rounds.max())
}

fn remarks(sweep: &Sweep, cells: &[Cell]) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(cores) = sweep.cores {
        remarks.push(crate::format::kept_to(cores));
    }
    if sweep.divisor > 1 {
        remarks.push(format!("scaled to 1/{} to fit the time", sweep.divisor));
    }
    if let Some((least, most)) = rounds(sweep, cells) {
        remarks.push(match (least, most) {
            (1, 1) => "1 round at each value".to_owned(),
            (least, most) if least == most => format!("{most} rounds at each value"),
            _ => format!("{least} to {most} rounds at each value"),
        });
    }
    remarks
}

fn figure(sweep: &Sweep, anchor: &str, kind: &Kind, models: Models) -> Figure {
    let at = |curve: &Curve, value: &Value| curve.at(value).and_then(kind.of);
    let least = |value: &Value| {
        let all = sweep.curves.iter().filter_map(|curve| at(curve, value));
        all.map(|[_, median, _]| median).min_by(f64::total_cmp)
    };
    let least: Vec<Option<f64>> = sweep.values.iter().map(least).collect();
    let row = |curve: &Curve| {
        let text = |(value, least): (&Value, &Option<f64>)| match at(curve, value) {
            Some([_, median, _]) => Text {
                text: (kind.text)(median),
                best: Some(median) == *least,
            },
            None => Text {
                text: curve
                    .at(value)
                    .map_or(NONE, |point| crate::format::status(point.status))
                    .to_owned(),
                best: false,
            },
        };
        Row {
            model: curve.model.clone(),
            texts: sweep.values.iter().zip(&least).map(text).collect(),
        }
    };
    let series = |curve: &Curve| {
        let dot = |value: &Value| {
            let [low, median, high] = at(curve, value)?;
            let figure = (kind.text)(median);
            let title = format!(
                "{}, {} = {}: {figure}",
                curve.model,
                sweep.key,
                setting_text(value)
            );
            Some(Dot {
                low,
                value: median,
                high,
                title,
            })
        };
        Series {
            name: curve.model.clone(),
            colour: anchors::colour(models, &curve.model),
            dashes: anchors::dashes(models, &curve.model),
            dots: sweep.values.iter().map(dot).collect(),
        }
    };
    let series: Vec<Series> = sweep.curves.iter().map(series).collect();
    let mut chart = Chart::new(&sweep.values, &series, kind.unit, kind.text);
    if let Some(chart) = &mut chart {
        chart.id = format!("{anchor}-{}", kind.name);
        chart.title = format!("{} of {} by {}", kind.name, sweep.workload, sweep.key);
        chart.description = description(&series);
        if kind.name == "time" {
            chart.mark(&sweep.crossovers);
        }
    }
    Figure {
        name: kind.name,
        rows: sweep.curves.iter().map(row).collect(),
        chart,
    }
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
    match sweep.values.iter().all(Value::is_number) {
        true => format!("{model} overtakes {overtakes} between {key} = {after} and {before}"),
        // There is nothing between two words.
        false => format!(
            "{overtakes} is faster than {model} with {key} = {after}, and slower with {before}"
        ),
    }
}

/// What a curve lacks: its end, if nothing comes after it.
fn gaps(curve: &Curve, sweep: &Sweep) -> Vec<String> {
    let model = &curve.model;
    let mut missing: Vec<&CurvePoint> = Vec::new();
    let mut gaps = Vec::new();
    let tell = |verb: &str, missing: &[&CurvePoint]| {
        let first = missing.first()?;
        let reason = first.reason.as_deref().unwrap_or(NONE);
        let (value, status) = (
            setting_text(&first.value),
            crate::format::status(first.status),
        );
        Some(format!(
            "{model} {verb} {} = {value}, {status}: {reason}",
            sweep.key
        ))
    };
    for point in &curve.points {
        if point.status == Status::Ok {
            gaps.extend(tell("has a gap at", &missing));
            missing.clear();
        } else {
            missing.push(point);
        }
    }
    let verb = if missing.len() == curve.points.len() {
        "has no curve from"
    } else {
        "ends before"
    };
    gaps.extend(tell(verb, &missing));
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_that_ends_says_where_and_why() {
        let point = |value: u64, status| CurvePoint {
            value: value.into(),
            status,
            reason: (status != Status::Ok).then(|| format!("not {value} processes")),
            median_ns: None,
            low_ns: None,
            high_ns: None,
            peak_memory_bytes: None,
            cpu_ns: None,
        };
        let sweep = |statuses: [Status; 3]| {
            let points = [10, 100, 1000].into_iter().zip(statuses);
            Sweep {
                workload: "sleepers".to_owned(),
                key: "units".to_owned(),
                job: Value::Null,
                divisor: 1,
                cores: None,
                values: [10, 100, 1000].map(Value::from).to_vec(),
                curves: vec![Curve {
                    model: "process".to_owned(),
                    points: points.map(|(value, status)| point(value, status)).collect(),
                }],
                crossovers: Vec::new(),
            }
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
            assert_eq!(
                SweepView::new(&sweep(statuses), &[], Models(&[])).gaps,
                [says]
            );
        }
        assert!(
            SweepView::new(&sweep([Ok; 3]), &[], Models(&[]))
                .gaps
                .is_empty()
        );
    }
}
