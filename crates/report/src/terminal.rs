//! Tables for a terminal.

use comfy_table::{
    Attribute, Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle,
};
use results::Comparison;

use crate::tables;
use crate::tables::completion::CompletionView;
use crate::tables::sweep::SweepView;
use crate::tables::{Row, Section};

/// All tables of a comparison for a terminal, with what they need to be read: the
/// workloads', then the sweeps'.
pub fn tables(comparison: &Comparison) -> String {
    let cells = comparison.cells.iter().filter(|cell| cell.point.is_none());
    let workloads = tables::distinct(cells.map(|cell| &*cell.workload)).into_iter();
    let workloads = workloads.map(|workload| terminal(comparison, workload));
    let sweeps = comparison.sweeps.iter();
    let sweeps = sweeps.map(|sweep| terminal_sweep(sweep, comparison));
    let all: Vec<String> = workloads.chain(sweeps).collect();
    all.join("\n")
}

/// The table of one workload for a terminal, with what it needs to be read.
fn terminal(comparison: &Comparison, workload: &str) -> String {
    let view = tables::table(comparison, workload);
    let mut text = format!("\n{}: {}\n", view.workload, view.about);
    for Section {
        label,
        job,
        remarks,
        ..
    } in &view.sections
    {
        text += &format!("  {label}: {job}\n");
        if !remarks.is_empty() {
            text += &format!("    {}\n", remarks.join("; "));
        }
    }
    text += &grid(&view).trim_fmt();
    if let Some(completion) = &view.completion {
        let CompletionView { title, clock, .. } = completion;
        text += &format!("\n\n  {title}, {clock}\n");
        text += &completion_grid(completion).trim_fmt();
    }
    for section in &view.sections {
        for row in &section.rows {
            if let Some(reason) = &row.reason {
                let Row { model, status, .. } = row;
                text += &format!("\n  {} {model}: {status}: {reason}", section.label);
            }
        }
    }
    text
}

/// The table of one sweep for a terminal, with what it needs to be read.
fn terminal_sweep(sweep: &results::Sweep, comparison: &Comparison) -> String {
    let view = SweepView::new(sweep, &comparison.cells, comparison.models());
    let mut text = format!("\nsweep of {}\n  heavy: {}\n", view.title, view.job);
    if !view.remarks.is_empty() {
        text += &format!("    {}\n", view.remarks.join("; "));
    }
    text += &sweep_grid(&view).trim_fmt();
    for sentence in view.crossovers.iter().chain(&view.gaps) {
        text += &format!("\n  {sentence}");
    }
    text
}

fn sweep_grid(view: &SweepView) -> Table {
    let mut table = empty_grid();
    let heads = ["", "model"]
        .into_iter()
        .chain(view.values.iter().map(|value| &**value));
    table.set_header(heads.map(|head| Cell::new(head).add_attribute(Attribute::Bold)));
    for (number, figure) in view.figures.iter().enumerate() {
        if number > 0 {
            table.add_row([""]);
        }
        for (place, row) in figure.rows.iter().enumerate() {
            let name = if place == 0 { figure.name } else { "" };
            let mut cells = vec![Cell::new(name), Cell::new(&row.model)];
            cells.extend(row.texts.iter().map(|text| match text.best {
                true => Cell::new(&text.text).add_attribute(Attribute::Bold),
                false => Cell::new(&text.text),
            }));
            table.add_row(cells);
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn empty_grid() -> Table {
    let mut table = Table::new();
    table
        .load_style(TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─')))
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn grid(view: &tables::Table) -> Table {
    let mut table = empty_grid();
    let heads = std::iter::once("job").chain(Row::HEADS);
    table.set_header(heads.map(|head| Cell::new(head).add_attribute(Attribute::Bold)));
    for (number, section) in view.sections.iter().enumerate() {
        if number > 0 {
            table.add_row([""]);
        }
        for (place, row) in section.rows.iter().enumerate() {
            let label = if place == 0 { &*section.label } else { "" };
            let cell = |text: &str| match row.best {
                true => Cell::new(text).add_attribute(Attribute::Bold),
                false => Cell::new(text),
            };
            let mut cells = vec![Cell::new(label)];
            cells.extend(row.columns().map(cell));
            table.add_row(cells);
        }
    }
    // Figures line up at the right; job, model and notes are text.
    let last = Row::HEADS.len();
    for (at, column) in table.column_iter_mut().enumerate() {
        if (2..last).contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn completion_grid(completion: &CompletionView) -> Table {
    let mut table = empty_grid();
    let bold = |head| Cell::new(head).add_attribute(Attribute::Bold);
    table.set_header(CompletionView::HEADS.map(bold));
    table.add_rows(&completion.rows);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
