//! Criterion's index of its pages, put right.

use std::fs;
use std::path::Path;

use anyhow::Context;
use results::write_whole;

const ROW_END: &str = "</tr>";
const CELL: &str = "<td>";

/// Gives every row of the tables in Criterion's index at `path` a place for each model.
/// Criterion leaves a model out that has no page at a value, and what follows moves to the
/// left, beneath another model's name.
///
/// # Errors
///
/// When the file cannot be read or written.
pub(crate) fn fill(path: &Path) -> anyhow::Result<()> {
    let index =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    write_whole(path, &filled(&index))
}

fn filled(index: &str) -> String {
    let mut filled = String::with_capacity(index.len());
    let mut models: Vec<&str> = Vec::new();
    for row in index.split_inclusive(ROW_END) {
        let (row, end) = match row.strip_suffix(ROW_END) {
            Some(row) => (row, ROW_END),
            None => (row, ""),
        };
        let Some((before, cells)) = row.split_once(CELL) else {
            // The heads of a table; the text after the last one has no row.
            models = row.split("<th>").skip(2).map(text).collect();
            filled += row;
            filled += end;
            continue;
        };
        filled += before;
        let mut cells = cells.split(CELL).peekable();
        for model in &models {
            let is_of = |cell: &&str| linked_model(cell) == Some(model);
            let cell = cells.next_if(is_of).unwrap_or("</td>");
            filled += CELL;
            filled += cell;
        }
        for rest in cells {
            filled += CELL;
            filled += rest;
        }
        filled += end;
    }
    filled
}

/// The text of a cell, which may be a link.
fn text(cell: &str) -> &str {
    let cell = cell.trim_start();
    let text = match cell.starts_with("<a ") {
        true => cell.split_once('>').map_or("", |(_, text)| text),
        false => cell,
    };
    text.split('<').next().unwrap_or_default().trim()
}

/// The model of a page that a cell links to: `../GROUP/MODEL/VALUE/report/index.html`.
fn linked_model(cell: &str) -> Option<&str> {
    let (_, link) = cell.split_once("href=\"")?;
    link.split('/').nth(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_without_a_page_leaves_its_place() {
        let head = |model: &str| {
            format!("<th><a href=\"../g/{model}/report/index.html\">{model}</a></th>")
        };
        let cell = |model: &str, value: u32| {
            format!(
                "<td><a href=\"../g/{model}/{value}/report/index.html\">g/{model}/{value}</a></td>"
            )
        };
        let table = |rows: [&str; 2]| {
            let heads = format!("<tr><th></th>{}<th>b</th>{}</tr>", head("a"), head("c"));
            let [one, two] = rows.map(|row| format!("<tr><th>1</th>{row}</tr>"));
            format!("<ul><table>{heads}{one}{two}</table></ul>")
        };
        let row = |models: &[&str]| {
            let cells = models.iter().map(|model| match *model {
                "" => "<td></td>".to_owned(),
                model => cell(model, 1),
            });
            cells.collect::<String>()
        };
        let shifted = table([&row(&["a", "c"]), &row(&["b"])]);
        let right = table([&row(&["a", "", "c"]), &row(&["", "b", ""])]);
        let whole = table([&row(&["a", "b", "c"]), &row(&["a", "b", "c"])]);
        let found = filled(&format!("{shifted}{whole}"));
        assert_eq!(found, format!("{right}{whole}"));
    }
}
