//! Servers that cannot be reached or do not answer, and several clients at the same time.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use super::{case, with, writer};
use crate::check::{Wrong, wrong};
use crate::conformance::case::Case;
use crate::conformance::expect::answer;
use crate::conformance::timed::{self, SHORT, check_time};
use crate::proxy::run::{OK, Proxy, get, ok, post, request};
use crate::servers::FullBacklog;

/// Nothing listens to port 1.
pub(super) const CLOSED: &str = "127.0.0.1:1";

/// A second, of which a test can wait for the end.
pub(super) const HURRY: &[&str] = &[
    "--upstream-timeout",
    "1",
    "--idle-timeout",
    "20",
    "--connections",
    "16",
];

pub(super) fn all() -> Vec<Case> {
    vec![
        case(
            [
                "closed-port",
                "RFC 9110, 15.6.3",
                "a server that does not listen",
                "502, and the connection is kept",
            ],
            closed_port,
        ),
        with(
            [
                "no-connection",
                "RFC 9110, 15.6.5",
                "a server that neither accepts nor refuses",
                "504 after `--upstream-timeout`",
            ],
            HURRY,
            no_connection,
        ),
        with(
            [
                "silent-server",
                "RFC 9110, 15.6.5",
                "a server that says nothing, or only a part of its head",
                "504 after `--upstream-timeout`",
            ],
            HURRY,
            silent_server,
        ),
        with(
            [
                "takes-nothing",
                "RFC 9110, 15.6.5",
                "a server that does not read a body, and says nothing",
                "504 after `--upstream-timeout`",
            ],
            HURRY,
            takes_nothing,
        ),
        case(
            [
                "slow-server",
                "RFC 9112, 9.4",
                "a server that takes long, and other clients",
                "these do not wait for it",
            ],
            slow_server,
        ),
        with(
            [
                "itself",
                "RFC 9110, 7.6",
                "a request for the proxy itself",
                "400, as that gets it in origin-form: no loop; or 504, if it does one thing after the other",
            ],
            HURRY,
            itself,
        ),
        case(
            [
                "old-keep-alive",
                "RFC 9112, 9.3",
                "HTTP/1.0 with keep-alive",
                "the connection is closed all the same, as it is a proxy's",
            ],
            old_keep_alive,
        ),
        case(
            [
                "pipelined",
                "RFC 9112, 9.3.2",
                "ten requests at once",
                "ten answers, in their order",
            ],
            pipelined,
        ),
        case(
            [
                "hangs-up",
                "RFC 9112, 9.5",
                "clients that go in a head, before their answer and within it",
                "others are served",
            ],
            hangs_up,
        ),
        with(
            [
                "slow-loris",
                "RFC 9110, 15.5.9",
                "a head without end, a byte at a time",
                "408 and closed after `--idle-timeout`, however many bytes come",
            ],
            SHORT,
            slow_loris,
        ),
        with(
            [
                "silent",
                "RFC 9112, 9.5",
                "a client that says nothing",
                "closed after `--idle-timeout`, without an answer",
            ],
            SHORT,
            |proxy| timed::silent(&proxy.server),
        ),
        with(
            [
                "empty-lines",
                "RFC 9112, 2.2",
                "a client that sends empty lines, and never a request",
                "closed after `--idle-timeout`, however many come",
            ],
            SHORT,
            |proxy| timed::empty_lines(&proxy.server),
        ),
    ]
}

fn closed_port(proxy: &mut Proxy) -> Result<(), Wrong> {
    let line = |method: &str| format!("{method} http://{CLOSED}/ HTTP/1.1");
    for method in ["GET", "POST", "DELETE"] {
        proxy.answered(&request(&line(method), &[]), &answer(502))?;
    }
    let whole = request(&line("POST"), &["Content-Length: 4"]) + "body";
    proxy.answered(&whole, &answer(502).may_close())?;
    proxy.exchange(&get("/", &[]), OK, &ok())?;
    Ok(())
}

/// An address that neither accepts nor refuses.
pub(super) fn full_backlog() -> Result<FullBacklog, Wrong> {
    let full = FullBacklog::new(([127, 0, 0, 1], 0).into());
    full.map_err(|error| wrong("a port", error))
}

fn no_connection(proxy: &mut Proxy) -> Result<(), Wrong> {
    let full = full_backlog()?;
    let line = format!("GET http://{}/ HTTP/1.1", full.address);
    let began = Instant::now();
    proxy.answered(&request(&line, &[]), &answer(504).may_close())?;
    check_time(began)
}

fn silent_server(proxy: &mut Proxy) -> Result<(), Wrong> {
    for part in ["", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"] {
        for request in [get("/", &[]), post("/", &["Content-Length: 4"]) + "body"] {
            let began = Instant::now();
            proxy.send(&request)?;
            let mut asked = proxy.asked()?;
            asked.body()?;
            asked.peer.send(part);
            proxy.expect(&answer(504).may_close())?;
            check_time(began)?;
            // It is not waited for any more.
            asked.peer.until_end()?;
        }
    }
    Ok(())
}

fn takes_nothing(proxy: &mut Proxy) -> Result<(), Wrong> {
    // More than the kernel keeps for both connections.
    const BYTES: usize = 64 << 20;
    let began = Instant::now();
    proxy.send(&post("/", &[&format!("Content-Length: {BYTES}")]))?;
    let _asked = proxy.asked()?;
    let mut body = writer(proxy.client()?)?;
    thread::scope(|scope| {
        scope.spawn(move || {
            let piece = [0; 64 * 1024];
            // It fails when the proxy has closed the connection.
            (0..BYTES / piece.len()).all(|_| body.write_all(&piece).is_ok())
        });
        // How it ends depends on how much of the body is still to come.
        let head = proxy.client()?.head()?;
        proxy.client = None;
        match head.status {
            504 => check_time(began),
            _ => Err(wrong(504, format!("{head:?}"))),
        }
    })
}

fn slow_server(proxy: &mut Proxy) -> Result<(), Wrong> {
    let mut waiting = Vec::new();
    // One that does one thing after the other has no others meanwhile.
    let slow = match proxy.server.serial {
        true => 1,
        false => 8,
    };
    for _ in 0..slow {
        proxy.send(&get("/slow", &[]))?;
        let asked = proxy.asked()?;
        waiting.push((proxy.client.take(), asked));
    }
    if !proxy.server.serial {
        for _ in 0..3 {
            proxy.exchange(&get("/", &[]), OK, &ok())?;
        }
    }
    for (client, mut asked) in waiting {
        proxy.client = client;
        asked.peer.send(OK);
        proxy.passed(&ok())?;
    }
    Ok(())
}

fn itself(proxy: &mut Proxy) -> Result<(), Wrong> {
    let line = format!("GET http://{}/ HTTP/1.1", proxy.server.address);
    let status = match proxy.server.serial {
        true => 504,
        false => 400,
    };
    proxy.answered(&request(&line, &[]), &answer(status).may_close())
}

fn old_keep_alive(proxy: &mut Proxy) -> Result<(), Wrong> {
    for option in ["keep-alive", "Keep-Alive, x"] {
        let connection = format!("Connection: {option}");
        let ask = get("/", &[&connection, "Proxy-Connection: keep-alive"]);
        let ask = ask.replacen("HTTP/1.1", "HTTP/1.0", 1);
        proxy.exchange(&ask, OK, &ok().closes())?;
        // By itself as well.
        let forbidden = ask.replacen("{A}", "192.0.2.1", 1);
        proxy.answered(&forbidden, &answer(403).closes())?;
    }
    Ok(())
}

fn pipelined(proxy: &mut Proxy) -> Result<(), Wrong> {
    let requests = (0..10).map(|number| get(&format!("/{number}"), &[]));
    proxy.send(&requests.collect::<String>())?;
    for number in 0..10 {
        let mut asked = proxy.asked()?;
        if asked.came.line != format!("GET /{number} HTTP/1.1") {
            return Err(wrong(format!("request {number}"), asked.came.line));
        }
        let line = "HTTP/1.1 200 OK";
        let answered = format!("{line}\r\nContent-Length: 1\r\n\r\n{number}");
        asked.peer.send(answered);
        proxy.upstream.keep(asked.peer);
        let head = proxy.passed(&answer(200).body(&number.to_string()))?;
        if head.closes() {
            break;
        }
    }
    Ok(())
}

fn hangs_up(proxy: &mut Proxy) -> Result<(), Wrong> {
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx";
    for reset in [false, true] {
        let leave = |proxy: &mut Proxy| {
            let client = proxy.client.take();
            if reset && let Some(client) = &client {
                let _ = set_socket_linger(&client.stream, Some(Duration::ZERO));
            }
        };
        for part in ["GET http", "GET http://{A}/ HTTP/1.1\r\n", ""] {
            proxy.send(part)?;
            leave(proxy);
        }
        proxy.send(&get("/", &[]))?;
        let mut asked = proxy.asked()?;
        leave(proxy);
        asked.peer.send(OK);
        drop(asked);
        proxy.send(&get("/", &[]))?;
        let mut asked = proxy.asked()?;
        asked.peer.send(begun);
        proxy.client()?.head()?;
        leave(proxy);
        asked.peer.send("x".repeat(999_999));
        drop(asked);
        proxy.exchange(&get("/", &[]), OK, &ok())?;
    }
    Ok(())
}

fn slow_loris(proxy: &mut Proxy) -> Result<(), Wrong> {
    let begin = format!(
        "GET http://{}/ HTTP/1.1\r\nHost: a\r\nX: ",
        proxy.upstream.address
    );
    timed::head_without_end(&proxy.server, &begin)
}
