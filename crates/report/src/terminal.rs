//! Tables for a terminal.

use comfy_table::{
    Attribute, Cell, CellAlignment, ContentArrangement, LineStyle, Table as Grid, TableStyle,
};
use results::{Agreement, Comparison, JobAgreement, Resources};

use crate::fit::{fit, gone_words, parts};
use crate::format::{NONE, count, memory, three_digits, time};
use crate::metrics::NOTES;
use crate::table::{Row, Table, Text};
use crate::tables;
use crate::tables::TimesTable;
use crate::tables::WorkloadTables;
use crate::tables::sweep::{self, SweepTable};
use crate::words;

/// The width of tables where there is no terminal.
pub const COLUMNS: usize = 100;

/// How many columns what is printed may have: what the variable `COLUMNS` says, or what the
/// terminal has. In a pipe or a file they are `otherwise`.
pub fn columns(otherwise: usize) -> usize {
    let set = std::env::var("COLUMNS").ok();
    let set = set.and_then(|columns| columns.parse().ok());
    let terminal = || Some(usize::from(console::Term::stdout().size_checked()?.1));
    let known = set.or_else(terminal).filter(|&columns| columns > 0);
    known.unwrap_or(otherwise)
}

/// All tables of a comparison for a terminal with this number of columns, with what they
/// need to be read: the workloads', then the sweeps'.
pub fn tables(comparison: &Comparison, columns: usize) -> String {
    let mut gone = Vec::new();
    let workloads = tables::tables(comparison).into_iter();
    let workloads = workloads.map(|tables| {
        let (text, without) = workload(&tables, columns);
        gone.extend(without);
        text
    });
    let workloads: Vec<String> = workloads.collect();
    let sweeps = sweep::sweeps(comparison).into_iter();
    let sweeps = sweeps.map(|sweep| of_sweep(&sweep, columns));
    let texts: Vec<_> = workloads.into_iter().chain(sweeps).collect();
    texts.join("\n") + &gone_words(gone, columns)
}

/// How far two comparisons of these names agree: a row for each job, and beneath them
/// the pairs whose verdict is opposite, and what could not be compared.
pub fn agreement(agreement: &Agreement, [first, second]: [&str; 2], columns: usize) -> String {
    let heads = ["workload", "job", "pairs", "opposite", "ratios differ by"];
    let mut table = Table::new(heads, 2, false);
    let same_workload = |one: &JobAgreement, other: &JobAgreement| one.workload == other.workload;
    for jobs in agreement.jobs.chunk_by(same_workload) {
        let rows = jobs.iter().map(|job| {
            let texts = [
                job.workload.clone(),
                job.label.clone(),
                job.pairs.len().to_string(),
                job.opposite().count().to_string(),
                three_digits(job.factor),
            ];
            Row {
                texts: texts.map(Text::from).into(),
                best: false,
            }
        });
        table.groups.push(rows.collect());
    }
    fit(&mut table, columns);
    let mut lines = vec![grid(&table)];
    for job in &agreement.jobs {
        lines.extend(job.opposite().map(|pair| {
            format!(
                "{} {}: {} to {}: {} in {first}, {} in {second}",
                job.workload,
                job.label,
                pair.model,
                pair.other,
                words::judged(&pair.first),
                words::judged(&pair.second)
            )
        }));
    }
    lines.extend(agreement.left_out.iter().cloned());
    lines.push(format!(
        "{} of {} pairs opposite",
        agreement.opposite(),
        agreement.pairs()
    ));
    lines.join("\n")
}

/// One workload's tables, and the heads of the columns that were dropped.
fn workload(tables: &WorkloadTables, columns: usize) -> (String, Vec<String>) {
    let mut text = format!("\n{}: {}\n", tables.workload, tables.about);
    for section in &tables.sections {
        text += &format!("  {}: {}\n", section.label, section.job);
    }
    let mut table = tables.table();
    let mut gone = fit(&mut table, columns);
    text += &grid(&table);
    for section in &tables.sections {
        text += &remarks(section.label, &section.remarks);
    }
    // These are no loss: they stand below.
    if let Some(notes) = gone.iter().position(|head| head == NOTES) {
        gone.remove(notes);
        for (label, row) in tables.rows() {
            let notes = Some(row.text(NOTES)).filter(|notes| !notes.is_empty());
            text += &remarks(&format!("{label} {}", row.cell.model), notes);
        }
    }
    for TimesTable {
        title,
        about,
        table,
    } in &tables.times
    {
        let mut table = table.clone();
        gone.extend(fit(&mut table, columns));
        text += &format!("\n\n  {title}, {about}\n{}", grid(&table));
    }
    for (label, row, reason) in tables.reasons() {
        let model = &row.cell.model;
        text += &format!("\n  {label} {model}: {}: {reason}", row.status());
    }
    (text, gone)
}

fn of_sweep(sweep: &SweepTable, columns: usize) -> String {
    let mut text = format!("\nsweep of {}\n  heavy: {}\n", sweep.title, sweep.job);
    let parts = parts(&sweep.table, 2, columns);
    let parts: Vec<String> = parts.iter().map(grid).collect();
    text += &parts.join("\n\n");
    text += &remarks("heavy", &sweep.remarks);
    for sentence in sweep.crossovers.iter().chain(&sweep.gaps) {
        text += &format!("\n  {sentence}");
    }
    text
}

/// Beneath a table, what to know of `of`.
fn remarks(of: &str, remarks: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let remarks: Vec<_> = remarks.into_iter().collect();
    let remarks: Vec<&str> = remarks.iter().map(AsRef::as_ref).collect();
    if remarks.is_empty() {
        return String::new();
    }
    format!("\n  {of}: {}", remarks.join("; "))
}

/// What a group is about stands in its first row alone.
pub(crate) fn grid(table: &Table) -> String {
    let bold = |text: &str, is_bold: bool| {
        if is_bold {
            Cell::new(text).add_attribute(Attribute::Bold)
        } else {
            Cell::new(text)
        }
    };
    let mut grid = Grid::new();
    if !console::colors_enabled() {
        grid.force_no_tty(); // a pipe, a dumb terminal, or NO_COLOR
    }
    grid.load_style(TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─')))
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(table.heads.iter().map(|head| bold(&head.text, true)));
    for (number, group) in table.groups.iter().enumerate() {
        if number > 0 {
            grid.add_row([""]);
        }
        for (place, Row { texts, best }) in group.iter().enumerate() {
            grid.add_row(texts.iter().enumerate().map(|(column, text)| match column {
                0 if place > 0 => bold("", false),
                0 => bold(&text.text, false),
                _ => bold(&text.text, *best || text.best),
            }));
        }
    }
    for (column, head) in grid.column_iter_mut().zip(&table.heads) {
        if !head.is_text {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    grid.trim_fmt()
}

/// The figures of one program, a line each; and how many processes it has left behind,
/// if any.
pub fn resources(command: &str, figures: &Resources, left_behind: usize) -> String {
    let or_none = |figure: Option<String>| figure.unwrap_or_else(|| NONE.to_owned());
    let duration = |ns: Option<u64>| or_none(ns.map(|ns| time(ns as f64)));
    let number = |figure: Option<u64>| or_none(figure.map(count));
    let method = match (figures.peak_memory_bytes, &figures.memory_method) {
        (None, Some(why)) => format!(": {why}"),
        _ => " (sum of PSS)".to_owned(),
    };
    let runs = match figures.runs {
        1 => "1 run".to_owned(),
        runs => format!("{runs} runs"),
    };
    let mut lines = vec![
        command.to_owned(),
        format!("  wall       {}", duration(figures.wall_ns)),
        format!(
            "  CPU        {}: {} user, {} system",
            duration(
                figures
                    .user_ns
                    .zip(figures.system_ns)
                    .map(|(user, system)| user + system)
            ),
            duration(figures.user_ns),
            duration(figures.system_ns)
        ),
        format!(
            "  switches   {} voluntary, {} involuntary",
            number(figures.voluntary_switches),
            number(figures.involuntary_switches)
        ),
        format!(
            "  memory     {}{method}",
            or_none(figures.peak_memory_bytes.map(memory))
        ),
        format!(
            "  + kernel   {}, with page tables, kernel stacks and slab",
            or_none(figures.peak_with_kernel_bytes.map(memory))
        ),
        format!(
            "  high water {}, resident in its first process (VmHWM at the last sample)",
            or_none(figures.own_peak_memory_bytes.map(memory))
        ),
        format!("  threads    {}", number(figures.threads)),
        format!("  processes  {}", number(figures.processes)),
        format!("  from {runs} that are not observed, and as many that are"),
    ];
    if left_behind > 0 {
        lines.push(format!(
            "  It left {left_behind} of its processes behind: they were ended, if they could be, \
             and are not in its CPU time."
        ));
    }
    lines.join("\n")
}
