//! The link: never faster than its rate, hardly slower, and fair.

mod common;

use std::{
    io::{Read, Write},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{connect, open, origin, path};
use origin::{Shape, ceiling};

/// The origin keeps within 2 % on a machine that lets it. A test must not fail
/// because its machine is busy, so the upper bounds here are wide: in seconds, for
/// a single connection, which loses what its sender sleeps too long, ...
const ALONE: f64 = 1.5;
/// ... and for several, where one sends while another sleeps.
const TOGETHER: f64 = 1.1;

/// How often something may be tried that has to be soon enough or fair enough once: what the
/// machine holds up is not the link's fault, and a link that is slow is so each time.
const TRIES: usize = 5;

#[test]
fn a_hundred_mbit_carry_the_mixed_set_in_a_second() {
    for (connections, most) in [(1, ALONE), (8, TOGETHER)] {
        let origin = origin();
        let run = open(
            &origin,
            Shape {
                images: 100,
                mbit_per_s: 100,
                ..Shape::default()
            },
        );
        let urls: Vec<_> = run
            .files()
            .expect("files")
            .into_iter()
            .map(|file| file.url)
            .collect();
        takes_a_second(&urls, connections, most);
    }
}

#[test]
fn one_large_body_takes_its_time() {
    let origin = origin();
    let shape = Shape {
        images: 1,
        image_bytes: 5_000_000,
        mbit_per_s: 40,
        ..Shape::default()
    };
    let run = open(&origin, shape);
    let urls = [run.files().expect("files")[0].url.clone()];
    takes_a_second(&urls, 1, ALONE);
}

/// These take a second, never less, and once not as much as `most`.
#[track_caller]
fn takes_a_second(urls: &[String], connections: usize, most: f64) {
    let is_soon_enough = |_| {
        let took = ceiling(urls, connections).expect("a download");
        eprintln!("{} images, {connections} connections: {took:?}", urls.len());
        assert!(
            took >= Duration::from_secs(1),
            "faster than the link: {took:?}"
        );
        took.as_secs_f64() < most
    };
    assert!((0..TRIES).any(is_soon_enough), "never within {most} s");
}

/// A link that has had nothing to do does not make up for it.
#[test]
fn an_idle_link_saves_up_no_burst() {
    let origin = origin();
    let shape = Shape {
        images: 1,
        image_bytes: 1_000_000,
        mbit_per_s: 40,
        ..Shape::default()
    };
    let run = open(&origin, shape);
    let urls = [run.files().expect("files")[0].url.clone()];
    for _ in 0..3 {
        // The delay leaves the link idle, and takes no part in what is timed.
        ceiling(&[run.delay_url(100)], 1).expect("a delay");
        let took = ceiling(&urls, 1).expect("a download");
        assert!(
            took >= Duration::from_millis(200),
            "faster than the link: {took:?}"
        );
    }
}

#[test]
fn four_connections_get_equal_shares() {
    let origin = origin();
    let shape = Shape {
        images: 1,
        image_bytes: BYTES as u64,
        mbit_per_s: 100,
        ..Shape::default()
    };
    let run = open(&origin, shape);
    let url = run.files().expect("files")[0].url.clone();
    let is_fair = |_| least_share(&url) > 0.8;
    assert!((0..TRIES).any(is_fair), "never equal");
}

/// The size of a body that is shared.
const BYTES: usize = 3_000_000;

/// The least that one of four connections gets, as a part of the most, while all get something.
fn least_share(url: &str) -> f64 {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        path(url)
    );
    let one_is_done = AtomicBool::new(false);
    let received = [const { AtomicUsize::new(0) }; 4];
    // What each had when the last one began.
    let before = Mutex::new([0; 4]);
    let start = Instant::now();
    // What each has when the first is done.
    let all_received = || {
        received
            .each_ref()
            .map(|received| received.load(Ordering::Relaxed))
    };
    let shares: Vec<usize> = thread::scope(|scope| {
        let readers: Vec<_> = received
            .iter()
            .map(|received| {
                scope.spawn(|| {
                    let mut stream = connect(url);
                    stream.write_all(request.as_bytes()).expect("sent");
                    let mut chunk = vec![0; 64 * 1024];
                    loop {
                        let read = stream.read(&mut chunk).expect("more");
                        if one_is_done.load(Ordering::Relaxed) {
                            return received.load(Ordering::Relaxed);
                        }
                        let total = received.fetch_add(read, Ordering::Relaxed) + read;
                        if total == read {
                            *before.lock().expect("no panic") = all_received();
                        }
                        if total >= BYTES {
                            one_is_done.store(true, Ordering::Relaxed);
                            return total;
                        }
                    }
                })
            })
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().expect("a reader"))
            .collect()
    });
    eprintln!("shares {shares:?} after {:?}", start.elapsed());
    let before = before.into_inner().expect("no panic");
    let since: Vec<_> = shares
        .iter()
        .zip(before)
        .map(|(all, before)| all - before)
        .collect();
    let (least, most) = since.iter().min().zip(since.iter().max()).expect("four");
    eprintln!("{since:?} of them while all took part");
    *least as f64 / *most as f64
}
