//! `cargo xtask report`: the files that are made from the data alone.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::Args;
use comfy_table::{
    Attribute, Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle,
};

use crate::completion::CompletionView;
use crate::results::{Comparison, Directory, safe_name};
use crate::sweep_view::SweepView;
use crate::view::{self, Row, Section};
use crate::{markdown, page, readme, workspace};

/// Makes comparison.md and index.html again, from comparison.json alone.
#[derive(Debug, Args)]
pub struct Options {
    /// The directory under results; the newest, if not given
    #[arg(value_parser = safe_name)]
    name: Option<String>,
    /// Shows the page in a browser
    #[arg(long)]
    open: bool,
    /// Puts the table into README.md as well
    #[arg(long)]
    readme: bool,
    /// Where results are, for tests
    #[arg(long, hide = true)]
    output: Option<std::path::PathBuf>,
}

/// Reports.
///
/// # Errors
///
/// When there are no results, or the files cannot be written.
pub fn report(options: &Options) -> anyhow::Result<()> {
    let root = workspace::root();
    let results = options.output.as_deref().unwrap_or(&root).join("results");
    let directory = match &options.name {
        Some(name) => Directory::open(results.join(name))?,
        None => Directory::latest(&results)?,
    };
    let comparison = directory.read()?;
    write_texts(&directory, &comparison)?;
    if options.readme {
        readme::update(&root.join("README.md"), &comparison)?;
    }
    let page = directory.path().join(Directory::PAGE);
    crate::print(&page.display().to_string());
    if options.open {
        open(&page)?;
    }
    Ok(())
}

/// Writes all three files. The page comes last: it stands for them.
///
/// # Errors
///
/// When they cannot be written.
pub fn write(directory: &Directory, comparison: &Comparison) -> anyhow::Result<()> {
    directory.write(comparison)?;
    write_texts(directory, comparison)
}

fn write_texts(directory: &Directory, comparison: &Comparison) -> anyhow::Result<()> {
    directory.write_text(Directory::MARKDOWN, &markdown::document(comparison))?;
    directory.write_text(Directory::PAGE, &page::page(comparison)?)
}

/// The table of one workload for a terminal, with what it needs to be read.
pub fn terminal(comparison: &Comparison, workload: &str) -> String {
    let view = view::table(comparison, workload);
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

/// The table of one sweep for a terminal, with what it needs to be read; nothing
/// if it has no points.
pub fn terminal_sweep(
    comparison: &Comparison,
    workload: &str,
    key: &str,
    cores: Option<usize>,
) -> String {
    let mut sweeps = comparison.sweeps.iter();
    let sweep = sweeps.find(|sweep| {
        (&*sweep.workload, &*sweep.key, sweep.cores) == (workload, key, cores) //
    });
    let Some(sweep) = sweep else {
        return String::new();
    };
    let view = SweepView::new(sweep, &comparison.cells);
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

fn grid(view: &view::Table) -> Table {
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

fn open(page: &Path) -> anyhow::Result<()> {
    let opener = match cfg!(target_os = "macos") {
        true => "open",
        false => "xdg-open",
    };
    let status = Command::new(opener)
        .arg(page)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {opener}"))?;
    ensure!(status.success(), "{opener}: {status}");
    Ok(())
}
