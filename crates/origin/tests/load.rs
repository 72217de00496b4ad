//! Many clients at once: what is counted, and what is borne.

mod common;

use std::{
    io::Write,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use common::{agent, connect, open, origin, path, read_answer};
use origin::{DELAY_BODY_BYTES, Shape, ceiling};

/// The delay is long enough that all are sent before the first is answered.
#[test]
fn the_peak_is_the_number_of_requests_that_wait_at_once() {
    let origin = origin();
    let run = open(
        &origin,
        Shape {
            images: 1,
            image_bytes: 2048,
            delay_ms: 5000,
            ..Shape::default()
        },
    );
    let url = &run.files().expect("a manifest")[0].url;
    let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", path(url));
    let mut connections: Vec<_> = (0..37).map(|_| connect(url)).collect();
    for stream in &mut connections {
        stream.write_all(request.as_bytes()).expect("sent");
    }
    for stream in &mut connections {
        assert_eq!(read_answer(stream), 2048);
    }
    let stats = run.reset().expect("figures");
    assert_eq!(
        (stats.connections, stats.requests, stats.peak_in_flight),
        (37, 37, 37)
    );
    assert_eq!(stats.bytes_sent, 37 * 2048);
    assert_ne!(stats.cpu_ns, 0);
    assert!((1..stats.cpu_ns).contains(&stats.run_cpu_ns), "{stats:?}");
    let cpu_before = stats.cpu_ns;

    // After a reset, only what is used again counts.
    let stats = run.stats().expect("figures");
    assert_eq!(
        (stats.connections, stats.requests, stats.peak_in_flight),
        (0, 0, 0)
    );
    connections[0].write_all(request.as_bytes()).expect("sent");
    assert_eq!(read_answer(&mut connections[0]), 2048);
    let stats = run.stats().expect("figures");
    assert_eq!(
        (stats.connections, stats.requests, stats.peak_in_flight),
        (1, 1, 1)
    );
    assert_eq!(stats.run_cpu_ns, stats.cpu_ns - cpu_before);
}

/// However quick its clients are: an instrument must not accuse them wrongly.
#[test]
fn the_peak_is_never_above_what_the_client_does() {
    let origin = origin();
    for image_bytes in [1024, 100_000] {
        let run = open(
            &origin,
            Shape {
                images: 2000,
                image_bytes,
                ..Shape::default()
            },
        );
        let urls: Vec<_> = run
            .files()
            .expect("files")
            .into_iter()
            .map(|file| file.url)
            .collect();
        ceiling(&urls, 7).expect("a ceiling");
        let stats = run.stats().expect("figures");
        assert!(stats.peak_in_flight <= 7, "{stats:?}");
        assert_eq!((stats.connections, stats.requests), (7, 2000));
        assert_eq!(stats.bytes_sent, 2000 * image_bytes);
    }
}

#[test]
fn two_runs_do_not_see_each_other() {
    let origin = origin();
    let (one, other) = (
        open(&origin, Shape::default()),
        open(&origin, Shape::default()),
    );
    let agent = agent();
    for run in [&one, &other, &one] {
        let mut answer = agent.get(run.delay_url(0)).call().expect("an answer");
        answer.body_mut().read_to_vec().expect("a body");
    }
    assert_eq!(one.stats().expect("figures").requests, 2);
    assert_eq!(other.stats().expect("figures").requests, 1);
    // One connection carried both runs' requests, and counts for each.
    assert_eq!(one.stats().expect("figures").connections, 1);
    assert_eq!(other.stats().expect("figures").connections, 1);
}

#[test]
fn two_thousand_connections_at_once() {
    const CONNECTIONS: usize = 2000;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, raised);
    if limit
        .maximum
        .is_some_and(|most| most < CONNECTIONS as u64 + 100)
    {
        eprintln!("skipped: {limit:?} is too low for {CONNECTIONS} connections");
        return;
    }
    let origin = origin();
    let run = open(&origin, Shape::default());
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| connect(origin.url())).collect();
    for delay_ms in [0, 5000] {
        let url = run.delay_url(delay_ms);
        let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", path(&url));
        for stream in &mut connections {
            stream.write_all(request.as_bytes()).expect("sent");
        }
        for stream in &mut connections {
            assert_eq!(read_answer(stream) as u64, DELAY_BODY_BYTES);
        }
    }
    let stats = run.stats().expect("figures");
    assert_eq!(stats.connections, CONNECTIONS as u64);
    assert_eq!(stats.requests, 2 * CONNECTIONS as u64);
    assert_eq!(stats.peak_in_flight, CONNECTIONS as u64);
}

#[test]
fn runs_can_be_opened_from_many_threads() {
    let origin = origin();
    let opened = AtomicUsize::new(0);
    thread::scope(|scope| {
        for image_bytes in [0, 0, 3000, 3000, 4000, 5000, 0, 3000] {
            let (origin, opened) = (&origin, &opened);
            scope.spawn(move || {
                let run = open(
                    origin,
                    Shape {
                        images: 150,
                        image_bytes,
                        ..Shape::default()
                    },
                );
                assert_eq!(run.files().expect("a manifest").len(), 150);
                opened.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(opened.into_inner(), 8);
}

#[test]
fn a_ceiling_names_what_it_cannot_fetch() {
    let origin = origin();
    let run = open(&origin, Shape::default());
    let missing = format!("{}/nowhere", origin.url());
    let error = ceiling(&[run.delay_url(0), missing.clone()], 2).expect_err("a missing URL");
    assert_eq!(format!("{error:#}"), format!("{missing}: HTTP 404"));
    let error = ceiling(&[run.delay_url(0), "http://127.0.0.1:1/".to_owned()], 1).expect_err("two");
    assert!(
        format!("{error:#}").contains("http://127.0.0.1:1/"),
        "{error:#}"
    );
    assert!(ceiling(&[run.delay_url(0)], 0).is_err());
    assert!(ceiling(&[], 1).expect("nothing to do").is_zero());
}
