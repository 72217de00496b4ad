//! The statistics behind the tables. None assumes a distribution: times have a floor
//! and a tail, and are never normal.

use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF, DiscreteCDF};

/// The median, by the rule that Criterion uses too: the middle one, or the mean
/// of the middle two. `None` without any values.
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The median of whole numbers, the lower of the middle two.
pub fn median_count(values: impl IntoIterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.into_iter().collect();
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied()
}

/// A 95 % confidence interval of the median: from the k-th smallest value to
/// the k-th largest.
///
/// How many of n values lie below the true median is binomial, B(n, ½),
/// whatever their distribution. So the interval misses on either side with the
/// probability P(B ≤ k - 1), and k is the largest that keeps this at or below
/// 2.5 %. (J.-Y. Le Boudec, *Performance Evaluation of Computer and
/// Communication Systems*, 2010, theorem 2.1; W. J. Conover, *Practical
/// Nonparametric Statistics*, 3rd ed. 1999, section 3.2.) Fewer than six values
/// have no such interval: then it is all of them, which claims less than 95 %.
pub fn median_interval(values: &[f64]) -> Option<(f64, f64)> {
    let sorted = sorted(values);
    let k = order(sorted.len()).max(1);
    Some((*sorted.get(k - 1)?, *sorted.get(sorted.len() - k)?))
}

/// The probability that rounds come out as different as these, or more, if all
/// their samples were of one distribution. `None` where there is nothing to tell
/// it by: fewer than two rounds, one sample in each, or all the same.
///
/// The rank test of W. Kruskal and W. Wallis, *Use of Ranks in One-Criterion
/// Variance Analysis*, 1952, with their correction for ties and their
/// approximation by χ², which holds from five samples a round on.
pub fn rounds_agree(rounds: &[&[f64]]) -> Option<f64> {
    let samples = rounds.iter().enumerate();
    let mut samples: Vec<(f64, usize)> = samples
        .flat_map(|(round, samples)| samples.iter().map(move |&sample| (sample, round)))
        .collect();
    samples.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let number = samples.len() as f64;
    let mut sums = vec![0.0; rounds.len()];
    let mut tied = 0.0;
    let mut below = 0.0;
    for same in samples.chunk_by(|one, other| one.0 == other.0) {
        let many = same.len() as f64;
        // The mean of the ranks that they share.
        same.iter()
            .for_each(|&(_, round)| sums[round] += below + (many + 1.0) / 2.0);
        tied += many.powi(3) - many;
        below += many;
    }
    let untied = 1.0 - tied / (number.powi(3) - number);
    let squares = sums.iter().zip(rounds);
    let squares: f64 = squares
        .map(|(sum, samples)| sum * sum / samples.len() as f64)
        .sum();
    let h = (12.0 / (number * (number + 1.0)) * squares - 3.0 * (number + 1.0)) / untied;
    let told = rounds.len() >= 2 && samples.len() > rounds.len() && untied > 0.0;
    let freedom = told.then_some(rounds.len() as f64 - 1.0)?;
    Some(ChiSquared::new(freedom).ok()?.sf(h))
}

/// The largest k with P(B(n, ½) ≤ k - 1) ≤ 2.5 %; 0 if there is none.
fn order(n: usize) -> usize {
    let binomial = Binomial::new(0.5, n as u64).expect("½ is a probability");
    // The quantile is the smallest value that is not exceeded with 2.5 % at least, so
    // all below it stay under that.
    binomial.inverse_cdf(0.025) as usize
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_those_of_the_published_tables() {
        // (n, k): Le Boudec's table A.1, and Conover's example for n = 16.
        for (n, k) in [
            (5, 0),
            (6, 1),
            (8, 1),
            (9, 2),
            (10, 2),
            (16, 4),
            (20, 6),
            (30, 10),
            (50, 18),
            (70, 27),
            (100, 40),
            (200, 86),
            (10_000, 4902),
        ] {
            assert_eq!(order(n), k, "n = {n}");
        }
    }

    #[test]
    fn medians_and_their_intervals() {
        let values: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        assert_eq!(median(&values), Some(5.5));
        assert_eq!(median_interval(&values), Some((2.0, 9.0)));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median_interval(&[3.0, 1.0]), Some((1.0, 3.0)));
        assert_eq!(median_interval(&[7.0]), Some((7.0, 7.0)));
        assert_eq!(median(&[]), None);
        assert_eq!(median_interval(&[]), None);
        assert_eq!(median_count([4, 1, 3]), Some(3));
        assert_eq!(median_count([4, 1]), Some(1));
        assert_eq!(median_count([]), None);
    }

    #[test]
    fn rounds_agree_or_do_not() {
        // Checked by hand: ranks 1 to 9 in three blocks give H = 7.2, and
        // exp(-7.2 / 2) is what χ² with two degrees of freedom leaves above.
        let blocks = [&[1.0, 2.0, 3.0][..], &[4.0, 5.0, 6.0], &[7.0, 8.0, 9.0]];
        let chance = rounds_agree(&blocks).expect("three rounds");
        assert!((chance - (-3.6f64).exp()).abs() < 1e-9, "{chance}");
        // Dealt out like cards, each has high and low ones: H = 0.8.
        let dealt = [&[1.0, 4.0, 7.0][..], &[2.0, 5.0, 8.0], &[3.0, 6.0, 9.0]];
        let chance = rounds_agree(&dealt).expect("three rounds");
        assert!((chance - (-0.4f64).exp()).abs() < 1e-9, "{chance}");
        // Ties: ranks 1½, 1½, 3½, 3½ give H = 2.4 / 0.8 with the correction, and
        // χ² of 3 with one degree of freedom leaves 8.33 % above.
        let tied = rounds_agree(&[&[1.0, 1.0], &[2.0, 2.0]]).expect("two rounds");
        assert!((tied - 0.083_26).abs() < 1e-5, "{tied}");
        for nothing in [
            &[][..],
            &[&[1.0, 2.0][..]],
            &[&[1.0][..], &[2.0]],
            &[&[1.0, 1.0][..], &[1.0, 1.0]],
        ] {
            assert_eq!(rounds_agree(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn the_interval_covers_the_median_as_often_as_it_claims() {
        // 10 values of a long-tailed distribution, of which 97.9 % of all
        // intervals should hold the true median, ln 2.
        let mut random = fastrand::Rng::with_seed(2010);
        let rounds = 20_000;
        let held = (0..rounds)
            .filter(|_| {
                let values: Vec<f64> = (0..10).map(|_| -(1.0 - random.f64()).ln()).collect();
                let (low, high) = median_interval(&values).expect("ten values");
                (low..=high).contains(&std::f64::consts::LN_2)
            })
            .count();
        let share = held as f64 / f64::from(rounds);
        assert!((0.974..0.984).contains(&share), "{share}");
    }
}
