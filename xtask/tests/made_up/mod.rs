//! Made-up comparisons, in which the answers are known.

// Each test has its own part of it.
#![allow(dead_code)]

use serde_json::{Value, json};
use xtask::curves;
use xtask::plan::MODELS;
use xtask::results::Comparison;

pub struct MadeUp(Value);

impl MadeUp {
    /// Nothing was measured yet.
    pub fn new() -> Self {
        Self(json!({
            "schema": 1,
            "run": {
                "name": "made-up", "started": "today", "mode": "quick", "revision": "abc",
                "seed": 1, "least_difference": 0.02, "threads": 2, "blocking_threads": 64,
                "models": MODELS, "budget_s": 1.0, "took_s": 1.0, "interrupted": false,
            },
            "host": {"cpu": "one", "cores": 2, "memory": 1, "kernel": "k", "os": "o"},
            "versions": {},
            "cells": [],
            "verdicts": [],
        }))
    }

    /// A job, and how many milliseconds each of these models took for it. Two times
    /// that are the same have no difference. All of them take 1 MiB.
    pub fn job(self, workload: &str, label: &str, job: Value, times: &[(&str, f64)]) -> Self {
        self.with_rounds(workload, label, job, times, 5)
    }

    /// The same, with so many rounds: with fewer than five there is no verdict.
    pub fn with_rounds(
        mut self,
        workload: &str,
        label: &str,
        job: Value,
        times: &[(&str, f64)],
        rounds: usize,
    ) -> Self {
        let preset = label.split(['-', ' ']).next().expect("a preset");
        for (model, ms) in times {
            let ns = ms * 1e6;
            let cell = json!({
                "workload": workload, "preset": preset, "label": label, "model": model,
                "job": job, "status": "ok", "scaled": false, "divisor": 1,
                "time": {
                    "median_ns": ns, "low_ns": ns * 0.99, "high_ns": ns * 1.01,
                    "samples_ns": vec![ns; rounds], "rounds": vec![1; rounds],
                },
                "wall_ns": ns, "user_ns": 1_000_000, "system_ns": 1_000_000,
                "peak_memory_bytes": 1 << 20, "memory_method": "pss",
                "own_peak_memory_bytes": null, "voluntary_switches": 1,
                "involuntary_switches": 1, "threads": 3, "processes": 1, "runs": 1,
            });
            let cell = whole_numbers(cell);
            self.0["cells"].as_array_mut().expect("a list").push(cell);
        }
        let pairs = if rounds < 5 { Vec::new() } else { pairs(times) };
        let section = json!({
            "workload": workload, "preset": preset, "label": label, "rounds": rounds,
            "pairs": pairs,
        });
        self.0["verdicts"]
            .as_array_mut()
            .expect("a list")
            .push(section);
        self
    }

    /// The same at each value of a key, as a sweep of the heavy job.
    pub fn sweep(mut self, workload: &str, key: &str, points: &[(u64, &[(&str, f64)])]) -> Self {
        for (value, times) in points {
            let label = format!("heavy {key}={value}");
            self = self.job(workload, &label, json!({(key): value}), times);
            for (model, _) in *times {
                self = self.set(model, "point", json!({"key": key, "value": value}));
            }
        }
        self
    }

    /// Changes a figure of a model's in the job that was added last.
    pub fn set(mut self, model: &str, key: &str, value: Value) -> Self {
        let cells = self.0["cells"].as_array_mut().expect("a list");
        let mut cells = cells.iter_mut().rev();
        let cell = cells.find(|cell| cell["model"] == model);
        cell.expect("it took part")[key] = value;
        self
    }

    /// A cell without figures.
    pub fn without(self, model: &str, status: &str, reason: &str) -> Self {
        self.set(model, "time", Value::Null)
            .set(model, "status", status.into())
            .set(model, "reason", reason.into())
    }

    /// As a program reads it.
    pub fn comparison(self) -> Comparison {
        let mut comparison: Comparison =
            serde_json::from_value(self.0).expect("it is of the schema");
        comparison.sweeps = curves::of(&comparison.cells, &comparison.verdicts);
        comparison
    }
}

fn whole_numbers(mut cell: Value) -> Value {
    cell["wall_ns"] = (cell["wall_ns"].as_f64().expect("a time") as u64).into();
    cell
}

fn pairs(times: &[(&str, f64)]) -> Vec<Value> {
    let mut pairs = Vec::new();
    for (at, (model, own)) in times.iter().enumerate() {
        for (other, others) in &times[at + 1..] {
            let ratio = own / others;
            let verdict = match ratio {
                1.0 => "no difference",
                less if less < 1.0 => "faster",
                _ => "slower",
            };
            pairs.push(json!({
                "model": model, "other": other, "ratio": ratio, "low": ratio * 0.99,
                "high": ratio * 1.01, "verdict": verdict,
            }));
        }
    }
    pairs
}
