//! What has changed since an earlier run.

use std::collections::BTreeMap;

use results::{Baseline, Cell, Change, Compared, Comparison, Host, MIN_ROUNDS, Time};
use serde_json::Value;
use suite::Invalid;
use suite::setting_text;

use crate::{Rules, bootstrap, holm};

/// An earlier run, read and found to be comparable.
#[derive(Debug)]
pub struct Against {
    earlier: Comparison,
}

impl Against {
    /// Takes the earlier run `name`, for the run that is about to measure `jobs`: a
    /// workload and a label each.
    ///
    /// # Errors
    ///
    /// When its times say nothing of this
    /// one's: another processor, other numbers of cores or threads, or none of
    /// the jobs and models. What only may make a difference is a warning.
    pub fn open(
        name: &str,
        earlier: Comparison,
        comparison: &Comparison,
        jobs: &[(&str, String)],
    ) -> Result<Self, Invalid> {
        let refused = |why: String| Invalid::new("--baseline", name, why);
        let (then, now) = (&earlier.host, &comparison.host);
        let (old, new) = (&earlier.run, &comparison.run);
        let cores = |host: &Host| format!("{} cores", host.cores);
        for (was, is) in [
            (then.cpu.clone(), now.cpu.clone()),
            (cores(then), cores(now)),
            threads(old.threads, new.threads, "--threads"),
            threads(
                old.blocking_threads,
                new.blocking_threads,
                "--blocking-threads",
            ),
        ] {
            if was != is {
                return Err(refused(format!(
                    "was measured with {was}, and this is {is}"
                )));
            }
        }
        let mut cells = earlier.cells.iter();
        let known = cells.any(|cell| {
            let mut jobs = jobs.iter();
            new.models.contains(&cell.model)
                && jobs
                    .any(|(workload, label)| (*workload, label) == (&*cell.workload, &cell.label))
        });
        if !known {
            return Err(refused("has none of these jobs and models".to_owned()));
        }
        Ok(Self { earlier })
    }

    /// What is to be said of the two runs before there are any cells.
    pub fn begin(&self, now: &Comparison, fail_above: Option<f64>) -> Baseline {
        let then = &self.earlier;
        let changes = [
            change_unless_same("mode", &then.run.mode, &now.run.mode),
            change_unless_same("kernel", &then.host.kernel, &now.host.kernel),
            change_unless_same("system", &then.host.os, &now.host.os),
            change_unless_same("downloads into", &then.run.scratch, &now.run.scratch),
        ];
        let changes = changes.into_iter().flatten().map(|change| {
            let Change { what, from, to } = change;
            format!("not only the programs differ: {what} {from}, now {to}")
        });
        Baseline {
            name: then.run.name.clone(),
            revision: then.run.revision.clone(),
            fail_above,
            versions: versions(&then.versions, &now.versions),
            warnings: changes.collect(),
            cells: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Compares `cells`, all of one job, and adds what came of it.
    pub fn add(&self, cells: &[Cell], rules: Rules, baseline: &mut Baseline) {
        let mut estimates = Vec::new();
        let mut compared = Vec::new();
        for cell in cells {
            match self.both(cell) {
                Ok((then, now)) => {
                    estimates.push(bootstrap::unpaired(&now, &then, rules.seed));
                    compared.push(cell);
                }
                Err(why) => {
                    let (workload, label, model) = (&cell.workload, &cell.label, &cell.model);
                    let left_out = format!("{model}: {workload} {label} not compared: {why}");
                    baseline.left_out.push(left_out);
                }
            }
        }
        let judged = holm::judge(&estimates, rules.least);
        let cells = compared.into_iter().zip(judged);
        baseline.cells.extend(cells.map(|(cell, judged)| Compared {
            workload: cell.workload.clone(),
            preset: cell.preset.clone(),
            label: cell.label.clone(),
            model: cell.model.clone(),
            judged,
        }));
    }

    /// The rounds of the earlier cell and of this one, or why these two cannot be
    /// compared.
    fn both<'a>(
        &'a self,
        cell: &'a Cell,
    ) -> Result<(bootstrap::Rounds<'a>, bootstrap::Rounds<'a>), String> {
        let key = |cell: &Cell| {
            (
                cell.workload.clone(),
                cell.label.clone(),
                cell.model.clone(),
            )
        };
        let mut earlier = self.earlier.cells.iter();
        let earlier = earlier.find(|earlier| key(earlier) == key(cell));
        let earlier = earlier.ok_or("it was not measured then")?;
        let then = earlier.time.as_ref().ok_or("it had no time then")?;
        let now = cell.time.as_ref().ok_or("it has no time now")?;
        if let Some(other) = difference(&earlier.job, &cell.job) {
            return Err(format!("it was another job, {other}"));
        }
        let enough = |time: &'a Time, when: &str| {
            let rounds = bootstrap::rounds(time);
            let rounds = rounds.ok_or(format!("its samples {when} make no sense"))?;
            match rounds.len() {
                few if few < MIN_ROUNDS => Err(format!(
                    "{few} rounds {when}, and a verdict needs {MIN_ROUNDS}"
                )),
                _ => Ok(rounds),
            }
        };
        Ok((enough(then, "then")?, enough(now, "now")?))
    }
}

/// What to say of a number of threads, with the option that makes it equal.
fn threads(was: usize, is: usize, option: &str) -> (String, String) {
    let text = |threads: usize| format!("{option} {threads}");
    (text(was), text(is))
}

/// The libraries whose versions are not what they were, or that were or are not
/// there.
fn versions(then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<Change> {
    let mut all: Vec<&String> = then.keys().chain(now.keys()).collect();
    all.sort_unstable();
    all.dedup();
    let version = |of: &BTreeMap<String, String>, library: &String| {
        of.get(library).map_or("none".to_owned(), String::clone)
    };
    let change = |library: &String| {
        let (from, to) = (version(then, library), version(now, library));
        change_unless_same(library, &from, &to)
    };
    all.into_iter().filter_map(change).collect()
}

/// The first of a job's parameters that are not what they were: `end = 1250000
/// and not 1500000`.
fn difference(then: &Value, now: &Value) -> Option<String> {
    let keys = |job: &Value| -> Vec<String> {
        let keys = job.as_object().into_iter().flatten();
        keys.map(|(key, _)| key.clone()).collect()
    };
    let of = |job: &Value, key: &str| job.get(key).map_or("nothing".to_owned(), setting_text);
    let mut keys = keys(now).into_iter().chain(keys(then));
    let key = keys.find(|key| then.get(key) != now.get(key))?;
    Some(format!(
        "{key} = {} and not {}",
        of(then, &key),
        of(now, &key)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(ratio: f64, verdict: Verdict) -> Compared {
        Compared {
            workload: "pipeline".to_owned(),
            preset: "heavy".to_owned(),
            label: "heavy".to_owned(),
            model: "tokio".to_owned(),
            judged: Judged {
                ratio,
                low: ratio - 0.03,
                high: ratio + 0.03,
                verdict,
            },
        }
    }

    #[test]
    fn a_limit_is_kept_by_what_is_slower_only() {
        let baseline = |fail_above, cells| Baseline {
            name: String::new(),
            revision: String::new(),
            fail_above,
            versions: Vec::new(),
            warnings: Vec::new(),
            cells,
            left_out: Vec::new(),
        };
        let slower = compared(1.08, Verdict::Slower);
        let unsure = compared(1.5, Verdict::NoDifference);
        assert!(baseline(None, vec![slower.clone()]).holds());
        assert!(baseline(Some(1.1), vec![slower.clone(), unsure]).holds());
        assert!(!baseline(Some(1.05), vec![slower.clone()]).holds());
        assert!(!baseline(Some(1.05), Vec::new()).holds());
        let words = slower.words();
        assert_eq!(
            words,
            "tokio: pipeline heavy 1.08 times slower [1.05, 1.11]"
        );
    }

    #[test]
    fn changed_versions_are_named() {
        let of = |versions: &[(&str, &str)]| {
            let owned = versions.iter();
            let owned = owned.map(|(library, version)| (library.to_string(), version.to_string()));
            owned.collect::<BTreeMap<_, _>>()
        };
        let then = of(&[
            ("rustc", "rustc 1.94.0 (a)"),
            ("tokio", "1.54.0"),
            ("smol", "2.0.0"),
        ]);
        let now = of(&[
            ("rustc", "rustc 1.95.0 (b)"),
            ("tokio", "1.54.0"),
            ("flume", "0.12.0"),
        ]);
        let changes = versions(&then, &now);
        let words: Vec<_> = changes.iter().map(Change::words).collect();
        assert_eq!(
            words,
            [
                "flume none to 0.12.0",
                "rustc 1.94.0 (a) to 1.95.0 (b)",
                "smol 2.0.0 to none"
            ]
        );
    }

    #[test]
    fn another_job_is_told_by_its_parameter() {
        let job = |end: u64| serde_json::json!({"start": 1, "end": end});
        assert_eq!(difference(&job(9), &job(9)), None);
        let other = difference(&job(9), &job(8));
        assert_eq!(other.as_deref(), Some("end = 9 and not 8"));
        let grown = serde_json::json!({"start": 1, "end": 9, "workers": 2});
        let other = difference(&job(9), &grown);
        assert_eq!(other.as_deref(), Some("workers = nothing and not 2"));
    }
}

fn change_unless_same(what: &str, from: &str, to: &str) -> Option<Change> {
    (from != to).then(|| Change {
        what: what.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    })
}
