//! The generator against servers that are known.

mod common;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use common::{BODY, errors, plan, server};
use load::{Expected, Plan, Stall, run, serve_fixed};

#[test]
fn every_request_is_answered_and_looked_at() {
    let address = serve_fixed(BODY, None).expect("a server");
    let report = run(&plan(address)).expect("a load").0;
    assert_eq!(
        (report.sent, report.right, errors(&report)),
        (500, 500, vec![])
    );
    assert_eq!(
        (report.connections, report.reopened, report.offered_per_s),
        (8, 0, None)
    );
    assert!(report.latency.p50 > 0 && report.latency.p50 <= report.latency.max);

    let mut other = plan(address);
    other
        .paths
        .push(("/".to_owned(), Some(Expected::of(b"something else"))));
    let report = run(&other).expect("a load").0;
    assert_eq!(
        (report.right, errors(&report)),
        (250, vec![("another body", 250)])
    );
}

/// With one request a connection, the longest takes nearly as long as all of them.
#[test]
fn no_latency_is_longer_than_the_load() {
    let address = serve_fixed(BODY, None).expect("a server");
    let few = Plan {
        requests: 8,
        ..plan(address)
    };
    for _ in 0..100 {
        let report = run(&few).expect("a load").0;
        assert!(report.latency.p50 <= report.latency.max, "{report}");
        assert!(report.latency.max <= report.elapsed_ns, "{report}");
    }
}

/// Of 1,000 requests at 2,000 a second, some 400 are due while the server stands still for
/// 200 ms. The 100 that wait longest wait for three quarters of that, at least.
#[test]
fn an_open_loop_shows_a_stall() {
    let time = Duration::from_millis(200);
    let address = serve_fixed(BODY, Some(Stall { after: 200, time })).expect("a server");
    let open = Plan {
        requests: 1_000,
        rate_per_s: Some(2_000.0),
        ..plan(address)
    };
    let report = run(&open).expect("a load").0;
    assert_eq!((report.right, errors(&report)), (1_000, vec![]));
    let longest = Duration::from_nanos(report.latency.p90);
    assert!(longest >= time / 2, "{report}");
    // The rate that the times really had, which were drawn: for 1,000 of them, 2,000 a second
    // is off by more than a fifth once in a hundred million draws.
    let due_ns = report.due_ns.expect("an open loop");
    let offered = report.offered_per_s.expect("an open loop");
    assert_eq!(offered, 1_000.0 / (due_ns as f64 / 1e9));
    assert!((1_600.0..2_400.0).contains(&offered), "{offered}");
    assert!(due_ns <= report.elapsed_ns, "{report}");
    let again = run(&open).expect("a load").0;
    assert_eq!(again.due_ns, report.due_ns);
}

#[test]
fn idle_connections_are_counted_at_the_end() {
    let address = serve_fixed(BODY, None).expect("a server");
    let idle = Plan {
        idle: 200,
        ..plan(address)
    };
    let report = run(&idle).expect("a load").0;
    assert_eq!((report.connections, report.idle_alive), (208, 200));
    assert!(report.healthy);
}

#[test]
fn a_connection_that_is_closed_after_each_answer_is_opened_anew() {
    let address = server(|stream| {
        let _ = stream.read(&mut [0; 1024]);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", BODY.len());
        let _ = write!(stream, "{head}Connection: close\r\n\r\n");
        let _ = stream.write_all(BODY);
    });
    let report = run(&plan(address)).expect("a load").0;
    assert_eq!((report.right, errors(&report)), (500, vec![]));
    assert_eq!(report.reopened, 492); // all but the first over each
}

/// As announced, but that the end never comes: what was answered counts, and so does the end
/// that was waited for.
#[test]
fn a_connection_that_is_never_closed_as_announced_is_an_error() {
    let address = server(|stream| {
        let _ = stream.read(&mut [0; 1024]);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", BODY.len());
        let _ = write!(stream, "{head}Connection: close\r\n\r\n");
        let _ = stream.write_all(BODY);
        while let Ok(1..) = stream.read(&mut [0; 1024]) {}
    });
    let few = Plan {
        requests: 16,
        timeout: Duration::from_secs(3),
        ..plan(address)
    };
    let report = run(&few).expect("a load").0;
    assert_eq!(
        (report.right, errors(&report)),
        (16, vec![("no answer in time", 16)])
    );
}

#[test]
fn each_kind_of_failure_is_counted() {
    let hangs_up = server(|stream| drop(stream.read(&mut [0; 1024])));
    let refuses = server(|stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    });
    // Its end is not waited for: the next request goes over another connection.
    let refuses_and_closes = server(|stream| {
        let _ = stream.read(&mut [0; 1024]);
        let close = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(close);
    });
    let speaks_otherwise = server(|stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"220 ready\r\n\r\n");
        let _ = stream.read(&mut [0; 1024]);
    });
    let says_nothing = server(|stream| while let Ok(1..) = stream.read(&mut [0; 1024]) {});
    // Only the last one is waited for.
    let (long, short) = (Duration::from_secs(20), Duration::from_millis(300));
    for (address, kind, timeout) in [
        (hangs_up, "closed before the answer was whole", long),
        (refuses, "another status", long),
        (refuses_and_closes, "another status", long),
        (
            speaks_otherwise,
            "an answer that is no HTTP/1.1 with a Content-Length",
            long,
        ),
        (says_nothing, "no answer in time", short),
    ] {
        let few = Plan {
            requests: 16,
            timeout,
            ..plan(address)
        };
        let report = run(&few).expect("a load").0;
        assert_eq!((report.right, errors(&report)), (0, vec![(kind, 16)]));
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let address = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.local_addr().expect("its address")
    };
    let error = run(&plan(address)).expect_err("nothing listens there");
    let text = format!("{error:#}");
    assert_eq!(text, format!("connection 1 to {address}: no connection"));
}

#[test]
fn more_connections_than_files_are_refused() {
    let address = serve_fixed(BODY, None).expect("a server");
    let many = Plan {
        idle: usize::MAX / 2,
        ..plan(address)
    };
    let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    if hard.is_none() {
        return; // there is no limit here
    }
    let error = run(&many).expect_err("too many");
    assert!(format!("{error:#}").contains("ulimit -Hn"), "{error:#}");
}
