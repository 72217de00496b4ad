//! What is called a difference, and a comparison that checks itself.

use analysis::baseline::Against;
use compare::self_check_contestants;
use lab::background_load::LoadMonitor;
use lab::error::CellError;
use results::{Judged, Status, Verdict};
use suite::{Job, Workload};

use crate::mock::{Call, Compared, MockExecutor, compare, compare_against, counter, json, request};

/// How the one is to the other.
#[track_caller]
fn judged(compared: &Compared, model: &str, other: &str) -> Judged {
    let [verdicts] = &compared.comparison.verdicts[..] else {
        panic!("{:?}", compared.comparison.verdicts);
    };
    let mut pairs = verdicts.pairs.iter();
    let pair = pairs.find(|pair| pair.model == model && pair.other == other);
    pair.unwrap_or_else(|| panic!("no {model} {other}")).judged
}

#[test]
fn a_difference_is_shown_or_none_or_neither() {
    // So much more in each round than in the one before.
    let rising = |ns: u64, more: u64| {
        MockExecutor::new(move |call, _, number| {
            let before = match call {
                Call::Bench => number as u64 - 1,
                _ => 0,
            };
            Ok(ns + more * before)
        })
    };
    let run = |equivalence| {
        let contestants = [
            MockExecutor::steady(1_000_000).named("serial"),
            MockExecutor::steady(1_000_100).named("thread"),
            rising(1_000_000, 200_000).named("process"),
            rising(990_000, 5_000).named("tokio"),
            MockExecutor::steady(2_000_000).named("smol"),
        ];
        let mut request = counter();
        request.equivalence = equivalence;
        compare(&request, &contestants)
    };
    let compared = run(0.1);
    let verdicts = &compared.comparison.verdicts[0];
    assert_eq!(
        (&*verdicts.workload, &*verdicts.label),
        ("counter", "heavy")
    );
    assert_eq!((verdicts.rounds, verdicts.pairs.len()), (5, 10));
    assert_eq!(verdicts.drifting, ["process"]);
    for (one, other, verdict) in [
        // However small.
        ("serial", "thread", Verdict::Faster),
        ("serial", "smol", Verdict::Faster),
        ("serial", "tokio", Verdict::NoDifference),
        ("serial", "process", Verdict::CannotTell),
    ] {
        let judged = judged(&compared, one, other);
        assert_eq!(judged.verdict, verdict, "{one} {other} {judged:?}");
    }
    let twice = judged(&compared, "serial", "smol");
    assert_eq!(twice.ratio, 0.5);
    assert!(0.49 < twice.low && twice.low <= 0.5, "{twice:?}");
    assert!(0.5 <= twice.high && twice.high < 0.51, "{twice:?}");

    // The same times and seed give the same verdicts, another margin others.
    assert_eq!(
        json(&run(0.1).comparison.verdicts),
        json(&compared.comparison.verdicts)
    );
    let finer = judged(&run(0.01), "serial", "tokio");
    assert_eq!(finer.verdict, Verdict::CannotTell, "{finer:?}");
}

#[test]
fn an_earlier_run_is_compared_cell_by_cell() {
    let steady = |ns: [u64; 2]| {
        [
            MockExecutor::steady(ns[0]).named("tokio"),
            MockExecutor::steady(ns[1]).named("smol"),
        ]
    };
    let monitor = || {
        let mut monitor = LoadMonitor::new(counter().mode.budget, 1.0);
        monitor.seen.unknown = Some("this is a test".to_owned());
        monitor
    };
    let mut earlier = compare(&counter(), &steady([1_000_000; 2])).comparison;
    let smol = earlier.cells.iter_mut().find(|cell| cell.model == "smol");
    smol.expect("it was measured").job["workers"] = 3.into();
    let jobs = vec![("counter".to_owned(), "heavy".to_owned())];
    let against = Against::open("then", earlier.clone(), &earlier, jobs, &[]);
    let against = against.expect("the same machine");
    let now = compare_against(
        &counter(),
        &steady([1_080_000, 1]),
        monitor(),
        Some(&against),
    );
    let baseline = now.comparison.baseline.expect("there is an earlier run");
    let [tokio] = &baseline.cells[..] else {
        panic!("{baseline:?}");
    };
    assert_eq!((&*tokio.model, &*tokio.preset), ("tokio", "heavy"));
    assert_eq!(tokio.judged.verdict, Verdict::Slower);
    assert_eq!(tokio.judged.ratio, 1.08);
    let [left_out] = &baseline.left_out[..] else {
        panic!("{baseline:?}");
    };
    let says = "smol: counter heavy not compared: it was another job, workers = 3 and not ";
    assert!(left_out.starts_with(says), "{left_out}");
}

#[test]
fn what_an_interrupted_run_has_not_reached_has_not_vanished() {
    let vanished = |ends: bool| {
        let steady = |name: &str| MockExecutor::steady(1_000_000).named(name);
        let earlier = compare(&counter(), &[steady("tokio"), steady("smol")]).comparison;
        let jobs = vec![("counter".to_owned(), "heavy".to_owned())];
        let against = Against::open("then", earlier.clone(), &earlier, jobs, &[]);
        let smol = MockExecutor::new(move |call, _, _| match call {
            Call::Bench if ends => Err(CellError::Interrupted),
            Call::Bench => Err(CellError::failed("for another reason")),
            _ => Ok(1_000_000),
        });
        let mut monitor = LoadMonitor::new(counter().mode.budget, 1.0);
        monitor.seen.unknown = Some("this is a test".to_owned());
        let now = compare_against(
            &counter(),
            &[steady("tokio"), smol.named("smol")],
            monitor,
            Some(&against.expect("the same machine")),
        );
        assert_eq!(now.comparison.run.interrupted, ends);
        let baseline = now.comparison.baseline;
        baseline.expect("there is an earlier run").vanished
    };
    assert_eq!(vanished(false), ["smol: counter heavy"]);
    assert!(vanished(true).is_empty());
}

#[test]
fn a_self_check_finds_what_differs_and_nothing_else() {
    // What a job of primes takes: a nanosecond a number.
    let by_size = |_, case: &lab::case::Case, _| match case.job() {
        Job::Primes(job) => Ok(job.end - job.start),
        other => panic!("{other:?}"),
    };
    let mut checked = request(Workload::Primes, &[]);
    checked.self_check = true;
    let run = |first: MockExecutor| {
        let originals = vec![
            first.named("serial"),
            MockExecutor::new(by_size).named("tokio"),
        ];
        compare(&checked, &self_check_contestants(originals)).comparison
    };
    let comparison = run(MockExecutor::new(by_size));
    let check = comparison.self_check.expect("it checks itself");
    assert_eq!((check.pairs, check.different, check.share), (2, 0, 0.0));
    assert!(check.passed());
    let slowed = check.slowed.expect("primes can be slowed");
    assert_eq!(slowed.pair.judged.verdict, Verdict::Slower, "{slowed:?}");
    assert_eq!((&*slowed.pair.model, slowed.by), ("serial#slowed", 1.05));
    let names = ["serial", "serial#2", "serial#slowed", "tokio", "tokio#2"];
    assert_eq!(comparison.run.models, names);
    let cells = &comparison.cells;
    let models: Vec<_> = cells.iter().map(|cell| &*cell.model).collect();
    assert_eq!(models, names);
    assert!(cells.iter().all(|cell| cell.status == Status::Ok));
    let end = |at: usize| cells[at].job["end"].as_u64();
    assert!(end(0) == end(1) && end(0) < end(2), "{cells:?}");

    // The same time for more work: the check has found nothing.
    let check = run(MockExecutor::steady(500_000)).self_check;
    assert!(!check.expect("it checks itself").passed());
}

#[test]
fn a_time_that_is_mostly_clock_has_no_verdict_and_the_others_have() {
    // A reading of the clock is 40 ns; each sample is up to 9 ns more.
    let compared = compare(
        &counter(),
        &[
            MockExecutor::steady(90).named("serial"),
            MockExecutor::steady(100).named("thread"),
            MockExecutor::steady(120).named("tokio"),
        ],
    );
    let marked = |model| compared.cell(model).mostly_clock;
    assert_eq!(
        ["serial", "thread", "tokio"].map(marked),
        [true, false, false]
    );
    let [verdicts] = &compared.comparison.verdicts[..] else {
        panic!("{:?}", compared.comparison.verdicts);
    };
    assert_eq!(verdicts.pairs.len(), 1);
    assert_eq!(
        judged(&compared, "thread", "tokio").verdict,
        Verdict::Faster
    );
}
