//! The tables of how the cases came out.

use std::fmt::Write;

use comfy_table::{Attribute, Cell, ContentArrangement, LineStyle, Table, TableStyle};

use crate::check::Wrong;
use crate::matrix::{Mark, Matrix};
use crate::run::Failure;

/// How much of what a program printed is shown.
const MOST_LINES: usize = 20;

/// The table for a terminal, and what went wrong.
pub fn terminal(matrix: &Matrix) -> String {
    let mut table = with_heads(&["", "fault", "what is right"], &matrix.models);
    for fault in matrix.faults() {
        let mut cells = vec![
            Cell::new(fault.number),
            Cell::new(fault.what),
            Cell::new(fault.right),
        ];
        let marks = (0..matrix.models.len()).map(|column| matrix.mark(fault.number, column));
        cells.extend(marks.map(|mark| mark.map_or(Cell::new(""), Mark::cell)));
        table.add_row(cells);
    }
    let mut text = table.trim_fmt();
    for (case, model, failure) in matrix.failures() {
        let title = format!("{} (fault {}): {}", case.name, case.fault, case.right);
        text += &failed(model, &title, failure);
    }
    for (case, why) in matrix.not_run() {
        let _ = write!(text, "\n\nNOT RUN: {case}, and others like it: {why}");
    }
    let [passed, failed, not_run] = matrix.counts();
    let _ = write!(
        text,
        "\n\n{} cases in {} models: {passed} passed, {failed} failed, {not_run} not run, in {:.0} s",
        matrix.rows.len(),
        matrix.models.len(),
        matrix.took.as_secs_f64()
    );
    text
}

/// A table with these columns, and one for each model.
pub(crate) fn with_heads(heads: &[&str], models: &[String]) -> Table {
    let mut table = Table::new();
    if !console::colors_enabled() {
        table.force_no_tty(); // a pipe, a dumb terminal, or NO_COLOR
    }
    table
        .load_style(TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─')))
        .set_content_arrangement(ContentArrangement::Disabled);
    let heads = heads.iter().copied();
    let heads = heads.chain(models.iter().map(|model| &**model));
    table.set_header(heads.map(|head| Cell::new(head).add_attribute(Attribute::Bold)));
    table
}

impl Mark {
    pub(crate) fn cell(self) -> Cell {
        match self {
            Mark::Pass => Cell::new(self.word()),
            mark => Cell::new(mark.word()).add_attribute(Attribute::Bold),
        }
    }

    /// As Markdown.
    pub(crate) fn markdown(self) -> String {
        match self {
            Mark::Pass => self.word().to_owned(),
            mark => format!("**{}**", mark.word()),
        }
    }
}

/// What went wrong in a case.
pub(crate) fn failed(model: &str, title: &str, failure: &Failure) -> String {
    let mut text = format!("\n\nFAIL {model}: {title}\n  {}", failure.command);
    // Writing to a String cannot fail.
    for Wrong { expected, got } in &failure.wrong {
        let _ = write!(text, "\n  expected: {expected}\n       got: {got}");
    }
    for (what, printed) in [("stderr", &failure.stderr), ("stdout", &failure.stdout)] {
        let lines: Vec<_> = printed.lines().collect();
        for line in lines.iter().take(MOST_LINES) {
            let _ = write!(text, "\n    {what}: {line}");
        }
        if let Some(more) = lines.len().checked_sub(MOST_LINES + 1) {
            let _ = write!(text, "\n    {what}: ... ({} lines more)", more + 1);
        }
    }
    text
}

/// The table as Markdown.
pub fn markdown(matrix: &Matrix) -> String {
    let models = &matrix.models;
    let mut text = format!("| | fault | what is right | {} |\n", models.join(" | "));
    text += &format!("|--:|---|---|{}\n", "---|".repeat(models.len()));
    for fault in matrix.faults() {
        let marks = (0..models.len()).map(|column| {
            let mark = matrix.mark(fault.number, column);
            mark.map_or(String::new(), Mark::markdown)
        });
        let marks: Vec<_> = marks.collect();
        text += &format!(
            "| {} | {} | {} | {} |\n",
            fault.number,
            fault.what,
            fault.right,
            marks.join(" | ")
        );
    }
    let [passed, failed, not_run] = matrix.counts();
    text += &format!(
        "\n{} cases in {} models: {passed} passed, {failed} failed, {not_run} not run.\n",
        matrix.rows.len(),
        models.len()
    );
    text
}
