//! A host in an origin's process, as those who scan it see it.

mod common;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use common::{agent, assert_refuses, origin};
use origin::{Host, HostShape, Origin, waiting_for};

const TIMEOUT: Duration = Duration::from_millis(300);

fn host(origin: &Origin, open: usize, filtered: usize) -> Host {
    let shape = HostShape {
        ports: vec![20_001..=20_050, 20_060..=20_060],
        open,
        filtered,
        seed: 3,
    };
    Host::open(origin.url(), &shape).expect("a host")
}

fn connect(host: &Host, port: u16) -> Result<TcpStream, ErrorKind> {
    let address = SocketAddr::new(host.address(), port);
    TcpStream::connect_timeout(&address, TIMEOUT).map_err(|error| error.kind())
}

#[test]
fn each_port_is_as_it_says() {
    let origin = origin();
    let host = host(&origin, 5, 4);
    let counts = host.counts().expect("its ports");
    assert_eq!((counts.open.len(), counts.filtered.len()), (5, 4));
    assert_eq!((counts.accepted, counts.most_at_a_port), (0, 0));
    for port in (20_001..=20_060).filter(|port| !counts.open_everywhere.contains(port)) {
        // Twice: a filtered port stays so.
        for _ in 0..2 {
            let connected = connect(&host, port).map(drop);
            let right = if counts.open.contains(&port) {
                Ok(())
            } else if counts.filtered.contains(&port) {
                Err(ErrorKind::TimedOut)
            } else {
                Err(ErrorKind::ConnectionRefused)
            };
            assert_eq!(connected, right, "{port}: {counts:?}");
        }
    }
    let after = host.counts().expect("what was counted");
    assert_eq!((after.accepted, after.most_at_a_port), (10, 2));
    assert_eq!(
        (&after.open, &after.filtered),
        (&counts.open, &counts.filtered)
    );
}

#[test]
fn counts_are_taken() {
    let origin = origin();
    let host = host(&origin, 1, 0);
    let port = host.counts().expect("its port").open[0];
    for _ in 0..3 {
        connect(&host, port).expect("an open port");
    }
    let counts = host.counts().expect("three");
    assert_eq!((counts.accepted, counts.most_at_a_port), (3, 3));
    assert_eq!(host.counts().expect("none").accepted, 0);
}

#[test]
fn each_has_an_address_of_its_own_and_the_same_ports() {
    let origin = origin();
    let (one, other) = (host(&origin, 6, 0), host(&origin, 6, 0));
    assert!(one.address().is_loopback());
    assert_ne!(one.address(), other.address());
    let counts = [one, other].map(|host| host.counts().expect("ports").open);
    assert_eq!(counts[0], counts[1], "drawn by the same seed");
}

#[test]
fn it_ends_with_its_value() {
    let origin = origin();
    let one = host(&origin, 1, 0);
    let port = one.counts().expect("its port").open[0];
    let address = SocketAddr::new(one.address(), port);
    drop(one);
    assert_refuses(address);
}

#[test]
fn what_others_listen_at_is_told() {
    let others = TcpListener::bind("0.0.0.0:0").expect("all addresses");
    let port = others.local_addr().expect("its address").port();
    let origin = origin();
    let shape = HostShape {
        ports: vec![port..=port],
        open: 1,
        filtered: 0,
        seed: 0,
    };
    let host = Host::open(origin.url(), &shape).expect("a host");
    let counts = host.counts().expect("its ports");
    assert!(counts.open_everywhere.contains(&port));
    assert_eq!(counts.open, [] as [u16; 0], "it is not its own");
    connect(&host, port).expect("it answers at this address, too");
}

#[test]
fn what_waits_is_listed() {
    let origin = origin();
    let host = host(&origin, 0, 1);
    let port = host.counts().expect("its port").filtered[0];
    let address = SocketAddr::new(host.address(), port);
    assert!(waiting_for(host.address()).expect("sockets").is_empty());
    let waiting = std::thread::spawn(move || {
        TcpStream::connect_timeout(&address, Duration::from_secs(30)).map(drop)
    });
    let seen = loop {
        let seen = waiting_for(host.address()).expect("sockets");
        if !seen.is_empty() {
            break seen;
        }
        assert!(!waiting.is_finished(), "it does not wait");
    };
    assert!(seen.iter().all(|ends| ends[1] == address), "{seen:?}");
    // A socket whose peer is gone for good is refused when it asks again.
    drop(host);
    assert!(waiting.join().expect("no panic").is_err());
}

#[test]
fn what_is_no_shape_is_refused() {
    let origin = origin();
    let url = format!("{}/hosts", origin.url());
    for (body, says) in [("{}", "not the shape of a host"), ("5", "not the shape")] {
        let mut answer = agent().post(&url).send(body).expect("an answer");
        assert_eq!(answer.status(), 400);
        let text = answer.body_mut().read_to_string().expect("a text");
        assert!(text.contains(says), "{text}");
    }
    let answer = agent().get(&url).call().expect("an answer");
    assert_eq!(answer.status(), 405);
    let none = agent()
        .post(format!("{url}/99"))
        .send("")
        .expect("an answer");
    assert_eq!(none.status(), 404);
}
