//! How a budget of time becomes job sizes and numbers of rounds.
//!
//! Each model's job is run once beforehand, so what a round of a group will
//! take is known well enough to share the time out. What was promised is kept
//! by the clock, though: see [`Allowance`].

use std::time::{Duration, Instant};

use crate::plan::Mode;

/// What a bench process takes beyond a runner's: Criterion's analysis and files.
const CRITERION: Duration = Duration::from_millis(10);

/// Criterion's fewest samples, and what a bench process takes.
pub const SAMPLES: u32 = 10;

/// Fresh-process runs that a cell gets at least, however few its rounds.
const LEAST_RUNS: u32 = 3;

/// The part of the budget that is planned with. The rest is for what is slower
/// in a bench than in the first run (files to be removed again, say), and for
/// Criterion's pages.
const PLANNED: f64 = 0.75;

/// What one run of a cell's job takes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The job alone.
    pub job: Duration,
    /// Everything around it in a process of its own.
    pub around: Duration,
    /// Whether it has a bench. Who has none does two runs more a round instead,
    /// one of them to be looked at.
    pub benched: bool,
}

impl Pace {
    /// The same for a job `factor` times the size, taken to be linear. It seldom
    /// is quite: a job's fixed part makes this too high for a larger job.
    fn times(self, factor: f64) -> Self {
        Self {
            job: self.job.mul_f64(factor),
            ..self
        }
    }

    /// One bench process: its check, its warm-up and its samples. Or what is done
    /// in its place.
    pub fn bench(self, mode: &Mode) -> Duration {
        if !self.benched {
            return self.run() * 2;
        }
        let job = self.job;
        let warm_up = if job < mode.warm_up {
            // The number of jobs doubles until the time is up.
            mode.warm_up * 2
        } else {
            job
        };
        self.around + CRITERION + job + warm_up + (job * SAMPLES).max(mode.sampling + job)
    }

    /// One run in a fresh process.
    pub fn run(self) -> Duration {
        self.around + self.job
    }
}

/// How often each thing is done in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// Rounds, each with one bench process a model.
    pub number: u32,
    /// Fresh-process runs a model and round.
    pub runs: u32,
    /// The first so many rounds have a run that looks at memory.
    pub memory: u32,
}

impl Rounds {
    /// What a group does in so many rounds.
    pub fn of(number: u32, mode: &Mode) -> Self {
        Self {
            number,
            runs: LEAST_RUNS.div_ceil(number.max(1)).max(1),
            memory: mode.memory_runs.min(number),
        }
    }

    /// What that takes, over all models of the group.
    pub fn cost(self, paces: &[Pace], mode: &Mode) -> Duration {
        let cost = |pace: &Pace| {
            pace.bench(mode) * self.number + pace.run() * (self.number * self.runs + self.memory)
        };
        paces.iter().map(cost).sum()
    }
}

/// The time that is left to plan with.
pub fn plannable(left: Duration) -> Duration {
    left.mul_f64(PLANNED)
}

/// The divisor at which each group's fewest rounds fit its share of `time`.
/// `groups` has the paces of each group's models, and the divisor they were
/// measured at.
pub fn divisors(groups: &[(Vec<Pace>, u64)], time: Duration, mode: &Mode) -> Vec<u64> {
    let at = |(paces, measured): &(Vec<Pace>, u64), divisor: u64| {
        let factor = *measured as f64 / divisor as f64;
        let paces: Vec<_> = paces.iter().map(|pace| pace.times(factor)).collect();
        Rounds::of(mode.least_rounds, mode).cost(&paces, mode)
    };
    let full: Vec<_> = groups.iter().map(|group| at(group, 1)).collect();
    let shares = shares(&full, time);
    let fit = |(group, share): (&(Vec<Pace>, u64), Duration)| {
        std::iter::successors(Some(1), |divisor| Some(divisor * 2))
            .take_while(|&divisor| divisor < MOST_DIVIDED)
            .find(|&divisor| at(group, divisor) <= share)
            .unwrap_or(MOST_DIVIDED)
    };
    groups.iter().zip(shares).map(fit).collect()
}

/// No job is divided by more: less of it would be nothing but its fixed part.
const MOST_DIVIDED: u64 = 1024;

/// The rounds of each group, within `time`: the fewest for all, and what is
/// left to those who can use it.
pub fn rounds(groups: &[Vec<Pace>], time: Duration, mode: &Mode) -> Vec<Rounds> {
    let cost = |paces: &Vec<Pace>, number| Rounds::of(number, mode).cost(paces, mode);
    let least: Vec<_> = groups.iter().map(|g| cost(g, mode.least_rounds)).collect();
    let most = groups.iter().map(|g| cost(g, mode.most_rounds));
    let extra: Vec<_> = most
        .zip(&least)
        .map(|(m, l)| m.saturating_sub(*l))
        .collect();
    let spare = time.saturating_sub(least.iter().sum());
    let shares = shares(&extra, spare);
    let fit = |((group, least), share): ((&Vec<Pace>, &Duration), Duration)| {
        let number = (mode.least_rounds..=mode.most_rounds)
            .rev()
            .find(|&number| cost(group, number) <= *least + share)
            .unwrap_or(mode.least_rounds);
        Rounds::of(number, mode)
    };
    groups.iter().zip(&least).zip(shares).map(fit).collect()
}

/// Shares `time` out so that nobody gets more than they need, and nobody who
/// gets less than that gets less than another (max-min fairness).
fn shares(needs: &[Duration], time: Duration) -> Vec<Duration> {
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|&group| needs[group]);
    let mut shares = vec![Duration::ZERO; needs.len()];
    let mut left = time;
    for (served, &group) in order.iter().enumerate() {
        let waiting = (needs.len() - served) as u32;
        shares[group] = needs[group].min(left / waiting);
        left -= shares[group];
    }
    shares
}

/// What a group may take by the clock, whatever was planned.
///
/// The rounds that were planned may take whatever time nobody else was planned
/// to need; if that is not enough, the last ones are dropped. More than were
/// planned are done only within the group's own share of the time that is
/// really left.
#[derive(Debug)]
pub struct Allowance {
    share: Instant,
    latest: Instant,
    round_began: Option<Instant>,
    longest_round: Duration,
}

impl Allowance {
    /// Of a group that was planned to take `planned`, when those after it were
    /// planned to take `others`, until `deadline`.
    pub fn new(planned: Duration, others: Duration, deadline: Instant) -> Self {
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        let part = match (planned + others).as_secs_f64() {
            all if all > 0.0 => planned.as_secs_f64() / all,
            _ => 1.0,
        };
        let share = left.mul_f64(part);
        Self {
            share: now + share,
            latest: now + left.saturating_sub(others).max(share),
            round_began: None,
            longest_round: Duration::ZERO,
        }
    }

    /// Whether so many rounds that nobody planned fit before those that are
    /// `planned` still, by the longest round so far.
    pub fn fits(&self, more: u32, planned: u32) -> bool {
        let now = Instant::now();
        let this_round = self.round_began.map_or(Duration::ZERO, |began| now - began);
        now + self.longest_round.max(this_round) * (more + planned) <= self.latest
    }

    /// Whether one more round fits, one that was `planned` or one more, by the
    /// longest round so far. Called before each round; the first always fits.
    pub fn next_round(&mut self, planned: bool) -> bool {
        let now = Instant::now();
        let Some(began) = self.round_began.replace(now) else {
            return true;
        };
        self.longest_round = self.longest_round.max(now - began);
        let until = if planned { self.latest } else { self.share };
        now + self.longest_round <= until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(job_us: u64) -> Pace {
        Pace {
            job: Duration::from_micros(job_us),
            around: Duration::from_millis(25),
            benched: true,
        }
    }

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn shares_are_fair_and_add_up() {
        let needs = [seconds(50), seconds(1), seconds(10), seconds(50)];
        let expected = [seconds(20), seconds(1), seconds(10), seconds(20)];
        assert_eq!(shares(&needs, seconds(51)), expected);
        assert_eq!(shares(&needs, seconds(500)), needs);
        assert!(shares(&[], seconds(1)).is_empty());
    }

    #[test]
    fn both_budgets_hold_for_seven_workloads_and_for_twelve() {
        // Jobs from microseconds to seconds, six models each.
        let mix = [
            50, 3_000, 80_000, 250_000, 900_000, 8_000_000, 1_000, 30_000,
        ];
        for workloads in [8, 13] {
            let jobs = mix.iter().cycle().take(workloads);
            let groups: Vec<_> = jobs.map(|&us| vec![pace(us); 6]).collect();

            let quick = Mode::QUICK;
            let time = plannable(quick.budget);
            let measured: Vec<_> = groups.iter().map(|g| (g.clone(), 1)).collect();
            let divisors = divisors(&measured, time, &quick);
            let scaled = groups.iter().zip(&divisors).map(|(group, &divisor)| {
                let pace = |pace: &Pace| pace.times(1.0 / divisor as f64);
                group.iter().map(pace).collect::<Vec<_>>()
            });
            let scaled: Vec<_> = scaled.collect();
            let plan = rounds(&scaled, time, &quick);
            assert!(plan.iter().all(|rounds| rounds.number == 5));
            let cost = |(rounds, paces): (&Rounds, &Vec<Pace>)| rounds.cost(paces, &quick);
            let total: Duration = plan.iter().zip(&scaled).map(cost).sum();
            assert!(total <= time, "{workloads}: {total:?}");
            assert_eq!(divisors[0], 1, "a short job is never scaled");

            // Unscaled, with as many groups again for the article's preset, four
            // of which wait for seconds or parts of them.
            let mut both = groups.clone();
            both.retain(|group| group[0].job < Duration::from_millis(500));
            both.extend(groups.iter().map(|_| vec![pace(20_000); 6]));
            let waits = [2_000_000, 1_400_000, 350_000, 300_000];
            both.extend(waits.map(|us| vec![pace(us); 6]));
            let normal = Mode::DEFAULT;
            let time = plannable(normal.budget);
            let plan = rounds(&both, time, &normal);
            let cost = |(rounds, paces): (&Rounds, &Vec<Pace>)| rounds.cost(paces, &normal);
            let total: Duration = plan.iter().zip(&both).map(cost).sum();
            assert!(total <= time, "{workloads}: {total:?}");
            assert!(plan[0].number >= 5, "a short job gets a verdict's rounds");
            assert!(plan.iter().all(|rounds| rounds.number >= 1));
        }
    }

    #[test]
    fn few_rounds_still_have_three_runs() {
        assert_eq!(Rounds::of(1, &Mode::DEFAULT).runs, 3);
        assert_eq!(Rounds::of(2, &Mode::DEFAULT).runs, 2);
        assert_eq!(Rounds::of(5, &Mode::DEFAULT).runs, 1);
        assert_eq!(Rounds::of(1, &Mode::DEFAULT).memory, 1);
    }

    #[test]
    fn the_clock_drops_rounds_and_adds_some() {
        let mut none_left = Allowance::new(seconds(1), seconds(1), Instant::now());
        assert!(none_left.next_round(true), "the first always fits");
        assert!(!none_left.next_round(true));
        assert!(!none_left.fits(1, 0));
        let deadline = Instant::now() + seconds(1000);
        let mut plenty = Allowance::new(seconds(1), seconds(2), deadline);
        assert!(plenty.next_round(true) && plenty.next_round(true) && plenty.next_round(false));
        assert!(plenty.fits(1, 4));
        // What the others were planned to need is theirs.
        let mut mine = Allowance::new(Duration::ZERO, seconds(500), deadline);
        assert!(mine.next_round(true) && mine.next_round(true));
        assert!(!mine.next_round(false));
        let mut theirs = Allowance::new(Duration::ZERO, seconds(1000), deadline);
        assert!(theirs.next_round(true) && !theirs.next_round(true));
    }
}
