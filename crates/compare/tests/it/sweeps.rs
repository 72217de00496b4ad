//! Sweeps and numbers of cores.

use lab::error::CellError;
use results::{Point, Status};
use serde_json::json;

use crate::mock::{MockExecutor, compare, counter, json};

/// How many workers a case has.
fn workers(case: &lab::case::Case) -> u64 {
    case.job().to_json()["workers"].as_u64().expect("a number")
}

#[test]
fn a_sweep_gives_points_and_crossovers_after_the_presets() {
    let contestants = [
        MockExecutor::steady(1_000_000).named("serial"),
        // Faster with one worker, the same with two, slower with four.
        MockExecutor::new(|_, case, _| Ok(500_000 * workers(case))).named("thread"),
        MockExecutor::new(|_, case, _| match workers(case) {
            4 => {
                let reason = "not 4 processes".to_owned();
                Err(CellError::Cell(Status::Unsupported, reason))
            }
            _ => Ok(3_000_000),
        })
        .named("process"),
    ];
    let mut request = counter();
    request
        .settings
        .push("counter.increments=1000".parse().expect("a setting"));
    request.sweeps = vec!["counter.workers=4,1,2".parse().expect("a sweep")];
    let compared = compare(&request, &contestants);

    let points = ["heavy workers=1", "heavy workers=2", "heavy workers=4"];
    assert_eq!(compared.labels(), [&["heavy"], &points[..]].concat());
    let cells = &compared.comparison.cells;
    let point = Point {
        key: "workers".to_owned(),
        value: json!(1),
    };
    assert_eq!(cells[3].point.as_ref(), Some(&point));
    let [sweep] = &compared.comparison.sweeps[..] else {
        panic!("{:?}", compared.comparison.sweeps);
    };
    assert_eq!(sweep.values, [json!(1), json!(2), json!(4)]);
    assert_eq!(sweep.job, json!({"increments": 1000, "guard": "lock"}));
    // With two workers there is no difference.
    assert_eq!(
        json(&sweep.crossovers),
        json!([{"model": "serial", "overtakes": "thread", "after": 1, "before": 4}])
    );
    let at = |model: &str, value: u64| {
        let of = |cell: &&results::Cell| {
            let point = cell.point.as_ref();
            cell.model == model && point.is_some_and(|point| point.value == value)
        };
        cells
            .iter()
            .find(of)
            .expect("every model is at every point")
    };
    assert_eq!(at("serial", 4).median_ns(), Some(1_000_004.5));
    assert_eq!(at("thread", 4).median_ns(), Some(2_000_004.5));
    assert!(at("serial", 1).resources.peak_memory_bytes > Some(0));
    assert_eq!(at("serial", 1).cpu_ns(), Some(3_000_000));
    let end = at("process", 4);
    assert_eq!(end.status, Status::Unsupported);
    assert_eq!(end.reason.as_deref(), Some("not 4 processes"));
}

#[test]
fn a_sweep_alone_is_a_comparison_too() {
    let mut request = counter();
    request.workloads.clear();
    request.settings.clear();
    request.sweeps = vec!["counter.guard=lock,atomic".parse().expect("a sweep")];
    let contestants = ["serial", "thread"].map(|model| MockExecutor::steady(1_000).named(model));
    let compared = compare(&request, &contestants);
    assert_eq!(
        compared.labels(),
        ["heavy guard=lock", "heavy guard=atomic"]
    );
    assert!(compared.comparison.sweeps[0].crossovers.is_empty());
}

#[test]
fn every_case_is_measured_on_every_number_of_cores() {
    let mut request = counter();
    request.cores = vec![Some(1), None];
    let compared = compare(&request, &[MockExecutor::steady(1_000).named("serial")]);
    assert_eq!(compared.labels(), ["heavy cores=1", "heavy"]);
    let cores: Vec<_> = compared
        .comparison
        .cells
        .iter()
        .map(|cell| cell.cores)
        .collect();
    assert_eq!(cores, [Some(1), None]);
}
