//! The rounds of a comparison: pass by pass, each of which has a round of every
//! job, in a new order.
//!
//! So the rounds of a job lie all over the time that a comparison takes. What
//! changes on the machine meanwhile shows in how far they are apart, instead of
//! making one job look slow and the next one fast.

use std::time::{Duration, Instant};

use fastrand::Rng;
use lab::background_load::LoadMonitor;
use lab::error::Interrupted;
use lab::executor::RunContext;
use lab::progress::{Progress, whole_seconds};

use crate::budget::{self, RoundEstimate};
use crate::experiment::Experiment;
use crate::mode::Mode;
use crate::windows::Window;

/// Up to here rounds are begun; the rest is for Criterion's pages.
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
    pub(crate) random: Rng,
    /// When the budget began.
    pub(crate) began: Instant,
}

impl Rounds<'_> {
    /// Does rounds until more would not tell more, or the time is over. Every so
    /// often, `save` is called with what was measured so far. Gives what did not go
    /// as planned.
    ///
    /// # Errors
    ///
    /// [`Interrupted`], and those of `save`.
    pub(crate) fn measure(
        &mut self,
        experiments: &mut [Experiment],
        mut save: impl FnMut(&[Experiment], &LoadMonitor) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<String>> {
        let estimates = experiments.iter().map(|one| one.estimate(self.mode));
        let mut estimates: Vec<RoundEstimate> = estimates.collect();
        let left = self.mode.budget.saturating_sub(self.began.elapsed());
        let planned = budget::rounds(&estimates, budget::plannable(left), self.mode);
        for (experiment, &number) in experiments.iter_mut().zip(&planned) {
            experiment.runs = budget::runs(number);
        }
        self.passes(experiments, &mut estimates, &mut save)?;
        let all = experiments.iter().zip(&estimates).zip(&planned);
        let short = all.filter(|((_, estimate), planned)| estimate.done < **planned);
        let note = |((experiment, estimate), planned): ((&Experiment, &RoundEstimate), &u32)| {
            let (title, done) = (experiment.case.title(), estimate.done);
            format!("{title}: {done} of {planned} rounds, to keep to the time")
        };
        Ok(short.map(note).collect())
    }

    fn passes(
        &mut self,
        experiments: &mut [Experiment],
        estimates: &mut [RoundEstimate],
        save: &mut impl FnMut(&[Experiment], &LoadMonitor) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let deadline = self.began + self.mode.budget.mul_f64(MEASURED);
        let began = Instant::now();
        let mut saved = began;
        let mut window = Window::open(self.monitor);
        for pass in 1.. {
            let mut jobs = self.pass(pass, estimates, began, deadline);
            self.random.shuffle(&mut jobs);
            let mut went_on = false;
            for job in jobs {
                let estimate = &mut estimates[job];
                let started = Instant::now();
                // The first always fits: better late than nothing.
                if estimate.done > 0 && started + estimate.round > deadline {
                    continue;
                }
                let experiment = &mut experiments[job];
                window.add(job, experiment, estimate.done);
                self.round(experiment, estimate.done)?;
                estimate.went(started.elapsed());
                went_on = true;
                if window.is_full() {
                    self.close(window, experiments, deadline)?;
                    window = Window::open(self.monitor);
                }
                self.progress.reached(began.elapsed());
                if saved.elapsed() >= SAVE_EVERY {
                    save(experiments, self.monitor)?;
                    saved = Instant::now();
                }
            }
            if !went_on {
                break;
            }
        }
        window.fill();
        Ok(self.close(window, experiments, deadline)?)
    }

    /// The jobs of the next pass: those that get more rounds than they have, by
    /// what is known now.
    fn pass(
        &self,
        number: u32,
        estimates: &[RoundEstimate],
        began: Instant,
        deadline: Instant,
    ) -> Vec<usize> {
        let left = deadline.saturating_duration_since(Instant::now());
        let goals = budget::rounds(estimates, left, self.mode);
        let jobs: Vec<usize> = (0..estimates.len())
            .filter(|&job| estimates[job].done < goals[job])
            .collect();
        if jobs.is_empty() {
            return jobs;
        }
        let pass = jobs.iter().map(|&job| estimates[job].round).sum();
        let rest = estimates.iter().zip(&goals);
        let rest: Duration = rest.map(|(estimate, &goal)| estimate.up_to(goal)).sum();
        let counted = match jobs.len() {
            1 => "1 job".to_owned(),
            jobs => format!("{jobs} jobs"),
        };
        self.progress.plan(began.elapsed() + rest);
        self.progress.reached(began.elapsed());
        let (pass, rest) = (whole_seconds(pass), whole_seconds(rest));
        let stage = format!("pass {number}: a round of {counted}, {pass} of {rest} to go");
        self.progress.stage(&stage);
        jobs
    }

    /// One round of one job.
    fn round(&mut self, experiment: &mut Experiment, number: u32) -> Result<(), Interrupted> {
        let title = experiment.case.title();
        let doing = |model: &str| {
            let round = number + 1;
            let what = format!("{title} · {model} · round {round}");
            self.progress.doing(&what);
        };
        experiment.round(self.context, self.mode, &mut self.random, number, doing)
    }

    /// Closes a window. If others disturbed it, its rounds are taken again as long
    /// as there is time for that, and kept and counted otherwise.
    fn close(
        &mut self,
        mut window: Window,
        experiments: &mut [Experiment],
        deadline: Instant,
    ) -> Result<(), Interrupted> {
        if window.opened.is_none() || window.rounds.is_empty() {
            return Ok(());
        }
        let mut disturbed = window.disturbed(self.monitor);
        while disturbed {
            let length = window.length();
            if !self.monitor.affords(length) || Instant::now() + length > deadline {
                for (&job, rounds) in &window.rounds {
                    experiments[job].disturbed += rounds.numbers.len() as u32;
                }
                break;
            }
            window.opened = self.monitor.open();
            for (&job, rounds) in &window.rounds {
                let experiment = &mut experiments[job];
                let old = experiment.checkpoints();
                for &number in &rounds.numbers {
                    self.round(experiment, number)?;
                }
                // Only now: an interruption loses nothing.
                experiment.rollback(&rounds.before, &old);
            }
            self.monitor.retook(window.length());
            disturbed = window.disturbed(self.monitor);
        }
        self.monitor.settle(disturbed);
        Ok(())
    }
}
