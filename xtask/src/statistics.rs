//! The few statistics behind the tables. None assumes a distribution: times
//! have a floor and a tail, and are never normal.

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

/// The largest k with P(B(n, ½) ≤ k - 1) ≤ 2.5 %; 0 if there is none.
fn order(n: usize) -> usize {
    // In logarithms: ½ⁿ alone would underflow from n = 1075 on.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut below = 0.0;
    for k in 0..=n {
        below += log_term.exp();
        if below > 0.025 {
            return k;
        }
        log_term += ((n - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    0
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
