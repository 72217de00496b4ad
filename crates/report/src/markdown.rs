//! The tables as Markdown: `comparison.md`, and the README's.

use std::fmt::{Display, Write};

use results::Comparison;
use suite::Preset;

use crate::format::memory;
use crate::tables;
use crate::tables::completion::CompletionView;
use crate::tables::sweep;
use crate::tables::sweep::{RULE, SweepView};
use crate::tables::{Row, Section};

/// `comparison.md`.
pub fn document(comparison: &Comparison) -> String {
    let mut text = Text::default();
    let run = &comparison.run;
    text.line(format_args!("# Comparison {}\n", escape(&run.name)));
    if run.interrupted {
        text.line("**Interrupted: this is what had been measured until then.**\n");
    }
    text.line(format_args!(
        "{}, mode {}, revision `{}`, seed {}, {} worker threads, downloads into {}.\n",
        escape(&run.started),
        escape(&run.mode),
        code(&run.revision),
        run.seed,
        run.threads,
        escape(&run.scratch)
    ));
    text.line(format_args!("{}\n", escape(&machine(comparison))));
    if let Some(neighbours) = &run.neighbours {
        let words = escape(&neighbours.words());
        text.line(format_args!("Neighbours: {words}.\n"));
    }
    for note in &run.notes {
        text.line(format_args!("- {}", escape(note)));
    }
    for finding in crate::words::findings(comparison) {
        text.line(format_args!("\n## {}\n", escape(&finding.title)));
        for line in &finding.lines {
            text.line(format_args!("- {}", escape(line)));
        }
    }
    for table in tables::tables(comparison) {
        text.line(format_args!("\n## {}\n", escape(&table.workload)));
        text.line(format_args!("{}\n", escape(&table.about)));
        for Section {
            label,
            job,
            remarks,
            ..
        } in &table.sections
        {
            let remarks: String = remarks.iter().map(|remark| format!("; {remark}")).collect();
            text.line(format_args!(
                "- {}: `{}`{}",
                escape(label),
                code(job),
                escape(&remarks)
            ));
        }
        text.line(format_args!("\n| job | {} |", Row::HEADS.join(" | ")));
        text.line(format_args!(
            "|---|---|{}---|",
            "--:|".repeat(Row::HEADS.len() - 2)
        ));
        for section in &table.sections {
            for row in &section.rows {
                let figures = row.columns().map(escape).join(" | ");
                text.line(format_args!("| {} | {figures} |", escape(&section.label)));
            }
        }
        if let Some(completion) = &table.completion {
            text.completion(completion);
        }
        for section in &table.sections {
            for row in &section.rows {
                if let Some(reason) = &row.reason {
                    text.line(format_args!(
                        "\n{} {}, {}: {}",
                        escape(&section.label),
                        escape(&row.model),
                        row.status,
                        escape(reason)
                    ));
                }
            }
        }
    }
    for sweep in sweep::sweeps(comparison) {
        text.sweep(&sweep);
    }
    text.line("\n## Versions\n");
    for (library, version) in &comparison.versions {
        text.line(format_args!("- {}: {}", escape(library), escape(version)));
    }
    text.0
}

/// The README's table: a row a heavy job, a column a model; the time, and
/// beneath it the peak memory.
pub fn overview(comparison: &Comparison) -> String {
    let models: Vec<_> = comparison
        .run
        .models
        .iter()
        .map(|model| escape(model))
        .collect();
    let mut text = Text::default();
    text.line(format_args!("| | {} |", models.join(" | ")));
    text.line(format_args!("|---|{}", "--:|".repeat(models.len())));
    for table in tables::tables(comparison) {
        let heavy = |section: &&Section| section.preset == Preset::Heavy.name();
        for section in table.sections.iter().filter(heavy) {
            let figures = comparison.run.models.iter().map(|model| {
                let row = section.rows.iter().find(|row| row.model == *model)?;
                Some(match (row.ok, row.best) {
                    (false, _) => row.status.to_owned(),
                    (true, true) => format!("**{}**<br>{}", row.time, row.memory),
                    (true, false) => format!("{}<br>{}", row.time, row.memory),
                })
            });
            let figures: Vec<_> = figures
                .map(|figure| figure.unwrap_or_else(|| tables::NONE.to_owned()))
                .collect();
            text.line(format_args!(
                "| {} {} | {} |",
                escape(&table.workload),
                escape(&section.label),
                figures.join(" | ")
            ));
        }
    }
    text.line(format_args!(
        "\nTime of one job on a started model (median), and beneath it the peak memory of the \
         whole process tree. {}, {}; revision `{:.12}`.",
        escape(&machine(comparison)),
        escape(comparison.run.started.split(' ').next().unwrap_or_default()),
        code(&comparison.run.revision),
    ));
    text.0
}

/// The machine in one line.
pub fn machine(comparison: &Comparison) -> String {
    let host = &comparison.host;
    format!(
        "{}, {} cores, {}, {}, Linux {}",
        host.cpu,
        host.cores,
        memory(host.memory),
        host.os,
        host.kernel
    )
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    /// The times of a job's items: a row a model.
    fn completion(&mut self, completion: &CompletionView) {
        let CompletionView { title, clock, rows } = completion;
        self.line(format_args!("\n**{title}**, {clock}.\n"));
        let heads = CompletionView::HEADS;
        self.line(format_args!("| {} |", heads.join(" | ")));
        let figures = "--:|".repeat(heads.len() - 2);
        self.line(format_args!("|---|---|{figures}"));
        for row in rows {
            let texts: Vec<_> = row.iter().map(|text| escape(text)).collect();
            self.line(format_args!("| {} |", texts.join(" | ")));
        }
    }

    /// A sweep: a row a model, a column a value.
    fn sweep(&mut self, sweep: &SweepView) {
        let remarks = sweep.remarks.iter().map(|remark| format!("; {remark}"));
        self.line(format_args!("\n## Sweep of {}\n", escape(&sweep.title)));
        self.line(format_args!(
            "- heavy: `{}`{}",
            code(&sweep.job),
            escape(&remarks.collect::<String>())
        ));
        let heads: Vec<_> = sweep.values.iter().map(|value| escape(value)).collect();
        self.line(format_args!("\n| | model | {} |", heads.join(" | ")));
        self.line(format_args!("|---|---|{}", "--:|".repeat(heads.len())));
        for figure in &sweep.figures {
            for row in &figure.rows {
                let texts = row.texts.iter().map(|text| match text.best {
                    true => format!("**{}**", escape(&text.text)),
                    false => escape(&text.text),
                });
                let texts: Vec<_> = texts.collect();
                self.line(format_args!(
                    "| {} | {} | {} |",
                    figure.name,
                    escape(&row.model),
                    texts.join(" | ")
                ));
            }
        }
        self.line(format_args!("\n{RULE}\n"));
        for crossover in &sweep.crossovers {
            self.line(format_args!("- {}", escape(crossover)));
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
