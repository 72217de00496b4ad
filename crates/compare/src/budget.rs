//! How a budget of time becomes job sizes and numbers of rounds.
//!
//! Each model's job is run once beforehand, so the cost of a round of a case is
//! known well enough to divide the time. After every pass over the cases it is known
//! better, and what is left is divided anew.

use std::time::Duration;

use analysis::{Rules, verdicts};
use lab::executor::{SAMPLES, samples_of_answers};
use results::{Cell, MIN_ROUNDS};

use crate::mode::Mode;

/// What a bench process takes beyond a runner's: Criterion's analysis and files.
const CRITERION: Duration = Duration::from_millis(10);

/// Fresh-process runs that a cell gets at least, however few its rounds.
const MIN_RUNS: u32 = 3;

/// The part of the budget that is planned. The rest is for what is slower in a bench
/// than in the first run (removing files, say), and for Criterion's pages.
const PLANNED: f64 = 0.85;

/// What one run of a cell's job takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunCost {
    /// The job alone.
    pub(crate) job: Duration,
    /// What of that is the same at every size, as far as is known: the start of a custom
    /// command.
    pub(crate) fixed: Duration,
    /// Everything around it in a process of its own.
    pub(crate) around: Duration,
    /// Whether it is of a contestant that answers, whose bench has fewer samples of a long job.
    pub(crate) is_asked: bool,
    /// Whether a bench gives its times. If not, its runs do: then a round has one run
    /// more, and one that is observed.
    pub(crate) benched: bool,
}

impl RunCost {
    /// The same for a job `factor` times the size, taken to be linear but for what is
    /// known to be fixed. What is not known of that makes this too high for a larger job.
    fn times(self, factor: f64) -> Self {
        Self {
            job: self.fixed + self.job.saturating_sub(self.fixed).mul_f64(factor),
            ..self
        }
    }

    /// One bench process with its check, warm-up and samples, or the runs in its
    /// place.
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
        let samples = match self.is_asked {
            true => samples_of_answers(job),
            false => SAMPLES,
        };
        self.around + CRITERION + job + warm_up + (job * samples).max(mode.sampling + job)
    }

    /// One run in a fresh process.
    fn run(self) -> Duration {
        self.around + self.job
    }

    /// The times after which its processes are ended: ten times what they should take.
    pub(crate) fn timeouts(self, mode: &Mode) -> Timeouts {
        Timeouts {
            bench: STALL + self.bench(mode) * 10,
            run: STALL + self.run() * 10,
        }
    }
}

/// What of a job's time is the same at every size, by its times at two: a divisor and a
/// time each. `None` if the two are of one size.
pub(crate) fn fixed_part(one: (u64, Duration), other: (u64, Duration)) -> Option<Duration> {
    let (small, large) = if one.0 > other.0 {
        (one, other)
    } else {
        (other, one)
    };
    // It is fixed + part at the smaller size, and fixed + times * part at the larger.
    let times = small.0 as f64 / large.0 as f64;
    let more = large.1.saturating_sub(small.1);
    (times > 1.0).then(|| small.1.saturating_sub(more.div_f64(times - 1.0)))
}

/// When a process counts as hung.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// A bench process.
    pub(crate) bench: Duration,
    /// A run.
    pub(crate) run: Duration,
}

/// Added to all timeouts, for a machine that stalls.
const STALL: Duration = Duration::from_secs(20);

/// The cost of one round, from the run costs of its series: each has a bench, a run,
/// and in some rounds one more that is observed.
pub(crate) fn round_cost(costs: &[RunCost], mode: &Mode) -> Duration {
    let runs = 1.0 + f64::from(mode.memory_runs) / f64::from(mode.most_rounds);
    let of_series = |cost: &RunCost| cost.bench(mode) + cost.run().mul_f64(runs);
    costs.iter().map(of_series).sum()
}

/// Unobserved runs of each cell and round, with that number of rounds.
pub(crate) fn runs(rounds: u32) -> u32 {
    MIN_RUNS.div_ceil(rounds.max(1)).max(1)
}

/// The part of the time left that is planned.
pub(crate) fn plannable(left: Duration) -> Duration {
    left.mul_f64(PLANNED)
}

/// The run costs of a case, and the size of job that they were measured with.
#[derive(Debug)]
pub(crate) struct MeasuredCosts {
    /// One for each of its series.
    pub(crate) costs: Vec<RunCost>,
    /// What the job was divided by.
    pub(crate) divisor: u64,
    /// What it may be divided by at most: 1 if it must not be.
    pub(crate) most: u64,
}

impl MeasuredCosts {
    /// The cost of a verdict's rounds with the job divided by `divisor`.
    fn min_cost(&self, divisor: u64, mode: &Mode) -> Duration {
        let factor = self.divisor as f64 / divisor as f64;
        let costs: Vec<_> = self.costs.iter().map(|cost| cost.times(factor)).collect();
        round_cost(&costs, mode) * MIN_ROUNDS as u32
    }
}

/// The divisor at which a verdict's rounds of each case fit its share of `time`. Each case
/// first gets what it takes at its smallest, where it is still the job that it is: if that
/// does not fit, there are fewer rounds.
pub(crate) fn divisors(cases: &[MeasuredCosts], time: Duration, mode: &Mode) -> Vec<u64> {
    let full = |case: &MeasuredCosts| case.min_cost(1, mode);
    // What they cost at their smallest, and what each would have on top.
    let least = |case: &MeasuredCosts| case.min_cost(case.most, mode);
    let leasts: Vec<_> = cases.iter().map(least).collect();
    let need = |(case, least): (&MeasuredCosts, &Duration)| full(case).saturating_sub(*least);
    let needs: Vec<_> = cases.iter().zip(&leasts).map(need).collect();
    let shares = shares(&needs, time.saturating_sub(leasts.iter().sum()));
    let fit = |((case, least), share): ((&MeasuredCosts, &Duration), Duration)| {
        std::iter::successors(Some(1), |divisor| Some(divisor * 2))
            .take_while(|&divisor| divisor < case.most)
            .find(|&divisor| case.min_cost(divisor, mode) <= *least + share)
            .unwrap_or(case.most)
    };
    cases.iter().zip(&leasts).zip(shares).map(fit).collect()
}

/// Numbers of rounds at which it is looked whether a case needs more. They are fixed
/// beforehand, and what is looked at is the width of its intervals alone. Rounds that
/// were added until a verdict falls would make false ones.
const LOOKS: [u32; 5] = [MIN_ROUNDS as u32, 10, 20, 40, 80];

/// An interval that goes no farther than this to each side, as a part of the margin of
/// equivalence, is narrow enough: it can show that there is no difference even if the
/// medians are as much apart.
const NARROW: f64 = 0.5;

/// What a case is of, the first to have a verdict's rounds first: a table of jobs with verdicts
/// says more than a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A workload's job with a preset.
    Job,
    /// A second way to do it.
    Variant,
    /// A sweep.
    Sweep,
}

/// The rounds of a case: how many are done, what one more costs, and how much is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoundEstimate {
    /// What it is of.
    pub(crate) part: Part,
    /// Rounds that are done.
    pub(crate) done: u32,
    /// What one more takes.
    pub(crate) round: Duration,
    /// The widest of its intervals at the last look, as a part of the margin of
    /// equivalence.
    pub(crate) width: Option<f64>,
}

impl RoundEstimate {
    /// Records a round that took this long. The estimate for the next one is the mean.
    pub(crate) fn record_round(&mut self, took: Duration) {
        self.round = (self.round * self.done + took) / (self.done + 1);
        self.done += 1;
    }

    /// If it is time for that, looks how wide the intervals of its `cells` are.
    pub(crate) fn look(&mut self, cells: &[Cell], rules: Rules) {
        if LOOKS.contains(&self.done) {
            let width = verdicts::widest_interval(cells, rules.seed);
            self.width = width.map(|width| width / rules.equivalence);
        }
    }

    /// How many rounds it needs, as far as is known.
    fn goal(&self, most: u32) -> u32 {
        let is_narrow = self.width.is_none_or(|width| width <= NARROW);
        let next = LOOKS.into_iter().find(|look| {
            let passed = if is_narrow { self.done } else { self.done + 1 };
            *look >= passed
        });
        match next {
            Some(look) if self.done >= LOOKS[0] => look.min(most).max(self.done),
            _ => self.done,
        }
    }

    /// The cost of the rounds that are missing to this number.
    pub(crate) fn cost_up_to(&self, number: u32) -> Duration {
        self.round * number.saturating_sub(self.done)
    }
}

/// How many rounds each case will have done when the `time` that is left is over. All
/// get the fewest; then as many cases as possible get what a verdict needs, jobs before their
/// variants and before sweeps; and the rest goes to those whose intervals are too wide, the
/// widest first.
pub(crate) fn rounds(cases: &[RoundEstimate], time: Duration, mode: &Mode) -> Vec<u32> {
    let fewest = |case: &RoundEstimate| mode.least_rounds.max(case.done);
    let mut numbers: Vec<u32> = cases.iter().map(fewest).collect();
    let cost = |(case, &number): (&RoundEstimate, &u32)| case.cost_up_to(number);
    let mut spare = time.saturating_sub(cases.iter().zip(&numbers).map(cost).sum());

    // Fewer than a verdict's would be of no use, so the cheapest come first.
    let verdict = (MIN_ROUNDS as u32).clamp(mode.least_rounds, mode.most_rounds);
    let missing = |case: usize| cases[case].round * (verdict - numbers[case]);
    let mut cheapest: Vec<_> = (0..cases.len())
        .filter(|&case| numbers[case] < verdict)
        .map(|case| (cases[case].part, missing(case), case))
        .collect();
    cheapest.sort();
    for (_, missing, case) in cheapest {
        if let Some(left) = spare.checked_sub(missing) {
            numbers[case] = verdict;
            spare = left;
        }
    }

    let width = |case: usize| cases[case].width.unwrap_or(0.0);
    let mut widest: Vec<usize> = (0..cases.len()).collect();
    widest.sort_by(|&one, &other| width(other).total_cmp(&width(one)));
    for case in widest {
        let estimate = &cases[case];
        let wanted = estimate
            .goal(mode.most_rounds)
            .saturating_sub(numbers[case]);
        let fit = spare.as_nanos() / estimate.round.as_nanos().max(1);
        let more = wanted.min(u32::try_from(fit).unwrap_or(u32::MAX));
        numbers[case] += more;
        spare -= estimate.round * more;
    }
    numbers
}

/// Divides `time` by max-min fairness: no share is above its need, and none below its
/// need is smaller than another.
fn shares(needs: &[Duration], time: Duration) -> Vec<Duration> {
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|&at| needs[at]);
    let mut shares = vec![Duration::ZERO; needs.len()];
    let mut left = time;
    for (served, &at) in order.iter().enumerate() {
        let waiting = (needs.len() - served) as u32;
        shares[at] = needs[at].min(left / waiting);
        left -= shares[at];
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(job_us: u64) -> RunCost {
        RunCost {
            fixed: Duration::ZERO,
            job: Duration::from_micros(job_us),
            around: Duration::from_millis(25),
            is_asked: false,
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

    /// The rounds of cases with these run costs, and what all of them take.
    fn planned(cases: &[Vec<RunCost>], time: Duration, mode: &Mode) -> (Vec<u32>, Duration) {
        let estimate = |costs: &Vec<RunCost>| RoundEstimate {
            part: Part::Job,
            done: 0,
            round: round_cost(costs, mode),
            width: None,
        };
        let estimates: Vec<_> = cases.iter().map(estimate).collect();
        let plan = rounds(&estimates, time, mode);
        let total = estimates
            .iter()
            .zip(&plan)
            .map(|(estimate, &number)| estimate.cost_up_to(number))
            .sum();
        (plan, total)
    }

    #[test]
    fn both_budgets_hold_with_more_and_fewer_workloads() {
        // Jobs from microseconds to seconds, six models each.
        let mix = [
            50, 3_000, 80_000, 250_000, 900_000, 8_000_000, 1_000, 30_000,
        ];
        for workloads in [8, 13] {
            let jobs = mix.iter().cycle().take(workloads);
            let cases: Vec<_> = jobs.map(|&us| vec![cost(us); 6]).collect();

            let quick = Mode::QUICK;
            let time = plannable(quick.budget);
            let measured = cases.iter().map(|costs| MeasuredCosts {
                costs: costs.clone(),
                divisor: 1,
                most: 1024,
            });
            let measured: Vec<_> = measured.collect();
            let divisors = divisors(&measured, time, &quick);
            let scaled = cases.iter().zip(&divisors).map(|(costs, &divisor)| {
                let scaled = |cost: &RunCost| cost.times(1.0 / divisor as f64);
                costs.iter().map(scaled).collect::<Vec<_>>()
            });
            let scaled: Vec<_> = scaled.collect();
            let (plan, total) = planned(&scaled, time, &quick);
            assert!(plan.iter().all(|&rounds| rounds == 5));
            assert!(total <= time, "{workloads}: {total:?}");
            assert_eq!(divisors[0], 1, "a short job is never scaled");

            // Unscaled, with as many cases again for the article's preset, four
            // of which wait for seconds or parts of them.
            let mut both = cases.clone();
            both.retain(|costs| costs[0].job < Duration::from_millis(500));
            both.extend(cases.iter().map(|_| vec![cost(20_000); 6]));
            let waits = [2_000_000, 1_400_000, 350_000, 300_000];
            both.extend(waits.map(|us| vec![cost(us); 6]));
            let normal = Mode::DEFAULT;
            let time = plannable(normal.budget);
            let (plan, total) = planned(&both, time, &normal);
            assert!(total <= time, "{workloads}: {total:?}");
            // All but those of two seconds, which would have a bench here.
            let judged = plan.iter().filter(|&&rounds| rounds == 5).count();
            assert!(judged + 1 >= plan.len(), "{workloads}: {plan:?}");
        }
    }

    #[test]
    fn a_job_that_stays_whole_has_its_time_before_the_others_share() {
        let case = |most| MeasuredCosts {
            costs: vec![cost(40_000); 6],
            divisor: 1,
            most,
        };
        let mode = Mode::QUICK;
        let time = case(1).min_cost(1, &mode) * 3;
        let alone = divisors(&[case(1024), case(1024), case(1024)], time, &mode);
        assert_eq!(alone, [1, 1, 1]);
        let tight = divisors(&[case(1), case(1024)], time / 2, &mode);
        assert_eq!(tight[0], 1);
        assert!(tight[1] > 1, "{tight:?}");
    }

    #[test]
    fn a_verdicts_rounds_come_before_more_rounds_for_others() {
        let estimate = |done, round_s| RoundEstimate {
            part: Part::Job,
            done,
            round: seconds(round_s),
            width: None,
        };
        let mode = Mode::DEFAULT;
        let cases = [estimate(0, 20), estimate(0, 1), estimate(0, 90)];
        assert_eq!(rounds(&cases, seconds(100 + 5 + 90), &mode), [5, 5, 1]);
        // The same, seen half way, when one takes longer than was thought.
        let cases = [estimate(3, 30), estimate(3, 1), estimate(1, 90)];
        assert_eq!(rounds(&cases, seconds(62), &mode), [5, 5, 1]);
        assert_eq!(rounds(&cases, seconds(59), &mode), [3, 5, 1]);
        // More is for those of which it is known that they need it.
        assert_eq!(rounds(&cases, seconds(10_000), &mode), [5, 5, 5]);
        // What has been done has been done.
        assert_eq!(rounds(&cases, Duration::ZERO, &mode), [3, 3, 1]);
    }

    #[test]
    fn jobs_have_a_verdicts_rounds_before_variants_and_sweeps() {
        let estimate = |part, round_s| RoundEstimate {
            part,
            done: 0,
            round: seconds(round_s),
            width: None,
        };
        let cases = [
            estimate(Part::Sweep, 1),
            estimate(Part::Variant, 2),
            estimate(Part::Job, 9),
            estimate(Part::Job, 3),
        ];
        let planned = |time| rounds(&cases, seconds(time), &Mode::DEFAULT);
        assert_eq!(planned(15 + 4 * 12), [1, 1, 5, 5]);
        assert_eq!(planned(15 + 4 * 14), [1, 5, 5, 5]);
        assert_eq!(planned(15 + 4 * 15), [5, 5, 5, 5]);
        // What a job that is too long leaves is for the others.
        assert_eq!(planned(15 + 4 * 6), [5, 5, 1, 5]);
    }

    #[test]
    fn more_rounds_go_where_intervals_are_widest() {
        let estimate = |done, width| RoundEstimate {
            part: Part::Job,
            done,
            round: seconds(1),
            width: Some(width),
        };
        let mode = Mode {
            most_rounds: 30,
            ..Mode::DEFAULT
        };
        let cases = [estimate(5, 0.4), estimate(5, 2.0), estimate(10, 9.0)];
        // Each to its next look, and the widest first, whatever it costs.
        assert_eq!(rounds(&cases, seconds(100), &mode), [5, 10, 20]);
        assert_eq!(rounds(&cases, seconds(12), &mode), [5, 7, 20]);
        assert_eq!(rounds(&cases, seconds(4), &mode), [5, 5, 14]);
        // Half way to the next look, it goes on.
        let cases = [estimate(7, 0.6), estimate(20, 9.0), estimate(30, 9.0)];
        assert_eq!(rounds(&cases, seconds(100), &mode), [10, 30, 30]);
    }

    #[test]
    fn a_start_is_not_taken_to_grow_with_the_job() {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        assert_eq!(fixed_part((64, s(2)), (64, s(2))), None);
        assert_eq!(fixed_part((64, s(2)), (32, s(2))), Some(s(2)));
        // One that was slow by chance.
        assert_eq!(fixed_part((64, ms(2100)), (32, s(2))), Some(ms(2100)));
        assert_eq!(fixed_part((64, s(1)), (32, s(2))), Some(s(0)));
        assert_eq!(fixed_part((16, ms(1400)), (64, ms(1100))), Some(s(1)));
        let cost = RunCost {
            fixed: s(1),
            ..cost(1_400_000)
        };
        assert_eq!(cost.times(16.0).job, ms(1000 + 16 * 400));
    }

    #[test]
    fn few_rounds_still_have_three_runs() {
        assert_eq!([1, 2, 3, 5].map(runs), [3, 2, 1, 1]);
    }
}
