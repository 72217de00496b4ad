//! The tables of how the cases came out.

use std::fmt::Write;

use comfy_table::{Attribute, Cell, ContentArrangement, LineStyle, Table, TableStyle};

use crate::check::Wrong;
use crate::matrix::{Mark, Matrix};

/// How much of what a program printed is shown.
const MOST_LINES: usize = 20;

/// The table for a terminal, and what went wrong.
pub fn terminal(matrix: &Matrix) -> String {
    let mut table = Table::new();
    if !console::colors_enabled() {
        table.force_no_tty(); // a pipe, a dumb terminal, or NO_COLOR
    }
    table
        .load_style(TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─')))
        .set_content_arrangement(ContentArrangement::Disabled);
    let heads = ["", "fault", "what is right"].into_iter();
    let heads = heads.chain(matrix.models.iter().map(|model| &**model));
    table.set_header(heads.map(|head| Cell::new(head).add_attribute(Attribute::Bold)));
    for fault in matrix.faults() {
        let mut cells = vec![
            Cell::new(fault.number),
            Cell::new(fault.what),
            Cell::new(fault.right),
        ];
        cells.extend((0..matrix.models.len()).map(
            |column| match matrix.mark(fault.number, column) {
                None => Cell::new(""),
                Some(Mark::Pass) => Cell::new(Mark::Pass.word()),
                Some(mark) => Cell::new(mark.word()).add_attribute(Attribute::Bold),
            },
        ));
        table.add_row(cells);
    }
    let mut text = table.trim_fmt();
    for (case, model, failure) in matrix.failures() {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n\nFAIL {model}: {} (fault {}): {}\n  {}",
            case.name, case.fault, case.right, failure.command
        );
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

/// The table as Markdown.
pub fn markdown(matrix: &Matrix) -> String {
    let models = &matrix.models;
    let mut text = format!("| | fault | what is right | {} |\n", models.join(" | "));
    text += &format!("|--:|---|---|{}\n", "---|".repeat(models.len()));
    for fault in matrix.faults() {
        let marks = (0..models.len()).map(|column| {
            let mark = matrix.mark(fault.number, column);
            match mark {
                Some(Mark::Pass) => Mark::Pass.word().to_owned(),
                Some(mark) => format!("**{}**", mark.word()),
                None => String::new(),
            }
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
