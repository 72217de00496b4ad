//! What has changed since an earlier run.

use std::collections::BTreeMap;

use results::{Baseline, Cell, Change, Compared, Comparison, Host, Judged, MIN_ROUNDS, Time};
use serde_json::Value;
use suite::{Invalid, Workload, setting_text};

use crate::{Rules, bootstrap, holm};

/// An earlier run, read and found to be comparable.
#[derive(Debug)]
pub struct Against {
    earlier: Comparison,
    /// The jobs of this run: a workload and a label each.
    jobs: Vec<(String, String)>,
}

impl Against {
    /// Takes the earlier run `name`, for the run that is about to measure `jobs` (a
    /// workload and a label each) by its models and these custom commands.
    ///
    /// # Errors
    ///
    /// When the two cannot be compared: another processor, other numbers of cores or
    /// threads, or no job and model in common. What only may make a difference is a
    /// warning.
    pub fn open(
        name: &str,
        earlier: Comparison,
        comparison: &Comparison,
        jobs: Vec<(String, String)>,
        commands: &[&str],
    ) -> Result<Self, Invalid> {
        let refused = |why: String| Invalid::new("--baseline", name, why);
        let (then, now) = (&earlier.host, &comparison.host);
        let (old, new) = (&earlier.run, &comparison.run);
        // Older results may have had a quota, and do not say.
        let knows_quota = then.quota.is_some() || then.usable_cores.is_some();
        let cores = |host: &Host| {
            let own = Host {
                machine_cores: None,
                quota: host.quota.filter(|_| knows_quota),
                ..host.clone()
            };
            own.cores_words()
        };
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
        let against = Self { earlier, jobs };
        let takes_part = |cell: &&Cell| match cell.is_model() {
            true => new.models.contains(&cell.model),
            false => commands.contains(&&*cell.model),
        };
        if !against.of_these_jobs().any(|cell| takes_part(&cell)) {
            return Err(refused("has none of these jobs and models".to_owned()));
        }
        Ok(against)
    }

    /// The earlier cells of the jobs of this run.
    fn of_these_jobs(&self) -> impl Iterator<Item = &Cell> {
        let is_of = |cell: &&Cell| {
            let mut jobs = self.jobs.iter();
            jobs.any(|(workload, label)| cell.is_of(workload, label))
        };
        self.earlier.cells.iter().filter(is_of)
    }

    /// What differs between the two runs, before there are any cells.
    pub fn begin(&self, now: &Comparison, fail_above: Option<f64>) -> Baseline {
        let then = &self.earlier;
        let changes = differences(then, now);
        let warning = |Change { what, from, to }| {
            format!("not only the programs differ: {what} {from}, now {to}")
        };
        let mut warnings: Vec<_> = changes.into_iter().map(warning).collect();
        let mut versions = versions(&then.versions, &now.versions);
        match built(&then.build, &now.build) {
            Ok(changes) => versions.extend(changes),
            Err(unknown) => warnings.push(unknown),
        }
        Baseline {
            name: then.run.name.clone(),
            revision: then.run.revision.clone(),
            fail_above,
            versions,
            warnings,
            cells: Vec::new(),
            left_out: Vec::new(),
            vanished: Vec::new(),
        }
    }

    /// Compares `cells`, all of one job, and adds what came of it.
    pub fn add(&self, cells: &[Cell], rules: Rules, baseline: &mut Baseline) {
        let cells: Vec<&Cell> = cells.iter().collect();
        let judged = judge(&self.earlier, &cells, ["then", "now"], rules);
        for (cell, judged) in cells.into_iter().zip(judged) {
            self.name_new_command(cell, baseline);
            let (workload, label, model) = (&cell.workload, &cell.label, &cell.model);
            match judged {
                Ok(judged) => baseline.cells.push(Compared {
                    workload: workload.clone(),
                    preset: cell.preset.clone(),
                    label: label.clone(),
                    model: model.clone(),
                    judged,
                }),
                Err(why) => {
                    let left_out = format!("{model}: {workload} {label} not compared: {why}");
                    baseline.left_out.push(left_out);
                }
            }
        }
    }

    /// Adds the earlier cells that have no time now: of these jobs, by the models that take
    /// part, and by all custom commands.
    pub fn finish(&self, now: &Comparison, baseline: &mut Baseline) {
        let takes_part = |cell: &&Cell| !cell.is_model() || now.run.models.contains(&cell.model);
        let is_missing = |cell: &&Cell| {
            let mut cells = now.cells.iter();
            let same = cells.find(|same| same.is_same_job(cell) && same.model == cell.model);
            cell.time.is_some() && same.is_none_or(|same| same.time.is_none())
        };
        let missing = self.of_these_jobs().filter(takes_part).filter(is_missing);
        let name = |cell: &Cell| format!("{}: {} {}", cell.model, cell.workload, cell.label);
        baseline.vanished = missing.map(name).collect();
    }

    /// The earlier cell of the same job, and of the same name.
    fn earlier(&self, cell: &Cell) -> Option<&Cell> {
        let mut earlier = self.earlier.cells.iter();
        earlier.find(|then| then.is_same_job(cell) && then.model == cell.model)
    }

    /// Adds the custom command of a cell, once, if it has changed.
    fn name_new_command(&self, cell: &Cell, baseline: &mut Baseline) {
        let then = self.earlier(cell);
        if let Some(changed) = then.and_then(|then| changed_command(then, cell))
            && !baseline.versions.contains(&changed)
        {
            baseline.versions.push(changed);
        }
    }
}

/// Compares `cells`, all of one job, with those of an `earlier` run: the ratios of their times
/// to the earlier ones, tested together; or why a cell cannot be compared. Messages call the
/// two runs by `names`.
pub(crate) fn judge(
    earlier: &Comparison,
    cells: &[&Cell],
    names: [&str; 2],
    rules: Rules,
) -> Vec<Result<Judged, String>> {
    let estimates = cells.iter().map(|cell| {
        let (then, now) = both(earlier, cell, names)?;
        Ok(bootstrap::unpaired(&now, &then, rules.seed))
    });
    let estimates: Vec<Result<_, String>> = estimates.collect();
    let known: Vec<_> = estimates.iter().flatten().copied().collect();
    let mut judged = holm::judge(&known, rules.equivalence).into_iter();
    let of_estimate = |of: Result<_, String>| of.map(|_| judged.next().expect("one for each"));
    estimates.into_iter().map(of_estimate).collect()
}

/// The rounds of the earlier cell and of this one, or why these two cannot be compared.
fn both<'a>(
    earlier: &'a Comparison,
    cell: &'a Cell,
    [then, now]: [&str; 2],
) -> Result<(bootstrap::Rounds<'a>, bootstrap::Rounds<'a>), String> {
    let is_same = |earlier: &&Cell| earlier.is_same_job(cell) && earlier.model == cell.model;
    let earlier = earlier.cells.iter().find(is_same);
    let earlier = earlier.ok_or_else(|| format!("it was not measured {then}"))?;
    if earlier.is_model() != cell.is_model() {
        return Err("one of the two is a model, and the other a custom command".to_owned());
    }
    if earlier.answers != cell.answers {
        return Err("only one of the two times is that of a whole process".to_owned());
    }
    let time = earlier.time.as_ref();
    let time_then = time.ok_or_else(|| format!("it had no time {then}"))?;
    let time = cell.time.as_ref();
    let time_now = time.ok_or_else(|| format!("it has no time {now}"))?;
    if let Some(other) = difference(earlier, cell) {
        return Err(format!("it was another job, {other}"));
    }
    if earlier.mostly_clock || cell.mostly_clock {
        return Err("its time is mostly the reading of the clock".to_owned());
    }
    let enough = |time: &'a Time, when: &str| {
        let rounds =
            bootstrap::rounds(time).ok_or_else(|| format!("its samples {when} make no sense"))?;
        if rounds.len() < MIN_ROUNDS {
            let few = match rounds.len() {
                1 => "1 round".to_owned(),
                few => format!("{few} rounds"),
            };
            return Err(format!("{few} {when}, and a verdict needs {MIN_ROUNDS}"));
        }
        Ok(rounds)
    };
    Ok((enough(time_then, then)?, enough(time_now, now)?))
}

/// The custom command of a cell, if it has changed.
pub(crate) fn changed_command(then: &Cell, now: &Cell) -> Option<Change> {
    let (from, to) = (then.command.as_ref()?, now.command.as_ref()?);
    change_unless_same(&format!("command of {}", now.model), from, to)
}

/// What differs between two runs besides their programs.
pub(crate) fn differences(then: &Comparison, now: &Comparison) -> Vec<Change> {
    // Older results do not say this of their machine.
    let of_both = |what: &str, of: &dyn Fn(&Host) -> Option<String>| {
        change_unless_same(what, &of(&then.host)?, &of(&now.host)?)
    };
    let governor = |host: &Host| host.governor.clone();
    let power = |host: &Host| {
        let word = |on_battery| {
            if on_battery {
                "a battery"
            } else {
                "mains power"
            }
        };
        host.on_battery
            .map(|on_battery| word(on_battery).to_owned())
    };
    let all_cores = |host: &Host| {
        let all = host.machine_cores.or(host.usable_cores);
        all.map(|cores| cores.to_string())
    };
    let nodes = |of: &Comparison| Some(of.run.cluster?.words());
    let nodes = nodes(then).zip(nodes(now));
    let changes = [
        of_both("frequency governor", &governor),
        of_both("power from", &power),
        of_both("cores of the machine", &all_cores),
        change_unless_same("mode", &then.run.mode, &now.run.mode),
        change_unless_same("kernel", &then.host.kernel, &now.host.kernel),
        change_unless_same("system", &then.host.os, &now.host.os),
        change_unless_same("downloads into", &then.run.scratch, &now.run.scratch),
        nodes.and_then(|(was, is)| change_unless_same("nodes of the cluster", &was, &is)),
    ];
    changes.into_iter().flatten().collect()
}

/// A number of threads then and now, with the option that sets it.
fn threads(was: usize, is: usize, option: &str) -> (String, String) {
    let text = |threads: usize| format!("{option} {threads}");
    (text(was), text(is))
}

/// The entries whose values have changed (libraries and their versions, or build settings),
/// with those added or removed.
pub(crate) fn versions(
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Vec<Change> {
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

/// The build settings that have changed; or that this cannot be known, as one of the two runs
/// has none recorded.
pub(crate) fn built(
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Result<Vec<Change>, String> {
    if then.is_empty() == now.is_empty() {
        return Ok(versions(then, now));
    }
    let which = if then.is_empty() {
        "earlier"
    } else {
        "present"
    };
    Err(format!(
        "not only the code may differ: with which flags and profile the {which} programs were \
         built is not known"
    ))
}

/// The first of a job's parameters that are not what they were: `end = 1250000
/// and not 1500000`.
pub(crate) fn difference(then: &Cell, now: &Cell) -> Option<String> {
    let [then, now] = &[then, now].map(parameters);
    let value = |job: &Value, key: &str| job.get(key).map_or("nothing".to_owned(), setting_text);
    let keys = [now, then]
        .into_iter()
        .filter_map(Value::as_object)
        .flatten();
    let (key, _) = keys
        .into_iter()
        .find(|(key, _)| then.get(key) != now.get(key))?;
    let (was, is) = (value(then, key), value(now, key));
    Some(format!("{key} = {was} and not {is}"))
}

/// The parameters of a cell's job. Those that there were not yet are what they are if nothing
/// else is said.
fn parameters(cell: &Cell) -> Value {
    let workload = cell.workload.parse::<Workload>().ok();
    let job = workload.and_then(|workload| workload.job_from_json(cell.job.clone()).ok());
    job.map_or_else(|| cell.job.clone(), |job| job.to_json())
}

pub(crate) fn change_unless_same(what: &str, from: &str, to: &str) -> Option<Change> {
    (from != to).then(|| Change {
        what: what.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use results::Verdict;
    use results::fixture::Builder;

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
            vanished: Vec::new(),
        };
        let slower = compared(1.08, Verdict::Slower);
        let unsure = compared(1.5, Verdict::NoDifference);
        assert!(baseline(None, vec![slower.clone()]).holds());
        assert!(baseline(Some(1.1), vec![slower.clone(), unsure]).holds());
        assert!(!baseline(Some(1.05), vec![slower.clone()]).holds());
        assert!(!baseline(Some(1.05), Vec::new()).holds());
        let vanished = |fail_above| Baseline {
            vanished: vec!["mine: pipeline heavy".to_owned()],
            ..baseline(fail_above, vec![slower.clone()])
        };
        assert!(vanished(None).holds() && !vanished(Some(2.0)).holds());
    }

    #[test]
    fn what_older_results_do_not_say_of_their_machine_is_no_difference() {
        let of = |change: &dyn Fn(&mut Host)| {
            let fixture = Builder::new().job("primes", "heavy", Value::Null, &[("serial", 1e6)]);
            fixture.of_run(|run| change(&mut run.host)).build()
        };
        let open = |then: &Comparison, now: &Comparison| {
            let jobs = vec![("primes".to_owned(), "heavy".to_owned())];
            let opened = Against::open("then", then.clone(), now, jobs, &[]);
            opened
                .map(|_| differences(then, now))
                .map_err(|refused| refused.to_string())
        };
        let older = of(&|_| {});
        let now = of(&|host| {
            host.usable_cores = Some(4);
            host.machine_cores = Some(8);
            host.quota = Some(2.5);
            host.on_battery = Some(true);
        });
        assert_eq!(open(&older, &now), Ok(Vec::new()));
        assert_eq!(open(&now, &now), Ok(Vec::new()));

        let elsewhere = of(&|host| {
            host.usable_cores = Some(2);
            host.quota = Some(2.5);
            host.on_battery = Some(false);
        });
        let changes = [
            ("power from", "mains power", "a battery"),
            ("cores of the machine", "2", "8"),
        ];
        let changes = changes.map(|(what, from, to)| change_unless_same(what, from, to));
        let changes = changes.into_iter().flatten().collect();
        assert_eq!(open(&elsewhere, &now), Ok(changes));
        let unlimited = of(&|host| host.usable_cores = Some(2));
        let refused = open(&unlimited, &now).expect_err("another quota");
        assert!(refused.contains("2.5 cores' time"), "{refused}");
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
        let expected = [
            ("flume", "none", "0.12.0"),
            ("rustc", "rustc 1.94.0 (a)", "rustc 1.95.0 (b)"),
            ("smol", "2.0.0", "none"),
        ];
        let expected = expected.map(|(what, from, to)| change_unless_same(what, from, to));
        assert_eq!(changes, expected.map(|change| change.expect("they differ")));
    }

    #[test]
    fn programs_that_were_built_otherwise_are_named() {
        let of = |pairs: &[(&str, &str)]| {
            let owned = pairs.iter();
            let owned = owned.map(|(what, value)| (what.to_string(), value.to_string()));
            owned.collect::<BTreeMap<_, _>>()
        };
        let then = of(&[("profile", "opt-level 3"), ("RUSTFLAGS", "-C lto=off")]);
        let now = of(&[("profile", "opt-level 2")]);
        let changes = built(&then, &now).expect("both say");
        let expected = [
            ("RUSTFLAGS", "-C lto=off", "none"),
            ("profile", "opt-level 3", "opt-level 2"),
        ];
        let expected = expected.map(|(what, from, to)| change_unless_same(what, from, to));
        assert_eq!(changes, expected.map(|change| change.expect("they differ")));
        assert_eq!(built(&then, &then), Ok(Vec::new()));
        assert_eq!(built(&of(&[]), &of(&[])), Ok(Vec::new()));
        let unknown = built(&of(&[]), &now).expect_err("the earlier one does not say");
        assert!(unknown.contains("the earlier programs"), "{unknown}");
        assert!(built(&then, &of(&[])).is_err());
    }

    #[test]
    fn another_job_is_told_by_its_parameter() {
        let of = |job| Cell {
            job,
            ..results::fixture::cell("primes", "heavy", "serial")
        };
        let job = |end: u64| of(serde_json::json!({"start": 1, "end": end}));
        assert_eq!(difference(&job(9), &job(9)), None);
        let other = difference(&job(9), &job(8));
        assert_eq!(other.as_deref(), Some("end = 9 and not 8"));
        let grown = of(serde_json::json!({"start": 1, "end": 9, "workers": 2}));
        let other = difference(&job(9), &grown);
        assert_eq!(other.as_deref(), Some("workers = nothing and not 2"));
        // The key is younger than some results.
        let share = |share: u64| {
            let job = serde_json::json!({"start": 1, "end": 9, "workers": 2, "share": share});
            of(job)
        };
        assert_eq!(difference(&grown, &share(0)), None);
        let other = difference(&grown, &share(3));
        assert_eq!(other.as_deref(), Some("share = 0 and not 3"));
    }

    #[test]
    fn other_nodes_are_a_difference() {
        let of = |nodes, cores_each| Builder::new().nodes(nodes, cores_each).build();
        let half = of(4, Some(0.5));
        assert_eq!(differences(&half, &half), Vec::new());
        let changes = differences(&half, &of(2, None));
        let [Change { what, from, to }] = &changes[..] else {
            panic!("{changes:?}");
        };
        let words = [
            "nodes of the cluster",
            "4 nodes with 0.5 cores' time each",
            "2 nodes",
        ];
        assert_eq!([what, from, to], words);
        // One of the two had none.
        assert_eq!(differences(&half, &Builder::new().build()), Vec::new());
    }
}
