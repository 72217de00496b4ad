//! How a budget of time becomes job sizes and numbers of rounds.
//!
//! Each model's job is run once beforehand, so what a round of a group will take
//! is known well enough to share the time out; and after every pass over the
//! groups better, so what is left is shared out anew.

use std::time::Duration;

use results::MIN_ROUNDS;

use crate::mode::Mode;

/// What a bench process takes beyond a runner's: Criterion's analysis and files.
const CRITERION: Duration = Duration::from_millis(10);

/// Criterion's fewest samples, and what a bench process takes.
pub const SAMPLES: u32 = 10;

/// Fresh-process runs that a cell gets at least, however few its rounds.
const LEAST_RUNS: u32 = 3;

/// The part of the budget that is planned with. The rest is for what is slower
/// in a bench than in the first run (files to be removed again, say), and for
/// Criterion's pages.
const PLANNED: f64 = 0.85;

/// What one run of a cell's job takes.
#[derive(Debug, Clone, Copy)]
pub struct RunCost {
    /// The job alone.
    pub job: Duration,
    /// Everything around it in a process of its own.
    pub around: Duration,
    /// Whether its times are a bench's. If not, they are those of its runs: one
    /// more a round than else, and one to be looked at.
    pub benched: bool,
}

impl RunCost {
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
    fn bench(self, mode: &Mode) -> Duration {
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
    fn run(self) -> Duration {
        self.around + self.job
    }

    /// After which time its processes hang: ten times what they should take.
    pub fn patience(self, mode: &Mode) -> Timeouts {
        Timeouts {
            bench: STALL + self.bench(mode) * 10,
            run: STALL + self.run() * 10,
        }
    }
}

/// After which time something hangs.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// A bench process.
    pub bench: Duration,
    /// A run.
    pub run: Duration,
}

/// So long a machine may stall altogether.
const STALL: Duration = Duration::from_secs(20);

/// What one round takes, by the paces of those who take part: a bench each, a run,
/// and in some rounds one more, to look at.
pub fn round(paces: &[RunCost], mode: &Mode) -> Duration {
    let runs = 1.0 + f64::from(mode.memory_runs) / f64::from(mode.most_rounds);
    let round = |pace: &RunCost| pace.bench(mode) + pace.run().mul_f64(runs);
    paces.iter().map(round).sum()
}

/// Runs that give times and switches, a cell and round, if there are so many rounds.
pub fn runs(rounds: u32) -> u32 {
    LEAST_RUNS.div_ceil(rounds.max(1)).max(1)
}

/// The time that is left to plan with.
pub fn plannable(left: Duration) -> Duration {
    left.mul_f64(PLANNED)
}

/// A group's paces, and the size they were measured at.
#[derive(Debug)]
pub struct Measured {
    /// Of its models.
    pub paces: Vec<RunCost>,
    /// What the job was divided by.
    pub divisor: u64,
    /// Whether it has to be done undivided.
    pub whole: bool,
}

impl Measured {
    /// What the fewest rounds take with the job divided by `divisor`.
    fn least_cost(&self, divisor: u64, mode: &Mode) -> Duration {
        let factor = self.divisor as f64 / divisor as f64;
        let paces: Vec<_> = self.paces.iter().map(|pace| pace.times(factor)).collect();
        round(&paces, mode) * mode.least_rounds
    }
}

/// The divisor at which each group's fewest rounds fit its share of `time`: of
/// what those leave that may not be divided.
pub fn divisors(groups: &[Measured], time: Duration, mode: &Mode) -> Vec<u64> {
    let full = |group: &Measured| group.least_cost(1, mode);
    let whole = groups.iter().filter(|group| group.whole).map(full).sum();
    let need = |group: &Measured| match group.whole {
        true => Duration::ZERO,
        false => full(group),
    };
    let needs: Vec<_> = groups.iter().map(need).collect();
    let shares = shares(&needs, time.saturating_sub(whole));
    let fit = |(group, share): (&Measured, Duration)| {
        std::iter::successors(Some(1), |divisor| Some(divisor * 2))
            .take_while(|&divisor| divisor < MOST_DIVIDED)
            .find(|&divisor| group.whole || group.least_cost(divisor, mode) <= share)
            .unwrap_or(MOST_DIVIDED)
    };
    groups.iter().zip(shares).map(fit).collect()
}

/// No job is divided by more: less of it would be nothing but its fixed part.
const MOST_DIVIDED: u64 = 1024;

/// How far a group has come.
#[derive(Debug, Clone, Copy)]
pub struct RoundEstimate {
    /// Rounds that are done.
    pub done: u32,
    /// What one more takes.
    pub round: Duration,
}

impl RoundEstimate {
    /// One more is done, and took this long. What the next one takes is the mean.
    pub fn went(&mut self, took: Duration) {
        self.round = (self.round * self.done + took) / (self.done + 1);
        self.done += 1;
    }

    /// What it takes to have done so many.
    pub fn up_to(&self, number: u32) -> Duration {
        self.round * number.saturating_sub(self.done)
    }
}

/// How many rounds each group will have done when the `time` that is left is over:
/// the fewest for all; then, for as many groups as possible, what a verdict takes;
/// and what is left is shared by those who can use it.
pub fn rounds(groups: &[RoundEstimate], time: Duration, mode: &Mode) -> Vec<u32> {
    let least = |group: &RoundEstimate| mode.least_rounds.max(group.done);
    let mut numbers: Vec<u32> = groups.iter().map(least).collect();
    let cost = |(group, &number): (&RoundEstimate, &u32)| group.up_to(number);
    let mut spare = time.saturating_sub(groups.iter().zip(&numbers).map(cost).sum());

    // Fewer than a verdict's would be of no use, so the cheapest come first.
    let verdict = (MIN_ROUNDS as u32).clamp(mode.least_rounds, mode.most_rounds);
    let missing = |group: usize| groups[group].round * (verdict - numbers[group]);
    let open = (0..groups.len()).filter(|&group| numbers[group] < verdict);
    let mut cheapest: Vec<_> = open.map(|group| (missing(group), group)).collect();
    cheapest.sort();
    for (missing, group) in cheapest {
        if let Some(left) = spare.checked_sub(missing) {
            numbers[group] = verdict;
            spare = left;
        }
    }

    let room = |number: u32| mode.most_rounds.saturating_sub(number);
    let extra = groups.iter().zip(&numbers);
    let extra: Vec<_> = extra
        .map(|(group, &number)| group.round * room(number))
        .collect();
    let more = |((group, number), share): ((&RoundEstimate, u32), Duration)| {
        let fit = share.as_nanos() / group.round.as_nanos().max(1);
        number + u32::try_from(fit).unwrap_or(u32::MAX).min(room(number))
    };
    let shares = shares(&extra, spare);
    groups.iter().zip(numbers).zip(shares).map(more).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(job_us: u64) -> RunCost {
        RunCost {
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

    /// The rounds of groups of these paces, and what all of them take.
    fn planned(groups: &[Vec<RunCost>], time: Duration, mode: &Mode) -> (Vec<u32>, Duration) {
        let course = |paces: &Vec<RunCost>| RoundEstimate {
            done: 0,
            round: round(paces, mode),
        };
        let courses: Vec<_> = groups.iter().map(course).collect();
        let plan = rounds(&courses, time, mode);
        let total = courses
            .iter()
            .zip(&plan)
            .map(|(course, &number)| course.up_to(number));
        let total = total.sum();
        (plan, total)
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
            let measured = groups.iter().map(|paces| Measured {
                paces: paces.clone(),
                divisor: 1,
                whole: false,
            });
            let measured: Vec<_> = measured.collect();
            let divisors = divisors(&measured, time, &quick);
            let scaled = groups.iter().zip(&divisors).map(|(group, &divisor)| {
                let pace = |pace: &RunCost| pace.times(1.0 / divisor as f64);
                group.iter().map(pace).collect::<Vec<_>>()
            });
            let scaled: Vec<_> = scaled.collect();
            let (plan, total) = planned(&scaled, time, &quick);
            assert!(plan.iter().all(|&rounds| rounds == 5));
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
            let (plan, total) = planned(&both, time, &normal);
            assert!(total <= time, "{workloads}: {total:?}");
            let judged = plan.iter().filter(|&&rounds| rounds >= 5).count();
            assert!(
                judged * 2 > plan.len(),
                "{workloads}: {judged} of {}",
                plan.len()
            );
            assert!(plan.iter().all(|&rounds| rounds >= 1));
        }
    }

    #[test]
    fn a_job_that_stays_whole_has_its_time_before_the_others_share() {
        let group = |whole| Measured {
            paces: vec![pace(40_000); 6],
            divisor: 1,
            whole,
        };
        let mode = Mode::QUICK;
        let time = group(true).least_cost(1, &mode) * 3;
        let alone = divisors(&[group(false), group(false), group(false)], time, &mode);
        assert_eq!(alone, [1, 1, 1]);
        let tight = divisors(&[group(true), group(false)], time / 2, &mode);
        assert_eq!(tight[0], 1);
        assert!(tight[1] > 1, "{tight:?}");
    }

    #[test]
    fn a_verdicts_rounds_come_before_more_rounds_for_others() {
        let course = |done, round_s| RoundEstimate {
            done,
            round: seconds(round_s),
        };
        let mode = Mode::DEFAULT;
        let groups = [course(0, 20), course(0, 1), course(0, 90)];
        assert_eq!(rounds(&groups, seconds(100 + 5 + 90), &mode), [5, 5, 1]);
        // The same, seen half way, when one takes longer than was thought.
        let groups = [course(3, 30), course(3, 1), course(1, 90)];
        assert_eq!(rounds(&groups, seconds(62), &mode), [5, 5, 1]);
        assert_eq!(rounds(&groups, seconds(59), &mode), [3, 10, 1]);
        // With time for everything, nobody gets more than tells more.
        assert_eq!(rounds(&groups, seconds(10_000), &mode), [10, 10, 10]);
        // What has been done has been done.
        assert_eq!(rounds(&groups, Duration::ZERO, &mode), [3, 3, 1]);
    }

    #[test]
    fn few_rounds_still_have_three_runs() {
        assert_eq!([1, 2, 3, 5].map(runs), [3, 2, 1, 1]);
    }
}
