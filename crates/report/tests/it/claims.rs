//! Every claim, where the answer is yes, where it is no, and where the data do not
//! say.

use report::findings::claims::{self, Answer};
use results::Status;
use results::fixture::Builder;
use serde_json::json;

use crate::comparisons::unknown;

use Answer::{CannotBeTold, DoesNotHold, Holds};

fn answer(builder: Builder, id: &str) -> (Answer, String) {
    let claims = claims::claims(&builder.build());
    let claim = claims.into_iter().find(|claim| claim.id == id);
    let claim = claim.unwrap_or_else(|| panic!("no claim is called {id}"));
    (claim.answer, claim.measured.join("; "))
}

fn expect(builder: Builder, id: &str, expected: Answer, says: &str) {
    let (answer, measured) = answer(builder, id);
    assert_eq!(answer, expected, "{id}: {measured}");
    assert!(measured.contains(says), "{id}: no {says} in {measured}");
}

#[test]
fn of_an_empty_comparison_nothing_can_be_told_but_arithmetic() {
    for claim in claims::claims(&Builder::new().build()) {
        let (expected, says) = match claim.id {
            "primes" => (DoesNotHold, "there are 39"),
            _ => (CannotBeTold, "was not measured"),
        };
        assert_eq!(claim.answer, expected, "{}", claim.id);
        assert!(claim.measured.join("").contains(says), "{claim:?}");
    }
}

#[test]
fn too_few_rounds_tell_nothing_of_who_is_faster() {
    let times = [("serial", 40.0), ("thread", 20.0)];
    let few = Builder::new().job_in_rounds("primes", "heavy", json!({}), &times, 4);
    expect(
        few,
        "threads-cpu",
        CannotBeTold,
        "takes 5 rounds and this had 4",
    );
}

fn counted(guard: &str, lost: u64) -> Builder {
    let job = json!({"workers": 8, "guard": guard});
    let label = if guard == "racy" {
        "heavy-racy"
    } else {
        "heavy"
    };
    let tally = |lost| json!({"lost": lost, "total": 4_000_000 - lost});
    Builder::new()
        .job("counter", label, job, &[("serial", 1.0), ("thread", 1.0)])
        .with("serial", |cell| cell.outcome = Some(tally(0)))
        .with("thread", |cell| cell.outcome = Some(tally(lost)))
}

#[test]
fn updates_are_lost_or_nothing_is_proven() {
    let lost = "thread lost 1,273,448 of 4,000,000";
    expect(counted("racy", 1_273_448), "lost-updates", Holds, lost);
    expect(
        counted("racy", 0),
        "lost-updates",
        CannotBeTold,
        "no model lost one",
    );
    expect(
        counted("lock", 0),
        "lost-updates",
        CannotBeTold,
        "was not measured",
    );
    expect(
        counted("lock", 0),
        "locked",
        Holds,
        "thread counted every update",
    );
    expect(
        counted("lock", 3),
        "locked",
        DoesNotHold,
        "thread lost some",
    );
    let wrong = counted("lock", 0).without("thread", Status::WrongAnswer, "1 is not 2");
    expect(wrong, "locked", DoesNotHold, "thread: a wrong total");
    expect(
        counted("racy", 3),
        "locked",
        CannotBeTold,
        "was not measured",
    );
}

fn primes(thread: f64, process: f64) -> Builder {
    let times = [("serial", 40.0), ("thread", thread), ("process", process)];
    Builder::new().job("primes", "heavy", json!({}), &times)
}

#[test]
fn work_for_the_cpu_runs_in_parallel_or_not() {
    expect(
        primes(20.0, 20.0),
        "threads-cpu",
        DoesNotHold,
        "2.00× as fast",
    );
    expect(primes(40.0, 20.0), "threads-cpu", Holds, "no difference");
    expect(primes(50.0, 20.0), "threads-cpu", Holds, "1.25× the time");
    expect(primes(40.0, 20.0), "processes-cpu", Holds, "2.00× as fast");
    expect(
        primes(40.0, 41.0),
        "processes-cpu",
        DoesNotHold,
        "process 41.0 ms",
    );
    let single = primes(20.0, 20.0).with("thread", |cell| cell.resources.threads = Some(1));
    expect(single, "threads-cpu", CannotBeTold, "a single thread");
    let failed = primes(20.0, 20.0).without("process", Status::Failed, "boom");
    expect(
        failed,
        "processes-cpu",
        CannotBeTold,
        "process at primes heavy: failed",
    );
}

#[test]
fn the_articles_prime_count_is_wrong_whoever_counts() {
    let job = json!({"start": 1_000_000, "end": 1_000_500, "workers": 4});
    let counted = Builder::new()
        .job("primes", "article", job, &[("tokio", 1.0)])
        .with("tokio", |cell| cell.outcome = Some(json!({"count": 39})));
    expect(
        counted,
        "primes",
        DoesNotHold,
        "there are 39; tokio counted 39",
    );
}

fn fetched(tokio: f64) -> Builder {
    let job = json!({"delays_ms": [100, 200, 300], "urls": []});
    let times = [("serial", 600.0), ("thread", 301.0), ("tokio", tokio)];
    Builder::new().job("fetch", "article", job, &times)
}

#[test]
fn fetches_take_as_long_as_the_slowest_or_longer() {
    expect(fetched(301.0), "fetch", Holds, "300 ms, all in turn 600 ms");
    expect(fetched(500.0), "fetch", DoesNotHold, "tokio took 500 ms");
    // Its interval goes from one side to the other.
    expect(fetched(330.0), "fetch", CannotBeTold, "tokio took 330 ms");
    let urls = json!({"delays_ms": [], "urls": ["http://localhost/"]});
    let own = Builder::new().job("fetch", "article", urls, &[("tokio", 1.0)]);
    expect(own, "fetch", CannotBeTold, "known delays");
}

fn offloaded(gap_ms: u64, heartbeat_ms: u64) -> Builder {
    let job = json!({
        "calls": 1, "call_ms": 2000, "heartbeat_ms": heartbeat_ms, "place": "pool",
    });
    Builder::new()
        .job(
            "offload",
            "article",
            job,
            &[("serial", 2000.0), ("tokio", 2000.0)],
        )
        .with("serial", |cell| {
            cell.outcome = Some(json!({"longest_gap_ns": 2_000_000_000}))
        })
        .with("tokio", |cell| {
            cell.outcome = Some(json!({"longest_gap_ns": gap_ms * 1_000_000}))
        })
}

#[test]
fn a_loop_stalls_or_does_not() {
    expect(
        offloaded(101, 100),
        "offload",
        Holds,
        "tokio's longest gap was 101 ms",
    );
    expect(offloaded(2000, 100), "offload", DoesNotHold, "2.00 s");
    // Too few beats to see one that is late.
    expect(
        offloaded(101, 1000),
        "offload",
        CannotBeTold,
        "was not measured",
    );
}

/// thread, process, and all that stand for asyncio.
fn all(thread: f64, process: f64, tasks: f64) -> [(&'static str, f64); 5] {
    [
        ("thread", thread),
        ("process", process),
        ("tokio", tasks),
        ("async-std", tasks),
        ("smol", tasks),
    ]
}

fn images(label: &str, times: &[(&str, f64)]) -> Builder {
    Builder::new().job("download", label, json!({"images": 100}), times)
}

/// Gives the models of [`all`] so many MiB.
fn with_memory(mut builder: Builder, mib: &[(&str, f64)]) -> Builder {
    for (model, mib) in mib {
        let bytes = (mib * 1024.0 * 1024.0) as u64;
        builder = builder.with(model, |cell| cell.resources.peak_memory_bytes = Some(bytes));
    }
    builder
}

#[test]
fn the_order_of_a_hundred_images_by_time() {
    let said = all(12_300.0, 8_700.0, 5_200.0);
    expect(
        images("article", &said),
        "images-time",
        Holds,
        "1.67× as fast",
    );
    let even = all(1000.0, 1000.0, 1000.0);
    expect(
        images("article", &even),
        "images-time",
        DoesNotHold,
        "no difference",
    );
    expect(
        images("heavy", &said),
        "images-time",
        CannotBeTold,
        "was not measured",
    );
    // The article's own limits count, where there are such.
    let own = images("article", &said).job("download", "article-own-limits", json!({}), &even);
    expect(own, "images-time", DoesNotHold, "no difference");
    // What set the time stands with the figures.
    let bound = images("article", &even).with("smol", |cell| cell.origin_bound = true);
    let says = "its link, set the time of smol";
    expect(bound, "images-time", DoesNotHold, says);
    let without = images("article", &said).without("smol", Status::Failed, "boom");
    expect(
        without,
        "images-time",
        CannotBeTold,
        "smol at download article: failed",
    );
}

#[test]
fn the_order_of_a_hundred_images_by_memory() {
    let of = |mib: &[(&str, f64)]| with_memory(images("article", &all(1.0, 1.0, 1.0)), mib);
    expect(
        of(&all(85.0, 210.0, 65.0)),
        "images-memory",
        Holds,
        "tokio 65.0 MiB",
    );
    expect(
        of(&all(85.0, 210.0, 80.0)),
        "images-memory",
        DoesNotHold,
        "no difference",
    );
    expect(
        of(&all(85.0, 60.0, 40.0)),
        "images-memory",
        DoesNotHold,
        "1.42× as much",
    );
    let unknown =
        of(&all(85.0, 210.0, 65.0)).with("smol", |cell| cell.resources.peak_memory_bytes = None);
    expect(unknown, "images-memory", CannotBeTold, "no such figure");
}

#[test]
fn a_switch_costs_least_in_tasks_and_most_between_processes() {
    let ring = |times: [(&str, f64); 5]| {
        let small = json!({"units": 2, "passes": 10});
        let large = json!({"units": 100, "passes": 1000});
        Builder::new().job("ping-pong", "heavy", large, &times).job(
            "ping-pong",
            "article",
            small,
            &all(1.0, 2.0, 3.0),
        )
    };
    expect(
        ring(all(10.0, 20.0, 1.0)),
        "switch",
        Holds,
        "thread 10.0 µs, tokio 1.00 µs",
    );
    expect(
        ring(all(10.0, 9.0, 1.0)),
        "switch",
        DoesNotHold,
        "1.11× the time",
    );
    let few = Builder::new().job_in_rounds("ping-pong", "heavy", json!({}), &all(2.0, 3.0, 1.0), 1);
    expect(few, "switch", CannotBeTold, "no verdict");
}

#[test]
fn the_memory_of_one_more_is_a_slope() {
    let sleepers = |more: [(&str, f64); 5]| {
        let times = all(1.0, 1.0, 1.0);
        let few = Builder::new().job("sleepers", "article", json!({"units": 100}), &times);
        let few = with_memory(few, &all(10.0, 10.0, 10.0));
        let many = few.job("sleepers", "heavy", json!({"units": 1124}), &times);
        with_memory(many, &more)
    };
    let said = all(18.0, 110.0, 10.5);
    expect(
        sleepers(said),
        "memory",
        Holds,
        "thread 8.00 KiB each, process 100 KiB each",
    );
    expect(
        sleepers(all(18.0, 110.0, 19.0)),
        "memory",
        DoesNotHold,
        "tokio 9.00 KiB each",
    );
    // With one number of processes, all of their program may be in it.
    let one = sleepers(said).without("process", Status::Unsupported, "too many");
    expect(one, "memory", CannotBeTold, "with all of its programs");
}

#[test]
fn a_wide_interval_denies_nothing() {
    let echo = json!({"connections": 1000});
    let times = [("thread", 2.0), ("tokio", 1.0), ("smol", 1.0)];
    let mut comparison = Builder::new().job("echo", "heavy", echo, &times).build();
    unknown(&mut comparison, "thread", "smol");
    let mut claims = claims::claims(&comparison).into_iter();
    let claim = claims.find(|claim| claim.id == "rule-asyncio");
    let claim = claim.expect("the claim");
    assert_eq!(claim.answer, CannotBeTold, "{claim:?}");
    assert!(claim.measured.join("").contains("cannot tell"), "{claim:?}");
}

#[test]
fn the_rules_for_choosing() {
    let few = |thread: f64, tokio: f64| {
        let times = [("thread", thread), ("tokio", tokio)];
        let delays = json!({"delays_ms": [1, 2, 3], "urls": []});
        Builder::new()
            .job(
                "echo",
                "heavy",
                json!({"connections": 1000}),
                &[("thread", 9.0), ("tokio", 1.0)],
            )
            .job("echo", "article", json!({"connections": 10}), &times)
            .job("fetch", "article", delays, &times)
    };
    expect(
        few(1.0, 1.0),
        "rule-threads",
        Holds,
        "echo with 10: tokio 1.00 ms",
    );
    expect(
        few(2.0, 1.0),
        "rule-threads",
        DoesNotHold,
        "fetch with 3: tokio 1.00 ms",
    );
    let echo_only = Builder::new().job(
        "echo",
        "article",
        json!({"connections": 10}),
        &[("thread", 1.0), ("tokio", 1.0)],
    );
    expect(
        echo_only,
        "rule-threads",
        CannotBeTold,
        "fetch was not measured",
    );

    let cpu = |process: f64| {
        let times = [("thread", 2.0), ("process", process)];
        primes(2.0, process).job("thumbnails", "heavy", json!({}), &times)
    };
    expect(
        cpu(1.0),
        "rule-processes",
        Holds,
        "thumbnails: process 1.00 ms",
    );
    expect(cpu(2.0), "rule-processes", DoesNotHold, "no difference");
    expect(
        primes(2.0, 1.0),
        "rule-processes",
        CannotBeTold,
        "thumbnails heavy was not",
    );

    let many = |times: &[(&str, f64)]| {
        Builder::new().job("echo", "heavy", json!({"connections": 1000}), times)
    };
    expect(
        many(&all(2.0, 9.0, 1.0)),
        "rule-asyncio",
        Holds,
        "2.00× as fast",
    );
    expect(
        many(&all(2.0, 9.0, 2.0)),
        "rule-asyncio",
        DoesNotHold,
        "no difference",
    );
    expect(
        many(&[("tokio", 1.0)]),
        "rule-asyncio",
        CannotBeTold,
        "thread did not take part",
    );

    let waiting = |times: [(&str, f64); 5], mib: [(&str, f64); 5]| {
        let builder = Builder::new().job("sleepers", "heavy", json!({"units": 10_000}), &times);
        with_memory(builder, &mib)
    };
    let (id, less) = ("rule-asyncio-waiting", all(90.0, 900.0, 8.0));
    expect(
        waiting(all(2.0, 9.0, 1.0), less),
        id,
        Holds,
        "0.09× as much",
    );
    expect(
        waiting(all(1.0, 9.0, 2.0), less),
        id,
        DoesNotHold,
        "2.00× the time",
    );
    let without = waiting(all(2.0, 9.0, 1.0), less).without("thread", Status::Failed, "boom");
    expect(
        without,
        id,
        CannotBeTold,
        "sleepers by thread was not measured",
    );
}
