//! Latencies as their readers see them.

use results::{Cell, Latency, Range};

use crate::format::{count, time};
use crate::table::{Row, Table};
use crate::tables::TimesTable;

/// What the table is.
const TITLE: &str = "latency of a request, from when it was due until its answer was whole; of a message, until a \
     member had it";

/// What stands with it.
const ABOUT: &str =
    "medians of fresh processes; a closed loop hides how long requests wait before they are sent";

/// From this part of the time on, the load generator is as busy as it can be.
const BUSY: f64 = 0.9;

/// The latencies of one workload, of its cells in the order of its main table; none if no cell
/// has any.
pub(crate) fn table<'a>(cells: impl Iterator<Item = &'a Cell>) -> Option<TimesTable> {
    let mut groups: Vec<(&String, Vec<Row>)> = Vec::new();
    for cell in cells {
        let Some(latency) = &cell.latency else {
            continue;
        };
        let row = row(cell, latency);
        match groups.last_mut() {
            Some((last, rows)) if **last == cell.label => rows.push(row),
            _ => groups.push((&cell.label, vec![row])),
        }
    }
    let heads = [
        "job",
        "model",
        "due/s",
        "done/s",
        "p50",
        "p90",
        "p99",
        "p99 of runs",
        "p99.9",
        "max",
        "notes",
    ];
    let dropped = ["max", "p90", "p99.9", "p99 of runs"];
    (!groups.is_empty()).then(|| TimesTable {
        title: TITLE,
        about: ABOUT,
        table: Table {
            groups: groups.into_iter().map(|(_, rows)| rows).collect(),
            ..Table::new(heads, 2, true).without_first(&dropped)
        },
    })
}

fn row(cell: &Cell, latency: &Latency) -> Row {
    let median = |range: Range| time(range.median);
    let times = match latency.has_kept_up {
        true => [
            median(latency.p50_ns),
            median(latency.p90_ns),
            median(latency.p99_ns),
            format!(
                "{}..{}",
                time(latency.p99_ns.low),
                time(latency.p99_ns.high)
            ),
            median(latency.p999_ns),
            median(latency.max_ns),
        ],
        false => [const { String::new() }; 6],
    };
    let names = [
        cell.label.clone(),
        cell.model.clone(),
        latency
            .offered_per_s
            .map_or_else(|| "closed loop".to_owned(), |rate| count(rate as u64)),
        count(latency.achieved_per_s.median as u64),
    ];
    let texts = names.into_iter().chain(times).chain([notes(latency)]);
    Row {
        texts: texts.map(Into::into).collect(),
        best: false,
    }
}

fn notes(latency: &Latency) -> String {
    let mut notes = Vec::new();
    if let Some(added) = latency.added_p50_ns.filter(|_| latency.has_kept_up) {
        let signed = |ns: f64| match ns < 0.0 {
            true => format!("-{}", time(-ns)),
            false => time(ns),
        };
        let [median, low, high] = [added.median, added.low, added.high].map(signed);
        notes.push(format!("p50 {median} more than direct, {low}..{high}"));
    }
    if !latency.has_kept_up {
        notes.push("did not keep up".to_owned());
    }
    if latency.generator_busy >= BUSY {
        notes.push("the load generator was as busy as it can be".to_owned());
    }
    // In a closed loop, what is sent late is due late.
    if latency.offered_per_s.is_some() && latency.late * 100 > latency.requests {
        notes.push(format!(
            "{} sent late by the load generator",
            count(latency.late)
        ));
    }
    notes.join(", ")
}
