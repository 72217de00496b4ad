//! `cargo xtask read`: one workload in two models, side by side.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::Args;
use console::{Style, measure_text_width, truncate_str};
use lab::progress::print;
use lab::{models, workspace};
use report::diff::{Step, steps};
use report::highlight::RustCode;
use suite::Workload;

/// Shows a workload's file of two models side by side.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which workload
    workload: Workload,
    /// The model on the left
    left: String,
    /// The model on the right
    right: String,
}

/// The width where there is no terminal to fit: two columns of 80.
const WIDTH: usize = 165;

/// Shows both.
pub(crate) fn read(options: &Options) -> anyhow::Result<()> {
    let root = workspace::root()?;
    let models = models::models(&root)?;
    for model in [&options.left, &options.right] {
        models::find(&models, "model", model)?;
    }
    let width = match console::Term::stdout().size_checked() {
        Some((_, columns)) => usize::from(columns),
        None => WIDTH,
    };
    let text = |model: &str| -> anyhow::Result<(String, String)> {
        let path = workspace::source(&root, model, options.workload.name());
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.strip_prefix(&root).unwrap_or(Path::new(model));
        let lines = match RustCode::of(&text) {
            Some(code) => format!("{} lines of code", code.lines()),
            None => "not Rust".to_owned(),
        };
        let name = format!("{}: {lines}", name.display());
        Ok((name, text.replace('\t', "    ")))
    };
    let (left_name, left) = text(&options.left)?;
    let (right_name, right) = text(&options.right)?;
    let mut lines = vec![joined(
        (&left_name, &right_name),
        ' ',
        width,
        &Style::new().bold(),
    )];
    lines.extend(side_by_side(&left, &right, width));
    print(&lines.join("\n"));
    Ok(())
}

/// Both texts in columns, the same lines level with each other. The sign between them
/// says what a line is from left to right: `<` removed, `>` added, `|` changed.
fn side_by_side(left: &str, right: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let steps = steps(left, right);
    let (mut left, mut right) = (left.lines(), right.lines());
    for step in steps {
        let (from_left, from_right) = match step {
            Step::Same(number) => (number, number),
            Step::Other(gone, new) => (gone, new),
        };
        for at in 0..from_left.max(from_right) {
            let one = (at < from_left).then(|| left.next()).flatten();
            let other = (at < from_right).then(|| right.next()).flatten();
            let (mark, style) = match (step, one, other) {
                (Step::Same(_), ..) => (' ', Style::new()),
                (_, Some(_), Some(_)) => ('|', Style::new().yellow()),
                (_, Some(_), None) => ('<', Style::new().red()),
                (_, None, _) => ('>', Style::new().green()),
            };
            let text = (one.unwrap_or(""), other.unwrap_or(""));
            lines.push(joined(text, mark, width, &style));
        }
    }
    lines
}

fn joined((left, right): (&str, &str), mark: char, width: usize, style: &Style) -> String {
    const BETWEEN: usize = 3;
    const NARROWEST: usize = 10;
    let column = (width.saturating_sub(BETWEEN) / 2).max(NARROWEST);
    let left = truncate_str(left, column, "…");
    let right = truncate_str(right, column, "…");
    let gap = " ".repeat(column.saturating_sub(measure_text_width(&left)));
    let line = format!(
        "{}{gap} {mark} {}",
        style.apply_to(left),
        style.apply_to(right)
    );
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_stands_level() {
        console::set_colors_enabled(false);
        let lines = side_by_side("a\nb\nc\nd\n", "a\nB\nd\ne\n", 23);
        assert_eq!(
            lines,
            [
                "a            a",
                "b          | B",
                "c          <",
                "d            d",
                "           > e",
            ]
        );
    }

    #[test]
    fn long_and_wide_lines_keep_to_their_column() {
        console::set_colors_enabled(false);
        for width in [0, 20, 23, 80] {
            for line in side_by_side(&"×".repeat(500), &"→日本".repeat(500), width) {
                assert!(
                    measure_text_width(&line) <= width.max(23),
                    "{width}: {line}"
                );
            }
        }
    }
}
