//! Sweeps and cores, by made-up models whose times are known.

mod common;

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};
use xtask::results::{Comparison, Directory};
use xtask::{markdown, page, report, workspace};

use common::{Stage, text};

/// A runner that gets everything right, with a child that waits for its input.
const RUNNER: &str = r#"
case "$*" in *--hold*) exec 3<&0; cat <&3 & esac
echo '{"elapsed_ns":1000000,"outcome":{"total":1},"peak_memory_bytes":1,"threads":1}'
wait
"#;

/// A bench that notes on how many cores it runs, with how many worker threads.
/// `@` is its model, and `TIME` how long it takes for `w` workers, in 10 ns.
const BENCH: &str = r#"
of() { echo "$PACES_CELLS" | sed "s/.*\"$1\":\"*\([^\",}]*\).*/\1/"; }
label=$(of label); w=$(of workers)
new="$CRITERION_HOME/counter/@/$label/new"
mkdir -p "$new"
echo "@ $label: $(nproc) cores, $PACES_THREADS threads" >> "$0.log"
t=$((TIME))
echo "{\"sampling_mode\":\"Flat\",\"iters\":[1,1,1,1,1,1,1,1,1,1],\"times\":[${t}0,${t}1,
${t}2,${t}3,${t}4,${t}5,${t}6,${t}7,${t}8,${t}9]}" > "$new/sample.json"
"#;

impl Stage {
    /// `serial` always takes 1 ms; `thread` less with one worker, the same with
    /// two and more with four; `process` most of all, and has no more than two.
    fn new() -> Self {
        let stage = Self::empty();
        let refuse = "case \"$*\" in *workers=4*) echo 'not 4 processes' >&2; exit 4; esac";
        for (model, first, time) in [
            ("serial", "", "100000"),
            ("thread", "", "50000 * w"),
            ("process", refuse, "300000"),
        ] {
            stage.script(&format!("model-{model}"), &format!("{first}\n{RUNNER}"));
            let bench = BENCH.replace('@', model).replace("TIME", time);
            stage.script(&format!("bench-{model}"), &bench);
        }
        stage
    }

    fn compare(&self, args: &[&str]) -> Output {
        let own = ["--budget", "60", "--name", "made-up"];
        let size = ["--set", "counter.increments=1000"];
        let mut command = self.quick(&[&own[..], &size, args].concat());
        command.output().expect("it starts")
    }

    /// What a comparison that goes well prints.
    fn compared(&self, args: &[&str]) -> String {
        let output = self.compare(args);
        let (printed, said) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{printed}{said}");
        printed
    }
}

/// The labels of all cells, each once.
fn labels(results: &Value) -> Vec<&str> {
    let cells = results["cells"].as_array().expect("a list");
    let labels = cells.iter().filter_map(|cell| cell["label"].as_str());
    let mut labels: Vec<_> = labels.collect();
    labels.dedup();
    labels
}

#[test]
fn a_sweep_gives_curves_and_crossovers_beside_the_presets() {
    let stage = Stage::new();
    let sweep = [
        "--sweep",
        "counter.workers=4,1,2",
        "--set",
        "counter.guard=lock",
    ];
    let models = ["counter", "--models", "serial,thread,process"];
    let printed = stage.compared(&[&models[..], &sweep].concat());

    let results = stage.results("made-up");
    let points = ["heavy workers=1", "heavy workers=2", "heavy workers=4"];
    assert_eq!(labels(&results), [&["heavy"], &points[..]].concat());
    assert_eq!(
        results["cells"][3]["point"],
        json!({"key": "workers", "value": 1})
    );
    let sweep = &results["sweeps"][0];
    assert_eq!(sweep["values"], json!([1, 2, 4]));
    assert_eq!(sweep["job"], json!({"increments": 1000, "guard": "lock"}));
    // With two workers it is open who is faster.
    let crossover = json!([{"model": "serial", "overtakes": "thread", "after": 1, "before": 4}]);
    assert_eq!(sweep["crossovers"], crossover);
    let [serial, thread, process] = [0, 1, 2].map(|at| sweep["curves"][at].clone());
    let ns = |curve: &Value, at: usize| curve["points"][at]["median_ns"].clone();
    assert_eq!(
        (ns(&serial, 2), ns(&thread, 2)),
        (json!(1_000_004.5), json!(2_000_004.5))
    );
    assert!(
        serial["points"][0]["peak_memory_bytes"].as_u64() > Some(0),
        "{serial}"
    );
    assert!(serial["points"][0]["cpu_ns"].as_u64() > Some(0), "{serial}");
    let end = &process["points"][2];
    assert_eq!(
        (&end["status"], &end["reason"]),
        (&json!("unsupported"), &json!("not 4 processes"))
    );

    let markdown = stage.read("results/made-up/comparison.md");
    let crossover = "serial overtakes thread between workers = 1 and 4";
    let end = "process ends before workers = 4, unsupported: not 4 processes";
    for text in [
        &printed,
        &markdown,
        &stage.read("results/made-up/index.html"),
    ] {
        assert!(text.contains(crossover), "{text}");
        assert!(text.contains(end), "{text}");
    }
    assert!(
        markdown.contains("| time | thread | **500 µs** | **1.00 ms** | 2.00 ms |"),
        "{markdown}"
    );
    let page = stage.read("results/made-up/index.html");
    for figure in ["time", "CPU", "memory"] {
        let chart = format!("<figcaption>{figure} by workers</figcaption><svg");
        assert!(page.contains(&chart), "{figure}");
    }

    // The presets' own table has no points, and neither have Criterion's pages.
    let table = markdown.split("## Sweep").next().expect("something");
    assert!(!table.contains("workers=1"), "{table}");
    let criterion = stage.path("target/criterion/counter/serial");
    assert!(criterion.join("heavy").exists() && !criterion.join("heavy workers=1").exists());
}

#[test]
fn a_sweep_alone_is_a_comparison_too() {
    let stage = Stage::new();
    let sweep = [
        "--sweep",
        "counter.guard=lock,atomic",
        "--models",
        "serial,thread",
    ];
    let printed = stage.compared(&sweep);
    assert!(printed.contains("sweep of counter.guard"), "{printed}");
    assert!(printed.contains("no model overtakes another"), "{printed}");
    let results = stage.results("made-up");
    assert_eq!(labels(&results), ["heavy guard=lock", "heavy guard=atomic"]);
    assert!(results["run"]["criterion"].is_null());
    assert_eq!(results["sweeps"][0]["crossovers"], json!([]));

    let files = ["comparison.md", "index.html"].map(|name| format!("results/made-up/{name}"));
    let before = [0, 1].map(|at| stage.read(&files[at]));
    for file in &files {
        fs::remove_file(stage.path(file)).expect("it was there");
    }
    let mut report = Command::new(env!("CARGO_BIN_EXE_xtask"));
    report
        .args(["report", "made-up", "--output"])
        .arg(stage.path(""));
    assert!(report.status().expect("it starts").success());
    assert_eq!([0, 1].map(|at| stage.read(&files[at])), before);
}

#[test]
fn models_keep_to_the_cores_they_are_given() {
    let stage = Stage::new();
    let printed = stage.compared(&[
        "counter",
        "--set",
        "counter.guard=lock",
        "--models",
        "serial",
        "--cores",
        "1,all",
    ]);
    assert!(printed.contains("kept to 1 core"), "{printed}");
    let results = stage.results("made-up");
    assert_eq!(labels(&results), ["heavy cores=1", "heavy"]);
    assert_eq!(results["cells"][0]["cores"], 1);
    assert!(results["cells"][1].get("cores").is_none());

    let all = std::thread::available_parallelism().expect("a Linux system");
    let log = stage.read("bench-serial.log");
    // In each pass in another order.
    let mut lines: Vec<_> = log.lines().collect();
    lines.sort();
    lines.dedup();
    let on_one = "serial heavy cores=1: 1 cores, 1 threads".to_owned();
    let on_all = format!("serial heavy: {all} cores, {all} threads");
    assert_eq!(lines, [on_one, on_all], "{log}");
}

#[test]
fn what_cannot_be_swept_is_refused_before_anything_is_measured() {
    let stage = Stage::new();
    for (args, says) in [
        (
            &["--sweep", "counter.wrkers=1,2"][..],
            "workers, increments",
        ),
        (
            &["--sweep", "counter.workers=1,many"],
            "counter.workers = many",
        ),
        (&["--sweep", "counter.workers=0,1"], "counter.workers = 0"),
        (&["--sweep", "counter.workers=1,1"], "only once"),
        (&["--sweep", "counter.workers=1"], "two values"),
        (&["--sweep", "primes.workers=1,2"], "only primes"),
        (&["counter", "--cores", "0"], "or all"),
        (&["counter", "--cores", "1", "--threads", "2"], "--threads"),
    ] {
        let output = stage.compare(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
    }
    assert!(!stage.path("results").exists());
}

/// The reference results, to be changed.
fn reference() -> Comparison {
    let directory = Directory::open(workspace::root().join("results/reference"));
    let comparison = directory.and_then(|it| it.read());
    comparison.expect("they can be read")
}

#[test]
fn what_each_model_has_of_its_own_is_said() {
    let mut comparison = reference();
    // That is one in which each has its own already.
    let own = |label: &str| label.ends_with("own-limits");
    comparison.cells.retain(|cell| !own(&cell.label));
    let before = report::terminal(&comparison, "download");
    assert!(
        !before.contains("each its own") && !before.contains("limit=10"),
        "{before}"
    );
    for cell in &mut comparison.cells {
        if (&*cell.workload, &*cell.label, &*cell.model) == ("download", "article", "thread") {
            cell.job["limit"] = 10.into();
        }
    }
    let after = report::terminal(&comparison, "download");
    assert!(
        after.contains("article: images=100 limit=(each its own)"),
        "{after}"
    );
    let notes = |model: &str| {
        let mut rows = after.lines().filter(|line| line.contains(model));
        rows.find(|line| line.contains("limit=")).map(str::to_owned)
    };
    assert!(
        notes("thread").expect("a row").contains("limit=10, "),
        "{after}"
    );
    assert!(
        notes("tokio").expect("a row").contains("limit=20, "),
        "{after}"
    );
}

#[test]
fn what_a_sweep_says_is_escaped() {
    const HOSTILE: &str = "<script>|**x**";
    let mut comparison = reference();
    let point = |value: &str| {
        json!({"value": value, "status": "failed", "reason": HOSTILE, "median_ns": 1e6,
            "low_ns": 1e6, "high_ns": 1e6, "peak_memory_bytes": 1, "cpu_ns": 1})
    };
    let sweep = json!({
        "workload": HOSTILE, "key": HOSTILE, "job": {HOSTILE: HOSTILE}, "divisor": 1,
        "values": [HOSTILE, "b"],
        "curves": [{"model": HOSTILE, "points": [point(HOSTILE), point("b")]}],
        "crossovers": [{"model": HOSTILE, "overtakes": "b", "after": HOSTILE, "before": "b"}],
    });
    comparison.sweeps = vec![serde_json::from_value(sweep).expect("a sweep")];
    let page = page::page(&comparison).expect("a page");
    assert!(
        page.contains("<polyline") && !page.contains(HOSTILE),
        "{page}"
    );
    // Its data and its own scripts are all that it has.
    assert_eq!(page.matches("<script").count(), 4, "{page}");
    let markdown = markdown::document(&comparison);
    let sweep = markdown.split("## Sweep").nth(1).expect("a sweep");
    let outside: String = sweep.replace("\\`", "").split('`').step_by(2).collect();
    assert!(
        !outside.contains("<script") && !outside.contains("**x"),
        "{outside}"
    );
    let rows = outside.lines().filter(|line| line.starts_with('|'));
    let bars = rows.map(|row| row.replace("\\|", "").matches('|').count());
    assert_eq!(bars.collect::<Vec<_>>(), [5; 5]);
}
