//! Tables that are no wider than a terminal.

use std::ops::Range;

use console::{measure_text_width, truncate_str};

use crate::distinct::distinct;
use crate::format::NONE;
use crate::table::Table;

/// Spaces of each column: one on both sides, and one between it and the next. The last
/// one has another, and so has the line beneath the heads.
const AROUND: usize = 3;

/// The least that is left of a text that is cut short.
const SHORTEST: usize = 8;

/// How many columns of a terminal a table takes.
fn width(table: &Table) -> usize {
    let columns = 0..table.heads.len();
    let columns = columns.map(|column| widest(table, column) + AROUND);
    columns.sum::<usize>() + 1
}

fn widest(table: &Table, column: usize) -> usize {
    let texts = table.rows().map(|row| &*row.texts[column].text);
    let texts = texts.chain([&*table.heads[column].text]);
    texts.map(measure_text_width).max().unwrap_or_default()
}

/// Drops columns, empty ones and then the least important ones first, until the table is no
/// wider than `columns`; then cuts words short. Returns the heads of the dropped columns that
/// had figures.
pub(crate) fn fit(table: &mut Table, columns: usize) -> Vec<String> {
    let mut gone = Vec::new();
    while width(table) > columns {
        let heads = table.heads.iter().enumerate();
        let least = heads
            .filter_map(|(at, head)| Some((has_figures(table, at), head.importance?, at)))
            .min();
        let Some((has_figures, _, at)) = least else {
            cut_short(table, columns);
            break;
        };
        let head = table.heads.remove(at);
        gone.extend(has_figures.then_some(head.text));
        for row in table.groups.iter_mut().flatten() {
            row.texts.remove(at);
        }
    }
    gone
}

/// Whether anything stands in a column.
fn has_figures(table: &Table, column: usize) -> bool {
    let mut texts = table.rows().map(|row| &*row.texts[column].text);
    texts.any(|text| ![NONE, ""].contains(&text))
}

/// Cuts the words of the first columns short, the widest first.
fn cut_short(table: &mut Table, columns: usize) {
    let is_text = |at: &usize| table.heads[*at].is_text;
    let mut words: Vec<usize> = (0..table.heads.len()).filter(is_text).collect();
    words.sort_by_key(|&at| std::cmp::Reverse(widest(table, at)));
    for at in words {
        let over = width(table).saturating_sub(columns);
        let most = widest(table, at).saturating_sub(over).max(SHORTEST);
        for row in table.groups.iter_mut().flatten() {
            let text = &mut row.texts[at].text;
            *text = truncate_str(text, most, "…").into_owned();
        }
    }
}

/// The table in parts that are no wider than `columns`: each has the first `kept` columns,
/// and as many others as fit.
pub(crate) fn parts(table: &Table, kept: usize, columns: usize) -> Vec<Table> {
    let mut parts = Vec::new();
    let mut from = kept;
    while from < table.heads.len() {
        let fits = |to: &usize| width(&table.with(kept, from..*to)) <= columns;
        let more = (from + 2..=table.heads.len()).take_while(fits).last();
        let to = more.unwrap_or(from + 1);
        let mut part = table.with(kept, from..to);
        cut_short(&mut part, columns);
        parts.push(part);
        from = to;
    }
    parts
}

impl Table {
    /// The first `kept` columns, and those of `others`.
    fn with(&self, kept: usize, others: Range<usize>) -> Self {
        let is_in = |at: usize| at < kept || others.contains(&at);
        let mut part = self.clone();
        retain(&mut part.heads, is_in);
        for row in part.groups.iter_mut().flatten() {
            retain(&mut row.texts, is_in);
        }
        part
    }
}

fn retain<T>(items: &mut Vec<T>, is_in: impl Fn(usize) -> bool) {
    let mut at = 0..;
    items.retain(|_| at.next().is_some_and(&is_in));
}

/// What is said of columns that were dropped from tables.
pub(crate) fn gone_words(gone: impl IntoIterator<Item = String>, columns: usize) -> String {
    let gone = distinct(gone);
    if gone.is_empty() {
        return String::new();
    }
    format!(
        "\nnot shown in {columns} columns: {}; the page and comparison.md have them\n",
        gone.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Row;

    fn table() -> Table {
        let row = ["a long job", "1.00 ms", "2", "333"];
        let mut table = Table::new(["job", "time", "±", "CPU"], 1, false);
        table.groups = vec![vec![Row {
            texts: row.map(Into::into).into(),
            best: false,
        }]];
        table.heads[2].importance = Some(2);
        table.heads[3].importance = Some(1);
        table
    }

    #[test]
    fn the_least_important_goes_first_and_then_words_are_cut() {
        for (columns, gone, job) in [
            (34, &[][..], "a long job"),
            (33, &["CPU"], "a long job"),
            (27, &["CPU", "±"], "a long job"),
            (23, &["CPU", "±"], "a long j…"),
        ] {
            let mut table = table();
            assert_eq!(fit(&mut table, columns), gone, "{columns}");
            let text = &table.groups[0][0].texts[0].text;
            assert_eq!((text.as_str(), table.heads.len()), (job, 4 - gone.len()));
            assert!(width(&table) <= columns);
        }
    }

    #[test]
    fn parts_have_every_column_once() {
        let heads = |table: &Table| {
            let heads = table.heads.iter().map(|head| head.text.clone());
            heads.collect::<Vec<_>>().join(" ")
        };
        let of = |columns| {
            parts(&table(), 1, columns)
                .iter()
                .map(heads)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(34), ["job time ± CPU"]);
        assert_eq!(of(28), ["job time ±", "job CPU"]);
        assert_eq!(of(1), ["job time", "job ±", "job CPU"]);
    }
}
