//! Which of several differences are shown, judged together.

use results::{Judged, Verdict};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::bootstrap::{Estimate, Estimates};

/// The probability that of all comparisons judged together even one is called a
/// difference and is none: the family-wise error rate.
const ERROR: f64 = 0.05;

/// Where intervals end, as a logarithm: a factor of half a billion says that
/// nothing is known, and 0 or infinity could not be kept.
const FARTHEST: f64 = 20.0;

/// What verdicts depend on besides the samples.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// What the resamples are drawn from.
    pub seed: u64,
    /// Up to which part above 1 a ratio is equivalent.
    pub equivalence: f64,
}

/// Tests all of `estimates` together.
///
/// By S. Holm, *A Simple Sequentially Rejective Multiple Test Procedure*, 1979:
/// the smallest p-value of n is tested at 5 % / n, the next at 5 % / (n - 1), and from
/// the first that is not significant on, none is. Each interval has the level that its
/// ratio was tested at, and decides the verdict: see [`Verdict::of`].
pub(crate) fn judge(estimates: &[Estimates], equivalence: f64) -> Vec<Judged> {
    let mut order: Vec<(f64, usize)> = estimates
        .iter()
        .enumerate()
        .map(|(at, estimate)| (estimate.p_value(), at))
        .collect();
    order.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut judged = Vec::with_capacity(order.len());
    let mut level = ERROR;
    let mut rejected = true;
    for (place, (p_value, at)) in order.into_iter().enumerate() {
        if rejected {
            level = ERROR / (estimates.len() - place) as f64;
            rejected = p_value <= level;
        }
        judged.push((at, estimates[at].judged(level, equivalence)));
    }
    judged.sort_by_key(|&(at, _)| at);
    judged.into_iter().map(|(_, judged)| judged).collect()
}

/// How far the widest interval of `estimates` goes to each side, as a logarithm, each at
/// the level that Holm's procedure begins with.
pub(crate) fn widest(estimates: &[Estimates]) -> Option<f64> {
    let level = ERROR / estimates.len() as f64;
    let both = estimates.iter().flat_map(|of| [of.medians, of.rounds]);
    let off = both.map(|estimate| estimate.off(level));
    off.max_by(f64::total_cmp)
}

impl Estimates {
    /// Only what both show is shown.
    fn p_value(self) -> f64 {
        self.medians.p_value().max(self.rounds.p_value())
    }

    /// With an interval that has both in it.
    fn judged(self, level: f64, equivalence: f64) -> Judged {
        let both = [self.medians, self.rounds];
        let low = both.map(|of| of.ratio - of.off(level));
        let high = both.map(|of| of.ratio + of.off(level));
        let (low, high) = (low[0].min(low[1]).exp(), high[0].max(high[1]).exp());
        Judged {
            ratio: five_digits(self.medians.ratio.exp()),
            low: five_digits(low),
            high: five_digits(high),
            verdict: Verdict::of(low, high, equivalence),
        }
    }
}

impl Estimate {
    /// The probability of a ratio as far from 1 as this, if there were no
    /// difference.
    fn p_value(self) -> f64 {
        if self.error > 0.0 {
            2.0 * self.student().sf(self.ratio.abs() / self.error)
        } else if self.ratio == 0.0 {
            1.0
        } else {
            0.0
        }
    }

    /// How far its interval goes to each side.
    fn off(self, level: f64) -> f64 {
        let off = self.error * self.student().inverse_cdf(1.0 - level / 2.0);
        off.min(FARTHEST)
    }

    fn student(self) -> StudentsT {
        StudentsT::new(0.0, 1.0, self.freedom).expect("there are five rounds at least")
    }
}

/// More would fill the results and add nothing.
fn five_digits(value: f64) -> f64 {
    let shift = 10f64.powi(4 - value.log10().floor() as i32);
    (value * shift).round() / shift
}

#[cfg(test)]
mod tests {
    use results::Time;

    use super::*;
    use crate::bootstrap::{Rounds, paired, quick_median, rounds, unpaired};
    use crate::statistics::median;

    /// A simulated comparison: every model's rounds scatter about its median by
    /// `between`, and a round's ten samples by `within`, with a long tail.
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

    /// In how many of `trials` comparisons of models with these medians something is
    /// called a difference, however small.
    fn different(trials: u64, medians: &[f64], rounds: usize) -> u64 {
        let mut random = fastrand::Rng::with_seed(1979);
        let pairs: Vec<_> = (0..medians.len())
            .flat_map(|one| (0..one).map(move |other| (one, other)))
            .collect();
        let finds_one = |seed: &u64| {
            let cells = made_up(&mut random, medians, rounds);
            let estimates = paired(&borrowed(&cells), &pairs, *seed);
            let judged = judge(&estimates, 0.1);
            judged.iter().any(|judged| judged.verdict.is_difference())
        };
        (0..trials).filter(finds_one).count() as u64
    }

    #[test]
    fn what_is_the_same_is_seldom_called_different() {
        // A pair alone, and 15 pairs together: in 5 % of all comparisons at most.
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
        let paired = judge(&paired(&cells, &[(0, 1)], 1), 0.1)[0];
        assert_eq!(paired.verdict, Verdict::Slower, "{paired:?}");
        assert!((paired.ratio - 1.05).abs() < 1e-9, "{paired:?}");
        assert!(1.04 < paired.low && paired.high < 1.06, "{paired:?}");
        // From one run to another it does not.
        let apart = judge(&[unpaired(&cells[0], &cells[1], 1)], 0.1)[0];
        assert_eq!(apart.verdict, Verdict::CannotTell, "{apart:?}");
    }

    #[test]
    fn the_levels_are_holms() {
        // With four degrees of freedom, of a standard error of 1 %.
        let estimate = |ratio: f64| {
            let medians = Estimate {
                ratio,
                error: 0.01,
                freedom: 4.0,
            };
            Estimates {
                medians,
                rounds: medians,
            }
        };
        // Student's quantiles from tables: 4.604 at 1 % and 2.776 at 5 %, on both
        // sides. So a ratio of 4 % stands alone, and not as one of five; but once
        // the other four are told apart, it is the last one again.
        let verdicts = |ratios: &[f64]| -> Vec<Verdict> {
            let estimates: Vec<_> = ratios.iter().map(|&ratio| estimate(ratio)).collect();
            let judged = judge(&estimates, 1.0);
            judged.into_iter().map(|judged| judged.verdict).collect()
        };
        use Verdict::{Faster, NoDifference, Slower};
        assert_eq!(verdicts(&[0.04]), [Slower]);
        assert_eq!(verdicts(&[0.0, 0.04, 0.0, 0.0, 0.0]), [NoDifference; 5]);
        assert_eq!(
            verdicts(&[-0.9, 0.04, 0.9, 0.9, 0.9]),
            [Faster, Slower, Slower, Slower, Slower]
        );
        let alone = judge(&[estimate(0.0)], 0.1)[0];
        assert!((alone.high.ln() - 0.02776).abs() < 1e-4, "{alone:?}");
        let of_five = judge(&[estimate(0.0); 5], 0.1)[0];
        assert!((of_five.high.ln() - 0.04604).abs() < 1e-4, "{of_five:?}");
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
