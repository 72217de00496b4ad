//! What tests of the generator share: servers that are known.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use load::{Expected, Plan, Report};

pub const BODY: &[u8] = b"what is served";

pub fn plan(address: SocketAddr) -> Plan {
    Plan {
        address,
        paths: vec![("/".to_owned(), Some(Expected::of(BODY)))],
        connections: 8,
        idle: 0,
        requests: 500,
        rate_per_s: None,
        seed: 1,
        timeout: Duration::from_secs(20),
        via: None,
    }
}

pub fn errors(report: &Report) -> Vec<(&str, u64)> {
    let errors = report.errors.iter();
    errors
        .map(|(kind, count)| (kind.as_str(), *count))
        .collect()
}

/// A server that calls `treat` for each connection.
pub fn server(treat: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    let treat = Arc::new(treat);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let treat = treat.clone();
            thread::spawn(move || treat(&mut stream));
        }
    });
    address
}
