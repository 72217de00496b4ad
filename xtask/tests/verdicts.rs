//! Made-up models whose times are known: what is called a difference, what has
//! changed since an earlier run, and a comparison that checks itself.

mod common;

use std::fs;
use std::process::Output;

use serde_json::{Value, json};
use xtask::judge::Rules;
use xtask::results::{Cell, Comparison};
use xtask::verdicts::{Section, all_pairs};
use xtask::{page, report};

use common::{Stage, text};

/// A runner that gets everything right.
const RUNNER: &str = r#"
case "$*" in *--hold*) echo '{"elapsed_ns":1000000,"outcome":{}}'; cat > /dev/null; exit 0 ;; esac
echo '{"elapsed_ns":1000000,"outcome":{}}'
"#;

/// A bench whose samples take the time that `ns` comes to, and some nanoseconds.
const BENCH: &str = r#"
of() { echo "$PACES_CELLS" | sed "s/.*\"$1\":\"*\([^\",}]*\).*/\1/"; }
ns=@NS
new="$CRITERION_HOME/$(of workload)/@MODEL/$(of label)/new"
mkdir -p "$new"
times=$ns
for more in 1 2 3 4 5 6 7 8 9; do times="$times,$((ns + more))"; done
echo "{\"iters\":[1,1,1,1,1,1,1,1,1,1],\"times\":[$times]}" > "$new/sample.json"
"#;

impl Stage {
    fn new(models: &[(&str, &str)]) -> Self {
        let stage = Self::empty();
        for (model, ns) in models {
            stage.script(&format!("model-{model}"), RUNNER);
            stage.takes(model, ns);
        }
        stage
    }

    /// From now on this model takes so many nanoseconds, as the shell says it.
    fn takes(&self, model: &str, ns: &str) {
        let bench = BENCH.replace("@NS", ns).replace("@MODEL", model);
        self.script(&format!("bench-{model}"), &bench);
    }

    fn compare(&self, name: &str, args: &[&str]) -> Output {
        let own = ["--budget", "40", "--seed", "7", "--name", name];
        // Some of these models count their rounds: none may be taken again.
        let own = [&own[..], &["--neighbours-limit", "100"]].concat();
        let mut command = self.quick(&[&own[..], args].concat());
        command.output().expect("it starts")
    }

    /// Changes the data of an earlier run.
    fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut data = self.results(name);
        change(&mut data);
        let path = self.path(&format!("results/{name}/comparison.json"));
        fs::write(path, data.to_string()).expect("a file");
    }
}

/// Standard output of what had to end with this code.
fn ended(output: &Output, code: i32) -> String {
    let printed = text(&output.stdout);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{printed}{said}");
    printed
}

const LOCK: [&str; 3] = ["counter", "--set", "counter.guard=lock"];

#[test]
fn differences_are_told_from_ties() {
    let stage = Stage::new(&[
        ("serial", "1000000"),
        ("thread", "1000100"),
        ("tokio", "1015000"),
        ("smol", "2000000"),
    ]);
    // A fifth more in each round.
    let round = "$(cat rounds 2>/dev/null || echo 1000000)\necho $((ns + 200000)) > rounds";
    let round = round.replace("rounds", &stage.path("rounds").display().to_string());
    stage.script("model-process", RUNNER);
    stage.takes("process", &round);
    let models = ["--models", "serial,thread,process,tokio,smol"];
    let args = [&LOCK[..], &models].concat();
    let printed = ended(&stage.compare("told", &args), 0);

    let data = stage.results("told");
    let sections = data["verdicts"].as_array().expect("a list");
    let [section] = &sections[..] else {
        panic!("{sections:?}");
    };
    assert_eq!(section["workload"], "counter");
    assert_eq!(section["label"], "heavy");
    assert_eq!(section["rounds"], 5);
    assert_eq!(section["drifting"], json!(["process"]));
    let pairs = section["pairs"].as_array().expect("a list");
    assert_eq!(pairs.len(), 10);
    let of = |model: &str, other: &str| {
        let mut pairs = pairs.iter();
        pairs
            .find(|pair| pair["model"] == model && pair["other"] == other)
            .unwrap_or_else(|| panic!("no {model} {other} in {section}"))
    };
    assert_eq!(of("serial", "thread")["verdict"], "no difference");
    // However sure: it is less than 2 %.
    let close = of("serial", "tokio");
    assert_eq!(close["verdict"], "no difference", "{close}");
    assert!(close["high"].as_f64() < Some(1.0), "{close}");
    let twice = of("serial", "smol");
    assert_eq!(twice["verdict"], "faster", "{twice}");
    assert_eq!(twice["ratio"], 0.5);
    let ends = |key: &str| twice[key].as_f64().expect("a number");
    assert!(0.49 < ends("low") && ends("low") <= 0.5, "{twice}");
    assert!(0.5 <= ends("high") && ends("high") < 0.51, "{twice}");

    let ranks = "ranks: 1 serial = thread = tokio = process, 5 smol";
    assert!(printed.contains(ranks), "{printed}");
    assert!(printed.contains("≈ 1.01×"), "{printed}");
    let markdown = fs::read_to_string(stage.path("results/told/comparison.md"));
    let markdown = markdown.expect("tables");
    let process = markdown.lines().find(|line| line.contains("| process |"));
    assert!(process.expect("a row").contains("drifting"), "{markdown}");
    let page = fs::read_to_string(stage.path("results/told/index.html")).expect("a page");
    let pair = "<bdi>serial</bdi></th><td class=\"text\"><bdi>smol</bdi></td>\
        <td data-key=\"0.5\">0.50×</td><td class=\"text\">2.00 times faster [2.00, 2.00]</td>";
    assert!(page.contains(pair));

    // The same times and the same seed, the same verdicts; another least
    // difference, others.
    fs::remove_file(stage.path("rounds")).expect("it was there");
    ended(&stage.compare("again", &args), 0);
    assert_eq!(stage.results("again")["verdicts"], data["verdicts"]);
    fs::remove_file(stage.path("rounds")).expect("it was there");
    let finer = [&args[..], &["--least-difference", "1"]].concat();
    let printed = ended(&stage.compare("finer", &finer), 0);
    // What drifts is no better than what is told apart.
    let ranks = "ranks: 1 serial = thread, 3 tokio = process, 5 smol";
    assert!(printed.contains(ranks), "{printed}");
}

#[test]
fn four_rounds_give_no_verdict() {
    let cell = |model: &str, ns: f64, rounds: usize| -> Cell {
        let samples: Vec<f64> = (0..rounds * 2).map(|more| ns + more as f64).collect();
        let cell = json!({
            "workload": "counter", "preset": "heavy", "label": "heavy", "model": model,
            "job": {}, "status": "ok", "scaled": false, "divisor": 1,
            "time": {"median_ns": ns, "low_ns": ns, "high_ns": ns, "samples_ns": samples,
                "rounds": vec![2; rounds]},
            "memory_method": null, "runs": 0,
        });
        serde_json::from_value(cell).expect("it is of the schema")
    };
    let rules = Rules {
        seed: 1,
        least: 0.02,
    };
    for (rounds, pairs) in [(4, 0), (5, 1)] {
        // Who ends a comparison in its fifth round leaves one of them behind.
        let cells = [cell("serial", 1e6, 5), cell("tokio", 2e6, rounds)];
        let section = Section::of(&cells, &all_pairs(&cells), rules).expect("there are times");
        assert_eq!((section.rounds, section.pairs.len()), (rounds, pairs));
        let comparison = json!({
            "schema": 1,
            "run": {
                "name": "", "started": "", "mode": "", "revision": "", "seed": 1,
                "threads": 2, "blocking_threads": 64, "models": ["serial", "tokio"],
                "budget_s": 1.0, "took_s": 1.0, "interrupted": true,
            },
            "host": {"cpu": "", "cores": 2, "memory": 1, "kernel": "", "os": ""},
            "versions": {},
            "cells": cells,
            "verdicts": [section],
        });
        let comparison: Comparison = serde_json::from_value(comparison).expect("of the schema");
        let table = report::terminal(&comparison, "counter");
        let page = page::page(&comparison).expect("a page");
        let says = match pairs {
            0 => "no verdict: that takes 5 rounds",
            _ => "ranks: 1 serial, 2 tokio",
        };
        assert!(table.contains(says) && page.contains(says), "{table}");
    }
}

#[test]
fn what_has_changed_since_an_earlier_run_is_told() {
    let stage = Stage::new(&[
        ("serial", "1000000"),
        ("thread", "1000000"),
        ("tokio", "1000000"),
        ("smol", "1000000"),
        ("async-std", "1000000"),
    ]);
    let models = ["--models", "serial,thread,tokio,async-std,smol"];
    let args = [&LOCK[..], &models].concat();
    ended(&stage.compare("then", &args), 0);
    stage.change("then", |data| {
        data["versions"]["tokio"] = "1.0.0".into();
        data["host"]["kernel"] = "5.4".into();
        let cells = data["cells"].as_array_mut().expect("a list");
        for cell in cells {
            match cell["model"].as_str() {
                Some("smol") => cell["job"]["workers"] = 3.into(),
                Some("async-std") => {
                    cell["time"]["rounds"] = json!([10, 10, 10, 20]);
                }
                _ => {}
            }
        }
    });
    stage.takes("tokio", "1080000");
    stage.takes("thread", "500000");
    let against = |name: &str, limit: &str| {
        let baseline = ["--baseline", "then", "--fail-above", limit];
        stage.compare(name, &[&args[..], &baseline].concat())
    };
    let printed = ended(&against("kept", "1.1"), 0);
    for words in [
        "tokio 1.0.0 to 1.",
        "kernel 5.4, now ",
        "tokio: counter heavy 1.08 times slower [1.08, 1.08]",
        "thread: counter heavy 2.00 times faster [2.00, 2.00]",
        "1 of 3 cells: no difference",
        "smol: counter heavy not compared: it was another job, workers = 3 and not ",
        "async-std: counter heavy not compared: 4 rounds then",
    ] {
        assert!(printed.contains(words), "no {words} in {printed}");
        for file in ["comparison.md", "index.html"] {
            let path = stage.path(&format!("results/kept/{file}"));
            let text = fs::read_to_string(path).expect("a file");
            let text = text.replace(['\\'], "").replace("&#34;", "\"");
            assert!(text.contains(words), "no {words} in {file}");
        }
    }
    let baseline = stage.results("kept")["baseline"].clone();
    assert_eq!(baseline["name"], "then");
    let cells = baseline["cells"].as_array().expect("a list");
    let tokio = cells.iter().find(|cell| cell["model"] == "tokio");
    let tokio = tokio.expect("it was compared");
    assert_eq!(tokio["ratio"], 1.08, "{tokio}");
    assert_eq!(tokio["verdict"], "slower");
    assert_eq!(tokio["preset"], "heavy");

    let printed = ended(&against("broken", "1.05"), 1);
    assert!(printed.contains("slower than 1.05 times"), "{printed}");
}

#[test]
fn what_is_no_baseline_is_refused() {
    let stage = Stage::new(&[("serial", "1000000")]);
    let args = [&LOCK[..], &["--models", "serial"]].concat();
    ended(&stage.compare("then", &args), 0);
    let refused = |more: &[&str], says: &str| {
        let output = stage.compare("now", &[&args[..], more].concat());
        ended(&output, 2);
        let said = text(&output.stderr);
        assert!(said.contains(says), "{more:?}: {said}");
    };
    refused(&["--baseline", "no-such"], "no-such/comparison.json");
    refused(&["--baseline", "now"], "written over it");
    refused(&["--baseline", "a/b"], "letters, digits");
    refused(
        &["--baseline", "then", "--threads", "1000"],
        "--threads 1000",
    );
    refused(&["--fail-above", "1.1"], "--baseline");
    refused(
        &["--baseline", "then", "--fail-above", "0.9"],
        "ratio from 1",
    );
    refused(
        &["--baseline", "then", "--fail-above", "NaN"],
        "ratio from 1",
    );
    refused(&["--least-difference", "101"], "percent from 0 to 100");
    refused(&["--least-difference", "many"], "percent from 0 to 100");
    refused(&["--self-check", "--baseline", "then"], "--self-check");
    stage.change("then", |data| data["host"]["cpu"] = "a Z80".into());
    refused(
        &["--baseline", "then"],
        "was measured with a Z80, and this is ",
    );
    stage.change("then", |data| {
        data["host"]["cpu"] = xtask::host::host().cpu.into();
        data["cells"] = json!([]);
    });
    refused(&["--baseline", "then"], "none of these jobs");
    let now = stage.path("results/now");
    assert!(!now.exists(), "something was measured");
}

/// What this job of primes takes: a nanosecond a number.
const BY_SIZE: &str = "$(($(of end) - $(of start)))";

#[test]
fn a_self_check_finds_what_differs_and_nothing_else() {
    let stage = Stage::new(&[("serial", BY_SIZE), ("tokio", BY_SIZE)]);
    let args = ["primes", "--self-check", "--models", "serial,tokio"];
    let printed = ended(&stage.compare("checked", &args), 0);
    assert!(printed.contains("0 of 2 pairs of a model"), "{printed}");
    let data = stage.results("checked");
    let check = &data["self_check"];
    assert_eq!(check["pairs"], 2);
    assert_eq!(check["different"], 0);
    assert_eq!(check["share"], 0.0);
    let slowed = &check["slowed"];
    assert_eq!(slowed["verdict"], "slower", "{slowed}");
    assert_eq!(slowed["model"], "serial#slowed");
    assert_eq!(slowed["by"], 1.05);
    let names = ["serial", "serial#2", "serial#slowed", "tokio", "tokio#2"];
    assert_eq!(data["run"]["models"], json!(names));
    let cells = data["cells"].as_array().expect("a list");
    assert_eq!(cells.len(), names.len());
    assert!(cells.iter().all(|cell| cell["status"] == "ok"));
    let end = |at: usize| cells[at]["job"]["end"].as_u64();
    assert!(end(0) == end(1) && end(0) < end(2), "{cells:?}");

    // Whoever takes as long for more work is not believed.
    stage.takes("serial", "500000");
    let printed = ended(&stage.compare("blind", &args), 1);
    assert!(printed.contains("no difference, 1.00"), "{printed}");
    assert!(printed.contains("not passed"), "{printed}");
}
