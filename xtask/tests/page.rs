//! Text from outside stays text, on the page and in Markdown, and what could
//! not be measured is named.

use serde_json::json;
use xtask::results::Comparison;
use xtask::{markdown, page, report};

const HOSTILE: &str = "<script>alert(1)</script> \"'&| **bold** `code`";

fn comparison() -> Comparison {
    let cell = |model: &str, status: &str, median: Option<f64>| {
        json!({
            "workload": "counter", "preset": "heavy", "label": "heavy", "model": model,
            "job": {"guard": HOSTILE, "into": null}, "status": status,
            "reason": (status != "ok").then_some(HOSTILE),
            "scaled": true, "divisor": 4,
            "time": median.map(|ns| json!({
                "median_ns": ns, "low_ns": ns * 0.9, "high_ns": ns * 1.1,
                "samples_ns": [ns], "rounds": [1],
            })),
            "wall_ns": null, "user_ns": 1, "system_ns": null, "peak_memory_bytes": null,
            "memory_method": "this system does not tell PSS", "own_peak_memory_bytes": null,
            "voluntary_switches": null, "involuntary_switches": 5, "threads": null,
            "processes": null, "runs": 0,
        })
    };
    let comparison = json!({
        "schema": 1,
        "run": {
            "name": HOSTILE, "started": HOSTILE, "mode": HOSTILE, "revision": HOSTILE,
            "seed": 1, "threads": 2, "blocking_threads": 64, "models": ["serial", HOSTILE],
            "budget_s": 1.0, "took_s": 1.0, "interrupted": true,
            "criterion": "target/criterion", "notes": [HOSTILE],
        },
        "host": {"cpu": HOSTILE, "cores": 2, "memory": 1, "kernel": HOSTILE, "os": HOSTILE},
        "versions": {HOSTILE: HOSTILE},
        "cells": [
            cell("serial", "ok", Some(2e6)),
            cell(HOSTILE, "ok", Some(1e6)),
            cell("process", "unsupported", None),
            cell("tokio", "wrong_answer", None),
            cell("smol", "failed", None),
        ],
    });
    serde_json::from_value(comparison).expect("it is of the schema")
}

#[test]
fn the_page_escapes_what_it_shows() {
    let page = page::page(&comparison()).expect("a page");
    // Its data and its own scripts are all that it has.
    assert_eq!(page.matches("<script").count(), 4, "{page}");
    assert!(!page.contains("alert(1)</script"), "{page}");
    assert!(page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"));
    assert!(page.contains("Interrupted"));
    for status in [
        "unsupported",
        "wrong answer",
        "failed",
        "no memory: this system",
    ] {
        assert!(page.contains(status), "{status}");
    }
}

#[test]
fn markdown_escapes_what_it_shows() {
    for text in [
        markdown::document(&comparison()),
        markdown::overview(&comparison()),
    ] {
        // In a code span, everything is text already.
        let spans = text.replace("\\`", "");
        let outside: String = spans.split('`').step_by(2).collect();
        assert!(!outside.contains("<script"), "{text}");
        assert!(!outside.contains("**bold**"), "{text}");
        // A bar in a name must not make another column.
        let bars = |line: &str| line.replace("\\|", "").matches('|').count();
        let tables = text.lines().filter(|line| line.starts_with('|'));
        let mut counts: Vec<_> = tables.map(bars).collect();
        counts.dedup();
        assert_eq!(counts.len(), 1, "{text}");
    }
}

#[test]
fn the_terminals_table_is_best_first_and_names_what_is_missing() {
    let table = report::terminal(&comparison(), "counter");
    let at = |text: &str| {
        table
            .find(text)
            .unwrap_or_else(|| panic!("no {text} in {table}"))
    };
    assert!(at("1.00 ms") < at("2.00 ms"));
    assert!(at("2.00 ms") < at("wrong answer"));
    assert!(table.contains("scaled to 1/4"));
    assert!(
        table.contains("0.50×") && table.contains("2.00×"),
        "{table}"
    );
    assert_eq!(table.matches("heavy").count(), 5, "{table}");
}
