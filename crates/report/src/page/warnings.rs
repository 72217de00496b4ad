//! What a reader has to know of a run before its figures.

use results::{Cell, Comparison, FEWER_ROUNDS, MIN_ROUNDS, Status};

use crate::distinct::distinct;
use crate::format::{NONE, counted};
use crate::tables::remarks;
use crate::words;

/// Something that some cells have in common.
#[derive(Debug, PartialEq)]
pub(crate) struct Warning {
    /// How many, and what: `3 cells drifting`.
    pub(crate) title: String,
    /// What that means.
    pub(crate) about: &'static str,
    /// Whether it is something to fix.
    pub(crate) bad: bool,
    /// Which they are, a line each.
    pub(crate) lines: Vec<String>,
}

/// All warnings of a run; those to fix come first.
pub(crate) fn warnings(comparison: &Comparison) -> Vec<Warning> {
    let of = |status| with_status(comparison, status);
    let about = "That cell has no figures; the others are intact.";
    let unsupported = "A model that cannot honestly do a job at its size says so.";
    let all = [
        (of(Status::WrongAnswer), "wrong", about, true),
        (of(Status::Failed), "failed", about, true),
        (of(Status::Unsupported), "unsupported", unsupported, false),
        (
            drifting(comparison),
            "drifting",
            "Their rounds disagree by more than their samples' spread allows: measure again \
             before you rely on one.",
            false,
        ),
        (
            noisy(comparison),
            "noisy",
            "Others used the machine in some of their rounds, and there was no time left to \
             take these again.",
            false,
        ),
        (
            throttled(comparison),
            "stopped by the CPU quota",
            "It kept them from the processors for a part of their time: what is measured is the \
             quota.",
            false,
        ),
        (
            origin_bound(comparison),
            "origin-bound",
            "The server, or what the job asks of its link, set their time: models can hardly \
             differ there.",
            false,
        ),
        (
            mostly_clock(comparison),
            "mostly the reading of the clock",
            "So short a job says nothing about its model: its time has no rank.",
            false,
        ),
    ];
    let cells = all.into_iter().map(|(lines, what, about, bad)| Warning {
        title: format!("{} {what}", counted(lines.len(), "cell")),
        about,
        bad,
        lines,
    });
    let jobs = [
        (
            scaled(comparison),
            "made smaller",
            "They did not fit the time; all models did the same.",
        ),
        (
            unjudged(comparison),
            "without verdicts",
            "Those take five rounds. Ratios stand without intervals there.",
        ),
        (
            in_fewer_rounds(comparison),
            "with fewer rounds than planned",
            "There was no time for more.",
        ),
    ];
    let jobs = jobs.into_iter().map(|(lines, what, about)| Warning {
        title: format!("{} {what}", counted(lines.len(), "job")),
        about,
        bad: false,
        lines,
    });
    cells
        .chain(jobs)
        .filter(|warning| !warning.lines.is_empty())
        .collect()
}

fn name(cell: &Cell) -> String {
    format!("{} {}, {}", cell.workload, cell.label, cell.model)
}

fn with_status(comparison: &Comparison, status: Status) -> Vec<String> {
    let cells = comparison.cells.iter().filter(|cell| cell.status == status);
    let line = |cell: &Cell| {
        let reason = cell.reason.as_deref().unwrap_or(NONE);
        format!("{}: {reason}", name(cell))
    };
    cells.map(line).collect()
}

fn drifting(comparison: &Comparison) -> Vec<String> {
    let sections = comparison
        .verdicts
        .iter()
        .filter(|of| !of.drifting.is_empty());
    let lines = sections.flat_map(|section| {
        let models = section.drifting.iter();
        models.map(|model| format!("{} {}, {model}", section.workload, section.label))
    });
    lines.collect()
}

fn noisy(comparison: &Comparison) -> Vec<String> {
    remarked(comparison, remarks::background_load)
}

fn throttled(comparison: &Comparison) -> Vec<String> {
    remarked(comparison, remarks::throttled)
}

/// The cells that get this remark, each with it.
fn remarked(comparison: &Comparison, remark: fn(&Cell) -> Option<String>) -> Vec<String> {
    let line = |cell: &Cell| Some(format!("{}: {}", name(cell), remark(cell)?));
    comparison.cells.iter().filter_map(line).collect()
}

fn origin_bound(comparison: &Comparison) -> Vec<String> {
    let cells = comparison.cells.iter().filter(|cell| cell.origin_bound);
    let line = |cell: &Cell| {
        let why = cell
            .origin_bound_by
            .map_or("the origin", words::server_bound);
        format!("{}: {why}", name(cell))
    };
    cells.map(line).collect()
}

fn mostly_clock(comparison: &Comparison) -> Vec<String> {
    let cells = comparison.cells.iter().filter(|cell| cell.mostly_clock);
    cells.map(name).collect()
}

fn scaled(comparison: &Comparison) -> Vec<String> {
    let cells = comparison.cells.iter().filter(|cell| cell.scaled);
    let line = |cell: &Cell| format!("{} {}: 1/{}", cell.workload, cell.label, cell.divisor);
    distinct(cells.map(line))
}

/// The jobs that have not had all their rounds: the notes that say so.
fn in_fewer_rounds(comparison: &Comparison) -> Vec<String> {
    let notes = comparison.run.notes.iter();
    let notes = notes.filter(|note| note.ends_with(FEWER_ROUNDS));
    notes.cloned().collect()
}

/// The jobs that were timed, and in too few rounds.
fn unjudged(comparison: &Comparison) -> Vec<String> {
    let few = |cell: &&Cell| cell.rounds().is_some_and(|rounds| rounds < MIN_ROUNDS);
    let cells = comparison.cells.iter().filter(few);
    distinct(cells.map(|cell| format!("{} {}", cell.workload, cell.label)))
}
