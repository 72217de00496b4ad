//! Figures beside a job's time: when its items were done, what it takes cold, and
//! whether it was the origin that set the time; of made-up models, whose figures
//! are known.

mod common;

use std::os::unix::fs::symlink;
use std::process::Output;

use serde_json::{Value, json};
use xtask::contestants::{self, Profile};
use xtask::interrupt::Interrupt;
use xtask::progress::Progress;
use xtask::workspace;

use common::{Stage, text};

/// A runner that prints `@TIMED` where that is timed, and else times that nobody
/// may take for the model's.
const RUNNER: &str = r#"
case "$*" in
*--hold*) echo '{"elapsed_ns":1000000,"outcome":{"done":3}}'; exec cat > /dev/null ;;
*--unchecked*--spawned-at*) echo '@TIMED' ;;
*) echo '{"elapsed_ns":1000000,"outcome":{"done":3,"completion_ns":[99000000000]}}' ;;
esac
"#;

/// A bench whose every sample takes so many nanoseconds.
const BENCH: &str = r#"
of() { echo "$PACES_CELLS" | sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
new="$CRITERION_HOME/$(of workload)/@MODEL/$(of label)/new"
mkdir -p "$new"
echo '{"iters":[1,1,1,1,1,1,1,1,1,1],"times":[@NS,@NS,@NS,@NS,@NS,@NS,@NS,@NS,@NS,@NS.5]}' \
  > "$new/sample.json"
"#;

impl Stage {
    /// Puts a model there whose job takes so long, and whose timed runs say this.
    fn model(&self, name: &str, ns: u64, timed: &Value) {
        let timed = timed.to_string();
        self.script(&format!("model-{name}"), &RUNNER.replace("@TIMED", &timed));
        let bench = BENCH.replace("@MODEL", name);
        let bench = bench.replace("@NS", &ns.to_string());
        self.script(&format!("bench-{name}"), &bench);
    }

    fn compare(&self, args: &[&str]) -> Output {
        let own = ["--budget", "40", "--name", "made-up"];
        let mut command = self.quick(&[&own, args].concat());
        command.output().expect("it starts")
    }

    fn cell(&self, model: &str) -> Value {
        let results = self.results("made-up");
        let mut cells = results["cells"].as_array().expect("a list").iter();
        let cell = cells.find(|cell| cell["model"] == model);
        cell.unwrap_or_else(|| panic!("no cell of {model}")).clone()
    }
}

#[test]
fn items_are_pooled_and_cold_is_told_from_warm() {
    let stage = Stage::empty();
    let ms = |ms: u64| ms * 1_000_000;
    let telling = json!({
        "elapsed_ns": ms(1), "launch_ns": ms(5), "start_ns": ms(2),
        "outcome": {"done": 3, "completion_ns": [ms(3), ms(1), ms(2)]},
    });
    stage.model("serial", ms(1), &telling);
    let silent = json!({"elapsed_ns": ms(1), "outcome": {"done": 3}});
    stage.model("thread", ms(1), &silent);
    let garbled = json!({"elapsed_ns": ms(1), "outcome": {"completion_ns": ["soon"]}});
    stage.model("tokio", ms(1), &garbled);
    let args = ["offload", "--models", "serial,thread,tokio"];
    let output = stage.compare(&args);
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{printed}{said}");

    let cell = stage.cell("serial");
    let runs = cell["runs"].as_u64().expect("runs");
    assert!(runs > 1, "{cell}");
    let completion = &cell["completion"];
    // Neither the first try nor a run that was looked at is among them.
    assert_eq!(completion["runs"], runs, "{cell}");
    assert_eq!(completion["items"], 3 * runs);
    for (key, right) in [
        ("p50_ns", ms(2)),
        ("p90_ns", ms(3)),
        ("p99_ns", ms(3)),
        ("max_ns", ms(3)),
    ] {
        let figure = completion[key].as_u64().expect(key);
        assert!((right..=right + right / 1000).contains(&figure), "{cell}");
    }
    assert_eq!(cell["outcome"], json!({"done": 3}), "a list in every cell");
    assert_eq!(cell["cold"]["median_ns"], 8e6, "{cell}");
    assert_eq!(cell["start_ns"], ms(7));
    assert_eq!(cell["time"]["median_ns"], 1e6);
    let rounds = cell["cold"]["rounds"].as_array().expect("a list").iter();
    assert_eq!(rounds.filter_map(Value::as_u64).sum::<u64>(), runs);

    let cell = stage.cell("thread");
    assert_eq!(cell["status"], "ok", "{cell}");
    for key in ["cold", "start_ns", "completion", "origin_bound"] {
        assert_eq!(cell[key], Value::Null, "{key}");
    }
    let cell = stage.cell("tokio");
    assert_eq!(cell["status"], "failed");
    let reason = cell["reason"].to_string();
    assert!(reason.contains("not as agreed"), "{reason}");
    assert_eq!(cell["cold"], Value::Null);

    let markdown = stage.read("results/made-up/comparison.md");
    let page = stage.read("results/made-up/index.html");
    for shown in [&printed, &markdown, &page] {
        assert!(shown.contains("completion time of an item"), "{shown}");
        assert!(shown.contains("from the job's start") || shown.contains("from the job&#39;s"));
        assert!(shown.contains("8.00 ms"), "no cold time in {shown}");
    }
    let row = format!("| heavy | serial | {} in {runs} runs | 2.00 ms |", 3 * runs);
    assert!(markdown.contains(&row), "{markdown}");
}

#[test]
fn who_waits_for_the_origin_says_so_and_for_what() {
    let stage = Stage::empty();
    let (root, progress) = (workspace::root(), Progress::new());
    let interrupt = Interrupt::default();
    let origin = contestants::program(&root, "origin", Profile::Debug, &interrupt, &progress);
    let origin = origin.expect("nobody interrupts").expect("it builds");
    symlink(origin, stage.path("origin")).expect("a link");
    let says = |origin_cpu_ns: u64| {
        json!({
            "elapsed_ns": 1_000_000, "outcome": {"bodies": 1, "bytes": 4096},
            "origin_cpu_ns": origin_cpu_ns,
        })
    };
    // As fast as the origin's delay; far from it; and with an origin that was at
    // work on every core all the while, however many there are.
    stage.model("serial", 1_000_000, &says(1_000));
    stage.model("thread", 100_000_000_000, &says(2_000));
    stage.model("tokio", 100_000_000_000, &says(1_000_000_000_000));
    let models = ["fetch", "--models", "serial,thread,tokio"];
    let output = stage.compare(&[&models[..], &["--set", "fetch.delays_ms=300"]].concat());
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{printed}{said}");

    for (model, bound, by) in [
        ("serial", json!(true), json!("delay")),
        ("thread", Value::Null, Value::Null),
        ("tokio", json!(true), json!("speed")),
    ] {
        let cell = stage.cell(model);
        assert_eq!(cell["origin_bound"], bound, "{cell}");
        assert_eq!(cell["origin_bound_by"], by, "{cell}");
    }
    assert_eq!(stage.cell("thread")["origin_cpu_ns"], 2_000);
    let markdown = stage.read("results/made-up/comparison.md");
    for shown in [&printed, &markdown] {
        for words in [
            "the delay sets the time, as the job asks for",
            "the origin could not go faster",
            "CPU time is 1.00 µs to 1000 s a job",
        ] {
            assert_eq!(shown.matches(words).count(), 1, "{words}: {shown}");
        }
    }
}
