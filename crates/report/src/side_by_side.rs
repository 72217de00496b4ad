//! Two texts side by side, for a terminal.

use console::{Style, measure_text_width, truncate_str};

use crate::diff::{Step, steps};

/// Two texts, each after its title, in columns that take `width` columns of a terminal
/// together, the same lines level with each other. The sign between them says what a
/// line is from left to right: `<` removed, `>` added, `|` changed.
pub fn side_by_side(
    (left_title, left): (&str, &str),
    (right_title, right): (&str, &str),
    width: usize,
) -> Vec<String> {
    let titles = (left_title, right_title);
    let mut lines = vec![joined(titles, ' ', width, &Style::new().bold())];
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
        let lines = side_by_side(("one", "a\nb\nc\nd\n"), ("other", "a\nB\nd\ne\n"), 23);
        assert_eq!(
            lines,
            [
                "one          other",
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
            let (left, right) = ("×".repeat(500), "→日本".repeat(500));
            for line in side_by_side(("one", &left), ("other", &right), width) {
                assert!(
                    measure_text_width(&line) <= width.max(23),
                    "{width}: {line}"
                );
            }
        }
    }
}
