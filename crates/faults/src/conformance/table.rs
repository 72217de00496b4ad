//! The tables of how the cases came out.

use comfy_table::Cell;

use crate::conformance::run::Matrix;
use crate::run::Verdict;
use crate::table::{failed, with_heads};

/// The table for a terminal, and what went wrong.
pub fn terminal(matrix: &Matrix) -> String {
    let heads = ["section", "case", "what is right"];
    let mut table = with_heads(&heads, &matrix.models);
    for (case, verdicts) in &matrix.rows {
        let mut cells = [case.section, case.what, case.right]
            .map(Cell::new)
            .to_vec();
        cells.extend(Matrix::marks(verdicts).map(|mark| mark.cell()));
        table.add_row(cells);
    }
    let mut text = table.trim_fmt();
    for (case, verdicts) in &matrix.rows {
        for (model, verdict) in matrix.models.iter().zip(verdicts) {
            match verdict {
                Verdict::Pass => {}
                Verdict::Fail(failure) => {
                    let title = format!("{} ({}): {}", case.name, case.section, case.right);
                    text += &failed(model, &title, failure);
                }
                Verdict::NotRun(why) => {
                    text += &format!("\n\nNOT RUN {model}: {}: {why}", case.name);
                }
            }
        }
    }
    let took = matrix.took.as_secs_f64();
    format!("{text}\n\n{}, in {took:.0} s", summary(matrix))
}

/// The table as Markdown.
pub fn markdown(matrix: &Matrix) -> String {
    let models = &matrix.models;
    let mut text = format!(
        "| section | case | what is right | {} |\n|---|---|---|{}\n",
        models.join(" | "),
        "---|".repeat(models.len())
    );
    for (case, verdicts) in &matrix.rows {
        let marks: Vec<_> = Matrix::marks(verdicts)
            .map(|mark| mark.markdown())
            .collect();
        text += &format!(
            "| {} | {} | {} | {} |\n",
            case.section,
            case.what,
            case.right,
            marks.join(" | ")
        );
    }
    text + &format!("\n{}.\n", summary(matrix))
}

fn summary(matrix: &Matrix) -> String {
    let [passed, failed, not_run] = matrix.counts();
    format!(
        "{} cases in {} models: {passed} passed, {failed} failed, {not_run} not run",
        matrix.rows.len(),
        matrix.models.len()
    )
}
