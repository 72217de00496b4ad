//! What a reader has to know of a run before its figures.

use results::MIN_ROUNDS;
use results::{Cell, Comparison, Status};

use crate::tables::{self, remarks};

/// Something that some cells have in common.
#[derive(Debug, PartialEq)]
pub struct Mark {
    /// How many, and what: `3 cells drifting`.
    pub title: String,
    /// What that means.
    pub about: &'static str,
    /// Whether it is something to mend.
    pub bad: bool,
    /// Which they are, a line each.
    pub lines: Vec<String>,
}

/// All marks of a run; those to mend come first.
pub fn marks(comparison: &Comparison) -> Vec<Mark> {
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
            disturbed(comparison),
            "disturbed",
            "Others used the machine in some of their rounds, and there was no time left to \
             take these again.",
            false,
        ),
        (
            origin_bound(comparison),
            "origin-bound",
            "The server, or what the job asks of its link, set their time: models can hardly \
             differ there.",
            false,
        ),
    ];
    let cells = all.into_iter().map(|(lines, what, about, bad)| Mark {
        title: format!("{} {what}", plural(lines.len(), "cell")),
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
    ];
    let jobs = jobs.into_iter().map(|(lines, what, about)| Mark {
        title: format!("{} {what}", plural(lines.len(), "job")),
        about,
        bad: false,
        lines,
    });
    cells
        .chain(jobs)
        .filter(|mark| !mark.lines.is_empty())
        .collect()
}

fn plural(number: usize, what: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {what}{end}")
}

fn with_status(comparison: &Comparison, status: Status) -> Vec<String> {
    let cells = comparison.cells.iter().filter(|cell| cell.status == status);
    let line = |cell: &Cell| {
        let reason = cell.reason.as_deref().unwrap_or(tables::NONE);
        format!("{} {}, {}: {reason}", cell.workload, cell.label, cell.model)
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

fn disturbed(comparison: &Comparison) -> Vec<String> {
    let line = |cell: &Cell| {
        let note = remarks::note(cell)?;
        let Cell {
            workload,
            label,
            model,
            ..
        } = cell;
        Some(format!("{workload} {label}, {model}: {note}"))
    };
    comparison.cells.iter().filter_map(line).collect()
}

fn origin_bound(comparison: &Comparison) -> Vec<String> {
    let cells = comparison.cells.iter().filter(|cell| cell.origin_bound);
    let line = |cell: &Cell| {
        let why = cell
            .origin_bound_by
            .map_or("the origin", |bound| crate::words::server_bound(bound));
        format!("{} {}, {}: {why}", cell.workload, cell.label, cell.model)
    };
    cells.map(line).collect()
}

fn scaled(comparison: &Comparison) -> Vec<String> {
    let cells = comparison.cells.iter().filter(|cell| cell.scaled);
    distinct(cells.map(|cell| {
        format!("{} {}: 1/{}", cell.workload, cell.label, cell.divisor) //
    }))
}

/// The jobs that were timed, and in too few rounds.
fn unjudged(comparison: &Comparison) -> Vec<String> {
    let few = |cell: &&Cell| {
        let rounds = cell.time.as_ref().map(|time| time.rounds.len());
        rounds.is_some_and(|rounds| rounds < MIN_ROUNDS)
    };
    let cells = comparison.cells.iter().filter(few);
    distinct(cells.map(|cell| format!("{} {}", cell.workload, cell.label)))
}

fn distinct(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut all = Vec::new();
    for line in lines {
        if !all.contains(&line) {
            all.push(line);
        }
    }
    all
}
