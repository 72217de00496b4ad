use super::slot::frame;
use super::*;

/// Plays every operation of a job in one slot: late ones are cut at their deadline, which has
/// passed by then.
fn played(job: &Job) -> Outcome {
    let ledger = Ledger::new(job);
    let mut slot = Slot::alone(&ledger);
    while let Some(operation) = slot.begin() {
        if operation.sent() {
            break;
        }
        let number = operation.number;
        match operation.takes {
            Takes::InTime(_) => operation.end(Some(splitmix64(number))),
            Takes::Late(_) | Takes::Never => {
                while operation.due().is_some_and(|due| Instant::now() < due) {
                    std::thread::yield_now();
                }
                operation.end(None);
            }
        }
    }
    drop(slot);
    let mut outcome = ledger.outcome();
    outcome.seen = Seen {
        connections: 1,
        requests: job.begun(),
        most_at_once: 1,
        ..Seen::default()
    };
    outcome
}

fn quick() -> Job {
    Job {
        operations: 40,
        deadline_ms: 1,
        ..Job::preset(Preset::Article)
    }
}

#[test]
fn times_are_in_time_or_late() {
    for per_mille in [0, 7, 100, 500, 1_000] {
        let job = Job {
            operations: 10_000,
            late_per_mille: per_mille,
            ..Job::preset(Preset::Article)
        };
        let (mut late, mut never) = (0, 0);
        for number in 1..=job.operations {
            match job.takes(number) {
                Takes::InTime(us) => assert!(us < 2_500, "{us}"),
                Takes::Late(us) => {
                    late += 1;
                    assert!((200_000..400_000).contains(&us), "{us}");
                }
                Takes::Never => never += 1,
            }
        }
        assert_eq!(late + never, 10 * per_mille);
        assert!(never <= late, "{never} and {late}");
    }
}

#[test]
fn what_a_deadline_leaves_out_are_the_same_times() {
    let job = Job {
        late_per_mille: 0,
        ..Job::preset(Preset::Heavy)
    };
    let without = Job {
        deadline_ms: 0,
        ..job.clone()
    };
    assert!((1..1_000).all(|number| job.takes(number) == without.takes(number)));
    assert_eq!(without.deadline(), None);
}

#[test]
fn answers_that_are_too_late_are_passed_over_and_bytes_are_not_lost() {
    let ledger = Ledger::new(&quick());
    let mut slot = Slot::alone(&ledger);
    let answer = |number: u64| frame(number, splitmix64(number));
    let put = |answers: &mut Answers, bytes: &[u8]| {
        answers.room()[..bytes.len()].copy_from_slice(bytes);
        answers.read(bytes.len()).expect("a right answer")
    };
    let mut first = slot.begin().expect("one");
    // It is cut when half of its answer has come.
    assert_eq!(put(first.answers(), &answer(1)[..7]), None);
    drop(first);
    let mut second = slot.begin().expect("another");
    assert_eq!(put(second.answers(), &answer(1)[7..]), None);
    assert_eq!(put(second.answers(), &answer(2)), Some(splitmix64(2)));
    second.answers().room().copy_from_slice(&answer(3));
    let unasked = second.answers().read(FRAME_BYTES).expect_err("not asked");
    assert_eq!(unasked.kind(), std::io::ErrorKind::InvalidData);
    let end = second.answers().read(0).expect_err("the end");
    assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn what_is_played_is_right() {
    let job = quick();
    let outcome = played(&job);
    job.check(&outcome).expect("right");
    assert_eq!((outcome.answered, outcome.cut), (36, 4));
    for cancel_after in [1, 20, 40] {
        let job = Job {
            cancel_after,
            ..quick()
        };
        let outcome = played(&job);
        job.check(&outcome).expect("right");
        assert_eq!(outcome.cancelled, 1);
    }
}

#[test]
fn a_deadline_that_fires_early_is_found() {
    let job = Job {
        late_per_mille: 1_000,
        operations: 1,
        ..Job::preset(Preset::Article)
    };
    let ledger = Ledger::new(&job);
    let mut slot = Slot::alone(&ledger);
    let operation = slot.begin().expect("one");
    operation.sent();
    operation.end(None);
    drop(slot);
    let wrong = job.check(&ledger.outcome()).expect_err("early");
    assert_eq!(wrong.what, "early");
}

#[test]
fn an_answer_that_cannot_be_is_found() {
    // One that is late comes later than now, and the other does not come.
    let job = Job {
        late_per_mille: 1_000,
        operations: 2,
        ..Job::preset(Preset::Article)
    };
    assert_eq!(job.takes(2), Takes::Never);
    let ledger = Ledger::new(&job);
    let mut slot = Slot::alone(&ledger);
    for _ in 0..2 {
        let operation = slot.begin().expect("two");
        operation.sent();
        let number = operation.number;
        operation.end(Some(splitmix64(number)));
    }
    drop(slot);
    let wrong = job.check(&ledger.outcome()).expect_err("made up");
    assert_eq!(wrong.what, "wrong");
}

#[test]
fn a_slot_that_is_left_is_found() {
    let job = quick();
    let ledger = Ledger::new(&job);
    let mut slot = Slot::alone(&ledger);
    while let Some(operation) = slot.begin() {
        operation.sent();
    }
    let wrong = job.check(&ledger.outcome()).expect_err("left");
    assert_eq!(wrong.what, "ended");
}

#[test]
fn what_cannot_be_is_found_by_name() {
    let job = quick();
    let right = played(&job);
    type Change = fn(&mut Outcome);
    let wrong = |change: Change| {
        let mut outcome = right.clone();
        change(&mut outcome);
        job.check(&outcome).expect_err("wrong").what
    };
    let cases: [(Change, &str); 10] = [
        // A cut one that counts as in time.
        (|o| (o.answered, o.cut) = (37, 3), "answered"),
        // One that was lost, and one whose guard ran twice.
        (|o| o.answered -= 1, "the sum of all results"),
        (|o| o.ended += 1, "ended"),
        (|o| o.operations -= 1, "operations"),
        // Another value, or one twice.
        (|o| o.sum ^= 1, "sum"),
        (|o| (o.cancelled, o.answered) = (1, 35), "cancelled"),
        (|o| (o.missed, o.answered) = (36, 0), "answered"),
        // Less at once than is said, or a connection that stays.
        (|o| o.slots = 10, "connections"),
        (|o| (o.slots, o.seen.connections) = (10, 10), "most_at_once"),
        (|o| o.seen.open = 1, "connections left open"),
    ];
    for (change, what) in cases {
        assert_eq!(wrong(change), what);
    }
}

#[test]
fn what_is_in_flight_is_cancelled() {
    let job = Job {
        operations: 1,
        late_per_mille: 1_000,
        deadline_ms: STUCK_MS,
        cancel_after: 1,
        ..quick()
    };
    let mut outcome = played(&job);
    job.check(&outcome).expect("right");
    (outcome.cancelled, outcome.cut) = (0, 1);
    assert_eq!(job.check(&outcome).expect_err("wrong").what, "cancelled");
}

#[test]
fn lateness_has_its_ranks() {
    let mut late: Vec<u64> = (1..=100).rev().collect();
    let right = Lateness {
        p50: 50,
        p99: 99,
        max: 100,
    };
    assert_eq!(Lateness::of(&mut late), right);
    assert_eq!(Lateness::of(&mut []), Lateness::default());
}
