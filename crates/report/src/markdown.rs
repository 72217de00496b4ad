//! The tables as Markdown: `comparison.md`, and the README's.

use std::fmt::{Display, Write};

use results::Comparison;
use suite::Preset;

use crate::distinct::distinct;
use crate::findings::claims;
use crate::format::{NONE, memory};
use crate::metrics::{MEMORY, TIME};
use crate::table::Table;
use crate::tables;
use crate::tables::TimesTable;
use crate::tables::sweep::{self, RULE, SweepTable};
use crate::tables::{ModelRow, Section};

/// `comparison.md`.
pub fn document(comparison: &Comparison) -> String {
    let mut text = Text::default();
    let run = &comparison.run;
    text.line(format_args!("# Comparison {}\n", escape(&run.name)));
    if run.interrupted {
        text.line("**Interrupted: this is what had been measured until then.**\n");
    }
    let nodes = run.cluster.map(|nodes| format!(", {}", nodes.words()));
    text.line(format_args!(
        "{}, mode {}, revision `{}`, seed {}, {} worker threads{}, downloads into {}.\n",
        escape(&run.started),
        escape(&run.mode),
        code(&run.revision),
        run.seed,
        run.threads,
        nodes.unwrap_or_default(),
        escape(&run.scratch)
    ));
    text.line(format_args!("{}\n", escape(&machine(comparison))));
    if let Some(load) = &run.background_load {
        let words = escape(&load.words());
        text.line(format_args!("Background load: {words}.\n"));
    }
    for note in &run.notes {
        text.item(note);
    }
    for summary in crate::words::summaries_with_claims(comparison) {
        text.line(format_args!("\n## {}\n", escape(&summary.title)));
        for line in &summary.lines {
            text.item(line);
        }
    }
    for workload in tables::tables(comparison) {
        text.line(format_args!("\n## {}\n", escape(workload.workload)));
        text.line(format_args!("{}\n", escape(&workload.about)));
        for section in &workload.sections {
            text.job(section.label, &section.job, &section.remarks);
        }
        text.line("");
        text.table(&workload.table());
        for TimesTable {
            title,
            about,
            table,
        } in &workload.times
        {
            text.line(format_args!("\n**{title}**, {about}.\n"));
            text.table(table);
        }
        for (label, row, reason) in workload.reasons() {
            text.line(format_args!(
                "\n{} {}, {}: {}",
                escape(label),
                escape(&row.cell.model),
                row.status(),
                escape(reason)
            ));
        }
    }
    for sweep in sweep::sweeps(comparison) {
        text.sweep(&sweep);
    }
    text.line("\n## Versions\n");
    for (what, version) in comparison.versions.iter().chain(&comparison.build) {
        text.line(format_args!("- {}: {}", escape(what), escape(version)));
    }
    text.0
}

/// The README's table: a row a heavy job without its variants, a column a model; the time,
/// and beneath it the peak memory. With Python, a row every job, a column more each of its
/// contestants, and the article's claims.
pub fn overview(comparison: &Comparison) -> String {
    let in_python = comparison
        .cells
        .iter()
        .filter(|cell| cell.python.is_some())
        .map(|cell| cell.model.as_str());
    let in_python = distinct(in_python);
    let models = comparison.run.models.iter().map(String::as_str);
    let columns: Vec<_> = models.chain(in_python.iter().copied()).collect();
    let heads: Vec<_> = columns.iter().map(|name| escape(name)).collect();
    let mut text = Text::default();
    text.line(format_args!("| | {} |", heads.join(" | ")));
    text.line(format_args!("|---|{}", "--:|".repeat(columns.len())));
    for table in tables::tables(comparison) {
        let is_shown =
            |section: &&Section| section.label == Preset::Heavy.name() || !in_python.is_empty();
        for section in table.sections.iter().filter(is_shown) {
            let figures = columns.iter().map(|name| {
                let mut rows = section.models.iter();
                let row = rows.find(|row| row.cell.model == *name);
                row.map_or_else(|| NONE.to_owned(), time_and_memory)
            });
            let figures: Vec<_> = figures.collect();
            let divisor = section.models.iter().map(|row| row.cell.divisor).max();
            let part = match divisor {
                Some(divisor) if divisor > 1 => format!(", 1/{divisor} of it"),
                _ => String::new(),
            };
            text.line(format_args!(
                "| {} {}{part} | {} |",
                escape(table.workload),
                escape(section.label),
                figures.join(" | ")
            ));
        }
    }
    text.line(format_args!(
        "\nTime of one job on a started model (median), and beneath it the peak memory of the \
         whole process tree. Bold: no model is shown to be faster, and no verdict among the \
         first is open. {}, {}; revision `{:.12}`.",
        escape(&machine(comparison)),
        escape(comparison.run.started.split(' ').next().unwrap_or_default()),
        code(&comparison.run.revision),
    ));
    if let Some(claims) = claims::summary(comparison) {
        text.line(format_args!("\n{}:\n", escape(&claims.title)));
        for line in &claims.lines {
            text.item(line);
        }
    }
    text.0
}

fn time_and_memory(row: &ModelRow) -> String {
    let (time, memory) = (row.text(TIME.name), row.text(MEMORY.name));
    if !row.is_ok() {
        row.status().to_owned()
    } else if row.best {
        format!("**{time}**<br>{memory}")
    } else {
        format!("{time}<br>{memory}")
    }
}

/// The machine in one line.
pub(crate) fn machine(comparison: &Comparison) -> String {
    let host = &comparison.host;
    format!(
        "{}, {}, {}, {}, Linux {}",
        host.cpu,
        host.cores_words(),
        memory(host.memory),
        host.os,
        host.kernel
    )
}

/// Markdown in the making.
#[derive(Default)]
pub(crate) struct Text(pub(crate) String);

impl Text {
    pub(crate) fn line(&mut self, line: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    /// A job's parameters, and what to know of it.
    fn job(&mut self, label: &str, job: &str, remarks: &[String]) {
        let remarks: String = remarks.iter().map(|remark| format!("; {remark}")).collect();
        let (label, job, remarks) = (escape(label), code(job), escape(&remarks));
        self.line(format_args!("- {label}: `{job}`{remarks}"));
    }

    /// One of a list.
    pub(crate) fn item(&mut self, text: &str) {
        self.line(format_args!("- {}", escape(text)));
    }

    pub(crate) fn table(&mut self, table: &Table) {
        let heads: Vec<_> = table.heads.iter().map(|head| escape(&head.text)).collect();
        self.line(format_args!("| {} |", heads.join(" | ")));
        let rule = |is_text| if is_text { "---|" } else { "--:|" };
        let rules: String = table.heads.iter().map(|head| rule(head.is_text)).collect();
        self.line(format_args!("|{rules}"));
        for row in table.rows() {
            let texts = row.texts.iter().map(|text| {
                let escaped = escape(&text.text);
                if text.best {
                    format!("**{escaped}**")
                } else {
                    escaped
                }
            });
            let texts: Vec<_> = texts.collect();
            self.line(format_args!("| {} |", texts.join(" | ")));
        }
    }

    fn sweep(&mut self, sweep: &SweepTable) {
        self.line(format_args!("\n## Sweep of {}\n", escape(&sweep.title)));
        self.job("heavy", &sweep.job, &sweep.remarks);
        self.line("");
        self.table(&sweep.table);
        self.line(format_args!("\n{RULE}\n"));
        for crossover in &sweep.crossovers {
            self.item(crossover);
        }
        for gap in &sweep.gaps {
            self.line(format_args!("\n{}", escape(gap)));
        }
    }
}

/// Text from outside, kept from being Markdown or HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Text from outside within backticks, in a line or a table.
fn code(text: &str) -> String {
    text.replace(['`', '|', '\n'], " ")
}
