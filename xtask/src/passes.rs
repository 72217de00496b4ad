//! The rounds of a comparison: pass by pass, each of which has a round of every
//! job, in a new order.
//!
//! So the rounds of a job lie all over the time that a comparison takes. What
//! changes on the machine meanwhile shows in how far they are apart, instead of
//! making one job look slow and the next one fast.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::budget::{self, Course};
use crate::lab::Interrupted;
use crate::measure::Contest;
use crate::progress::whole_seconds;
use crate::session::Session;
use crate::windows::Window;

/// Up to here rounds are begun; the rest is for Criterion's pages.
const MEASURED: f64 = 0.93;

/// How often what was measured so far is written.
const WRITE_EVERY: Duration = Duration::from_secs(30);

/// Why there are no more passes.
enum Stop {
    Interrupted,
    /// Results could not be written.
    Disk(anyhow::Error),
}

impl From<Interrupted> for Stop {
    fn from(_: Interrupted) -> Self {
        Stop::Interrupted
    }
}

impl Session {
    /// Does rounds until more would not tell more, or the time is over. The outer
    /// error is a disk's, the inner one an interruption.
    pub(crate) fn measure(
        &mut self,
        contests: &mut [Contest],
    ) -> anyhow::Result<Result<(), Interrupted>> {
        let mut courses: Vec<_> = contests.iter().map(|one| one.course(&self.mode)).collect();
        let planned = budget::rounds(&courses, self.plannable(), &self.mode);
        for (contest, &number) in contests.iter_mut().zip(&planned) {
            contest.runs = budget::runs(number);
        }
        match self.passes(contests, &mut courses) {
            Ok(()) => {}
            Err(Stop::Interrupted) => return Ok(Err(Interrupted)),
            Err(Stop::Disk(error)) => return Err(error),
        }
        for ((contest, course), &planned) in contests.iter().zip(&courses).zip(&planned) {
            if course.done < planned {
                let (title, done) = (contest.group.title(), course.done);
                self.note(format!(
                    "{title}: {done} of {planned} rounds, to keep to the time"
                ));
            }
        }
        Ok(Ok(()))
    }

    fn passes(&mut self, contests: &mut [Contest], courses: &mut [Course]) -> Result<(), Stop> {
        let mut random = Rng::with_seed(self.comparison.run.seed);
        let deadline = self.began + self.mode.budget.mul_f64(MEASURED);
        let began = Instant::now();
        let mut written = began;
        let mut window = Window::open(&mut self.watch);
        for pass in 1.. {
            let mut groups = self.pass(pass, courses, began, deadline);
            random.shuffle(&mut groups);
            let mut went_on = false;
            for group in groups {
                let course = &mut courses[group];
                let turn = Instant::now();
                // The first always fits: better late than nothing.
                if course.done > 0 && turn + course.round > deadline {
                    continue;
                }
                let contest = &mut contests[group];
                window.add(group, contest, course.done);
                self.turn(contest, course.done, &mut random)?;
                course.went(turn.elapsed());
                went_on = true;
                if window.is_full() {
                    self.settle(window, contests, &mut random, deadline)?;
                    window = Window::open(&mut self.watch);
                }
                self.progress.reached(began.elapsed());
                if written.elapsed() >= WRITE_EVERY {
                    self.comparison.cells = contests.iter().flat_map(Contest::cells).collect();
                    self.write().map_err(Stop::Disk)?;
                    written = Instant::now();
                }
            }
            if !went_on {
                break;
            }
        }
        window.fill();
        Ok(self.settle(window, contests, &mut random, deadline)?)
    }

    /// Who takes part in the next pass: those that get more rounds than they have, by
    /// what is known now.
    fn pass(
        &self,
        number: u32,
        courses: &[Course],
        began: Instant,
        deadline: Instant,
    ) -> Vec<usize> {
        let left = deadline.saturating_duration_since(Instant::now());
        let goals = budget::rounds(courses, left, &self.mode);
        let groups = 0..courses.len();
        let groups: Vec<_> = groups
            .filter(|&group| courses[group].done < goals[group])
            .collect();
        let pass = groups.iter().map(|&group| courses[group].round).sum();
        let rest = courses.iter().zip(&goals);
        let rest: Duration = rest.map(|(course, &goal)| course.up_to(goal)).sum();
        if !groups.is_empty() {
            let jobs = match groups.len() {
                1 => "1 job".to_owned(),
                jobs => format!("{jobs} jobs"),
            };
            self.progress.plan(began.elapsed() + rest);
            self.progress.reached(began.elapsed());
            let (pass, rest) = (whole_seconds(pass), whole_seconds(rest));
            let stage = format!("pass {number}: a round of {jobs}, {pass} of {rest} to go");
            self.progress.stage(&stage);
        }
        groups
    }

    /// One round of one job.
    pub(crate) fn turn(
        &self,
        contest: &mut Contest,
        number: u32,
        random: &mut Rng,
    ) -> Result<(), Interrupted> {
        let title = contest.group.title();
        let doing = |model: &str| {
            let round = number + 1;
            self.progress
                .doing(&format!("{title} · {model} · round {round}"));
        };
        contest.round(&self.lab, &self.mode, random, number, doing)
    }
}
