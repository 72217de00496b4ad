//! Which losses a job on several machines survives. Each loss is a test of the cluster model's
//! crate, which kills, stops or cuts off real programs. These tests are run by their names, and
//! shown like the cases of other programs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use comfy_table::Cell;
use lab::build::Profile;
use lab::interrupt::Interrupt;
use lab::process::{self, Limits};
use lab::workspace;

use crate::check::wrong;
use crate::matrix::counts;
use crate::run::{Failure, Verdict};
use crate::table::{failed, with_heads};

/// The model's name, used as a column head.
const MODEL: &str = "cluster";

/// What a test prints if it is skipped; it passes all the same.
const SKIPPED: &str = "SKIPPED: ";

/// The timeout for building everything and running the tests.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);

/// Something that is lost.
#[derive(Debug)]
pub struct Loss {
    /// Its name on the command line.
    pub name: &'static str,
    what: &'static str,
    /// The expected outcome of the job.
    right: &'static str,
    /// The test program, and its tests for this loss.
    file: &'static str,
    tests: &'static [&'static str],
}

/// All of them, in the order of the table.
pub static LOSSES: [Loss; 27] = [
    Loss {
        name: "node-before-work",
        what: "a node, killed before it works",
        right: "right; its share is delivered again after `--ack-wait`",
        file: "deaths",
        tests: &["a_node_is_killed_before_it_works"],
    },
    Loss {
        name: "node-before-ack",
        what: "a node, killed between answer and ack",
        right: "right; the second answer is compared, and not counted",
        file: "deaths",
        tests: &["a_node_is_killed_between_answer_and_ack"],
    },
    Loss {
        name: "node-after-ack",
        what: "a node, killed after the ack",
        right: "right; its share is not worked on again",
        file: "deaths",
        tests: &["a_node_is_killed_after_the_ack"],
    },
    Loss {
        name: "own-node",
        what: "a node that the parent has started, killed at work",
        right: "right; at once its share is published again, and another node starts",
        file: "deaths",
        tests: &["a_node_of_the_parent_is_killed"],
    },
    Loss {
        name: "node-stopped",
        what: "a node, stopped for longer than `--ack-wait`, then continued",
        right: "right; one of its share's two answers counts",
        file: "deaths",
        tests: &["a_node_is_stopped_for_longer_than_an_ack_is_waited_for"],
    },
    Loss {
        name: "link",
        what: "the link of a node, for three seconds",
        right: "right",
        file: "namespaces",
        tests: &[
            "primes_with_a_node_cut_off",
            "thumbnails_with_a_node_cut_off",
            "download_with_a_node_cut_off",
            "chat_with_a_node_cut_off",
        ],
    },
    Loss {
        name: "server-with-store",
        what: "the server, killed and started again on its store",
        right: "right",
        file: "deaths",
        tests: &["a_server_is_restarted_on_its_store"],
    },
    Loss {
        name: "server-without-store",
        what: "the server, killed and started again with an empty memory",
        right: "right; what has no answer is published again",
        file: "deaths",
        tests: &["a_server_is_restarted_without_what_it_had_in_memory"],
    },
    Loss {
        name: "own-server",
        what: "the parent's own server, killed",
        right: "right; it is started again on the same port",
        file: "deaths",
        tests: &["the_server_of_the_parent_is_killed"],
    },
    Loss {
        name: "server-for-good",
        what: "the server, for good",
        right: "an error that says so, after 30 seconds or a little more",
        file: "deaths",
        tests: &["a_server_that_stays_away_is_an_error"],
    },
    Loss {
        name: "all-nodes",
        what: "all nodes that were started by hand",
        right: "after six times `--ack-wait` they are given up; 30 seconds later an error that \
                names a share or how many nodes have come, unless others have taken their places",
        file: "deaths",
        tests: &["without_nodes_there_is_an_error"],
    },
    Loss {
        name: "deadly-share",
        what: "every node that gets a share",
        right: "an error that names the share, after 5 deliveries or 6 dead nodes",
        file: "deaths",
        tests: &[
            "a_share_that_kills_five_nodes_is_given_up_and_named",
            "a_share_that_kills_every_node_of_the_parent_is_named",
        ],
    },
    Loss {
        name: "parent",
        what: "the parent, killed",
        right: "none of its nodes is left, nor its server",
        file: "deaths",
        tests: &["nothing_is_left_of_a_parent_that_is_killed"],
    },
    Loss {
        name: "unit-node",
        what: "a node that has a unit of a pipeline, a tree or deadlines, killed",
        right: "right; all units that work with each other begin again",
        file: "deaths_units",
        tests: &[
            "a_node_of_a_pipeline_is_killed",
            "a_node_with_operations_in_flight_is_killed",
            "a_node_of_a_tree_is_killed",
        ],
    },
    Loss {
        name: "unit-node-replaced",
        what: "such a node that was started by hand, and another comes",
        right: "right; all such units begin again",
        file: "deaths_units",
        tests: &["another_node_takes_the_place_of_one_that_is_killed"],
    },
    Loss {
        name: "unit-node-for-good",
        what: "such a node that was started by hand, and no other comes",
        right: "an error as for all nodes, which says how many have come",
        file: "deaths_units",
        tests: &["without_another_node_there_is_an_error"],
    },
    Loss {
        name: "chat-node",
        what: "a node of a chat, killed",
        right: "its members are cut, others have every message, who comes later has another node",
        file: "deaths_chat",
        tests: &["a_node_of_a_chat_is_killed"],
    },
    Loss {
        name: "chat-node-stopped",
        what: "a node of a chat, stopped for longer than six times `--ack-wait`, then continued",
        right: "its members are cut; others have every message, and it serves those who come later",
        file: "deaths_chat",
        tests: &["a_node_of_a_chat_is_stopped_and_then_continued"],
    },
    Loss {
        name: "chat-link",
        what: "the connection of a chat's node to the server, for a while",
        right: "every member has every message",
        file: "deaths_chat",
        tests: &["a_node_of_a_chat_is_cut_off_from_the_server"],
    },
    Loss {
        name: "chat-server-with-store",
        what: "the server of a chat, killed and started again on its store",
        right: "every member has every message",
        file: "deaths_chat",
        tests: &["a_chat_goes_on_when_its_server_is_restarted_on_its_store"],
    },
    Loss {
        name: "chat-server",
        what: "what was said in a chat, with the server's memory",
        right: "an error that says so",
        file: "deaths_chat",
        tests: &["a_chat_whose_server_forgets_what_was_said_fails"],
    },
    Loss {
        name: "download-node",
        what: "a node that has files of a download, killed",
        right: "right; the rest of these files is asked for",
        file: "deaths_download",
        tests: &[
            "a_node_is_killed_before_it_begins",
            "a_node_is_killed_when_it_has_begun",
            "a_node_of_the_parent_is_killed",
        ],
    },
    Loss {
        name: "download-node-stopped",
        what: "such a node, stopped for longer than `--ack-wait`, then continued",
        right: "right; what it sends later is not taken",
        file: "deaths_download",
        tests: &["a_node_is_stopped_and_goes_on_when_another_has_its_files"],
    },
    Loss {
        name: "download-server",
        what: "the server in the middle of a download, with or without its store",
        right: "right; the rest of each file is asked for",
        file: "deaths_download",
        tests: &[
            "a_server_is_restarted_on_its_store",
            "a_server_is_restarted_without_what_it_had_in_memory",
            "the_server_of_the_parent_is_killed",
        ],
    },
    Loss {
        name: "token",
        what: "the token, or it is another one",
        right: "an error; the client is told nothing",
        file: "access",
        tests: &["without_the_token_there_is_nothing"],
    },
    Loss {
        name: "authority",
        what: "the authority that has signed the certificate, or it is another one",
        right: "an error before the token is sent",
        file: "access",
        tests: &["a_server_with_another_certificate_is_refused"],
    },
    Loss {
        name: "build",
        what: "a node or a parent of another build",
        right: "refused, with both revisions",
        file: "access",
        tests: &[
            "builds_that_differ_refuse_each_other",
            "a_node_refuses_a_parent_of_another_build",
        ],
    },
];

/// How the losses came out.
#[derive(Debug)]
pub struct Survived {
    rows: Vec<(&'static Loss, Verdict)>,
    took: Duration,
}

/// Builds the tests of these losses, and runs them.
///
/// # Errors
///
/// When they do not build; [`Interrupted`](lab::error::Interrupted).
pub fn run(
    losses: &[&'static Loss],
    root: &Path,
    profile: Profile,
    interrupt: &Interrupt,
) -> anyhow::Result<Survived> {
    let began = Instant::now();
    let package = workspace::package(MODEL);
    let limits = Limits {
        timeout: PATIENCE,
        interrupt: interrupt.clone(),
    };
    // Each test program runs once: its standard error belongs to all of its tests.
    let mut programs = BTreeMap::new();
    for loss in losses {
        if programs.contains_key(loss.file) {
            continue;
        }
        let of_file = losses.iter().filter(|other| other.file == loss.file);
        let mut command = workspace::cargo(root);
        command.args(["test", "--color", "never", "--package", &package]);
        command.args(["--test", loss.file]);
        if profile == Profile::Release {
            command.arg("--release");
        }
        // Show the output of passed tests too: they may have been skipped.
        command.args(["--", "--exact", "--show-output"]);
        command.args(of_file.flat_map(|loss| loss.tests));
        let done = process::run(&mut command, &limits, None)?;
        ensure!(
            !outcomes(&done.stdout).is_empty(),
            "the tests {} of {package} were not run: {}\n{}",
            loss.file,
            done.status,
            done.stderr
        );
        programs.insert(loss.file, done);
    }
    let verdict = |loss: &Loss| {
        let done = &programs[loss.file];
        verdict(loss, &outcomes(&done.stdout), &done.stderr)
    };
    Ok(Survived {
        rows: losses.iter().map(|loss| (*loss, verdict(loss))).collect(),
        took: began.elapsed(),
    })
}

/// How a test came out.
#[derive(Debug, Default)]
struct Outcome<'a> {
    /// `ok`, `FAILED` or `ignored`.
    result: &'a str,
    printed: Vec<&'a str>,
}

/// Parses the output of test programs: the outcome of each test.
fn outcomes(printed: &str) -> BTreeMap<&str, Outcome<'_>> {
    let mut all: BTreeMap<&str, Outcome> = BTreeMap::new();
    // Whose output the next lines are.
    let mut whose = None;
    for line in printed.lines() {
        let result = line.strip_prefix("test ");
        let begins = line.strip_prefix("---- ");
        if let Some((name, result)) = result.and_then(|rest| rest.split_once(" ... ")) {
            all.entry(name).or_default().result = result;
        } else if let Some(name) = begins.and_then(|rest| rest.strip_suffix(" stdout ----")) {
            whose = Some(name);
        } else if ["successes:", "failures:"].contains(&line) || line.starts_with("test result: ") {
            whose = None;
        } else if let Some(name) = whose {
            all.entry(name).or_default().printed.push(line);
        }
    }
    all
}

/// The verdict on a loss: all of its tests must have been run, and must pass. A skipped test says
/// so in its own output or on the standard error of its program.
fn verdict(loss: &Loss, outcomes: &BTreeMap<&str, Outcome>, stderr: &str) -> Verdict {
    for test in loss.tests {
        let (got, printed) = match outcomes.get(test) {
            None => ("there is no such test", &[][..]),
            Some(outcome) => (outcome.result, &*outcome.printed),
        };
        if got != "ok" {
            return Verdict::Fail(Box::new(Failure {
                command: format!(
                    "cargo test --package {} --test {} {test}",
                    workspace::package(MODEL),
                    loss.file
                ),
                wrong: vec![wrong(loss.right, got)],
                stdout: printed.join("\n"),
                stderr: String::new(),
            }));
        }
        let mut lines = printed.iter().copied().chain(stderr.lines());
        if let Some((_, why)) = lines.find_map(|line| line.split_once(SKIPPED)) {
            return Verdict::NotRun(why.trim_end_matches(" ***").to_owned());
        }
    }
    Verdict::Pass
}

impl Survived {
    /// The numbers of those that passed, failed, and were not run.
    pub fn counts(&self) -> [usize; 3] {
        counts(self.rows.iter().map(|(_, verdict)| verdict))
    }

    /// The table for a terminal, and what went wrong.
    pub fn terminal(&self) -> String {
        let heads = ["loss", "what is lost", "what comes of the job"];
        let mut table = with_heads(&heads, &[MODEL.to_owned()]);
        for (loss, verdict) in &self.rows {
            let mut cells = [loss.name, loss.what, loss.right].map(Cell::new).to_vec();
            cells.push(verdict.mark().cell());
            table.add_row(cells);
        }
        let mut text = table.trim_fmt();
        for (loss, verdict) in &self.rows {
            match verdict {
                Verdict::Pass => {}
                Verdict::Fail(failure) => text += &failed(MODEL, loss.what, failure),
                Verdict::NotRun(why) => text += &format!("\n\nNOT RUN {}: {why}", loss.name),
            }
        }
        let took = self.took.as_secs_f64();
        format!("{text}\n\n{}, in {took:.0} s", self.summary())
    }

    /// The table as Markdown.
    pub fn markdown(&self) -> String {
        let heads = format!("| what is lost | what comes of the job | {MODEL} |");
        let mut text = format!("{heads}\n|---|---|---|\n");
        for (loss, verdict) in &self.rows {
            let mark = verdict.mark().markdown();
            text += &format!("| {} | {} | {mark} |\n", loss.what, loss.right);
        }
        text + &format!("\n{}.\n", self.summary())
    }

    fn summary(&self) -> String {
        let [passed, failed, not_run] = self.counts();
        let all = self.rows.len();
        format!("{all} losses: {passed} passed, {failed} failed, {not_run} not run")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// As two programs of tests print it, the second with one that fails.
    const PRINTED: &str = "
running 2 tests
test a_node_is_killed_after_the_ack ... ok
test a_server_is_restarted_on_its_store ... ok

successes:

---- a_node_is_killed_after_the_ack stdout ----
a line

---- a_server_is_restarted_on_its_store stdout ----
SKIPPED: no nats-server (Debian: apt-get install nats-server)


successes:
    a_node_is_killed_after_the_ack
    a_server_is_restarted_on_its_store

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.10s


running 2 tests
test a_node_refuses_a_parent_of_another_build ... FAILED
test builds_that_differ_refuse_each_other ... ok

successes:

successes:
    builds_that_differ_refuse_each_other

failures:

---- a_node_refuses_a_parent_of_another_build stdout ----
Error: it was not refused

failures:
    a_node_refuses_a_parent_of_another_build

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.10s
";

    fn survived(verdict: impl Fn(&Loss) -> Verdict) -> Survived {
        Survived {
            rows: LOSSES.iter().map(|loss| (loss, verdict(loss))).collect(),
            took: Duration::from_secs(3),
        }
    }

    #[test]
    fn a_loss_is_as_its_tests_are() {
        let outcomes = outcomes(PRINTED);
        assert_eq!(outcomes.len(), 4, "{outcomes:?}");
        // Other programs have tests of the same names.
        let not_run = BTreeMap::new();
        let all = survived(|loss| {
            let was_run = ["deaths", "access"].contains(&loss.file);
            let outcomes = if was_run { &outcomes } else { &not_run };
            verdict(loss, outcomes, "warning: a line")
        });
        // Of the others there is nothing in what was printed.
        assert_eq!(all.counts(), [1, 25, 1]);
        let text = all.terminal();
        for says in [
            "NOT RUN server-with-store: no nats-server (Debian: apt-get install nats-server)",
            "FAIL cluster: a node or a parent of another build",
            "stdout: Error: it was not refused",
            "got: FAILED",
            "got: there is no such test",
            "27 losses: 1 passed, 25 failed, 1 not run, in 3 s",
        ] {
            assert!(text.contains(says), "no {says} in {text}");
        }
        assert!(!text.contains("a line"), "{text}");
    }

    #[test]
    fn what_a_program_could_not_do_has_not_passed() {
        let outcomes = outcomes(PRINTED);
        let said = "running\n\n*** SKIPPED: no namespaces: not permitted ***\n\n";
        let loss = &LOSSES[2];
        assert!(matches!(verdict(loss, &outcomes, ""), Verdict::Pass));
        match verdict(loss, &outcomes, said) {
            Verdict::NotRun(why) => assert_eq!(why, "no namespaces: not permitted"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_loss_has_a_name_of_its_own_and_tests_that_there_are() {
        let root = workspace::root().expect("a checkout");
        let directory = root.join("crates").join(workspace::package(MODEL));
        for (at, loss) in LOSSES.iter().enumerate() {
            let before = &LOSSES[..at];
            assert!(before.iter().all(|other| other.name != loss.name));
            let path = directory.join(format!("tests/{}.rs", loss.file));
            let text = fs::read_to_string(path).expect("a program of tests");
            assert!(!loss.tests.is_empty(), "{}", loss.name);
            for test in loss.tests {
                assert!(text.contains(&format!("#[test]\nfn {test}()")), "{test}");
                let mut of_file = before.iter().filter(|other| other.file == loss.file);
                assert!(of_file.all(|other| !other.tests.contains(test)));
            }
        }
    }

    #[test]
    fn the_readme_has_all_of_them() {
        let root = workspace::root().expect("a checkout");
        let readme = root.join("crates").join(workspace::package(MODEL));
        let readme = fs::read_to_string(readme.join("README.md")).expect("there is a README");
        // How each came out there is what the command has found.
        let rows = |text: &str| {
            let rows = text.lines().filter(|line| line.starts_with("| "));
            let rows = rows.filter_map(|line| line.rsplit_once(" | "));
            rows.map(|(row, _)| row.to_owned()).collect::<Vec<_>>()
        };
        let (_, table) = readme
            .split_once("--cluster --readme` -->\n")
            .expect("a mark");
        let (table, _) = table.split_once("<!-- /faults -->").expect("a mark");
        let right = survived(|_| Verdict::Pass).markdown();
        assert_eq!(
            rows(table),
            rows(&right),
            "run `cargo xtask faults --cluster --readme`"
        );
    }
}
