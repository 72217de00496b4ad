//! What is run, how often, and what a failure or an interruption leaves.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use compare::{Contestant, Mode};
use lab::error::CellError;
use results::{ClusterNodes, ResultsDir, Status};
use suite::Workload;

use crate::mock::{Call, MockExecutor, compare, contestant, counter, request};

#[test]
fn every_round_has_a_bench_and_a_run_and_one_is_observed() {
    let serial = Rc::new(MockExecutor::steady(1_000_000));
    let compared = compare(&counter(), &[contestant("serial", &serial)]);
    let cell = compared.cell("serial");
    let time = cell.time.as_ref().expect("a time");
    assert_eq!(time.rounds, [10; 5]);
    assert_eq!(time.median_ns, 1_000_004.5);
    assert_eq!((cell.status, cell.resources.runs), (Status::Ok, 5));
    assert!(!cell.from_runs);
    let calls = serial.calls.borrow();
    let times = |call| calls.iter().filter(|(made, _)| *made == call).count();
    assert_eq!(times(Call::Bench), 5);
    assert_eq!(times(Call::Run), 5);
    assert_eq!(times(Call::Observe), 1);
    assert_eq!(
        calls[0].0,
        Call::Try,
        "nothing is timed before it is checked"
    );
    let first_timed = calls.iter().position(|(call, _)| *call != Call::Try);
    let checks = calls.iter().rposition(|(call, _)| *call == Call::Try);
    assert!(checks < first_timed, "{calls:?}");
}

#[test]
fn a_failure_is_its_own_cells_and_nothing_is_measured_after_it() {
    let fails = |at: Call, status: Status, reason: &'static str| {
        MockExecutor::new(move |call, _, _| {
            if call == at {
                return Err(CellError::Cell(status, reason.to_owned()));
            }
            Ok(1_000)
        })
    };
    let scripted = [
        ("thread", Call::Try, Status::Unsupported, "too few threads"),
        ("process", Call::Try, Status::WrongAnswer, "total is 1"),
        ("tokio", Call::Bench, Status::Failed, "boom"),
        ("smol", Call::Run, Status::Failed, "it hangs"),
        ("async-std", Call::Observe, Status::Failed, "it has gone"),
    ];
    let executors = scripted.map(|(_, at, status, why)| Rc::new(fails(at, status, why)));
    let mut contestants: Vec<_> = scripted
        .iter()
        .zip(&executors)
        .map(|((model, ..), executor)| contestant(model, executor))
        .collect();
    let unbuilt = Err("model-rayon does not build".to_owned());
    contestants.push(Contestant::new("rayon".to_owned(), unbuilt));
    contestants.push(MockExecutor::steady(1_000).named("serial"));
    let compared = compare(&counter(), &contestants);

    for ((model, at, status, reason), executor) in scripted.iter().zip(&executors) {
        let cell = compared.cell(model);
        assert_eq!(
            (cell.status, cell.reason.as_deref()),
            (*status, Some(*reason))
        );
        assert!(cell.time.is_none() && cell.cold.is_none(), "{model}");
        assert_eq!(cell.resources.runs, 0, "half a measurement of {model}");
        assert_eq!(
            executor.calls.borrow().last().expect("a call").0,
            *at,
            "{model}"
        );
    }
    let cell = compared.cell("rayon");
    assert_eq!(cell.status, Status::Failed);
    assert_eq!(cell.reason.as_deref(), Some("model-rayon does not build"));
    assert_eq!(compared.cell("serial").status, Status::Ok);
}

#[test]
fn a_custom_commands_runs_are_its_samples_and_each_round_observes_it() {
    // Every run takes longer than the one before, and every observation sees less.
    let script = |call, _: &_, number: usize| {
        Ok(match call {
            Call::Observe => 9_000 - number as u64,
            _ => 1_000_000 * number as u64,
        })
    };
    let command = Rc::new(MockExecutor::new(script).custom());
    let contestants = [
        contestant("curl", &command),
        MockExecutor::steady(1_000_000).named("serial"),
    ];
    let compared = compare(&counter(), &contestants);
    let cell = compared.cell("curl");
    assert_eq!(cell.command.as_deref(), Some("a command"));
    let time = cell.time.as_ref().expect("a time");
    assert_eq!(time.rounds, [2; 5]);
    let right: Vec<f64> = (1..=10).map(|number| 1e6 * f64::from(number)).collect();
    assert_eq!(time.samples_ns, right);
    assert!(cell.from_runs && cell.resources.runs == 10);
    // The most of all that was seen.
    assert_eq!(cell.resources.peak_memory_bytes, Some(8_999));
    assert_eq!(cell.resources.peak_with_kernel_bytes, Some(9_000));
    let calls = command.calls.borrow();
    let observed = calls.iter().filter(|(call, _)| *call == Call::Observe);
    assert_eq!(observed.count(), 5);
    assert!(calls.iter().all(|(call, _)| *call != Call::Bench));
    // Its times have a start in them, so there is no verdict about it.
    assert!(compared.comparison.verdicts[0].pairs.is_empty());
    assert!(compared.cell("serial").command.is_none());
}

#[test]
fn a_job_that_is_long_for_all_models_has_no_bench() {
    let quarter = 250_000_000;
    for (fastest, from_runs) in [(quarter, true), (quarter - 1, false)] {
        let contestants = [
            MockExecutor::steady(fastest).named("serial"),
            MockExecutor::steady(quarter).named("tokio"),
        ];
        let compared = compare(&counter(), &contestants);
        for model in ["serial", "tokio"] {
            assert_eq!(
                compared.cell(model).from_runs,
                from_runs,
                "{model} {fastest}"
            );
        }
    }
}

#[test]
fn the_time_is_kept_when_rounds_are_slower_than_the_first_run() {
    let slow = MockExecutor::new(|call, _, _| {
        if call == Call::Bench {
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(1_000)
    });
    let mut request = counter();
    request.mode.budget = Duration::from_millis(400);
    let compared = compare(&request, &[slow.named("serial")]);
    let rounds = compared
        .cell("serial")
        .time
        .as_ref()
        .expect("a time")
        .rounds
        .len();
    assert!((1..5).contains(&rounds), "{rounds}");
    let note = format!("counter heavy: {rounds} of 5 rounds, to keep to the time");
    assert!(
        compared.comparison.run.notes.contains(&note),
        "{:?}",
        compared.comparison.run.notes
    );
    assert!(compared.comparison.run.took_s < 2.0);
}

#[test]
fn an_interruption_keeps_what_was_measured_and_before_that_writes_nothing() {
    for (at, rounds) in [(Call::Try, 0), (Call::Bench, 1)] {
        let interrupted = MockExecutor::new(move |call, _, number| {
            if call == at && number == rounds + 1 {
                return Err(CellError::Interrupted);
            }
            Ok(1_000)
        });
        let compared = compare(&counter(), &[interrupted.named("serial")]);
        assert!(compared.comparison.run.interrupted);
        let data = compared
            .directory
            .path()
            .join("results")
            .join(ResultsDir::JSON);
        assert_eq!(data.exists(), rounds > 0);
        if rounds > 0 {
            let time = compared.cell("serial").time.as_ref().expect("a time");
            assert_eq!(time.rounds, [10]);
        } else {
            assert!(compared.comparison.cells.is_empty());
        }
    }
}

#[test]
fn one_seed_gives_one_order_in_which_no_contestant_comes_first_always() {
    let order = |seed| {
        let calls: Rc<std::cell::RefCell<Vec<usize>>> = Rc::default();
        let contestants: Vec<_> = (0..4)
            .map(|at| {
                let calls = Rc::clone(&calls);
                let script = move |call, _: &_, _| {
                    if call == Call::Bench {
                        calls.borrow_mut().push(at);
                    }
                    Ok(1_000)
                };
                MockExecutor::new(script).named(&at.to_string())
            })
            .collect();
        let mut request = counter();
        request.seed = seed;
        compare(&request, &contestants);
        calls.take()
    };
    let first = order(1);
    assert_eq!(first.len(), 20);
    assert_eq!(first, order(1));
    assert_ne!(first, order(2));
    let begin: BTreeSet<usize> = first.chunks(4).map(|round| round[0]).collect();
    assert!(begin.len() > 1, "{first:?}");
    for round in first.chunks(4) {
        let all: BTreeSet<usize> = round.iter().copied().collect();
        assert_eq!(all.len(), 4, "{first:?}");
    }
}

#[test]
fn jobs_are_made_smaller_until_they_fit_and_only_where_the_mode_says_so() {
    // A second for a job of full size.
    let by_size = || MockExecutor::new(|_, case, _| Ok(1_000_000_000 / case.divisor));
    let mut quick = request(Workload::Primes, &[]);
    quick.mode.budget = Duration::from_secs(10);
    let scaled = compare(&quick, &[by_size().named("serial")]);
    let cell = scaled.cell("serial");
    assert!(cell.scaled && cell.divisor > 1, "{}", cell.divisor);
    assert!(
        cell.divisor < 64,
        "the first try is of a 64th: {}",
        cell.divisor
    );

    quick.mode = Mode {
        budget: Duration::from_secs(10),
        ..Mode::DEFAULT
    };
    let whole = compare(&quick, &[by_size().named("serial")]);
    assert_eq!(whole.labels(), ["article", "heavy"]);
    assert!(whole.comparison.cells.iter().all(|cell| cell.divisor == 1));
}

#[test]
fn thorough_adds_what_matters_for_choosing() {
    let mut thorough = request(Workload::Counter, &["counter.guard=lock"]);
    thorough.mode = Mode::THOROUGH;
    thorough.workloads.push(Workload::Download);
    let cases = thorough.cases().expect("a request that makes sense");
    let labels: Vec<_> = cases.iter().map(|case| case.title()).collect();
    let expected = [
        "counter article",
        "counter heavy",
        "download article",
        "download heavy",
        "download article-own-limits",
    ];
    assert_eq!(labels[..5], expected);
    for label in ["counter heavy workers=64", "download heavy limit=50"] {
        assert!(labels.iter().any(|one| one == label), "{labels:?}");
    }
}

#[test]
fn shares_are_swept_where_nodes_take_part() {
    let titles = |cluster| {
        let mut thorough = request(Workload::Primes, &[]);
        thorough.mode = Mode::THOROUGH;
        thorough.cluster = cluster;
        let cases = thorough.cases().expect("a request that makes sense");
        let titles = cases.iter().map(|case| case.title());
        titles.collect::<Vec<_>>()
    };
    let without = titles(None);
    assert!(!without.iter().any(|title| title.contains("share=")));
    let with = titles(Some(ClusterNodes::default()));
    assert_eq!(with[..without.len()], without);
    let shares = ["4", "16", "64", "256"].map(|share| format!("primes heavy share={share}"));
    assert_eq!(with[without.len()..], shares);
}
