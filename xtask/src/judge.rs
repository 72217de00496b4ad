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

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::results::Time;
use crate::statistics::median;
use crate::units::three_digits;

/// Fewer rounds than this give no verdict: their own scatter is not known well
/// enough to tell a difference from it.
pub const LEAST_ROUNDS: usize = 5;

/// A difference of less than this part does not matter, unless another is set.
pub const LEAST_DIFFERENCE: f64 = 0.02;

/// The chance that of all that are judged together even one is called different
/// and is not.
const ERROR: f64 = 0.05;

/// Where intervals end, as a logarithm: a factor of half a milliard says that
/// nothing is known, and 0 or infinity could not be kept.
const FARTHEST: f64 = 20.0;

/// Standard errors come out within 3 % of what infinitely many would give.
const RESAMPLES: usize = 500;

/// What it is that verdicts hang on, beside the samples.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// What the resamples are drawn from.
    pub seed: u64,
    /// The least difference that matters, as a part.
    pub least: f64,
}

/// How one time is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Shorter.
    Faster,
    /// Longer.
    Slower,
    /// Not shown to be different, or not by enough to matter.
    #[serde(rename = "no difference")]
    NoDifference,
}

/// What came of a comparison of two times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The one's median by the other's.
    pub ratio: f64,
    /// From here ...
    pub low: f64,
    /// ... to here is its interval: of 95 %, and wider where others were judged
    /// together with it.
    pub high: f64,
    /// What that means.
    pub verdict: Verdict,
}

impl Judged {
    /// `1.08 times slower [1.05, 1.11]`.
    pub fn words(&self) -> String {
        let Self {
            ratio, low, high, ..
        } = *self;
        let range = |low, high| format!("[{}, {}]", three_digits(low), three_digits(high));
        match self.verdict {
            Verdict::Slower => {
                format!("{} times slower {}", three_digits(ratio), range(low, high))
            }
            Verdict::Faster => {
                let times = three_digits(1.0 / ratio);
                format!("{times} times faster {}", range(1.0 / high, 1.0 / low))
            }
            Verdict::NoDifference => {
                let ratio = three_digits(ratio);
                format!("no difference, {ratio} {}", range(low, high))
            }
        }
    }
}

/// One cell's samples, round by round.
pub type Rounds<'a> = Vec<&'a [f64]>;

/// The samples of `time` by its rounds. `None` if the two do not fit together or
/// a sample is no time: an earlier run's come from a file.
pub fn rounds(time: &Time) -> Option<Rounds<'_>> {
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

/// A ratio of medians and how far it may be off, in natural logarithms.
#[derive(Debug, Clone, Copy)]
pub struct Estimate {
    ratio: f64,
    error: f64,
    freedom: f64,
}

/// The ratios of `pairs` of cells that were measured in the same rounds, as many
/// of each and [`LEAST_ROUNDS`] at least.
pub fn side_by_side(cells: &[Rounds], pairs: &[(usize, usize)], seed: u64) -> Vec<Estimate> {
    let mut random = fastrand::Rng::with_seed(seed);
    let drawn = resample(cells, &mut random);
    let medians: Vec<f64> = cells.iter().map(|cell| log_median(cell)).collect();
    let estimate = |&(one, other): &(usize, usize)| {
        let rounds = cells[one].len() as f64;
        let ratios = drawn[one].iter().zip(&drawn[other]).map(|(a, b)| a - b);
        Estimate {
            ratio: medians[one] - medians[other],
            error: standard_error(ratios.collect(), rounds),
            freedom: rounds - 1.0,
        }
    };
    pairs.iter().map(estimate).collect()
}

/// The ratio of two cells that were measured in rounds of their own,
/// [`LEAST_ROUNDS`] each at least. The degrees of freedom are those of B. L. Welch,
/// *The Generalization of Student's Problem*, 1947.
pub fn run_to_run(one: &Rounds, other: &Rounds, seed: u64) -> Estimate {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut error = |cell: &Rounds| {
        let mut drawn = resample(std::slice::from_ref(cell), &mut random);
        standard_error(drawn.swap_remove(0), cell.len() as f64)
    };
    let (a, b) = (error(one).powi(2), error(other).powi(2));
    let part = |square: f64, rounds: usize| square.powi(2) / (rounds as f64 - 1.0);
    let parts = part(a, one.len()) + part(b, other.len());
    Estimate {
        ratio: log_median(one) - log_median(other),
        error: (a + b).sqrt(),
        freedom: match parts {
            parts if parts > 0.0 => (a + b).powi(2) / parts,
            // Nothing varies, so any number does.
            _ => (one.len() + other.len()) as f64 - 2.0,
        },
    }
}

/// Judges all of `estimates` together, and none as different that is so by less
/// than the part `least`.
///
/// By S. Holm, *A Simple Sequentially Rejective Multiple Test Procedure*, 1979:
/// the likeliest difference of n has to stand a test at 5 % / n, the next one at
/// 5 % / (n - 1), and with the first that does not stand it, none after it does.
/// Each interval is of the level that its ratio was tested at, so that it is the
/// interval that shows the verdict.
pub fn judge(estimates: &[Estimate], least: f64) -> Vec<Judged> {
    let mut order: Vec<(f64, usize)> = estimates
        .iter()
        .enumerate()
        .map(|(at, estimate)| (estimate.chance(), at))
        .collect();
    order.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut judged = Vec::with_capacity(order.len());
    let mut level = ERROR;
    let mut stands = true;
    for (place, (chance, at)) in order.into_iter().enumerate() {
        if stands {
            level = ERROR / (estimates.len() - place) as f64;
            stands = chance <= level;
        }
        judged.push((at, estimates[at].judged(level, stands, least)));
    }
    judged.sort_by_key(|&(at, _)| at);
    judged.into_iter().map(|(_, judged)| judged).collect()
}

impl Estimate {
    /// The probability of a ratio as far from 1 as this, if there were no
    /// difference.
    fn chance(self) -> f64 {
        match (self.error > 0.0, self.ratio == 0.0) {
            (true, _) => 2.0 * self.student().sf(self.ratio.abs() / self.error),
            (false, true) => 1.0,
            (false, false) => 0.0,
        }
    }

    fn judged(self, level: f64, stands: bool, least: f64) -> Judged {
        let off = self.error * self.student().inverse_cdf(1.0 - level / 2.0);
        let off = off.min(FARTHEST);
        Judged {
            ratio: five_digits(self.ratio.exp()),
            low: five_digits((self.ratio - off).exp()),
            high: five_digits((self.ratio + off).exp()),
            verdict: match self.ratio {
                ratio if !stands || ratio.abs() < least.ln_1p() => Verdict::NoDifference,
                ratio if ratio < 0.0 => Verdict::Faster,
                _ => Verdict::Slower,
            },
        }
    }

    fn student(self) -> StudentsT {
        StudentsT::new(0.0, 1.0, self.freedom).expect("there are five rounds at least")
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
fn quick_median(values: &mut [f64]) -> f64 {
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

/// The standard deviation of what resamples gave. Drawing from so few rounds as
/// there were makes the variance too small by one part in them (Hesterberg, as above), so
/// that much is added.
fn standard_error(drawn: Vec<f64>, rounds: f64) -> f64 {
    let number = drawn.len() as f64;
    let mean = drawn.iter().sum::<f64>() / number;
    let squares: f64 = drawn.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (number - 1.0) * rounds / (rounds - 1.0)).sqrt()
}

/// More would fill the results, and tell nothing.
fn five_digits(value: f64) -> f64 {
    let shift = 10f64.powi(4 - value.log10().floor() as i32);
    (value * shift).round() / shift
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A contest that was made up: every model's rounds scatter about its median
    /// by `between`, and a round's ten samples by `within`, with a long tail.
    fn made_up(random: &mut fastrand::Rng, medians: &[f64], rounds: usize) -> Vec<Vec<Vec<f64>>> {
        let (between, within) = (0.03, 0.02);
        let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        let mut cell = |&median: &f64| {
            let mut round = |_| {
                let of_round = median * (between * normal()).exp();
                let mut sample = |_| of_round * (1.0 + within * normal().abs());
                (0..10).map(&mut sample).collect()
            };
            (0..rounds).map(&mut round).collect()
        };
        medians.iter().map(&mut cell).collect()
    }

    fn borrowed(cells: &[Vec<Vec<f64>>]) -> Vec<Rounds<'_>> {
        let rounds = cells.iter().map(|cell| cell.iter().map(|round| &round[..]));
        rounds.map(Iterator::collect).collect()
    }

    /// In how many of `contests` between models of these medians something is
    /// called a difference, however small.
    fn different(contests: u64, medians: &[f64], rounds: usize) -> u64 {
        let mut random = fastrand::Rng::with_seed(1979);
        let pairs: Vec<_> = (0..medians.len())
            .flat_map(|one| (0..one).map(move |other| (one, other)))
            .collect();
        let contest = |seed: &u64| {
            let cells = made_up(&mut random, medians, rounds);
            let estimates = side_by_side(&borrowed(&cells), &pairs, *seed);
            let judged = judge(&estimates, 0.0);
            judged
                .iter()
                .any(|judged| judged.verdict != Verdict::NoDifference)
        };
        (0..contests).filter(contest).count() as u64
    }

    #[test]
    fn what_is_the_same_is_seldom_called_different() {
        // A pair alone, and 15 pairs together: in 5 % of all contests at most.
        let alone = different(300, &[1e6, 1e6], 5);
        assert!(alone <= 15, "{alone}");
        let together = different(100, &[1e6; 6], 5);
        assert!(together <= 5, "{together}");
    }

    #[test]
    fn what_differs_is_called_different() {
        // By three times what a round scatters, or with more rounds by one.
        let clearly = different(100, &[1.1e6, 1e6], 5);
        assert!(clearly >= 90, "{clearly}");
        let patiently = different(50, &[1.03e6, 1e6], 30);
        assert!(patiently >= 40, "{patiently}");
    }

    #[test]
    fn what_slows_a_whole_round_down_cancels_out() {
        let slow = [1.0, 1.4, 0.9, 1.2, 1.1];
        let cell = |median: f64| -> Vec<Vec<f64>> {
            let of_round = |by: f64| (0..10).map(move |n| median * by * (1.0 + 1e-3 * n as f64));
            slow.iter().map(|&by| of_round(by).collect()).collect()
        };
        let cells = [cell(1.05e6), cell(1e6)];
        let cells = borrowed(&cells);
        let paired = judge(&side_by_side(&cells, &[(0, 1)], 1), 0.02)[0];
        assert_eq!(paired.verdict, Verdict::Slower, "{paired:?}");
        assert!((paired.ratio - 1.05).abs() < 1e-9, "{paired:?}");
        assert!(1.04 < paired.low && paired.high < 1.06, "{paired:?}");
        // From one run to another it does not.
        let apart = judge(&[run_to_run(&cells[0], &cells[1], 1)], 0.02)[0];
        assert_eq!(apart.verdict, Verdict::NoDifference, "{apart:?}");
    }

    #[test]
    fn the_levels_are_holms() {
        // With four degrees of freedom, of a standard error of 1 %.
        let estimate = |ratio: f64| Estimate {
            ratio,
            error: 0.01,
            freedom: 4.0,
        };
        // Student's quantiles from tables: 4.604 at 1 % and 2.776 at 5 %, on both
        // sides. So a ratio of 4 % stands alone, and not as one of five; but once
        // the other four are told apart, it is the last one again.
        let verdicts = |ratios: &[f64]| -> Vec<Verdict> {
            let estimates: Vec<_> = ratios.iter().map(|&ratio| estimate(ratio)).collect();
            let judged = judge(&estimates, 0.0);
            judged.into_iter().map(|judged| judged.verdict).collect()
        };
        use Verdict::{Faster, NoDifference, Slower};
        assert_eq!(verdicts(&[0.04]), [Slower]);
        assert_eq!(verdicts(&[0.0, 0.04, 0.0, 0.0, 0.0]), [NoDifference; 5]);
        assert_eq!(
            verdicts(&[-0.9, 0.04, 0.9, 0.9, 0.9]),
            [Faster, Slower, Slower, Slower, Slower]
        );
        let alone = judge(&[estimate(0.0)], 0.0)[0];
        assert!((alone.high.ln() - 0.02776).abs() < 1e-4, "{alone:?}");
        let of_five = judge(&[estimate(0.0); 5], 0.0)[0];
        assert!((of_five.high.ln() - 0.04604).abs() < 1e-4, "{of_five:?}");
        // However sure, what is too small to matter is no difference.
        let small = judge(&[estimate(0.04)], 0.05)[0];
        assert_eq!(small.verdict, NoDifference);
        assert!(small.low > 1.0);
    }

    #[test]
    fn verdicts_in_words() {
        let judged = |ratio: f64, verdict| Judged {
            ratio,
            low: ratio - 0.03,
            high: ratio + 0.03,
            verdict,
        };
        let slower = judged(1.08, Verdict::Slower).words();
        assert_eq!(slower, "1.08 times slower [1.05, 1.11]");
        let faster = judged(0.5, Verdict::Faster).words();
        assert_eq!(faster, "2.00 times faster [1.89, 2.13]");
        let same = judged(1.0, Verdict::NoDifference).words();
        assert_eq!(same, "no difference, 1.00 [0.97, 1.03]");
    }

    #[test]
    fn rounds_have_to_fit_their_samples() {
        let time = |samples_ns: &[f64], rounds: &[usize]| Time {
            median_ns: 1.0,
            low_ns: 1.0,
            high_ns: 1.0,
            samples_ns: samples_ns.to_vec(),
            rounds: rounds.to_vec(),
        };
        let good = time(&[1.0, 2.0, 3.0], &[2, 1]);
        assert_eq!(rounds(&good), Some(vec![&[1.0, 2.0][..], &[3.0]]));
        for (samples, numbers) in [
            (&[1.0, 2.0][..], &[3][..]),
            (&[1.0, 2.0], &[1]),
            (&[1.0, 2.0], &[2, 0]),
            (&[1.0, 0.0], &[2]),
            (&[1.0, f64::NAN], &[2]),
        ] {
            assert_eq!(rounds(&time(samples, numbers)), None, "{samples:?}");
        }
    }

    #[test]
    fn medians_are_the_same_however_found() {
        let mut random = fastrand::Rng::with_seed(50);
        for length in 1..50 {
            let mut values: Vec<f64> = (0..length).map(|_| random.f64()).collect();
            let slow = median(&values);
            assert_eq!(Some(quick_median(&mut values)), slow, "{length}");
        }
        assert_eq!(five_digits(1.083_456_7), 1.0835);
        assert_eq!(five_digits(0.000_012_345_67), 0.000_012_346);
    }
}
