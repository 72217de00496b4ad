//! Stored runs against each other: as tables, as a page, as CSV and as JSON.

use std::iter::zip;

use anyhow::Context;
use askama::Template;
use results::{CellOfRuns, ComparedRuns, Judged, PlaceOfRun, StoredRun, Verdict};
use serde::Serialize;

use crate::distinct::distinct;
use crate::export;
use crate::fit::parts;
use crate::format::{NONE, three_digits, time};
use crate::markdown::Text as Markdown;
use crate::page::{self, SCRIPTS};
use crate::table::{Row, Table, Text};
use crate::terminal::grid;
use crate::words;

/// The page of compared runs.
#[derive(Template)]
#[template(path = "runs.html")]
struct Page<'a> {
    runs: &'a ComparedRuns,
    about: Vec<String>,
    left_out: Vec<String>,
    policy: String,
    styles: String,
}

/// A cell in one run, for CSV. Times are in nanoseconds; what is not known is empty.
#[derive(Serialize)]
struct CsvRow<'a> {
    workload: &'a str,
    label: &'a str,
    model: &'a str,
    run: &'a str,
    reference: &'a str,
    median_ns: Option<f64>,
    reference_median_ns: Option<f64>,
    ratio: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    verdict: Option<Verdict>,
    not_compared: Option<&'a str>,
}

/// For a terminal of `columns`: as many runs side by side as fit, the others below.
pub fn terminal(runs: &ComparedRuns, columns: usize) -> String {
    let parts = parts(&table(runs), 3, columns);
    let mut texts: Vec<String> = parts.iter().map(grid).collect();
    texts.push([about(runs), left_out(runs)].concat().join("\n"));
    texts.join("\n\n")
}

/// As Markdown.
pub fn document(runs: &ComparedRuns) -> String {
    let mut text = Markdown::default();
    text.line("# Stored runs against each other\n");
    text.table(&table(runs));
    text.line("");
    for line in about(runs).iter().chain(&left_out(runs)) {
        text.item(line);
    }
    text.0
}

/// As CSV: a row for each cell and run but the reference.
///
/// # Errors
///
/// When a row cannot be written as CSV.
pub fn csv(runs: &ComparedRuns) -> anyhow::Result<String> {
    let reference = &runs.runs[0].name;
    let rows = runs.cells.iter().flat_map(|cell| {
        let others = zip(&runs.runs, &cell.places).skip(1);
        others.map(move |(run, place)| CsvRow {
            workload: &cell.workload,
            label: &cell.label,
            model: &cell.model,
            run: &run.name,
            reference,
            median_ns: place.median_ns,
            reference_median_ns: cell.places[0].median_ns,
            ratio: place.judged.map(|judged| judged.ratio),
            low: place.judged.map(|judged| judged.low),
            high: place.judged.map(|judged| judged.high),
            verdict: place.judged.map(|judged| judged.verdict),
            not_compared: place.not_compared.as_deref(),
        })
    });
    export::text(rows)
}

/// As JSON.
///
/// # Errors
///
/// When it cannot be JSON, which only a bug could bring about.
pub fn json(runs: &ComparedRuns) -> anyhow::Result<String> {
    let mut json = serde_json::to_string_pretty(runs).context("compared runs as JSON")?;
    json.push('\n');
    Ok(json)
}

/// As a page, in one file.
///
/// # Errors
///
/// When the template cannot be rendered, which only a bug could bring about.
pub fn page(runs: &ComparedRuns) -> anyhow::Result<String> {
    let page = Page {
        runs,
        about: about(runs),
        left_out: left_out(runs),
        policy: page::policy(),
        styles: page::STYLES[0].to_owned(),
    };
    let html = page.render().context("the page's template")?;
    Ok(page::without_turns(&html))
}

/// The reference's times, and the other runs against it: a row a cell.
fn table(runs: &ComparedRuns) -> Table {
    let names = runs.runs.iter().map(|run| &*run.name);
    let mut table = Table::new(["job", "model"].into_iter().chain(names), 2, false);
    for cells in runs.cells.chunk_by(same_job) {
        let rows = cells.iter().map(|cell| {
            let of = [
                format!("{} {}", cell.workload, cell.label).into(),
                cell.model.clone().into(),
            ];
            let places = cell.places.iter().map(|place| Text {
                best: is_difference(place),
                ..Text::from(place_text(place))
            });
            Row {
                texts: of.into_iter().chain(places).collect(),
                best: false,
            }
        });
        table.groups.push(rows.collect());
    }
    table
}

/// The ratio to the reference, or the time itself where there is none.
fn place_text(place: &PlaceOfRun) -> String {
    match (&place.judged, place.median_ns) {
        (Some(judged), _) => format!("{} {}", ratio(judged), interval(judged)),
        (None, Some(ns)) => time(ns),
        (None, None) => NONE.to_owned(),
    }
}

/// `slower 1.08`.
fn ratio(judged: &Judged) -> String {
    let verdict = match judged.verdict {
        Verdict::Faster => "faster",
        Verdict::Slower => "slower",
        Verdict::NoDifference => "≈",
        Verdict::CannotTell => "?",
    };
    format!("{verdict} {}", three_digits(judged.ratio))
}

/// The class of its background color on the page: green, none or red.
fn ground(judged: &Judged) -> &'static str {
    match judged.verdict {
        Verdict::Faster => "step0",
        Verdict::Slower => "step5",
        Verdict::NoDifference | Verdict::CannotTell => "step2",
    }
}

/// `[1.05, 1.11]`.
fn interval(judged: &Judged) -> String {
    let [low, high] = [judged.low, judged.high].map(three_digits);
    format!("[{low}, {high}]")
}

fn is_difference(place: &PlaceOfRun) -> bool {
    let judged = place.judged.as_ref();
    judged.is_some_and(|judged| judged.verdict.is_difference())
}

/// What to know of the runs, in lines: what they are, what differs, and how many cells
/// came out how.
fn about(runs: &ComparedRuns) -> Vec<String> {
    let reference = &runs.runs[0].name;
    let mut lines = vec![format!(
        "ratios are of a run's time to that of {reference}, with their intervals: ≈ is no \
         difference, ? cannot tell; a time alone is not compared"
    )];
    lines.extend(runs.runs.iter().map(run_line));
    for (at, run) in runs.runs.iter().enumerate().skip(1) {
        let name = &run.name;
        if !run.differences.is_empty() {
            let differences: Vec<_> = run.differences.iter().map(words::change).collect();
            let differences = differences.join("; ");
            lines.push(format!(
                "not only the programs of {name} may differ: {differences}"
            ));
        }
        let numbers = [
            (Verdict::Slower, "slower"),
            (Verdict::Faster, "faster"),
            (Verdict::NoDifference, "no difference"),
            (Verdict::CannotTell, "cannot tell"),
        ];
        let numbers = numbers.map(|(verdict, word)| format!("{} {word}", runs.number(at, verdict)));
        let (all, numbers) = (runs.judged(at).count(), numbers.join(", "));
        lines.push(format!(
            "{name} against {reference}: of {all} cells, {numbers}"
        ));
        let broken = runs.broken_limit(at);
        lines.extend(broken.map(|broken| format!("{name}: {broken}")));
    }
    lines
}

/// What one run is.
fn run_line(run: &StoredRun) -> String {
    let StoredRun {
        name,
        started,
        mode,
        revision,
        machine,
        ..
    } = run;
    let interrupted = if run.interrupted { ", interrupted" } else { "" };
    format!("{name}: {started}, mode {mode}{interrupted}, revision {revision:.12}, {machine}")
}

/// The cells that could not be compared, those of one run and reason in a line.
fn left_out(runs: &ComparedRuns) -> Vec<String> {
    let of_run = |at: usize| {
        let why = move |cell: &CellOfRuns| cell.places[at].not_compared.clone();
        let reasons = distinct(runs.cells.iter().filter_map(why));
        reasons.into_iter().map(move |reason| {
            let cells = runs.cells.iter();
            let cells = cells.filter(|cell| why(cell).as_ref() == Some(&reason));
            let cells: Vec<&CellOfRuns> = cells.collect();
            let jobs = cells
                .chunk_by(|one, other| same_job(one, other))
                .map(|cells| {
                    let models: Vec<_> = cells.iter().map(|cell| &*cell.model).collect();
                    format!(
                        "{} {} ({})",
                        cells[0].workload,
                        cells[0].label,
                        models.join(", ")
                    )
                });
            let jobs: Vec<_> = jobs.collect();
            let name = &runs.runs[at].name;
            format!("{name}: not compared, as {reason}: {}", jobs.join("; "))
        })
    };
    (1..runs.runs.len()).flat_map(of_run).collect()
}

fn same_job(one: &CellOfRuns, other: &CellOfRuns) -> bool {
    (&one.workload, &one.label) == (&other.workload, &other.label)
}
