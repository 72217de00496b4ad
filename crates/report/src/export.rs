//! The data as CSV (RFC 4180), for spreadsheets and data frames.

use std::iter::repeat_n;

use anyhow::Context;
use csv::Writer;
use results::{Cell, Comparison, Status};
use serde::Serialize;

/// The file with a row for each cell.
pub const CELLS: &str = "cells.csv";
/// The file with a row for each sample.
pub const SAMPLES: &str = "samples.csv";

/// A cell. Times are in nanoseconds, memory in bytes; what is not known is empty.
#[derive(Serialize)]
struct CellRow<'a> {
    workload: &'a str,
    label: &'a str,
    preset: &'a str,
    variant: Option<&'a str>,
    cores: Option<usize>,
    model: &'a str,
    status: Status,
    reason: Option<&'a str>,
    /// The parameters, as JSON.
    job: String,
    divisor: u64,
    rounds: Option<usize>,
    samples: Option<usize>,
    median_ns: Option<f64>,
    low_ns: Option<f64>,
    high_ns: Option<f64>,
    cold_median_ns: Option<f64>,
    start_ns: Option<u64>,
    wall_ns: Option<u64>,
    user_ns: Option<u64>,
    system_ns: Option<u64>,
    peak_memory_bytes: Option<u64>,
    peak_with_kernel_bytes: Option<u64>,
    voluntary_switches: Option<u64>,
    involuntary_switches: Option<u64>,
    threads: Option<u64>,
    processes: Option<u64>,
}

impl<'a> CellRow<'a> {
    fn of(cell: &'a Cell) -> Self {
        let (time, resources) = (cell.time.as_ref(), &cell.resources);
        Self {
            workload: &cell.workload,
            label: &cell.label,
            preset: &cell.preset,
            variant: cell.variant.as_deref(),
            cores: cell.cores,
            model: &cell.model,
            status: cell.status,
            reason: cell.reason.as_deref(),
            job: cell.job.to_string(),
            divisor: cell.divisor,
            rounds: cell.rounds(),
            samples: time.map(|time| time.samples_ns.len()),
            median_ns: cell.median_ns(),
            low_ns: time.map(|time| time.low_ns),
            high_ns: time.map(|time| time.high_ns),
            cold_median_ns: cell.cold.as_ref().map(|cold| cold.median_ns),
            start_ns: cell.start_ns,
            wall_ns: resources.wall_ns,
            user_ns: resources.user_ns,
            system_ns: resources.system_ns,
            peak_memory_bytes: resources.peak_memory_bytes,
            peak_with_kernel_bytes: resources.peak_with_kernel_bytes,
            voluntary_switches: resources.voluntary_switches,
            involuntary_switches: resources.involuntary_switches,
            threads: resources.threads,
            processes: resources.processes,
        }
    }
}

/// A sample: the time of one job, in nanoseconds, in its round, counted from 1.
#[derive(Serialize)]
struct SampleRow<'a> {
    workload: &'a str,
    label: &'a str,
    model: &'a str,
    round: usize,
    sample_ns: f64,
}

/// A row for each cell, in the order of the tables.
///
/// # Errors
///
/// When a row cannot be written as CSV.
pub fn cells(comparison: &Comparison) -> anyhow::Result<String> {
    text(comparison.cells.iter().map(CellRow::of))
}

/// A row for each sample of each cell, in the order in which they were taken.
///
/// # Errors
///
/// When a row cannot be written as CSV.
pub fn samples(comparison: &Comparison) -> anyhow::Result<String> {
    text(comparison.cells.iter().flat_map(of_cell))
}

fn of_cell(cell: &Cell) -> impl Iterator<Item = SampleRow<'_>> {
    cell.time.iter().flat_map(move |time| {
        let rounds = time.rounds.iter().enumerate();
        let rounds = rounds.flat_map(|(round, &samples)| repeat_n(round + 1, samples));
        rounds
            .zip(&time.samples_ns)
            .map(move |(round, &sample_ns)| SampleRow {
                workload: &cell.workload,
                label: &cell.label,
                model: &cell.model,
                round,
                sample_ns,
            })
    })
}

/// Rows as CSV, with their fields as heads.
pub(crate) fn text(rows: impl Iterator<Item = impl Serialize>) -> anyhow::Result<String> {
    let mut writer = Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).context("a row as CSV")?;
    }
    let bytes = writer.into_inner().context("the rows as CSV")?;
    String::from_utf8(bytes).context("the rows as text")
}

#[cfg(test)]
mod tests {
    use results::MIN_ROUNDS;
    use results::fixture::Builder;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_cell_and_every_sample_has_a_row() {
        let job = json!({"start": 0, "end": 9});
        let times = [("serial", 3.0), ("thread", 2.0), ("tokio", 1.5)];
        let comparison = Builder::new()
            .job("primes", "heavy", job, &times)
            .without("thread", Status::Unsupported, "not \"here\", or there")
            .build();
        let cells = cells(&comparison).expect("rows");
        let mut reader = csv::Reader::from_reader(cells.as_bytes());
        let heads = reader.headers().expect("heads").clone();
        let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), comparison.cells.len());
        let field = |row: usize, head: &str| {
            let column = heads.iter().position(|known| known == head).expect(head);
            rows[row][column].to_owned()
        };
        for (row, cell) in comparison.cells.iter().enumerate() {
            assert_eq!(field(row, "model"), cell.model);
            assert_eq!(field(row, "job"), cell.job.to_string());
            assert_eq!(
                field(row, "reason"),
                cell.reason.clone().unwrap_or_default()
            );
            let median: Option<f64> = field(row, "median_ns").parse().ok();
            assert_eq!(median, cell.median_ns());
        }

        let samples = samples(&comparison).expect("rows");
        let all = comparison
            .cells
            .iter()
            .filter_map(|cell| cell.time.as_ref());
        let all: usize = all.map(|time| time.samples_ns.len()).sum();
        assert!(all > 0);
        assert_eq!(samples.lines().count(), 1 + all);
        let last = samples.lines().last().expect("a sample");
        assert!(last.contains(&format!(",{MIN_ROUNDS},")), "{last}");
    }
}
