//! Completion times as their readers see them.

use results::Cell;
use suite::Workload;

use crate::format::{count, counted, time};
use crate::table::{Row, Table};
use crate::tables::TimesTable;

/// The completion times of one workload, of its cells in the order of its main table; none
/// if no cell has such times.
pub(crate) fn table<'a>(
    workload: &str,
    cells: impl Iterator<Item = &'a Cell>,
) -> Option<TimesTable> {
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
    let about = workload.completion_clock()?;
    (!groups.is_empty()).then(|| TimesTable {
        title: "completion time of an item, in fresh processes",
        about,
        table: Table {
            groups: groups.into_iter().map(|(_, rows)| rows).collect(),
            ..Table::new(heads, 2, false).without_first(&["items", "p90"])
        },
    })
}
