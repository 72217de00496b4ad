//! `compare-runs` as it is called, with stored runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use results::fixture::Builder;
use results::{Comparison, ResultsDir, Status};
use serde_json::{Value, json};

/// A place for results, with a space in its path.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = tempfile::Builder::new().prefix("a place ").tempdir();
        Self(place.expect("a directory"))
    }

    /// Stores a run under `results`.
    fn store(&self, name: &str, builder: Builder) -> PathBuf {
        self.store_at(&format!("results/{name}"), builder)
    }

    fn store_at(&self, path: &str, builder: Builder) -> PathBuf {
        let directory = ResultsDir::prepare(self.0.path().join(path)).expect("a directory");
        directory.write(&builder.build()).expect("a file");
        directory.path().to_owned()
    }

    fn file(&self, name: &str) -> String {
        let path = self.0.path().join("results/compared-runs").join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// What is printed with this exit code.
    #[track_caller]
    fn compared(&self, code: i32, args: &[&str]) -> String {
        self.compared_within(None, code, args)
    }

    #[track_caller]
    fn compared_within(&self, columns: Option<&str>, code: i32, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("compare-runs").args(args);
        command.arg("--output").arg(self.0.path());
        command.env_remove("COLUMNS");
        command.envs(columns.map(|columns| ("COLUMNS", columns)));
        let done = command.output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&done.stdout) + &text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{args:?}: {said}");
        said
    }
}

/// `primes heavy` by tokio and smol in these times, in milliseconds.
fn primes(tokio: f64, smol: f64) -> Builder {
    let job = json!({"end": 9});
    Builder::new().job("primes", "heavy", job, &[("tokio", tokio), ("smol", smol)])
}

/// A run of another day, mode, machine and compiler.
fn elsewhere(comparison: &mut Comparison) {
    comparison.run.started = "2026-03-04 05:06:07 +00:00".to_owned();
    comparison.run.mode = "quick".to_owned();
    comparison.run.threads = 8;
    comparison.host.cpu = "another processor".to_owned();
    comparison.host.cores = 8;
    let rustc = ("rustc".to_owned(), "rustc 1.96.0 (b)".to_owned());
    comparison.versions = [rustc].into();
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(words.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn two_runs_are_compared_in_every_form() {
    let place = Place::new();
    let reference = primes(1.0, 2.0)
        .job("echo", "heavy", json!({"bytes": 1}), &[("tokio", 1.0)])
        .job("fetch", "heavy", json!({}), &[("tokio", 7.0)]);
    place.store("then", reference);
    let other = primes(1.5, 2.0)
        .job("echo", "heavy", json!({"bytes": 2}), &[("tokio", 1.0)])
        .job_in_rounds("files", "heavy", json!({}), &[("smol", 3.0)], 2);
    let now = place.store_at("else where/now", other.of_run(elsewhere));
    let now = now.to_str().expect("it is UTF-8");

    let forms = "markdown,json,csv";
    let said = place.compared(0, &["then", now, "--export", forms]);
    let parts = [
        "primes heavy tokio 1.00 ms slower 1.50 [1.50, 1.50]",
        "smol 2.00 ms ≈ 1.00 [1.00, 1.00]",
        "files heavy smol - 3.00 ms",
        "fetch heavy tokio 7.00 ms -",
        "day 2026-01-02 to 2026-03-04; processor a processor to another processor; \
         run on 2 cores to 8 cores; worker threads 2 to 8; mode default to quick; \
         rustc none to 1.96.0 (b)",
        "now against then: of 2 cells, 1 slower, 0 faster, 1 no difference, 0 cannot tell",
        "now: not compared, as it was another job, bytes = 1 and not 2: echo heavy (tokio)",
        "not compared, as it was not measured in then: files heavy (smol)",
        "not compared, as it was not measured in now: fetch heavy (tokio)",
    ];
    assert_says(&said, &parts);
    assert_says(
        &place.file("runs.md").replace("\\", ""),
        &[
            "| primes heavy | tokio | 1.00 ms | **slower 1.50 [1.50, 1.50]** |",
            parts[4],
        ],
    );
    let page = place.file("runs.html");
    assert_says(&page, &["slower 1.50", "[1.50, 1.50]", parts[4], parts[6]]);
    let data: Value = serde_json::from_str(&place.file("runs.json")).expect("it is JSON");
    let judged = &data["cells"][0]["places"][1];
    assert_eq!(
        (&judged["ratio"], &judged["verdict"]),
        (&json!(1.5), &json!("slower"))
    );
    assert_eq!(data["runs"][1]["machine"], "another processor, 8 cores");
    let csv = place.file("runs.csv");
    let row = "primes,heavy,tokio,now,then,1500000.0,1000000.0,1.5,1.5,1.5,slower,";
    assert!(csv.lines().any(|line| line == row), "{csv}");
    assert_eq!(csv.lines().count(), 1 + 5, "{csv}");

    let file = Path::new(now).join(ResultsDir::JSON);
    let file = file.to_str().expect("it is UTF-8");
    let said = place.compared(1, &["then", file, "--fail-above", "1.2"]);
    assert_says(&said, &["now: slower than 1.2 times, which is the limit"]);
    place.compared(0, &["then", file, "--fail-above", "1.6"]);
    // The other way round, and the run that started last.
    let said = place.compared(0, &["latest", "--against", file, "--fail-above", "1.2"]);
    assert_says(
        &said,
        &["primes heavy tokio 1.50 ms faster 0.67 [0.67, 0.67]"],
    );
}

#[test]
fn several_runs_stand_side_by_side_where_they_fit() {
    let place = Place::new();
    for (name, ms) in [("a", 1.0), ("b", 2.0), ("c", 0.5), ("d", 1.0)] {
        place.store(name, primes(ms, 1.0));
    }
    let ratios = ["slower 2.00 [2.00, 2.00]", "faster 0.50 [0.50, 0.50]"];
    let row = format!("tokio 1.00 ms {} {}", ratios[0], ratios[1]);
    let of_tables = |said: &str| {
        let lines = said
            .lines()
            .take_while(|line| !line.starts_with("ratios are"));
        lines
            .map(|line| line.chars().count())
            .max()
            .expect("a table")
    };
    let said = place.compared(0, &["a", "b", "c", "d"]);
    assert_says(&said, &[&row]);
    assert!(of_tables(&said) <= 100, "{said}");
    let said = place.compared_within(Some("70"), 0, &["a", "b", "c", "d"]);
    assert_says(&said, &[&format!("tokio 1.00 ms {} smol", ratios[0])]);
    assert!(of_tables(&said) <= 70, "{said}");
    let said = place.compared_within(Some("200"), 0, &["a", "b", "c", "d"]);
    assert_says(&said, &[&format!("{row} ≈ 1.00 [1.00, 1.00]")]);
}

#[test]
fn a_run_does_not_differ_from_itself() {
    let place = Place::new();
    place.store("run", primes(1.0, 2.0));
    let said = place.compared(0, &["run", "run", "--fail-above", "1"]);
    let says = "run#2 against run: of 2 cells, 0 slower, 0 faster, 2 no difference";
    assert_says(&said, &[says]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new();
    place.store("run", primes(1.0, 2.0));
    place.store(
        "parameters",
        Builder::new().job("primes", "heavy", json!({"end": 8}), &[("tokio", 1.0)]),
    );
    place.store(
        "jobs",
        Builder::new().job("echo", "heavy", json!({}), &[("tokio", 1.0)]),
    );
    place.store("few", {
        let job = json!({"end": 9});
        Builder::new().job_in_rounds("primes", "heavy", job, &[("tokio", 1.0)], 2)
    });
    let schema = place.0.path().join("schema 99.json");
    fs::write(&schema, r#"{"schema":99}"#).expect("a file");
    let schema = schema.to_str().expect("it is UTF-8");
    for (code, args, says) in [
        (2, &["run", "none"][..], "none: there is no such file"),
        (2, &["run"], "there has to be a second run"),
        (
            2,
            &["run", "parameters"],
            "only jobs with other parameters than run: primes heavy: end = 9 and not 8",
        ),
        (2, &["run", "jobs"], "has no job and model of run"),
        (1, &["run", schema], "has schema 99"),
        (
            0,
            &["run", "few"],
            "2 rounds in few, and a verdict needs 5: primes heavy (tokio)",
        ),
        (
            1,
            &["run", "few", "--fail-above", "2"],
            "few: nothing could be compared, so the limit is not kept",
        ),
    ] {
        assert_says(&place.compared(code, args), &[says]);
    }
}

#[test]
fn what_has_vanished_or_is_another_command_is_told() {
    let place = Place::new();
    let custom = |command: &str| {
        let times = [("tokio", 1.0), ("smol", 1.0), ("mine", 1.0)];
        let builder = Builder::new().job("primes", "heavy", json!({}), &times);
        builder.with("mine", |cell| cell.command = Some(command.to_owned()))
    };
    place.store("then", custom("mine --fast"));
    place.store("other", custom("mine --slow"));
    place.store(
        "failed",
        custom("mine --fast").without("tokio", Status::Failed, "it hung"),
    );
    let without = [("tokio", 1.0), ("smol", 1.0)];
    place.store(
        "without",
        Builder::new().job("primes", "heavy", json!({}), &without),
    );
    place.store(
        "fewer",
        Builder::new().job(
            "primes",
            "heavy",
            json!({}),
            &[("tokio", 1.0), ("mine", 1.0)],
        ),
    );
    const VANISHED: &str = "cells have vanished, so the limit is not kept";
    let gate = ["--fail-above", "2"];
    for (code, run, says) in [
        (0, "other", "command of mine mine --fast to mine --slow"),
        (1, "failed", VANISHED),
        (1, "without", VANISHED),
        (
            0,
            "fewer",
            "one of the two is a model, and the other a custom command: primes heavy (mine)",
        ),
    ] {
        let said = place.compared(code, &[&["then", run], &gate[..]].concat());
        assert_says(&said, &[says]);
        place.compared(0, &["then", run]);
    }
}

#[test]
fn the_reference_can_be_compared_with_itself() {
    let root = lab::workspace::root().expect("a checkout");
    let place = Place::new();
    let reference = root.join("results/reference");
    let reference = reference.to_str().expect("it is UTF-8");
    let said = place.compared(0, &[reference, reference]);
    assert_says(
        &said,
        &[
            "reference#2 against reference: of ",
            "cells, 0 slower, 0 faster",
        ],
    );
}
