//! Completion times as their readers see them.

use results::Cell;
use suite::Workload;

use crate::format::{count, counted, time};
use crate::table::{Row, Table};

/// The completion times of one workload, as its readers see them.
#[derive(Debug)]
pub(crate) struct CompletionTable {
    /// What the table is.
    pub(crate) title: &'static str,
    /// From when to when an item's clock runs.
    pub(crate) clock: &'static str,
    pub(crate) table: Table,
}

impl CompletionTable {
    /// The table below a workload's main one, of its cells in the order of that; none
    /// if no cell has such times.
    pub(crate) fn new<'a>(workload: &str, cells: impl Iterator<Item = &'a Cell>) -> Option<Self> {
        let workload = workload.parse::<Workload>().ok()?;
        let row = |cell: &'a Cell| {
            let figures = cell.completion.as_ref()?;
            let (items, runs) = (count(figures.items), counted(figures.runs as usize, "run"));
            let texts = [
                cell.label.clone(),
                cell.model.clone(),
                format!("{items} in {runs}"),
            ];
            let times = [
                figures.p50_ns,
                figures.p90_ns,
                figures.p99_ns,
                figures.max_ns,
            ];
            let times = times.map(|ns| time(ns as f64));
            let texts = texts.into_iter().chain(times);
            let row = Row {
                texts: texts.map(Into::into).collect(),
                best: false,
            };
            Some((&cell.label, row))
        };
        let mut groups: Vec<(&String, Vec<Row>)> = Vec::new();
        for (label, row) in cells.filter_map(row) {
            match groups.last_mut() {
                Some((last, rows)) if *last == label => rows.push(row),
                _ => groups.push((label, vec![row])),
            }
        }
        let heads = ["job", "model", "items", "p50", "p90", "p99", "max"];
        let clock = workload.completion_clock()?;
        (!groups.is_empty()).then(|| Self {
            title: "completion time of an item, in fresh processes",
            clock,
            table: Table {
                groups: groups.into_iter().map(|(_, rows)| rows).collect(),
                ..Table::new(heads, 2, false).without_first(&["items", "p90"])
            },
        })
    }
}
