//! Figures other than a job's time: when its items were done, and what it takes cold.

use lab::error::CellError;
use results::Status;
use serde_json::json;
use suite::Workload;

use crate::mock::{Call, MockExecutor, compare, request};

const MS: u64 = 1_000_000;

#[test]
fn items_are_pooled_and_cold_is_told_from_warm() {
    let telling = MockExecutor::steady(MS).reporting(|run| {
        run.launch_ns = Some(5 * MS);
        run.start_ns = Some(2 * MS);
        run.completion_ns = vec![3 * MS, MS, 2 * MS];
        run.outcome = json!({"done": 3});
    });
    let failing = MockExecutor::new(|call, _, number| match (call, number) {
        (Call::Run, 2) => Err(CellError::failed("its line is not as agreed")),
        _ => Ok(MS),
    });
    let failing = failing.reporting(|run| run.completion_ns = vec![MS]);
    let contestants = [
        telling.named("serial"),
        MockExecutor::steady(MS).named("thread"),
        failing.named("tokio"),
    ];
    let compared = compare(
        &request(Workload::Offload, &["offload.place=pool"]),
        &contestants,
    );

    let cell = compared.cell("serial");
    let runs = cell.resources.runs;
    assert!(runs > 1, "{runs}");
    // The first try and the observed runs are not among them.
    let completion = cell.completion.as_ref().expect("completion times");
    assert_eq!(
        (completion.runs, completion.items),
        (runs, 3 * u64::from(runs))
    );
    for (figure, right) in [
        (completion.p50_ns, 2 * MS),
        (completion.p90_ns, 3 * MS),
        (completion.p99_ns, 3 * MS),
        (completion.max_ns, 3 * MS),
    ] {
        assert!(
            (right..=right + right / 1000).contains(&figure),
            "{completion:?}"
        );
    }
    assert_eq!(cell.outcome, Some(json!({"done": 3})));
    let cold = cell.cold.as_ref().expect("a cold time");
    assert_eq!((cold.median_ns, cell.start_ns), (8e6, Some(7 * MS)));
    assert_eq!(cold.rounds.iter().sum::<usize>(), runs as usize);
    assert_eq!(cell.median_ns(), Some(1_000_004.5));

    let cell = compared.cell("thread");
    assert_eq!(cell.status, Status::Ok);
    assert!(cell.cold.is_none() && cell.start_ns.is_none() && cell.completion.is_none());
    assert!(!cell.origin_bound);
    let cell = compared.cell("tokio");
    assert_eq!(cell.status, Status::Failed);
    assert!(cell.cold.is_none() && cell.completion.is_none());
}
