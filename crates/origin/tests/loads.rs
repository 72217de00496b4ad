//! The load generator in an origin's process: what it is told, and what it tells.

mod common;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::{agent, origin};
use load::{Expected, Plan, serve_fixed};
use origin::{Load, Origin};

const BODY: &[u8] = b"what is served";

/// Forty requests over four connections.
fn plan(address: SocketAddr) -> Plan {
    Plan {
        address,
        paths: vec![("/".to_owned(), Some(Expected::of(BODY)))],
        connections: 4,
        idle: 2,
        requests: 40,
        rate_per_s: None,
        seed: 1,
        timeout: Duration::from_secs(10),
        via: None,
    }
}

/// The status and the text of the answer to this plan.
fn post(origin: &Origin, body: &[u8]) -> (u16, String) {
    let url = format!("{}/loads", origin.url());
    let mut answer = agent().post(&url).send(body).expect("an answer");
    let text = answer.body_mut().read_to_string().expect("a text");
    (answer.status().as_u16(), text)
}

fn delete(origin: &Origin, id: &str) -> (u16, String) {
    let url = format!("{}/loads/{id}", origin.url());
    let mut answer = agent().delete(&url).call().expect("an answer");
    let text = answer.body_mut().read_to_string().expect("a text");
    (answer.status().as_u16(), text)
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("its address")
}

#[test]
fn a_load_is_reported() {
    let origin = origin();
    let address = serve_fixed(BODY, None).expect("a server");
    let (report, _open) = Load::run(origin.url(), &plan(address)).expect("a load");
    assert_eq!((report.sent, report.right), (40, 40), "{report}");
    assert_eq!((report.connections, report.idle_alive), (6, 2), "{report}");
    assert!(report.healthy && report.errors.is_empty(), "{report}");
    assert_ne!(report.cpu_ns, 0, "{report}");

    // What fails is in the report, and no failure of the load.
    let other = Plan {
        paths: vec![("/".to_owned(), Some(Expected::of(b"something else")))],
        ..plan(address)
    };
    let (report, _open) = Load::run(origin.url(), &other).expect("a load");
    assert_eq!(report.errors["another body"], 40, "{report}");
}

/// The server closes when it has been told to, which is after its answers.
#[test]
fn the_end_of_a_load_is_the_server_s() {
    let origin = origin();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    let (open, opened) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = stream.try_clone().expect("a descriptor");
            if open.send(kept).is_err() {
                return;
            }
            thread::spawn(move || answer(stream));
        }
    });
    let plan = serde_json::to_vec(&plan(address)).expect("JSON");
    let (status, text) = post(&origin, &plan);
    assert_eq!(status, 200, "{text}");
    let done: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(done["report"]["right"], 40, "{text}");
    for stream in opened.try_iter() {
        // It fails for the connection of the last request, which is gone.
        let _ = stream.shutdown(Shutdown::Both);
    }
    // There is one end.
    let id = done["id"].to_string();
    assert_eq!(delete(&origin, &id), (204, String::new()));
    assert_eq!(delete(&origin, &id).0, 404);
}

/// Answers each request on a connection with the body.
fn answer(mut stream: TcpStream) {
    // A request of the generator is one write, and fits.
    while let Ok(1..) = stream.read(&mut [0; 1024]) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BODY.len());
        if stream.write_all(&[head.as_bytes(), BODY].concat()).is_err() {
            return;
        }
    }
}

#[test]
fn what_is_no_load_is_refused() {
    let origin = origin();
    for body in ["", "{}", "[1]", r#"{"address":"nowhere"}"#] {
        let (status, text) = post(&origin, body.as_bytes());
        assert_eq!(status, 400, "{body}: {text}");
    }
    let address = free_address();
    let plan = serde_json::to_vec(&plan(address)).expect("JSON");
    let (status, text) = post(&origin, &plan);
    assert_eq!(status, 502, "{text}");
    assert!(text.contains(&address.to_string()), "{text}");

    for id in ["1", "0", "none", "-1", "99999999999999999999"] {
        let (status, text) = delete(&origin, id);
        assert_eq!(status, 404, "{id}: {text}");
    }
    let url = format!("{}/loads", origin.url());
    let status = agent().get(&url).call().expect("an answer").status();
    assert_eq!(status.as_u16(), 405);
}
