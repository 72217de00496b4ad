//! `cargo xtask compare --self-check`: the comparison, compared with itcheck.
//!
//! Every model takes part twice, as two contestants that are the same programs,
//! through the whole of it: rounds, order, samples, verdicts. Whatever is called
//! a difference between the two is a mistake of the comparison, or of the
//! machine that it ran on. And as one that never finds anything would pass, a
//! third copy of the first model has [`SLOWED_BY`] times the work in the one job
//! that is nothing but computing, which has to be found.

use results::{Cell, JobVerdicts, Pair, SelfCheck, Slowed, Verdict};

use crate::{Rules, verdicts};

/// How many times the work the slowed copy has.
pub const SLOWED_BY: f64 = 1.05;

/// What follows a model's name in its second contestant's.
pub const TWIN: &str = "#2";

/// What follows it in that of the one that has more to do.
pub const SLOWED: &str = "#slowed";

/// Each copy with this mark, and its original, by their indices.
fn copies(cells: &[Cell], mark: &str) -> Vec<(usize, usize)> {
    let original = |(copy, cell): (usize, &Cell)| {
        let model = cell.model.strip_suffix(mark)?;
        let original = cells.iter().position(|cell| cell.model == model)?;
        Some((copy, original))
    };
    cells.iter().enumerate().filter_map(original).collect()
}

/// Judges `cells`, all of one job: each model against itself, all of these
/// together. The slowed copy is a question of its own.
pub fn add(check: &mut SelfCheck, cells: &[Cell], rules: Rules) -> Option<JobVerdicts> {
    let section = verdicts::job_verdicts(cells, &copies(cells, TWIN), rules)?;
    let different = |pair: &&Pair| pair.judged.verdict != Verdict::NoDifference;
    check.pairs += section.pairs.len();
    check.different += section.pairs.iter().filter(different).count();
    check.share = check.different as f64 / check.pairs.max(1) as f64;
    let slowed = verdicts::judged_pairs(cells, &copies(cells, SLOWED), rules);
    if let Some(pair) = slowed.into_iter().next() {
        check.slowed = Some(Slowed {
            workload: section.workload.clone(),
            label: section.label.clone(),
            by: SLOWED_BY,
            pair,
        });
    }
    Some(section)
}
