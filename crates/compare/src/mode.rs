//! How much time a comparison has, and what it is spent on.

use std::time::Duration;

use lab::executor::BenchTimes;
use suite::Preset;

/// How much time there is, and what it is spent on.
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    /// Its name in the results.
    pub name: &'static str,
    /// All the time after the build.
    pub budget: Duration,
    /// Which presets are compared.
    pub presets: &'static [Preset],
    /// Whether the sweeps that matter for choosing a model are added, and the
    /// article's download with each model's own limit.
    pub choosing: bool,
    /// Whether all workloads have their variants; otherwise, those that are named.
    pub variants: bool,
    /// Whether jobs are made smaller until they fit.
    pub scale: bool,
    /// Rounds that every case gets.
    pub least_rounds: u32,
    /// Rounds after which more would add nothing.
    pub most_rounds: u32,
    /// What one bench process spends on its ten samples, or more if ten jobs
    /// take more.
    pub sampling: Duration,
    /// What one bench process spends on warming up, or one job.
    pub warm_up: Duration,
    /// Runs in which memory is observed, up to one a round.
    pub memory_runs: u32,
}

impl Mode {
    /// One preset, up to five rounds, in less than three minutes.
    pub const QUICK: Mode = Mode {
        name: "quick",
        budget: Duration::from_secs(178),
        presets: &[Preset::Heavy],
        choosing: false,
        variants: false,
        scale: true,
        least_rounds: 1,
        most_rounds: 5,
        sampling: Duration::from_millis(50),
        warm_up: Duration::from_millis(5),
        memory_runs: 1,
    };

    /// Everything, unscaled, with the five rounds of a verdict and more for what is not
    /// known well enough, in forty minutes at most.
    pub const DEFAULT: Mode = Mode {
        name: "default",
        budget: Duration::from_secs(40 * 60),
        presets: &Preset::ALL,
        choosing: false,
        variants: true,
        scale: false,
        least_rounds: 1,
        most_rounds: 20,
        sampling: Duration::from_millis(100),
        warm_up: Duration::from_millis(20),
        memory_runs: 3,
    };

    /// The same with more rounds and sweeps: in two hours, with the timing of
    /// builds before it.
    pub const THOROUGH: Mode = Mode {
        name: "thorough",
        budget: Duration::from_secs(90 * 60),
        most_rounds: 80,
        memory_runs: 5,
        choosing: true,
        ..Mode::DEFAULT
    };

    /// How long a bench process takes.
    pub(crate) fn bench_times(&self) -> BenchTimes {
        BenchTimes {
            warm_up: self.warm_up,
            sampling: self.sampling,
        }
    }
}
