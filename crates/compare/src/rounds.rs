//! The rounds of a comparison: pass by pass, each of which has a round of every case,
//! in a new order.
//!
//! So the rounds of a case are spread over the whole comparison. A change of the
//! machine meanwhile shows as scatter between them, and does not make one case look
//! slow and the next one fast.

use std::time::{Duration, Instant};

use analysis::Rules;
use fastrand::Rng;
use lab::background_load::LoadMonitor;
use lab::cpu_time::Reading;
use lab::error::Interrupted;
use lab::executor::RunContext;
use lab::progress::{Progress, whole_seconds};
use lab::stops::again;
use results::{Cell, FEWER_ROUNDS, MIN_ROUNDS};
use suite::unranked;

use crate::budget::{self, RoundEstimate};
use crate::experiment::Experiment;
use crate::mode::Mode;
use crate::windows::Window;

/// The part of the budget in which rounds begin; the rest is for Criterion's pages.
const MEASURED: f64 = 0.93;

/// How often what was measured so far is saved.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// What rounds are measured with.
#[derive(Debug)]
pub(crate) struct Rounds<'a> {
    pub(crate) context: &'a RunContext,
    pub(crate) mode: &'a Mode,
    pub(crate) monitor: &'a mut LoadMonitor,
    pub(crate) progress: &'a Progress,
    /// What the order within the rounds is drawn from.
    random: Rng,
    rules: Rules,
    /// When the budget began.
    pub(crate) began: Instant,
    /// No round begins that would end after this.
    deadline: Instant,
    /// When the rounds that are planned will have been measured.
    end: Instant,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(
        context: &'a RunContext,
        mode: &'a Mode,
        monitor: &'a mut LoadMonitor,
        progress: &'a Progress,
        rules: Rules,
        began: Instant,
    ) -> Self {
        let deadline = began + mode.budget.mul_f64(MEASURED);
        Self {
            context,
            mode,
            monitor,
            progress,
            random: Rng::with_seed(rules.seed),
            rules,
            began,
            deadline,
            end: deadline,
        }
    }

    /// Measures rounds until more would add nothing, or the time is over. Calls `save`
    /// every 30 seconds with what was measured so far. Returns what did not go as
    /// planned.
    ///
    /// # Errors
    ///
    /// [`Interrupted`], and those of `save`.
    pub(crate) fn measure(
        &mut self,
        experiments: &mut [Experiment],
        mut save: impl FnMut(&[Experiment], &LoadMonitor) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<String>> {
        let mut estimates: Vec<RoundEstimate> = experiments
            .iter()
            .map(|experiment| experiment.estimate(self.mode))
            .collect();
        let left = self.mode.budget.saturating_sub(self.began.elapsed());
        let planned = budget::rounds(&estimates, budget::plannable(left), self.mode);
        for (experiment, &number) in experiments.iter_mut().zip(&planned) {
            experiment.runs = budget::runs(number);
        }
        self.passes(experiments, &mut estimates, &mut save)?;
        let mut notes = Vec::new();
        for ((experiment, estimate), planned) in experiments.iter().zip(&estimates).zip(&planned) {
            // A verdict's, also where there was never time for these.
            let verdict = (MIN_ROUNDS as u32).min(self.mode.most_rounds);
            let planned = verdict.max(*planned);
            if estimate.done < planned {
                let (title, done) = (experiment.case.title(), estimate.done);
                notes.push(format!("{title}: {done} of {planned}{FEWER_ROUNDS}"));
            }
        }
        Ok(notes)
    }

    fn passes(
        &mut self,
        experiments: &mut [Experiment],
        estimates: &mut [RoundEstimate],
        save: &mut impl FnMut(&[Experiment], &LoadMonitor) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut saved = began;
        let mut window = Window::open(self.monitor);
        for pass in 1.. {
            let mut indices = self.pass(pass, estimates, began);
            self.random.shuffle(&mut indices);
            let mut measured_any = false;
            for index in indices {
                let estimate = &mut estimates[index];
                // The first round of a case is measured even if it is late.
                if estimate.done > 0 && Instant::now() + estimate.round > self.deadline {
                    continue;
                }
                let experiment = &mut experiments[index];
                window.add(index, experiment, estimate.done);
                let took = self.round(&mut window.opened, experiment, estimate.done)?;
                estimate.record_round(took);
                let cells = experiment.cells();
                estimate.look(&cells, self.rules);
                if [1, MIN_ROUNDS].contains(&(estimate.done as usize)) {
                    let so_far = so_far(&cells, estimate.done);
                    so_far
                        .into_iter()
                        .for_each(|line| self.progress.line(&line));
                }
                measured_any = true;
                if window.is_full() {
                    self.close(window, experiments)?;
                    window = Window::open(self.monitor);
                }
                self.progress.reached(began.elapsed());
                if saved.elapsed() >= SAVE_EVERY {
                    save(experiments, self.monitor)?;
                    saved = Instant::now();
                }
            }
            if !measured_any {
                break;
            }
        }
        window.wait_until_full();
        Ok(self.close(window, experiments)?)
    }

    /// The cases of the next pass, by index: those that get more rounds than they have,
    /// as far as is known now.
    fn pass(&mut self, number: u32, estimates: &[RoundEstimate], began: Instant) -> Vec<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let goals = budget::rounds(estimates, left, self.mode);
        let indices: Vec<usize> = (0..estimates.len())
            .filter(|&index| estimates[index].done < goals[index])
            .collect();
        if indices.is_empty() {
            return indices;
        }
        let pass = indices.iter().map(|&index| estimates[index].round).sum();
        let rest = estimates
            .iter()
            .zip(&goals)
            .map(|(estimate, &goal)| estimate.cost_up_to(goal))
            .sum();
        let counted = match indices.len() {
            1 => "1 job".to_owned(),
            jobs => format!("{jobs} jobs"),
        };
        self.end = Instant::now() + rest;
        self.progress.plan(began.elapsed() + rest);
        self.progress.reached(began.elapsed());
        let (pass, rest) = (whole_seconds(pass), whole_seconds(rest));
        self.progress.stage(&format!(
            "pass {number}: a round of {counted}, {pass} of {rest} to go"
        ));
        indices
    }

    /// One round of one case, and again if something was stopped meanwhile. Returns how long
    /// the last one has taken. After a stop, the window is `opened` anew.
    fn round(
        &mut self,
        opened: &mut Option<Reading>,
        experiment: &mut Experiment,
        number: u32,
    ) -> Result<Duration, Interrupted> {
        let interrupt = &self.context.interrupt;
        let before = interrupt.stops().lost();
        let title = format!("{} · round {}", experiment.case.title(), number + 1);
        let progress = self.progress;
        let started = Instant::now();
        let mut state = (experiment, Vec::new());
        let took = interrupt.unstopped_with(
            &mut state,
            |(experiment, measured)| {
                *measured = experiment.checkpoints();
                let started = Instant::now();
                self.one_round(experiment, number)?;
                Ok(started.elapsed())
            },
            |(experiment, measured), _| {
                experiment.forget_stopped(measured);
                progress.line(&again(&format!("{title} · all models")));
                // Background load during the stop has not disturbed what was measured.
                *opened = opened.and_then(|_| Reading::now().ok());
            },
        );
        let took = took.unwrap_or_else(|_| {
            let (experiment, measured) = &mut state;
            experiment.fail_stopped(measured);
            Ok(started.elapsed())
        })?;
        self.deadline += interrupt.stops().lost() - before;
        Ok(took)
    }

    fn one_round(&mut self, experiment: &mut Experiment, number: u32) -> Result<(), Interrupted> {
        let title = experiment.case.title();
        let contestants = experiment.series.len();
        let mut at = 0;
        let doing = |model: &str| {
            at += 1;
            let left = whole_seconds(self.end.saturating_duration_since(Instant::now()));
            self.progress.doing(&format!(
                "{title} · round {} · {model}, {at} of {contestants} · {left} left",
                number + 1
            ));
        };
        experiment.round(self.context, self.mode, &mut self.random, number, doing)
    }

    /// Closes a window. If there was background load, its rounds are measured again as
    /// long as there is time for that; otherwise they are kept and counted.
    fn close(
        &mut self,
        mut window: Window,
        experiments: &mut [Experiment],
    ) -> Result<(), Interrupted> {
        if window.opened.is_none() || window.rounds.is_empty() {
            return Ok(());
        }
        let mut noisy = window.is_noisy(self.monitor);
        while noisy {
            let length = window.length();
            if !self.monitor.affords(length) || Instant::now() + length > self.deadline {
                for (&index, rounds) in &window.rounds {
                    experiments[index].noisy += rounds.numbers.len() as u32;
                }
                break;
            }
            window.opened = self.monitor.open();
            for (&index, rounds) in &window.rounds {
                let experiment = &mut experiments[index];
                let old = experiment.checkpoints();
                for &number in &rounds.numbers {
                    self.round(&mut window.opened, experiment, number)?;
                }
                // Only now: an interruption loses nothing.
                experiment.rollback(&rounds.before, &old);
            }
            self.monitor.retook(window.length());
            noisy = window.is_noisy(self.monitor);
        }
        self.monitor.settle(noisy);
        Ok(())
    }
}

/// A line with the best of a job's `cells` after this number of rounds: its table comes at the
/// end, as its other rounds lie all over the run. `None` for a job that is not ranked.
fn so_far(cells: &[Cell], rounds: u32) -> Option<String> {
    let timed = cells.iter().filter(|cell| cell.is_job_time());
    let times = timed.filter_map(|cell| Some((cell, cell.ranked_ns()?)));
    let (best, ns) = times.min_by(|(_, one), (_, other)| one.total_cmp(other))?;
    let Cell {
        workload,
        label,
        model,
        ..
    } = best;
    let time = Duration::from_nanos(ns as u64);
    let rounds = match rounds {
        1 => "1 round".to_owned(),
        more => format!("{more} rounds"),
    };
    let line = format!("{workload} {label}: best so far {model}, {time:.1?}, after {rounds}");
    unranked(workload, &best.job).is_none().then_some(line)
}
