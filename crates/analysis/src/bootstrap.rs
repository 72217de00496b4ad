//! Whether one time differs from another, or only seems to.
//!
//! Times are compared by the ratio of their medians. How far that may be off is
//! told by a bootstrap that resamples as was measured: rounds with replacement,
//! and within each drawn round its samples, as those of one process are alike
//! (T. Kalibera and R. Jones, *Rigorous Benchmarking in Reasonable Time*, 2013).
//! Models of one comparison took part in the same rounds and get the same ones
//! drawn, so what slowed a whole round down cancels out.
//!
//! Of the resampled ratios' logarithms, the standard deviation alone is used: it
//! is their standard error, for which a few hundred resamples do (B. Efron and
//! R. Tibshirani, *An Introduction to the Bootstrap*, 1993, section 6.4). The
//! interval is Student's, with a degree of freedom less than there are rounds.
//! Percentiles of the resampled ratios would be narrower than they should be
//! with few rounds, and could never lie outside of what five rounds happened to
//! show (T. Hesterberg, *What Teachers Should Know about the Bootstrap*, 2015).
//!
//! A median jumps where rounds are in one of two modes: with half of them in each, it
//! is in the one or the other by chance, and no resample shows it. So everything is
//! asked twice: of the medians of all samples, and of the mean of the rounds' medians
//! (their logarithms). Only what both show is shown, and the interval has both in it.
//! That is an intersection-union test, which is at the level of each of its parts
//! (R. Berger, *Multiparameter Hypothesis Testing and Acceptance Sampling*, 1982).

use results::Time;

use crate::statistics::median;

/// Standard errors come out within 3 % of what infinitely many would give.
const RESAMPLES: usize = 500;

/// One cell's samples, round by round.
pub(crate) type Rounds<'a> = Vec<&'a [f64]>;

/// The samples of `time` by its rounds. `None` if the two do not match or a sample
/// is not a positive number: those of an earlier run come from a file.
pub(crate) fn rounds(time: &Time) -> Option<Rounds<'_>> {
    let mut left = &time.samples_ns[..];
    let mut rounds = Vec::with_capacity(time.rounds.len());
    for &number in &time.rounds {
        let (round, rest) = left.split_at_checked(number)?;
        rounds.push(round);
        left = rest;
    }
    let whole = left.is_empty() && rounds.iter().all(|round| !round.is_empty());
    let sane = |ns: &f64| ns.is_finite() && *ns > 0.0;
    (whole && time.samples_ns.iter().all(sane)).then_some(rounds)
}

/// A ratio and how far it may be off, in natural logarithms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimate {
    /// The logarithm of the ratio.
    pub(crate) ratio: f64,
    /// Its standard error.
    pub(crate) error: f64,
    /// Degrees of freedom of that.
    pub(crate) freedom: f64,
}

/// The ratio of two cells' times, by both ways.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimates {
    /// Of the medians of all samples.
    pub(crate) medians: Estimate,
    /// Of the means of the rounds' medians.
    pub(crate) rounds: Estimate,
}

/// The ratios of `pairs` of cells that were measured in the same rounds, as many
/// of each and [`results::MIN_ROUNDS`] at least.
pub(crate) fn paired(cells: &[Rounds], pairs: &[(usize, usize)], seed: u64) -> Vec<Estimates> {
    let mut random = fastrand::Rng::with_seed(seed);
    let drawn = resample(cells, &mut random);
    let medians: Vec<f64> = cells.iter().map(|cell| log_median(cell)).collect();
    let of_rounds: Vec<_> = cells.iter().map(of_rounds).collect();
    let estimate = |&(one, other): &(usize, usize)| {
        let rounds = cells[one].len() as f64;
        let ratios = drawn[one].iter().zip(&drawn[other]).map(|(a, b)| a - b);
        let by_round = of_rounds[one].iter().zip(&of_rounds[other]);
        let by_round: Vec<f64> = by_round.map(|(a, b)| a - b).collect();
        Estimates {
            medians: Estimate {
                ratio: medians[one] - medians[other],
                error: standard_error(ratios.collect(), rounds),
                freedom: rounds - 1.0,
            },
            rounds: of_mean(&by_round),
        }
    };
    pairs.iter().map(estimate).collect()
}

/// A cell's own time, for how far it may be off: the ratios are 1.
pub(crate) fn single(cell: &Rounds, seed: u64) -> Estimates {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut drawn = resample(std::slice::from_ref(cell), &mut random);
    let rounds = cell.len() as f64;
    let medians = Estimate {
        ratio: 0.0,
        error: standard_error(drawn.swap_remove(0), rounds),
        freedom: rounds - 1.0,
    };
    Estimates {
        medians,
        rounds: Estimate {
            ratio: 0.0,
            ..of_mean(&of_rounds(cell))
        },
    }
}

/// The ratio of two cells that were measured in rounds of their own,
/// [`results::MIN_ROUNDS`] each at least.
pub(crate) fn unpaired(one: &Rounds, other: &Rounds, seed: u64) -> Estimates {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut median = |cell: &Rounds| {
        let mut drawn = resample(std::slice::from_ref(cell), &mut random);
        let rounds = cell.len() as f64;
        Estimate {
            ratio: log_median(cell),
            error: standard_error(drawn.swap_remove(0), rounds),
            freedom: rounds - 1.0,
        }
    };
    Estimates {
        medians: difference(median(one), median(other)),
        rounds: difference(of_mean(&of_rounds(one)), of_mean(&of_rounds(other))),
    }
}

/// The difference of two that are independent. The degrees of freedom are those of B. L.
/// Welch, *The Generalization of Student's Problem*, 1947.
fn difference(one: Estimate, other: Estimate) -> Estimate {
    let (a, b) = (one.error.powi(2), other.error.powi(2));
    let parts = a.powi(2) / one.freedom + b.powi(2) / other.freedom;
    Estimate {
        ratio: one.ratio - other.ratio,
        error: (a + b).sqrt(),
        freedom: if parts > 0.0 {
            (a + b).powi(2) / parts
        } else {
            // Nothing varies, so any number does.
            one.freedom + other.freedom
        },
    }
}

/// The logarithms of a cell's rounds' medians.
fn of_rounds(cell: &Rounds) -> Vec<f64> {
    let median = |round: &&[f64]| median(round).unwrap_or(f64::NAN).ln();
    cell.iter().map(median).collect()
}

/// Their mean, with its standard error.
fn of_mean(values: &[f64]) -> Estimate {
    let number = values.len() as f64;
    let mean = values.iter().sum::<f64>() / number;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Estimate {
        ratio: mean,
        error: (squares / (number - 1.0) / number).sqrt(),
        freedom: number - 1.0,
    }
}

/// For each cell, the logarithms of its resamples' medians.
fn resample(cells: &[Rounds], random: &mut fastrand::Rng) -> Vec<Vec<f64>> {
    let rounds = cells.first().map_or(0, Vec::len);
    let mut medians = vec![Vec::with_capacity(RESAMPLES); cells.len()];
    let mut drawn = vec![0; rounds];
    let mut samples = Vec::new();
    for _ in 0..RESAMPLES {
        drawn.fill_with(|| random.usize(..rounds));
        for (cell, medians) in cells.iter().zip(&mut medians) {
            samples.clear();
            for &round in &drawn {
                let round = cell[round];
                samples.extend(round.iter().map(|_| round[random.usize(..round.len())]));
            }
            medians.push(quick_median(&mut samples).ln());
        }
    }
    medians
}

/// As [`median`], of some values and without sorting them all: this is done for
/// every resample.
pub(crate) fn quick_median(values: &mut [f64]) -> f64 {
    let even = values.len().is_multiple_of(2);
    let (below, middle, _) = values.select_nth_unstable_by(values.len() / 2, f64::total_cmp);
    match below.iter().copied().max_by(f64::total_cmp) {
        Some(lower) if even => (lower + *middle) / 2.0,
        _ => *middle,
    }
}

fn log_median(rounds: &Rounds) -> f64 {
    median(&rounds.concat()).unwrap_or(f64::NAN).ln()
}

/// The standard deviation of the resampled values. Drawing from n rounds makes the
/// variance too small by a factor of (n - 1) / n (Hesterberg, as above), which is
/// corrected.
fn standard_error(drawn: Vec<f64>, rounds: f64) -> f64 {
    let number = drawn.len() as f64;
    let mean = drawn.iter().sum::<f64>() / number;
    let squares: f64 = drawn.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (number - 1.0) * rounds / (rounds - 1.0)).sqrt()
}
