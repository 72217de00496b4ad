//! One comparison under way: tries every cell out, has them measured in
//! [passes](crate::passes), judges them, and writes what came of it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::baseline::{Against, Baseline};
use crate::beside::Beside;
use crate::budget::{self, Measured};
use crate::child::Stopped;
use crate::contestants::Contestant;
use crate::judge::Rules;
use crate::lab::{Interrupted, Lab};
use crate::measure::{Contest, Entry};
use crate::neighbours::Watch;
use crate::plan::{Group, Mode};
use crate::progress::{Progress, whole_seconds};
use crate::results::{Cell, Comparison, Directory, Status};
use crate::self_check::SelfCheck;
use crate::verdicts::{self, Section};
use crate::{ceiling, curves, replay, report, sweep, view};

/// How a comparison ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every cell is right, or unsupported; and no slower than it may be.
    Well,
    /// Some cell is not, or the comparison failed its check of itself.
    WithFailures,
    /// Someone ended it before its end.
    Interrupted,
}

/// One comparison under way.
#[derive(Debug)]
pub struct Session {
    /// Runs the programs.
    pub lab: Lab,
    /// How much time there is, and what for.
    pub mode: Mode,
    /// Looks at what others use of the machine.
    pub watch: Watch,
    /// When that time began.
    pub began: Instant,
    /// Where it is told what happens.
    pub progress: Progress,
    /// What verdicts hang on.
    pub rules: Rules,
    /// The earlier run that this one is compared with.
    pub against: Option<Against>,
    /// What came of it so far.
    pub comparison: Comparison,
    /// What lies beside that.
    pub beside: Beside,
    /// Where that is written.
    pub results: Directory,
}

impl Session {
    /// Compares `contestants` at `groups`; Criterion's pages go below `target`.
    ///
    /// # Errors
    ///
    /// When results cannot be written.
    pub fn run(
        mut self,
        groups: Vec<Group>,
        contestants: &[Contestant],
        target: &Path,
    ) -> anyhow::Result<End> {
        self.progress
            .line(&self.introduction(groups.len(), contestants));
        let contest = |group: Group| Contest {
            entries: contestants
                .iter()
                .filter(|contestant| contestant.group(&group).is_some())
                .map(Entry::new)
                .collect(),
            runs: 1,
            ceiling: None,
            disturbed: 0,
            group: Group {
                divisor: if self.mode.scale && !group.whole {
                    FIRST_DIVISOR
                } else {
                    1
                },
                ..group
            },
        };
        let mut contests: Vec<_> = groups.into_iter().map(contest).collect();
        let ready = self.try_the_watch();
        let end = match ready.and_then(|()| self.prepare(&mut contests)) {
            Ok(()) => {
                let end = self.measure(&mut contests)?;
                self.conclude(&contests);
                end
            }
            interrupted => interrupted,
        };
        self.comparison.run.interrupted = end.is_err();
        if end.is_ok() {
            self.criterion_pages(target);
        }
        self.write()?;
        self.closing();
        let failed = |status| matches!(status, Status::Failed | Status::WrongAnswer);
        let failures = self.comparison.cells.iter().any(|cell| failed(cell.status));
        let held = self
            .comparison
            .baseline
            .as_ref()
            .is_none_or(Baseline::holds);
        let checked = self.comparison.self_check.as_ref();
        let checked = checked.is_none_or(SelfCheck::passed);
        Ok(match failures || !held || !checked {
            // Also if only Criterion's pages are missing.
            _ if self.lab.interrupt.came() => End::Interrupted,
            true => End::WithFailures,
            false => End::Well,
        })
    }

    /// Says what the readings of neighbours are worth, before anything is measured.
    fn try_the_watch(&mut self) -> Result<(), Interrupted> {
        self.progress.stage("looking for neighbours");
        let remark = self.watch.try_out(self.mode.budget, &self.lab.interrupt)?;
        let said = remark.clone();
        let said = said.unwrap_or_else(|| self.watch.seen.error_words());
        self.progress.line(&format!("neighbours: {said}"));
        let notes = &mut self.comparison.run.notes;
        notes.extend(remark.map(|remark| format!("neighbours: {remark}")));
        Ok(())
    }

    /// Runs every cell once, for its answer and its pace, and plans with that.
    fn prepare(&mut self, contests: &mut [Contest]) -> Result<(), Interrupted> {
        let mut untried: Vec<usize> = (0..contests.len()).collect();
        let passes = if self.mode.scale { PASSES } else { 1 };
        for pass in 1..=passes {
            for contest in untried {
                self.try_out(&mut contests[contest])?;
            }
            untried = match pass < passes {
                true => self.resize(contests),
                false => Vec::new(),
            };
        }
        for contest in contests {
            if !contest.paces().is_empty() {
                // What takes longer than that is not worth waiting for.
                let timeout = (self.mode.budget / 20).max(Duration::from_secs(2));
                contest.ceiling = self.ceiling(&contest.group, timeout)?;
            }
        }
        Ok(())
    }

    fn try_out(&self, contest: &mut Contest) -> Result<(), Interrupted> {
        // Whoever hangs here must not take the whole budget with it.
        let timeout = (self.mode.budget / 8).max(Duration::from_secs(5));
        let group = &contest.group;
        let title = format!("{}: trying 1/{} of it", group.title(), group.divisor);
        self.progress.stage(&title);
        for entry in &mut contest.entries {
            self.progress.doing(&format!("{title} · {}", entry.model()));
            entry.try_out(&self.lab, &group.of(entry.original()), timeout)?;
        }
        contest.choose_bench();
        Ok(())
    }

    /// Gives each job the size that fits the time, and says whose has changed.
    fn resize(&self, contests: &mut [Contest]) -> Vec<usize> {
        let measured = contests.iter().map(|contest| Measured {
            paces: contest.paces(),
            divisor: contest.group.divisor,
            whole: contest.group.whole,
        });
        let measured: Vec<_> = measured.collect();
        let mut divisors = budget::divisors(&measured, self.plannable(), &self.mode);
        let groups: Vec<_> = contests.iter().map(|contest| &contest.group).collect();
        sweep::even_out(&groups, &mut divisors);
        let mut changed = Vec::new();
        for (at, (contest, divisor)) in contests.iter_mut().zip(divisors).enumerate() {
            if contest.group.divisor != divisor {
                contest.group.divisor = divisor;
                changed.push(at);
            }
        }
        changed
    }

    fn ceiling(
        &mut self,
        group: &Group,
        timeout: Duration,
    ) -> Result<Option<Duration>, Interrupted> {
        let Some(origin) = self.lab.origin(group) else {
            return Ok(None);
        };
        // Who have limits of their own would each have a ceiling of their own.
        if group.own.is_some() {
            return Ok(None);
        }
        let (job, share) = (group.job(), group.share());
        let why = match ceiling::measure(origin, &job, share, timeout, &self.lab.interrupt) {
            Ok(ceiling) => return Ok(ceiling),
            Err(Stopped::Interrupted) => return Err(Interrupted),
            Err(Stopped::Overtime(limit)) => format!("not within {}", whole_seconds(limit)),
            Err(Stopped::Failed(error)) => format!("{error:#}"),
        };
        let title = group.title();
        self.note(format!("{title}: the origin's own time is unknown: {why}"));
        Ok(None)
    }

    /// Puts what was measured into the comparison, for good.
    fn conclude(&mut self, contests: &[Contest]) {
        self.comparison.cells.clear();
        for contest in contests {
            let cells = contest.cells();
            self.judge(&cells);
            self.comparison.cells.extend(cells);
        }
        self.comparison.sweeps = curves::of(&self.comparison.cells, &self.comparison.verdicts);
        let shares_table = |one: &Contest, other: &Contest| one.group.shares_table(&other.group);
        for table in contests.chunk_by(shares_table) {
            let group = &table[0].group;
            let workload = group.workload.name();
            self.progress.print(&match &group.point {
                None => report::terminal(&self.comparison, workload),
                Some(point) => {
                    report::terminal_sweep(&self.comparison, workload, &point.key, group.cores)
                }
            });
        }
    }

    /// Says what differs in what was just measured, all cells of one group.
    fn judge(&mut self, cells: &[Cell]) {
        let comparison = &mut self.comparison;
        let section = match &mut comparison.self_check {
            Some(check) => check.add(cells, self.rules),
            None => Section::of(cells, &verdicts::all_pairs(cells), self.rules),
        };
        comparison.verdicts.extend(section);
        if let (Some(against), Some(baseline)) = (&self.against, &mut comparison.baseline) {
            against.add(cells, self.rules, baseline);
        }
    }

    fn criterion_pages(&mut self, target: &Path) {
        if !self.comparison.cells.iter().any(replay::shown) {
            return;
        }
        self.progress.stage("making Criterion's pages");
        let home = target.join("criterion");
        let made = self
            .results
            .write(&self.comparison)
            .map_err(Stopped::Failed)
            .and_then(|()| replay::make(&self.results, &home, &self.lab.interrupt));
        match made {
            Ok(()) => self.comparison.run.criterion = Some("target/criterion".to_owned()),
            Err(Stopped::Failed(error)) => {
                self.note(format!("Criterion's pages could not be made: {error:#}"));
            }
            // The results are whole, so this is still a comparison to its end.
            Err(Stopped::Interrupted | Stopped::Overtime(_)) => {
                let note = "Criterion's pages were not made".to_owned();
                self.comparison.run.notes.push(note);
            }
        }
    }

    /// Writes what there is. Before there is any, results of the same name stay.
    pub(crate) fn write(&mut self) -> anyhow::Result<()> {
        if self.comparison.cells.is_empty() {
            return Ok(());
        }
        self.comparison.run.neighbours = Some(self.watch.seen.clone());
        self.comparison.run.took_s = self.began.elapsed().as_secs_f64();
        self.beside.write(&self.results)?;
        report::write(&self.results, &self.comparison)
    }

    fn introduction(&self, groups: usize, contestants: &[Contestant]) -> String {
        let run = &self.comparison.run;
        let names: Vec<_> = contestants.iter().map(|one| &*one.model).collect();
        format!(
            "{}: {groups} jobs by {}, within {}, seed {}, on {} cores",
            run.name,
            names.join(", "),
            whole_seconds(self.mode.budget),
            run.seed,
            self.comparison.host.cores
        )
    }

    fn closing(&self) {
        let path = self.results.path().display();
        let took = whole_seconds(self.began.elapsed());
        let how = match self.comparison.run.interrupted {
            true => "interrupted after",
            false => "took",
        };
        if self.comparison.cells.is_empty() {
            self.progress
                .print(&format!("{how} {took}, before anything was measured"));
            return;
        }
        for finding in view::findings(&self.comparison) {
            let lines: String = finding
                .lines
                .iter()
                .map(|line| format!("\n  {line}"))
                .collect();
            self.progress.print(&format!("{}:{lines}\n", finding.title));
        }
        let neighbours = self.watch.seen.words();
        self.progress.print(&format!("neighbours: {neighbours}"));
        self.progress.print(&format!(
            "{how} {took}; results are in {path}:\n  {path}/{}",
            Directory::PAGE
        ));
    }

    /// Says what did not go as planned, now and in the results.
    pub(crate) fn note(&mut self, note: String) {
        self.progress.line(&note);
        self.comparison.run.notes.push(note);
    }

    pub(crate) fn plannable(&self) -> Duration {
        budget::plannable(self.mode.budget.saturating_sub(self.began.elapsed()))
    }
}

/// A job of unknown length is first tried at this part of its size: in a mode
/// that scales, a full one could take the budget alone.
const FIRST_DIVISOR: u64 = 64;

/// How often a job is tried at most, resized in between: its fixed part makes
/// the first estimate too high, and seldom the second.
const PASSES: u32 = 3;
