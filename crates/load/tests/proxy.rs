//! The generator through proxies that are known.

mod common;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use common::{BODY, errors, plan, server};
use load::{Mode, Plan, Via, run, serve_fixed};

/// Twelve requests over four connections, with three idle ones.
fn through(proxy: SocketAddr, mode: Mode, server: SocketAddr) -> Plan {
    Plan {
        connections: 4,
        idle: 3,
        requests: 12,
        via: Some(Via { proxy, mode }),
        ..plan(server)
    }
}

/// A head with its end; none if the stream has ended.
fn read_head(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

/// Sends each request on to the server that it names, and its answer back.
fn forward(client: &TcpStream, heads: &Sender<String>) -> io::Result<()> {
    let mut requests = BufReader::new(client);
    let mut connection: Option<BufReader<TcpStream>> = None;
    while let Some(head) = read_head(&mut requests)? {
        let _ = heads.send(head.clone());
        let (_, rest) = head.split_once("http://").expect("absolute-form");
        let (address, rest) = rest.split_once('/').expect("a path");
        let server = match &mut connection {
            Some(server) => server,
            none => none.insert(BufReader::new(TcpStream::connect(address)?)),
        };
        server
            .get_mut()
            .write_all(format!("GET /{rest}").as_bytes())?;
        let mut answer = read_head(server)?.expect("an answer").into_bytes();
        answer.resize(answer.len() + BODY.len(), 0);
        let body = answer.len() - BODY.len();
        server.read_exact(&mut answer[body..])?;
        let mut client = client;
        client.write_all(&answer)?;
    }
    Ok(())
}

/// Opens a tunnel to the server that a CONNECT names.
fn tunnel(mut client: &TcpStream, heads: &Sender<String>) -> io::Result<()> {
    let mut from_client = BufReader::new(client);
    let Some(head) = read_head(&mut from_client)? else {
        return Ok(());
    };
    let address = head.split(' ').nth(1).expect("a target");
    let server = TcpStream::connect(address)?;
    let _ = heads.send(head);
    // In pieces, as it may come.
    for piece in ["HTTP/1.1 200 Connected\r\nVi", "a: 1.1 test\r\n\r\n"] {
        client.write_all(piece.as_bytes())?;
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = client;
            let _ = io::copy(&mut &server, &mut client);
            let _ = client.shutdown(Shutdown::Write);
        });
        let copied = io::copy(&mut from_client, &mut &server);
        let _ = server.shutdown(Shutdown::Write);
        copied.map(drop)
    })
}

/// Answers a request, and closes the connection.
fn answer_and_close(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 1024]);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", BODY.len());
    let _ = write!(stream, "{head}Connection: close\r\n\r\n");
    let _ = stream.write_all(BODY);
}

#[test]
fn a_proxy_is_sent_requests_in_absolute_form() {
    let server_at = serve_fixed(BODY, None).expect("a server");
    let (sender, heads) = channel();
    let proxy = server(move |client| drop(forward(client, &sender)));
    let report = run(&through(proxy, Mode::Forward, server_at))
        .expect("a load")
        .0;
    assert_eq!((report.right, errors(&report)), (12, vec![]));
    assert_eq!((report.connections, report.idle_alive), (7, 3));
    assert!(report.healthy);
    let heads: Vec<_> = heads.try_iter().collect();
    assert_eq!(heads.len(), 13, "with the last one: {heads:?}");
    let begin = format!("GET http://{server_at}/ HTTP/1.1\r\nHost: {server_at}\r\n");
    assert!(
        heads.iter().all(|head| head.starts_with(&begin)),
        "{heads:?}"
    );
}

#[test]
fn every_connection_is_a_tunnel() {
    let server_at = serve_fixed(BODY, None).expect("a server");
    let (sender, heads) = channel();
    let proxy = server(move |client| drop(tunnel(client, &sender)));
    let report = run(&through(proxy, Mode::Connect, server_at))
        .expect("a load")
        .0;
    assert_eq!((report.right, errors(&report)), (12, vec![]));
    assert_eq!((report.connections, report.idle_alive), (7, 3));
    assert!(report.healthy);
    // Four, three idle ones, and one for the last request.
    let heads: Vec<_> = heads.try_iter().collect();
    assert_eq!(heads.len(), 8, "{heads:?}");
    let begin = format!("CONNECT {server_at} HTTP/1.1\r\nHost: {server_at}\r\n");
    assert!(
        heads.iter().all(|head| head.starts_with(&begin)),
        "{heads:?}"
    );
}

#[test]
fn a_connection_that_was_closed_is_a_tunnel_again() {
    let server_at = server(answer_and_close);
    let (sender, heads) = channel();
    let proxy = server(move |client| drop(tunnel(client, &sender)));
    let plan = Plan {
        idle: 0,
        ..through(proxy, Mode::Connect, server_at)
    };
    let report = run(&plan).expect("a load").0;
    assert_eq!((report.right, errors(&report)), (12, vec![]));
    assert_eq!(report.reopened, 8); // all but the first over each
    assert!(report.healthy);
    assert_eq!(heads.try_iter().count(), 13);
}

#[test]
fn a_tunnel_that_does_not_come_about_is_named() {
    let server_at = serve_fixed(BODY, None).expect("a server");
    for (answer, failure) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n",
            "CONNECT was answered 403",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "CONNECT was answered 200 with a Content-Length or a Transfer-Encoding",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "CONNECT was answered 200 with a Content-Length or a Transfer-Encoding",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "an answer to CONNECT that is no HTTP/1.1, or goes on",
        ),
        (
            "220 ready\r\n\r\n",
            "an answer to CONNECT that is no HTTP/1.1, or goes on",
        ),
        ("", "closed before the answer was whole"),
    ] {
        let proxy = server(move |client| {
            let _ = client.read(&mut [0; 1024]);
            let _ = client.write_all(answer.as_bytes());
        });
        let plan = Plan {
            connections: 1,
            idle: 0,
            ..through(proxy, Mode::Connect, server_at)
        };
        let error = run(&plan).expect_err("no tunnel");
        let text = format!("connection 1 to {server_at} through {proxy}: {failure}");
        assert_eq!(format!("{error:#}"), text);
    }
}

#[test]
fn a_tunnel_that_is_refused_later_is_an_error_by_kind() {
    let server_at = server(answer_and_close);
    let opened = AtomicU64::new(0);
    let (sender, _heads) = channel();
    let proxy = server(move |client| {
        if opened.fetch_add(1, Relaxed) < 4 {
            drop(tunnel(client, &sender));
        } else {
            let _ = client.read(&mut [0; 1024]);
            let _ = client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let plan = Plan {
        idle: 0,
        ..through(proxy, Mode::Connect, server_at)
    };
    let report = run(&plan).expect("a load").0;
    let refused = vec![("CONNECT was answered 403", 8)];
    assert_eq!((report.right, errors(&report)), (4, refused));
    assert!(!report.healthy);
}

#[test]
fn the_program_takes_a_proxy() {
    let server_at = serve_fixed(BODY, None).expect("a server");
    let (sender, heads) = channel();
    let proxy = server(move |client| {
        let mut first = [0];
        let _ = match client.peek(&mut first) {
            Ok(_) if first == *b"C" => tunnel(client, &sender),
            _ => forward(client, &sender),
        };
    });
    let address = proxy.to_string();
    for (more, begin, count) in [
        (vec!["--proxy", &address], "GET http://", 5),
        (vec!["--proxy", &address, "--connect"], "CONNECT ", 3),
    ] {
        let report = load(&server_at, &more).expect("a report");
        assert_eq!(report["right"], 4, "{report}");
        let heads: Vec<_> = heads.try_iter().collect();
        assert_eq!(heads.len(), count, "{heads:?}");
        assert!(
            heads.iter().all(|head| head.starts_with(begin)),
            "{heads:?}"
        );
    }
    let error = load(&server_at, &["--connect"]).expect_err("no proxy");
    assert!(error.contains("--proxy"), "{error}");
}

/// What the program prints: a report, or else its errors.
fn load(server: &SocketAddr, more: &[&str]) -> Result<serde_json::Value, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args([
            server.to_string().as_str(),
            "--connections=2",
            "--requests=4",
            "--json",
        ])
        .args(more)
        .output()
        .expect("the program");
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).expect("JSON")),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
