//! `cargo xtask report`: the files that are made from the data alone.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use clap::Args;
use comfy_table::{
    Attribute, Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle,
};

use crate::child::Stopped;
use crate::completion::CompletionView;
use crate::interrupt::Interrupt;
use crate::lock::Lock;
use crate::results::{Comparison, Directory, safe_name};
use crate::serve::Server;
use crate::sweep_view::SweepView;
use crate::view::{self, Row, Section};
use crate::{markdown, page, readme, replay, workspace};

/// Makes comparison.md and index.html again, from comparison.json alone.
#[derive(Debug, Args)]
pub struct Options {
    /// The directory under results; the newest, if not given
    #[arg(value_parser = safe_name)]
    name: Option<String>,
    /// Shows the page in a browser
    #[arg(long)]
    open: bool,
    /// Serves results and Criterion's pages on the loopback interface, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// The port to serve on; a free one, if not given
    #[arg(
        long,
        requires = "serve",
        default_value_t = 0,
        hide_default_value = true
    )]
    port: u16,
    /// Makes Criterion's pages from these data first, instead of those there are
    #[arg(long)]
    criterion: bool,
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
    let output = options.output.as_deref().unwrap_or(&root);
    let directory = Directory::named(&output.join("results"), options.name.as_deref())?;
    let comparison = directory.read()?;
    if options.criterion {
        make_criterion_pages(&directory, output)?;
    }
    write_texts(&directory, &comparison)?;
    if options.readme {
        readme::update(&root.join("README.md"), &comparison)?;
    }
    let page = directory.path().join(Directory::PAGE);
    if options.serve {
        return serve(&directory, output, options);
    }
    crate::print(&page.display().to_string());
    if options.open {
        open(page.as_os_str())?;
    }
    Ok(())
}

fn serve(directory: &Directory, output: &Path, options: &Options) -> anyhow::Result<()> {
    let interrupt = Interrupt::install().context("cannot notice Ctrl-C")?;
    let server = Server::bind(output, options.port)?;
    let name = directory.path().file_name().unwrap_or_default();
    let url = server.url(&format!("results/{}/{}", name.display(), Directory::PAGE));
    crate::print(&url);
    if options.open {
        open(url.as_ref())?;
    }
    server.run(&interrupt)
}

fn make_criterion_pages(directory: &Directory, output: &Path) -> anyhow::Result<()> {
    let target = output.join("target");
    std::fs::create_dir_all(&target)
        .with_context(|| format!("cannot make {}", target.display()))?;
    // A comparison makes its own there when it is done.
    let _lock = Lock::acquire(&target.join("paces.lock"))?;
    let interrupt = Interrupt::install().context("cannot notice Ctrl-C")?;
    match replay::make(directory, &target.join("criterion"), &interrupt) {
        Ok(()) => Ok(()),
        Err(Stopped::Failed(error)) => Err(error.context("Criterion's pages could not be made")),
        Err(Stopped::Interrupted) => bail!("interrupted: Criterion's pages are not made"),
        Err(Stopped::Overtime(limit)) => bail!("Criterion's pages took more than {limit:?}"),
    }
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
    let page = page::page_at(comparison, Some(directory.path()))?;
    directory.write_text(Directory::PAGE, &page)
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

fn open(page: &OsStr) -> anyhow::Result<()> {
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
