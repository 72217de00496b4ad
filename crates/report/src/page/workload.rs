//! One workload's section: its jobs, drawn and in tables that can be sorted.

use std::collections::HashMap;

use results::{Cell, Comparison, Models};

use crate::format::{memory, ratio, time};
use crate::page::anchors::{anchor, colour, slug};
use crate::page::samples::{Distribution, short};
use crate::tables;
use crate::tables::sweep;
use crate::tables::sweep::SweepView;
use crate::tables::{Row, Section, Table};

/// All that there is of one workload.
#[derive(Debug)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Its table, whose sections are `jobs` here.
    pub table: Table,
    /// Where it is on the page.
    pub anchor: String,
    /// What it is and why anyone cares; nothing of a workload that is not ours.
    pub story: Vec<&'static str>,
    /// One for each preset and variant.
    pub jobs: Vec<Job>,
    /// What was swept.
    pub sweeps: Vec<SweepView>,
}

/// One job, and how everyone did it.
#[derive(Debug)]
pub struct Job {
    /// Where it is on the page.
    pub anchor: String,
    /// In words.
    pub section: Section,
    /// Every sample.
    pub distribution: Option<Distribution>,
    /// CPU and memory, in the order of the table.
    pub bars: Vec<Bars>,
    /// What to sort the table's columns by, a row a row of the section.
    pub keys: Vec<Vec<Option<f64>>>,
    /// Every two models.
    pub pairs: Vec<PairRow>,
}

/// One figure of every model.
#[derive(Debug)]
pub struct Bars {
    /// What it is.
    pub name: &'static str,
    /// The models.
    pub bars: Vec<Bar>,
}

/// One model's figure.
#[derive(Debug)]
pub struct Bar {
    /// The model, short enough for its place.
    pub name: String,
    /// Which of the page's colours it has.
    pub colour: usize,
    /// With its unit.
    pub text: String,
    /// As a part of the most, in percent.
    pub part: f64,
}

/// One model held against another.
#[derive(Debug)]
pub struct PairRow {
    /// Whose time is divided ...
    pub model: String,
    /// ... by whose.
    pub other: String,
    /// The ratio, to sort by.
    pub key: f64,
    /// The ratio.
    pub ratio: String,
    /// What that means, with its interval.
    pub verdict: String,
}

/// The workloads of a comparison, in the order of its data.
pub fn workloads(comparison: &Comparison) -> Vec<Workload> {
    let mut sweeps: HashMap<&str, Vec<SweepView>> = HashMap::new();
    for (sweep, view) in comparison.sweeps.iter().zip(sweep::sweeps(comparison)) {
        sweeps.entry(&sweep.workload).or_default().push(view);
    }
    let mut names: Vec<&str> = Vec::new();
    let cells = comparison.cells.iter().map(|cell| &*cell.workload);
    let swept = comparison.sweeps.iter().map(|sweep| &*sweep.workload);
    for name in cells.chain(swept) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let workload = |name: &str| {
        let mut table = tables::table(comparison, name);
        let sections = std::mem::take(&mut table.sections);
        let job = |section| job(comparison, name, section);
        Workload {
            name: name.to_owned(),
            anchor: slug(name),
            story: name.parse().map_or(Vec::new(), |known| {
                super::introductions::story(known).to_vec()
            }),
            jobs: sections.into_iter().map(job).collect(),
            table,
            sweeps: sweeps.remove(name).unwrap_or_default(),
        }
    };
    names.into_iter().map(workload).collect()
}

fn job(comparison: &Comparison, workload: &str, section: Section) -> Job {
    let of_job = |cell: &&Cell| (&*cell.workload, &cell.label) == (workload, &section.label);
    let of_job: Vec<&Cell> = comparison.cells.iter().filter(of_job).collect();
    let cells = section.rows.iter().filter_map(|row| {
        let mut cells = of_job.iter();
        cells.find(|cell| cell.model == row.model).copied()
    });
    let cells: Vec<&Cell> = cells.collect();
    let anchor = anchor(workload, &section.label);
    let title = format!("{workload} {}", section.label);
    Job {
        distribution: Distribution::new(&anchor, &title, &cells, comparison.models()),
        bars: bars(&cells, comparison.models()),
        keys: cells.iter().map(|cell| keys(cell)).collect(),
        pairs: pairs(comparison, workload, &section.label),
        anchor,
        section,
    }
}

fn cpu(cell: &Cell) -> Option<f64> {
    let (user, system) = (cell.resources.user_ns?, cell.resources.system_ns?);
    Some(user.saturating_add(system) as f64)
}

fn peak(cell: &Cell) -> Option<f64> {
    Some(cell.resources.peak_memory_bytes? as f64)
}

/// CPU and memory; nothing of a figure that nobody has.
fn bars(cells: &[&Cell], models: Models) -> Vec<Bars> {
    type Figure = (&'static str, fn(&Cell) -> Option<f64>, fn(f64) -> String);
    let figures: [Figure; 2] = [
        ("CPU", cpu, time),
        ("Peak memory", peak, |bytes| memory(bytes as u64)),
    ];
    let bars = figures.into_iter().filter_map(|(name, of, text)| {
        let known = cells.iter().filter_map(|cell| of(cell));
        let most = known.reduce(f64::max)?;
        let bar = |cell: &&Cell| Bar {
            name: short(&cell.model),
            colour: colour(models, &cell.model),
            text: of(cell).map_or(tables::NONE.to_owned(), text),
            part: match of(cell) {
                Some(figure) if most > 0.0 => figure / most * 100.0,
                _ => 0.0,
            },
        };
        Some(Bars {
            name,
            bars: cells.iter().map(bar).collect(),
        })
    });
    bars.collect()
}

/// What a cell's columns are sorted by. A column of text has none: its text is it.
fn keys(cell: &Cell) -> Vec<Option<f64>> {
    let figures = &cell.resources;
    let number = |figure: Option<u64>| figure.map(|figure| figure as f64);
    let own = cell.time.as_ref();
    let key = |head: &&str| match *head {
        // All of a job's ratios go by the same time.
        "time" | "to best" | "to serial" => own.map(|time| time.median_ns),
        "±" => own.map(|time| {
            let further = (time.median_ns - time.low_ns).max(time.high_ns - time.median_ns);
            further / time.median_ns
        }),
        "cold" => cell.cold.as_ref().map(|cold| cold.median_ns),
        "CPU" => cpu(cell),
        "memory" => peak(cell),
        "switches (vol / inv)" => number(figures.voluntary_switches),
        "threads" => number(figures.threads),
        "processes" => number(figures.processes),
        _ => None,
    };
    Row::HEADS.iter().map(key).collect()
}

fn pairs(comparison: &Comparison, workload: &str, label: &str) -> Vec<PairRow> {
    let mut sections = comparison.verdicts.iter();
    let judged = sections.find(|of| (&*of.workload, &*of.label) == (workload, label));
    let pairs = judged.into_iter().flat_map(|section| &section.pairs);
    let row = |pair: &results::Pair| PairRow {
        model: pair.model.clone(),
        other: pair.other.clone(),
        key: pair.judged.ratio,
        ratio: ratio(pair.judged.ratio),
        verdict: crate::words::judged(&pair.judged),
    };
    pairs.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::{Resources, Status, Time};

    #[test]
    fn every_column_of_figures_is_sorted_by_its_figure() {
        let figure = Some(7);
        let time = Time {
            median_ns: 2.0,
            low_ns: 1.0,
            high_ns: 4.0,
            samples_ns: vec![2.0],
            rounds: vec![1],
        };
        let cell = Cell {
            cold: Some(time.clone()),
            time: Some(time),
            resources: Resources {
                user_ns: figure,
                system_ns: figure,
                peak_memory_bytes: figure,
                voluntary_switches: figure,
                threads: figure,
                processes: figure,
                ..Resources::default()
            },
            ..empty()
        };
        for (head, key) in Row::HEADS.iter().zip(keys(&cell)) {
            let is_text = ["model", "notes"].contains(head);
            assert_eq!(key.is_none(), is_text, "{head}");
        }
        assert!(keys(&empty()).iter().all(Option::is_none));
    }

    fn empty() -> Cell {
        let cell = serde_json::json!({
            "workload": "primes", "preset": "heavy", "label": "heavy", "model": "tokio",
            "job": {}, "status": Status::Ok, "scaled": false, "divisor": 1, "runs": 0,
        });
        serde_json::from_value(cell).expect("it is of the schema")
    }
}
