//! `cargo xtask compare --self-check`: the comparison checks itself.
//!
//! Every model takes part twice, as two contestants with the same programs. A
//! difference found between the two is an error of the comparison or of the machine.
//! A comparison that finds nothing would pass that, so a third copy of the first model
//! has [`SLOWED_BY`] times the work in the one job that only computes, and this has to
//! be found.

use results::{Cell, JobVerdicts, Pair, SelfCheck, Slowed};

use crate::{Rules, verdicts};

/// How many times the work the slowed copy has.
pub const SLOWED_BY: f64 = 1.05;

/// What follows a model's name in its second contestant's.
pub const TWIN: &str = "#2";

/// What follows it in that of the one that has more to do.
pub const SLOWED: &str = "#slowed";

/// Each copy with this suffix, and its original, by their indices.
fn copies(cells: &[Cell], suffix: &str) -> Vec<(usize, usize)> {
    let original = |(copy, cell): (usize, &Cell)| {
        let model = cell.model.strip_suffix(suffix)?;
        let original = cells.iter().position(|cell| cell.model == model)?;
        Some((copy, original))
    };
    cells.iter().enumerate().filter_map(original).collect()
}

/// Tests `cells`, all of one job: each model against its copy, all of these together.
/// The slowed copy is tested apart.
pub fn add(check: &mut SelfCheck, cells: &[Cell], rules: Rules) -> Option<JobVerdicts> {
    let own = verdicts::job_verdicts(cells, &copies(cells, TWIN), rules)?;
    let different = |pair: &&Pair| pair.judged.verdict.is_difference();
    check.pairs += own.pairs.len();
    check.different += own.pairs.iter().filter(different).count();
    check.share = check.different as f64 / check.pairs.max(1) as f64;
    let slowed = verdicts::judged_pairs(cells, &copies(cells, SLOWED), rules);
    if let Some(pair) = slowed.into_iter().next() {
        check.slowed = Some(Slowed {
            workload: own.workload.clone(),
            label: own.label.clone(),
            by: SLOWED_BY,
            pair,
        });
    }
    Some(own)
}
