//! What tables and page say of limits, sweeps and too few rounds.

use analysis::Rules;
use analysis::verdicts::{all_pairs, job_verdicts};
use lab::workspace;
use report::{markdown, page, terminal};
use results::{Cell, Comparison, ResultsDir};
use serde_json::json;

/// The reference results, to be changed.
fn reference() -> Comparison {
    let root = workspace::root().expect("a checkout");
    let directory = ResultsDir::open(root.join("results/reference"));
    directory
        .and_then(|directory| directory.read())
        .expect("they can be read")
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
        serde_json::from_value(cell).expect("of the schema")
    };
    let rules = Rules {
        seed: 1,
        least: 0.02,
    };
    for (rounds, pairs, says) in [
        (4, 0, "no verdict: that takes 5 rounds"),
        (5, 1, "ranks: 1 serial, 2 tokio"),
    ] {
        // An interruption in the fifth round leaves one of the models behind.
        let cells = [cell("serial", 1e6, 5), cell("tokio", 2e6, rounds)];
        let verdicts = job_verdicts(&cells, &all_pairs(&cells), rules).expect("there are times");
        assert_eq!((verdicts.rounds, verdicts.pairs.len()), (rounds, pairs));
        let mut comparison = reference();
        comparison.run.models = vec!["serial".to_owned(), "tokio".to_owned()];
        comparison.cells = cells.to_vec();
        comparison.verdicts = vec![verdicts];
        comparison.sweeps.clear();
        let table = terminal::tables(&comparison);
        let page = page::page(&comparison).expect("a page");
        assert!(table.contains(says) && page.contains(says), "{table}");
    }
}

#[test]
fn what_each_model_has_of_its_own_is_said() {
    let mut comparison = reference();
    comparison
        .cells
        .retain(|cell| cell.workload == "download" && !cell.label.ends_with("own-limits"));
    let before = terminal::tables(&comparison);
    assert!(
        !before.contains("each its own") && !before.contains("limit=10"),
        "{before}"
    );
    for cell in &mut comparison.cells {
        if (&*cell.label, &*cell.model) == ("article", "thread") {
            cell.job["limit"] = 10.into();
        }
    }
    let after = terminal::tables(&comparison);
    assert!(
        after.contains("article: images=100 limit=(each its own)"),
        "{after}"
    );
    for (model, limit) in [("thread", "limit=10, "), ("tokio", "limit=20, ")] {
        let mut rows = after.lines().filter(|line| line.contains(model));
        let row = rows.find(|line| line.contains("limit="));
        assert!(row.expect("a row").contains(limit), "{after}");
    }
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
