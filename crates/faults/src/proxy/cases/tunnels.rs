//! CONNECT.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use super::upstreams::{CLOSED, HURRY, full_backlog};
use super::{case, noise, with, writer};
use crate::check::{Wrong, wrong};
use crate::conformance::case::Case;
use crate::conformance::expect::answer;
use crate::conformance::message::Framing;
use crate::conformance::peer::Peer;
use crate::conformance::timed::check_time;
use crate::proxy::run::{OK, Proxy, get, ok, request};

pub(super) fn all() -> Vec<Case> {
    vec![
        case(
            [
                "tunnel",
                "RFC 9110, 9.3.6",
                "CONNECT HOST:PORT, whatever Host says",
                "200 without Content-Length and Transfer-Encoding; then bytes, both ways",
            ],
            tunnel,
        ),
        with(
            [
                "connect-first",
                "RFC 9110, 9.3.6",
                "CONNECT to a port that is closed, and to one that does not accept",
                "502, and 504 after `--upstream-timeout`: no 200 before there is a connection",
            ],
            HURRY,
            connect_first,
        ),
        case(
            [
                "early-bytes",
                "RFC 9110, 9.3.6",
                "bytes that come with the CONNECT",
                "they are the first in the tunnel",
            ],
            early_bytes,
        ),
        case(
            [
                "half-close",
                "RFC 9110, 9.3.6",
                "either end closes its side, and the other goes on",
                "the end is passed on; what comes the other way, too",
            ],
            half_close,
        ),
        case(
            [
                "both-ways",
                "RFC 9110, 9.3.6",
                "16 MiB each way at once",
                "every byte is right",
            ],
            both_ways,
        ),
        case(
            [
                "tunnel-reset",
                "RFC 9110, 9.3.6",
                "either end of a tunnel resets its connection",
                "the other one's is ended",
            ],
            reset,
        ),
        case(
            [
                "tunnels",
                "RFC 9110, 9.3.6",
                "ten tunnels at once, one of them with nothing read at its end",
                "none waits for another",
            ],
            tunnels,
        ),
        case(
            [
                "connect-port",
                "RFC 9110, 9.3.6",
                "CONNECT without a port, with one that is none, or in another form",
                "400",
            ],
            port,
        ),
        case(
            [
                "connect-body",
                "RFC 9110, 9.3.6",
                "CONNECT with Content-Length or Transfer-Encoding",
                "400, and the connection is closed",
            ],
            body,
        ),
        case(
            [
                "kept-for-connect",
                "RFC 9112, 9.3",
                "CONNECT on a connection that was used before",
                "a tunnel, as on a new one",
            ],
            after_others,
        ),
    ]
}

/// Opens a tunnel over the client's connection, with something behind the request. The ends
/// of the client and of the server.
pub(super) fn open(proxy: &mut Proxy, early: &str) -> Result<[Peer; 2], Wrong> {
    let line = "CONNECT {A} HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n";
    proxy.send(&format!("{line}{early}"))?;
    let head = proxy.client()?.head()?;
    let has = |name| head.field(name).is_some();
    if head.status != 200 || has("content-length") || has("transfer-encoding") {
        return Err(wrong("200 without framing", format!("{head:?}")));
    }
    let server = proxy.upstream.connected(None)?;
    match proxy.client.take() {
        Some(client) => Ok([client, server]),
        None => Err(wrong("a client", "none")),
    }
}

/// Sends something into one end, which has to come out of the other.
pub(super) fn pass(from: &mut Peer, to: &mut Peer, text: &str) -> Result<(), Wrong> {
    from.send(text);
    let came = to.whole(Framing::Length(text.len() as u64))?;
    match came == text.as_bytes() {
        true => Ok(()),
        false => Err(wrong(text, String::from_utf8_lossy(&came))),
    }
}

/// Both ends close, and see that the other has.
pub(super) fn close([client, server]: &mut [Peer; 2]) -> Result<(), Wrong> {
    client.half_close();
    server.closed()?;
    server.half_close();
    client.closed()
}

fn tunnel(proxy: &mut Proxy) -> Result<(), Wrong> {
    let mut ends = open(proxy, "")?;
    let [client, server] = &mut ends;
    for text in ["hello", "\0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "x"] {
        pass(client, server, text)?;
        pass(server, client, text)?;
    }
    // The server may be the first to speak.
    pass(server, client, "220 ready")?;
    close(&mut ends)
}

fn connect_first(proxy: &mut Proxy) -> Result<(), Wrong> {
    let line = format!("CONNECT {CLOSED} HTTP/1.1");
    proxy.answered(&request(&line, &[]), &answer(502))?;
    let full = full_backlog()?;
    let line = format!("CONNECT {} HTTP/1.1", full.address);
    let began = Instant::now();
    proxy.answered(&request(&line, &[]), &answer(504).may_close())?;
    check_time(began)
}

fn early_bytes(proxy: &mut Proxy) -> Result<(), Wrong> {
    let long = "early ".repeat(20_000);
    for early in ["early", "GET / HTTP/1.1\r\n\r\n", &long] {
        let mut ends = open(proxy, early)?;
        let [client, server] = &mut ends;
        let came = server.whole(Framing::Length(early.len() as u64))?;
        if came != early.as_bytes() {
            return Err(wrong(early, String::from_utf8_lossy(&came)));
        }
        pass(client, server, "late")?;
        close(&mut ends)?;
    }
    Ok(())
}

fn half_close(proxy: &mut Proxy) -> Result<(), Wrong> {
    for client_first in [true, false] {
        let [mut client, mut server] = open(proxy, "")?;
        let (first, second) = match client_first {
            true => (&mut client, &mut server),
            false => (&mut server, &mut client),
        };
        pass(first, second, "last")?;
        first.half_close();
        second.closed()?;
        for text in ["still", "here"] {
            pass(second, first, text)?;
        }
        second.half_close();
        first.closed()?;
    }
    Ok(())
}

fn both_ways(proxy: &mut Proxy) -> Result<(), Wrong> {
    let [mut client, mut server] = open(proxy, "")?;
    let (up, mut down) = (noise(16 << 20), noise(16 << 20));
    down.reverse();
    let (into_client, into_server) = (writer(&client)?, writer(&server)?);
    let send = |mut to: TcpStream, bytes: &[u8]| {
        to.write_all(bytes)?;
        to.shutdown(Shutdown::Write)
    };
    let (at_client, at_server) = thread::scope(|scope| {
        scope.spawn(|| send(into_client, &up));
        scope.spawn(|| send(into_server, &down));
        let at_server = scope.spawn(|| server.rest());
        let at_client = client.rest();
        let at_server = at_server.join();
        let at_server = at_server.unwrap_or_else(|_| Err(wrong("a thread", "it panicked")));
        (at_client, at_server)
    });
    for (came, sent) in [(at_client?, down), (at_server?, up)] {
        if came != sent {
            let got = format!("{} others", came.len());
            return Err(wrong(format!("{} bytes", sent.len()), got));
        }
    }
    Ok(())
}

fn reset(proxy: &mut Proxy) -> Result<(), Wrong> {
    for client_resets in [true, false] {
        let [mut client, mut server] = open(proxy, "")?;
        pass(&mut client, &mut server, "hello")?;
        let (goes, mut stays) = match client_resets {
            true => (client, server),
            false => (server, client),
        };
        let _ = set_socket_linger(&goes.stream, Some(Duration::ZERO));
        drop(goes);
        stays.until_end()?;
    }
    Ok(())
}

fn tunnels(proxy: &mut Proxy) -> Result<(), Wrong> {
    let count = match proxy.server.serial {
        true => 1,
        false => 10,
    };
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(open(proxy, "")?);
    }
    // More than the kernel keeps, and the proxy should.
    let full = match all.len() {
        1 => None,
        _ => all.pop(),
    };
    if let Some([client, _]) = &full {
        let blocked = client
            .stream
            .set_write_timeout(Some(Duration::from_millis(300)));
        blocked.map_err(|error| wrong("a time limit", error))?;
        if writer(client)?.write_all(&noise(64 << 20)).is_ok() {
            return Err(wrong(
                "a tunnel that holds some of it back",
                "64 MiB are taken",
            ));
        }
    }
    for ends in all.iter_mut().rev() {
        let [client, server] = ends;
        pass(client, server, "hello")?;
        pass(server, client, "hello")?;
        close(ends)?;
    }
    Ok(())
}

fn port(proxy: &mut Proxy) -> Result<(), Wrong> {
    for target in [
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:70000",
        "127.0.0.1:0",
        ":80",
        "user@{A}",
        "http://{A}/",
        "{A}/",
        "/",
        "*",
    ] {
        let line = format!("CONNECT {target} HTTP/1.1");
        let refused = proxy.answered(&request(&line, &[]), &answer(400).may_close());
        refused.map_err(|Wrong { expected, got }| wrong(expected, format!("{got} to {line:?}")))?;
    }
    Ok(())
}

fn body(proxy: &mut Proxy) -> Result<(), Wrong> {
    for (field, body) in [
        ("Content-Length: 5", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        proxy.refused(400, [request("CONNECT {A} HTTP/1.1", &[field]) + body])?;
    }
    let mut ends = open(proxy, "")?;
    close(&mut ends)
}

fn after_others(proxy: &mut Proxy) -> Result<(), Wrong> {
    for _ in 0..3 {
        proxy.exchange(&get("/", &[]), OK, &ok())?;
    }
    let mut ends = open(proxy, "hello")?;
    let [client, server] = &mut ends;
    let came = server.whole(Framing::Length(5))?;
    if came != b"hello" {
        return Err(wrong("hello", String::from_utf8_lossy(&came)));
    }
    pass(server, client, "hello")?;
    close(&mut ends)
}
