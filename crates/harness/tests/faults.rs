//! That what holds every model to its answers finds a model's faults.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use harness::faulty::Faulty;
use harness::{command_line, conformance};
use runner::fixture::Fixture;
use suite::{Model, Preset, Result, Setup, Workload, WrongAnswer};

const PROGRAM: &str = env!("CARGO_BIN_EXE_model-faulty");

type Test = fn(&'static str) -> Result<()>;

/// Held by the test that looks at this process's memory, and by the one that takes most of it.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static MEMORY: Mutex<()> = Mutex::new(());
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner)
}

const SHOULD_HAVE_FAILED: &str = "it should have failed";

#[track_caller]
fn finds(test: Test, fault: &str) {
    let found = test(PROGRAM).expect_err(fault);
    assert!(format!("{found:#}").contains(fault), "{found:#}");
}

/// What conformance finds of each workload of the faulty model.
fn faults(workload: Workload) -> Vec<(Test, &'static str)> {
    match workload {
        Workload::Counter => vec![(conformance::counter_lock::<Faulty>, "total is 999")],
        Workload::Pipeline => vec![
            (conformance::pipeline_shapes::<Faulty>, "high_water is 11"),
            (conformance::pipeline_any_shape::<Faulty>, "high_water is 2"),
        ],
        Workload::Primes => vec![
            (conformance::primes_shapes::<Faulty>, "count is 40"),
            (conformance::primes_any_range::<Faulty>, "count is 1,"),
        ],
        Workload::Exchange => vec![(conformance::exchange_shapes::<Faulty>, "the second time")],
        Workload::Fetch => vec![
            (conformance::fetch_shapes::<Faulty>, "requests is 0"),
            (
                conformance::fetch_survives_what_servers_do::<Faulty>,
                SHOULD_HAVE_FAILED,
            ),
            (
                conformance::fetch_survives_a_dying_origin::<Faulty>,
                SHOULD_HAVE_FAILED,
            ),
        ],
        Workload::Offload => vec![
            (conformance::offload_pool::<Faulty>, "done is 0"),
            (
                conformance::offload_inline::<Faulty>,
                "completion_ns is 25000000, and at least 50000000",
            ),
        ],
        Workload::Download => vec![
            (conformance::download_shapes::<Faulty>, "0000.jpg with 0 b"),
            (
                conformance::download_survives_what_servers_do::<Faulty>,
                SHOULD_HAVE_FAILED,
            ),
            (
                conformance::download_survives_a_dying_origin::<Faulty>,
                SHOULD_HAVE_FAILED,
            ),
        ],
        Workload::PingPong => vec![(
            conformance::ping_pong_shapes::<Faulty>,
            "units=3 passes=1000: wrong answer: out_of_order",
        )],
        Workload::Sleepers => vec![(conformance::sleepers_shapes::<Faulty>, "alive is 9, and 10")],
        Workload::Spawn => vec![(conformance::spawn_shapes::<Faulty>, "most_alive is 4")],
        Workload::Deadlines => vec![
            (conformance::deadlines_late::<Faulty>, "early is 1"),
            (
                conformance::deadlines_in_time::<Faulty>,
                "limit=8 late_per_mille=0: wrong answer: most_at_once is 1",
            ),
            (conformance::deadlines_cancelled::<Faulty>, "ended is 0"),
            (
                conformance::deadlines_at_once::<Faulty>,
                "most_at_once is 1, and from 20 to 20",
            ),
            (
                conformance::deadlines_survive_what_servers_do::<Faulty>,
                SHOULD_HAVE_FAILED,
            ),
        ],
        Workload::Echo => vec![
            (
                conformance::echo_shapes::<Faulty>,
                "connections is 3, and 20",
            ),
            (
                conformance::echo_survives_what_servers_do::<Faulty>,
                SHOULD_HAVE_FAILED,
            ),
            (
                conformance::echo_server_survives_what_clients_do::<Faulty>,
                "(os error", // whichever the next client meets
            ),
        ],
        Workload::Datagram => vec![
            (
                conformance::datagram_shapes::<Faulty>,
                "lost and not dropped is 1, and from 0 to 0",
            ),
            (
                conformance::datagram_lossy::<Faulty>,
                "answered + late + copies is",
            ),
            (
                conformance::datagram_doubled_and_reordered::<Faulty>,
                "clients is 2, and 3",
            ),
            (
                conformance::datagram_survives_what_servers_do::<Faulty>,
                SHOULD_HAVE_FAILED,
            ),
            (
                conformance::datagram_server_survives_what_clients_do::<Faulty>,
                "refused",
            ),
        ],
        Workload::Serve => vec![
            (conformance::serve_shapes::<Faulty>, "1 times another body"),
            (
                conformance::serve_silent_connections::<Faulty>,
                "times another body",
            ),
            (
                conformance::serve_survives_what_clients_do::<Faulty>,
                "the server: the client hung up",
            ),
            (
                conformance::serve_answers_what_is_under_way::<Faulty>,
                "the answer under way",
            ),
            (conformance::serve_leaves_nothing::<Faulty>, "left open: "),
        ],
        Workload::Proxy => vec![
            (
                conformance::proxy_shapes::<Faulty>,
                "a target that is not in origin-form",
            ),
            (
                conformance::proxy_tunnels::<Faulty>,
                "CONNECT was answered 200 with",
            ),
        ],
        Workload::Scan => vec![
            (conformance::scan_shapes::<Faulty>, "closed is"),
            (conformance::scan_filtered::<Faulty>, "elapsed is"),
            (conformance::scan_at_once::<Faulty>, "at once: "),
        ],
        Workload::Chat => vec![
            (
                conformance::chat_shapes::<Faulty>,
                "members=3 messages=40: wrong answer: errors is",
            ),
            (
                conformance::chat_slow_members::<Faulty>,
                "slow=2 bytes=4096 messages=200 policy=drop: wrong answer: slow_dropped is 0",
            ),
            (
                conformance::chat_survives_what_clients_do::<Faulty>,
                "after", // whichever client is the next
            ),
            (conformance::chat_ends_in_the_middle::<Faulty>, "at the end"),
            (conformance::chat_leaves_nothing::<Faulty>, "left open"),
        ],
        Workload::Send => vec![
            (conformance::send_shapes::<Faulty>, "missing"),
            (
                conformance::send_survives_cuts_and_flips::<Faulty>,
                "000000.bin missing",
            ),
            (
                conformance::send_survives_what_receivers_do::<Faulty>,
                SHOULD_HAVE_FAILED,
            ),
            (
                conformance::send_finds_a_file_that_changes::<Faulty>,
                SHOULD_HAVE_FAILED,
            ),
        ],
        Workload::Files => vec![
            (conformance::files_shapes::<Faulty>, "lines is"),
            (conformance::files_of_all_kinds::<Faulty>, "lines is"),
        ],
        Workload::Thumbnails => vec![(
            conformance::thumbnails_of_all_kinds::<Faulty>,
            "images and broken is 4, and 8",
        )],
    }
}

#[test]
fn conformance_finds_each_fault() {
    let _alone = one_at_a_time();
    for &workload in Workload::ALL {
        let faults = faults(workload);
        assert!(!faults.is_empty(), "{workload} has no fault");
        for (test, fault) in faults {
            finds(test, fault);
        }
    }
    finds(conformance::presets_are_all_supported::<Faulty>, "total");
}

/// What the load generator sees, and what the server counts.
#[test]
fn each_fault_of_a_file_server_is_found() {
    for (shape, fault) in [
        ("connections=1", "errors is 8 times another body"),
        ("connections=2", "errors is 8 times another status"),
        ("connections=5", "errors is 8 times closed before"),
        ("connections=2 idle=4", "idle_alive is 3, and 4"),
        ("connections=8 burn=100", "burns_done is 0, and 1"),
        ("connections=9", "healthy is false"),
    ] {
        let found = run(Workload::Serve, &format!("{shape} requests=8")).expect_err(fault);
        assert!(found.is::<WrongAnswer>(), "{shape}: {found:#}");
        assert!(found.to_string().contains(fault), "{shape}: {found:#}");
    }
}

/// What a client finds in what comes, and what is seen from outside.
#[test]
fn each_fault_with_datagrams_is_found() {
    for (shape, fault) in [
        ("clients=1", "lost and not dropped is 10"),
        (
            "clients=2",
            "answered + late + copies is 40, and from 0 to 20",
        ),
        ("clients=3", "clients is 2, and 3"),
        ("clients=4 window=2", "lost and not dropped is "),
        ("clients=5", "seen.healthy is 0"),
        ("clients=6", "answered + late + copies is"),
    ] {
        let shape = format!("{shape} timeout_ms=20 retries=0");
        let found = run(Workload::Datagram, &shape).expect_err(fault);
        assert!(found.is::<WrongAnswer>(), "{shape}: {found:#}");
        assert!(found.to_string().contains(fault), "{shape}: {found:#}");
    }
}

/// The same of a proxy, and what the upstream sees.
#[test]
fn each_fault_of_a_proxy_is_found() {
    for (shape, fault) in [
        ("connections=1", "origin-form"),
        ("connections=2", "more than one Via"),
        ("connections=3", "upstream.connections is 9, and 1 to 4"),
        ("connections=4", "errors is 8 times another body"),
    ] {
        let found = run(Workload::Proxy, &format!("{shape} requests=8")).expect_err(fault);
        assert!(found.is::<WrongAnswer>(), "{shape}: {found:#}");
        assert!(found.to_string().contains(fault), "{shape}: {found:#}");
    }
}

/// What the scan and the system count, what the host has accepted, and the time.
#[test]
fn each_fault_of_a_scan_is_found() {
    for (shape, fault) in [
        ("limit=1", "most_at_once is 2, and from 1 to 1"),
        ("limit=2 open=0 filtered=5", "most_waiting is"),
        ("limit=3", "accepted is 0, and from 4 to 8"),
        ("limit=4 filtered=4", "elapsed is"),
        ("limit=5", "missed is 100, and from 0 to 1"),
        ("limit=6 filtered=5", "attempts is 100, and from 105 to 200"),
        ("limit=7", "most_at_a_port is 3, and from 0 to 2"),
        ("limit=8", "closed is"),
    ] {
        let shape = format!("ports=20001-20100 open=4 timeout_ms=200 {shape}");
        let found = run(Workload::Scan, &shape).expect_err(fault);
        assert!(found.is::<WrongAnswer>(), "{shape}: {found:#}");
        assert!(found.to_string().contains(fault), "{shape}: {found:#}");
    }
}

/// The same of chat rooms: what their members see, and what they cost.
#[test]
fn each_fault_of_a_chat_is_found() {
    let _alone = one_at_a_time();
    for (shape, fault) in [
        ("members=3", "times another payload"),
        ("members=5", "times a member's own message"),
        ("members=6", "times a message that came twice"),
        ("members=7", "times a message that was lost"),
        ("members=8", "dropped is"),
        ("members=9", "healthy is false"),
        (
            "members=2 slow=1 policy=drop bytes=4096 messages=300",
            "slow_dropped is 0",
        ),
        (
            "members=2 slow=1 policy=disconnect bytes=4096 messages=300",
            "slow_cut is 0",
        ),
        (
            "members=2 slow=1 policy=drop bytes=65536 messages=1200 queue=16",
            "grown_bytes is",
        ),
    ] {
        let found = run(Workload::Chat, shape).expect_err(fault);
        assert!(found.is::<WrongAnswer>(), "{shape}: {found:#}");
        assert!(found.to_string().contains(fault), "{shape}: {found:#}");
    }
}

/// At the sender; what the receiver has lost shows at the relay.
#[test]
fn each_fault_of_sending_is_found() {
    for (shape, fault) in [
        ("files=2 cuts=0 cut=0", "1-000000.bin missing"),
        ("files=2 cuts=0 cut=0 streams=2", "connections is 3"),
        ("files=3 cut=500000 cuts=2 streams=3", "000000.bin missing"),
        ("files=4 cut=500000 cuts=1 streams=4", "relayed is"),
    ] {
        let found = run(Workload::Send, shape).expect_err(fault);
        assert!(found.is::<WrongAnswer>(), "{shape}: {found:#}");
        assert!(found.to_string().contains(fault), "{shape}: {found:#}");
    }
}

fn run(workload: Workload, shape: &str) -> Result<()> {
    let mut job = workload.job(Preset::Article);
    for set in shape.split_whitespace() {
        let (key, value) = set.split_once('=').expect("key=value");
        job.set(key, value)?;
    }
    let mut prepared = Fixture::new(PROGRAM, None).prepare(&job)?;
    let model = Faulty::start(&Setup::sized(prepared.job(), PROGRAM, 1, 1))?;
    let (_, mut outcome) = prepared.run(&model)?;
    prepared.verify(&mut outcome).map(drop)
}

#[test]
fn a_shape_may_be_refused_and_is_not_a_fault() {
    conformance::counter_atomic::<Faulty>(PROGRAM).expect("to be let off");
}

#[test]
fn the_command_line_says_what_is_wrong() {
    finds(command_line::counter, "ended with Some(1), not 0");
    finds(command_line::download, "wrong answer: files is");
    command_line::what_makes_no_sense_is_refused(PROGRAM).expect("all refused");
    command_line::failures_are_named(PROGRAM).expect("failures of the runner");

    let refused = Command::new(PROGRAM)
        .args(["run", "counter", "--set", "guard=atomic"])
        .output()
        .expect("the program");
    assert_eq!(refused.status.code(), Some(runner::UNSUPPORTED.into()));
    assert_eq!(refused.stdout, b"");
    assert_eq!(refused.stderr, b"error: it has no atomics\n");
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let mut list = Command::new(PROGRAM)
        .arg("list")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    drop(list.stdout.take());
    let list = list.wait_with_output().expect("its end");
    assert!(list.status.success(), "{list:?}");
    assert_eq!(list.stderr, b"");
}

/// What a bench process came to: its exit code, what it said, and whether
/// Criterion has figures for the cell.
fn bench(workload: &str, job: &str) -> (Option<i32>, String, bool) {
    let home = tempfile::tempdir().expect("a directory");
    let cells = format!(r#"[{{"workload":"{workload}","label":"x","job":{job}}}]"#);
    let bench = Command::new(PROGRAM)
        .args(["--bench", "--noplot", "--sample-size", "10"])
        .args(["--nresamples", "1001"])
        .args(["--warm-up-time", "0.001", "--measurement-time", "0.001"])
        .env("PACES_CELLS", cells)
        .env("CRITERION_HOME", home.path())
        .output()
        .expect("the program");
    let figures = Path::new(workload).join("faulty/x/new/sample.json");
    (
        bench.status.code(),
        String::from_utf8_lossy(&bench.stderr).into_owned(),
        home.path().join(figures).exists(),
    )
}

#[test]
fn a_bench_checks_before_and_after_it_times() {
    let (code, said, figures) = bench("primes", r#"{"start":0,"end":9,"workers":1}"#);
    assert_eq!((code, figures), (Some(0), true), "{said}");
    assert!(!said.contains("CELL"), "{said}");

    let wrong = r#"{"workers":1,"increments":9,"guard":"lock"}"#;
    let refused = r#"{"workers":1,"increments":9,"guard":"atomic"}"#;
    let fails_late = r#"{"workers":1,"increments":9,"guard":"racy"}"#;
    let spoiled = r#"{"messages":2,"value":1}"#;
    for (workload, job, code, figures, says) in [
        ("counter", wrong, 1, false, "wrong answer: total is 8"),
        ("counter", refused, 4, false, "it has no atomics"),
        ("counter", fails_late, 1, false, "the third job"),
        (
            "exchange",
            spoiled,
            1,
            false,
            "while sampling: wrong answer",
        ),
    ] {
        let (ended, said, written) = bench(workload, job);
        assert_eq!((ended, written), (Some(code), figures), "{said}");
        let says = format!("CELL {workload}/faulty/x: {says}");
        assert!(said.contains(&says), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }

    let (code, said, _) = bench("knitting", "{}");
    assert_eq!(code, Some(2));
    assert!(
        said.starts_with("error: PACES_CELLS: unknown variant `knitting`"),
        "{said}"
    );
}
