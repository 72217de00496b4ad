//! When requests are due.

/// The times of a Poisson process, in nanoseconds from its beginning: the gaps between them are
/// independent, and exponentially distributed. The same seed gives the same times.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    random: fastrand::Rng,
    /// The mean gap, in nanoseconds.
    mean_ns: f64,
    at_ns: f64,
}

impl Schedule {
    /// With this many a second on average.
    pub(crate) fn new(rate_per_s: f64, seed: u64) -> Self {
        let mut schedule = Self {
            random: fastrand::Rng::with_seed(seed),
            mean_ns: 1e9 / rate_per_s,
            at_ns: 0.0,
        };
        schedule.advance();
        schedule
    }

    /// When the next one is due.
    pub(crate) fn next_ns(&self) -> u64 {
        self.at_ns as u64
    }

    /// Goes on to the one after it.
    pub(crate) fn advance(&mut self) {
        // More than 0 and at most 1, so that its logarithm is finite.
        let uniform = 1.0 - self.random.f64();
        self.at_ns += -uniform.ln() * self.mean_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(rate: f64, seed: u64, count: usize) -> Vec<u64> {
        let mut schedule = Schedule::new(rate, seed);
        let next = |_| {
            let at = schedule.next_ns();
            schedule.advance();
            at
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn gaps_are_exponential_with_the_mean_that_was_asked_for() {
        let times = times(1_000.0, 7, 100_000);
        assert!(times.is_sorted());
        let gaps: Vec<f64> = times
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f64)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((mean / 1e6 - 1.0).abs() < 0.01, "{mean} ns");
        // Of an exponential distribution, exp(-1) are longer than the mean, and exp(-3)
        // longer than three times that.
        for times in [1.0, 3.0f64] {
            let longer = gaps.iter().filter(|gap| **gap > times * 1e6).count() as f64;
            let part = longer / gaps.len() as f64;
            assert!(
                (part / (-times).exp() - 1.0).abs() < 0.05,
                "{part} > {times}"
            );
        }
    }

    #[test]
    fn a_seed_gives_the_same_times_again() {
        assert_eq!(times(50.0, 3, 100), times(50.0, 3, 100));
        assert_ne!(times(50.0, 3, 100), times(50.0, 4, 100));
    }
}
