//! One workload's section: its jobs, drawn and in tables that can be sorted.

use std::collections::HashMap;

use results::{Cell, Comparison, Models, Pair};

use crate::anchors::{anchor, color, slug};
use crate::distinct::distinct;
use crate::findings::slow_members;
use crate::format::{NONE, ratio};
use crate::metrics::{CPU, LATENCY, MEMORY, Metric};
use crate::page::criterion_links::job_group;
use crate::page::introductions::introduction;
use crate::page::samples::{Distribution, short};
use crate::table::{Row, Table, Text};
use crate::tables::sweep::{self, SweepTable};
use crate::tables::{self, Section, WorkloadTables};
use crate::words;

/// All that there is of one workload.
#[derive(Debug)]
pub(crate) struct Workload<'a> {
    pub(crate) name: &'a str,
    /// Its tables, whose sections are `jobs` here.
    pub(crate) tables: WorkloadTables<'a>,
    /// Where it is on the page.
    pub(crate) anchor: String,
    /// What it is and where one meets it; nothing of a workload that is not ours.
    pub(crate) introduction: Vec<&'static str>,
    /// What other programs do that do the same, with figures of these jobs.
    pub(crate) story: Vec<String>,
    /// One for each preset and variant.
    pub(crate) jobs: Vec<Job<'a>>,
    /// What was swept.
    pub(crate) sweeps: Vec<SweepTable>,
}

/// One job, and how all models did it.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// Where it is on the page.
    pub(crate) anchor: String,
    /// What Criterion's pages call it.
    pub(crate) criterion: String,
    /// In words.
    pub(crate) section: Section<'a>,
    pub(crate) table: Table,
    /// Every sample.
    pub(crate) distribution: Option<Distribution>,
    /// Latency where there is one, CPU and memory.
    pub(crate) bars: Vec<Bars>,
    /// Every two models, if they were judged.
    pub(crate) pairs: Option<Table>,
}

/// One figure of every model.
#[derive(Debug)]
pub(crate) struct Bars {
    /// What it is.
    pub(crate) name: &'static str,
    /// Of what.
    pub(crate) about: &'static str,
    /// The models.
    pub(crate) bars: Vec<Bar>,
}

/// One model's figure.
#[derive(Debug)]
pub(crate) struct Bar {
    /// The model, short enough for its place.
    pub(crate) name: String,
    /// Which of the page's colors it has.
    pub(crate) color: usize,
    /// With its unit.
    pub(crate) text: String,
    /// As a part of the most, in percent.
    pub(crate) part: f64,
}

/// The workloads of a comparison, in the order of its data.
pub(crate) fn workloads(comparison: &Comparison) -> Vec<Workload<'_>> {
    let mut sweeps: HashMap<&str, Vec<SweepTable>> = HashMap::new();
    for (sweep, table) in comparison.sweeps.iter().zip(sweep::sweeps(comparison)) {
        sweeps.entry(&sweep.workload).or_default().push(table);
    }
    let cells = comparison.cells.iter().map(|cell| &*cell.workload);
    let swept = comparison.sweeps.iter().map(|sweep| &*sweep.workload);
    let workload = |name| {
        let mut tables = tables::table(comparison, name);
        let sections = std::mem::take(&mut tables.sections).into_iter();
        Workload {
            name,
            anchor: slug(name),
            introduction: name
                .parse()
                .map_or(Vec::new(), |known| introduction(known).to_vec()),
            story: match name {
                "chat" => slow_members::story(comparison),
                _ => Vec::new(),
            },
            jobs: sections
                .map(|section| job(name, section, comparison.models()))
                .collect(),
            tables,
            sweeps: sweeps.remove(name).unwrap_or_default(),
        }
    };
    distinct(cells.chain(swept))
        .into_iter()
        .map(workload)
        .collect()
}

fn job<'a>(workload: &str, section: Section<'a>, models: Models) -> Job<'a> {
    let cells: Vec<&Cell> = section.models.iter().map(|row| row.cell).collect();
    let anchor = anchor(workload, section.label);
    let title = format!("{workload} {}", section.label);
    Job {
        distribution: Distribution::new(&anchor, &title, &cells, models),
        bars: [LATENCY, CPU, MEMORY]
            .iter()
            .filter_map(|metric| bars(metric, &cells, models))
            .collect(),
        table: section.table(),
        pairs: pairs(section.pairs),
        criterion: job_group(workload, section.label),
        anchor,
        section,
    }
}

/// A bar for each model; nothing of a figure that none has.
fn bars(metric: &Metric, cells: &[&Cell], models: Models) -> Option<Bars> {
    let known = cells.iter().filter_map(|cell| (metric.value)(cell));
    let most = known.reduce(f64::max)?;
    let bar = |cell: &&Cell| Bar {
        name: short(&cell.model),
        color: color(models, &cell.model),
        text: metric.text(cell).unwrap_or_else(|| NONE.to_owned()),
        part: match (metric.value)(cell) {
            Some(figure) if most > 0.0 => figure / most * 100.0,
            _ => 0.0,
        },
    };
    Some(Bars {
        name: metric.title,
        about: match metric.name == LATENCY.name {
            true => "from when a request was due, median of the runs",
            false => "whole process tree",
        },
        bars: cells.iter().map(bar).collect(),
    })
}

fn pairs(pairs: &[Pair]) -> Option<Table> {
    let row = |pair: &Pair| {
        let judged = Text {
            key: Some(pair.judged.ratio),
            ..Text::from(ratio(pair.judged.ratio))
        };
        let verdict = words::judged(&pair.judged);
        Row {
            texts: vec![
                (&*pair.model).into(),
                (&*pair.other).into(),
                judged,
                verdict.into(),
            ],
            best: false,
        }
    };
    (!pairs.is_empty()).then(|| Table {
        groups: vec![pairs.iter().map(row).collect()],
        ..Table::new(["model", "against", "ratio of times", "verdict"], 2, true)
    })
}
