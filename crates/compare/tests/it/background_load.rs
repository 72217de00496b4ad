//! Windows: rounds with background load are measured again, and then marked.

use std::thread;
use std::time::Duration;

use lab::background_load::LoadMonitor;

use crate::mock::{Call, Compared, MockExecutor, compare_with, counter};

/// A comparison in which others may use this part of the machine. Each call of the
/// bench says in its samples which one it is, in milliseconds.
fn compare(limit: f64) -> Compared {
    let mut request = counter();
    // A tenth of it may be spent on retries: enough for some, and not for all.
    request.mode.budget = Duration::from_secs(60);
    let numbered = MockExecutor::new(|call, _, number| {
        if call == Call::Bench {
            thread::sleep(Duration::from_millis(60));
            return Ok(1_000_000 * number as u64);
        }
        Ok(1_000)
    });
    let monitor = LoadMonitor::new(request.mode.budget, limit);
    compare_with(&request, &[numbered.named("serial")], monitor)
}

/// Which calls of the bench the samples are from, round by round.
fn calls(compared: &Compared) -> Vec<u64> {
    let time = compared.cell("serial").time.as_ref().expect("a time");
    assert_eq!(time.rounds, [10; 5]);
    let first = |round: &[f64]| (round[0] / 1e6) as u64;
    time.samples_ns.chunks(10).map(first).collect()
}

#[test]
fn noisy_rounds_are_measured_again_and_then_marked() {
    // Every reading is above that, whatever else runs.
    let compared = compare(-1e6);
    let load = compared
        .comparison
        .run
        .background_load
        .as_ref()
        .expect("it was read");
    assert!(load.retaken > 0, "{load:?}");
    assert!(load.kept > 0 && load.kept == load.windows, "{load:?}");
    let cell = compared.cell("serial");
    assert_eq!(cell.disturbed, 5);
    // What was measured again replaces what was there before.
    let calls = calls(&compared);
    assert!(calls.is_sorted_by(|one, next| one < next), "{calls:?}");
    assert!(calls[0] > 1, "{calls:?}: the first take is still there");
    assert_eq!(cell.resources.runs, 5);
}

#[test]
fn without_a_limit_every_round_is_measured_once() {
    let compared = compare(1.0);
    let load = compared
        .comparison
        .run
        .background_load
        .as_ref()
        .expect("it was read");
    assert!(
        load.windows > 0 && load.kept == 0 && load.retaken == 0,
        "{load:?}"
    );
    assert!(load.unknown.is_none(), "{load:?}");
    assert_eq!(calls(&compared), [1, 2, 3, 4, 5]);
    assert_eq!(compared.cell("serial").disturbed, 0);
    assert_eq!(compared.cell("serial").resources.runs, 5);
}
