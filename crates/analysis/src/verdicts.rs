//! Which model is faster than which at a job.

use results::{Cell, JobVerdicts, Judged, MIN_ROUNDS, Pair};

use crate::bootstrap::Rounds;
use crate::statistics::{median, rounds_agree};
use crate::{Rules, bootstrap, holm};

/// Tests `pairs` of `cells`, by their indices, together. `None` where no cell has a
/// time.
pub fn job_verdicts(cells: &[Cell], pairs: &[(usize, usize)], rules: Rules) -> Option<JobVerdicts> {
    let first = cells.first()?;
    let timed = timed(cells);
    let drifting = timed.iter().filter(|(_, rounds)| drifts(rounds));
    Some(JobVerdicts {
        workload: first.workload.clone(),
        preset: first.preset.clone(),
        label: first.label.clone(),
        rounds: timed.first().map(|(_, rounds)| rounds.len())?,
        pairs: judged_pairs(cells, pairs, rules),
        drifting: drifting.map(|&(at, _)| cells[at].model.clone()).collect(),
    })
}

/// Every model's cell against each one after it. Custom commands are left out, as their
/// times include the start of a process; and times that are mostly the reading of the
/// clock.
pub fn all_pairs(cells: &[Cell]) -> Vec<(usize, usize)> {
    let models = || (0..cells.len()).filter(|&at| is_judged(&cells[at]));
    let after = |one| {
        let others = models().filter(move |&other| other > one);
        others.map(move |other| (one, other))
    };
    models().flat_map(after).collect()
}

/// Tests `pairs` of `cells`, by their indices, together, as far as both have a time;
/// none where there were too few rounds.
pub(crate) fn judged_pairs(cells: &[Cell], pairs: &[(usize, usize)], rules: Rules) -> Vec<Pair> {
    let timed = timed(cells);
    if timed.iter().any(|(_, rounds)| rounds.len() < MIN_ROUNDS) {
        return Vec::new();
    }
    let place = |cell: usize| timed.iter().position(|&(at, _)| at == cell);
    let pairs: Vec<_> = pairs
        .iter()
        .filter_map(|&(one, other)| place(one).zip(place(other)))
        .collect();
    let rounds: Vec<_> = timed.iter().map(|(_, rounds)| rounds.clone()).collect();
    let estimates = bootstrap::paired(&rounds, &pairs, rules.seed);
    let judged = holm::judge(&estimates, rules.equivalence);
    let model = |place: usize| cells[timed[place].0].model.clone();
    let pair = |(judged, &(one, other)): (Judged, &(usize, usize))| Pair {
        model: model(one),
        other: model(other),
        judged,
    };
    judged.into_iter().zip(&pairs).map(pair).collect()
}

/// How far the widest interval of all pairs of models goes to each side, as a factor
/// less 1: at the level that the first of them is judged at, whatever the others come
/// to. Of a model alone, that of its own time. `None` with too few rounds.
///
/// It says how much is known, and nothing of what: more rounds can be asked for by it
/// without bending the verdicts.
pub fn widest_interval(cells: &[Cell], seed: u64) -> Option<f64> {
    let timed = timed(cells);
    let enough = |(_, rounds): &(usize, Rounds)| rounds.len() >= MIN_ROUNDS;
    let models: Vec<_> = timed
        .into_iter()
        .filter(|&(at, _)| is_judged(&cells[at]))
        .filter(enough)
        .map(|(_, rounds)| rounds)
        .collect();
    let last = models.len().checked_sub(1)?;
    let estimates = if last == 0 {
        vec![bootstrap::single(&models[0], seed)]
    } else {
        let pairs = (0..last).flat_map(|one| (one + 1..=last).map(move |other| (one, other)));
        bootstrap::paired(&models, &pairs.collect::<Vec<_>>(), seed)
    };
    let off = holm::widest(&estimates);
    off.map(f64::exp_m1)
}

/// Whether a cell takes part in verdicts.
fn is_judged(cell: &Cell) -> bool {
    cell.is_job_time() && !cell.mostly_clock
}

/// The rounds of the cells that have a time, as many as all of them have: an
/// interruption comes in the middle of a round.
fn timed(cells: &[Cell]) -> Vec<(usize, Rounds<'_>)> {
    let mut timed: Vec<_> = cells
        .iter()
        .enumerate()
        .filter_map(|(at, cell)| Some((at, bootstrap::rounds(cell.time.as_ref()?)?)))
        .collect();
    let common = timed.iter().map(|(_, rounds)| rounds.len()).min();
    for (_, rounds) in &mut timed {
        rounds.truncate(common.unwrap_or(0));
    }
    timed
}

/// How often equal rounds are called different.
const SIGNIFICANCE: f64 = 0.01;

/// The slowest round's median by the fastest one's, less one, from which on
/// rounds disagree. Any two processes differ by a little, which no more samples
/// within them would hide.
const APART: f64 = 0.1;

/// Whether rounds disagree: by more than their samples' spread allows, and by
/// enough to matter.
fn drifts(rounds: &Rounds) -> bool {
    let medians = rounds.iter().filter_map(|round| median(round));
    let slowest = medians.clone().fold(0.0, f64::max);
    let fastest = medians.fold(f64::INFINITY, f64::min);
    let apart = slowest / fastest - 1.0 > APART;
    apart && rounds_agree(rounds).is_some_and(|p_value| p_value < SIGNIFICANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_that_disagree_drift() {
        let round = |median: f64| [median * 0.999, median, median * 1.001];
        let drift = |medians: [f64; 5]| {
            let rounds = medians.map(round);
            drifts(&rounds.iter().map(|round| &round[..]).collect())
        };
        assert!(drift([1.0, 1.3, 0.9, 1.2, 1.1]));
        // Surely not the same, and near enough.
        assert!(!drift([1.0, 1.01, 0.99, 1.02, 1.03]));
        // Far apart, as its samples are.
        let wide = [[1.0, 1.2, 1.5], [1.1, 1.35, 1.4], [1.05, 1.3, 1.6]];
        assert!(!drifts(&wide.iter().map(|round| &round[..]).collect()));
    }
}
