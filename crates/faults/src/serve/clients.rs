//! Clients whose time, or whose server's process, counts.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::net::sockopt::set_socket_linger;

use crate::check::{Wrong, wrong};
use crate::serve::client::{Client, End, Head, PATIENCE};
use crate::serve::server::{Ending, Server};

/// What `--idle-timeout` is, where that has to pass.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How often something is looked at or done again.
const TICK: Duration = Duration::from_millis(50);

/// How long a server is watched that must not answer. If it answers later, the test passes.
const WATCHED: Duration = Duration::from_millis(300);

const ASK: &[u8] = b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n";
const ASK_LARGE: &[u8] = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n";

/// Larger than what the kernel keeps for a client that reads nothing.
const LARGE: u64 = 256 << 20;

pub(crate) fn old_keep_alive(server: &mut Server) -> Result<(), Wrong> {
    let mut client = server.connect()?;
    for _ in 0..3 {
        client.send(b"GET /a.txt HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        let head = client.head()?;
        client.body(&head)?;
        match head.field("connection") {
            Some("keep-alive") => {}
            Some("close") if server.serial => return client.closed(),
            other => return Err(wrong("Connection: keep-alive", format!("{other:?}"))),
        }
    }
    Ok(())
}

pub(crate) fn half_request(server: &mut Server) -> Result<(), Wrong> {
    for begun in ["GET /a.txt HTTP/1.1\r\nHost: a\r\n", "GET /a.t", "\r\n", ""] {
        let mut client = server.connect()?;
        client.send(begun.as_bytes());
        client.half_close();
        let said = client.rest()?;
        // Nothing, or that it is no request.
        if !said.is_empty() && !said.starts_with(b"HTTP/1.1 4") {
            return Err(wrong("the end", String::from_utf8_lossy(&said)));
        }
    }
    Ok(())
}

pub(crate) fn head_without_end(server: &mut Server) -> Result<(), Wrong> {
    let mut client = server.connect()?;
    client.send(b"GET /a.txt HTTP/1.1\r\nHost: a\r\nX: ");
    let drip = client.stream.try_clone();
    let mut drip = drip.map_err(|error| wrong("a descriptor", error))?;
    thread::scope(|scope| {
        scope.spawn(move || {
            let began = Instant::now();
            while began.elapsed() < PATIENCE && io::Write::write_all(&mut drip, b"x").is_ok() {
                thread::sleep(TICK);
            }
        });
        let head = client.head()?;
        check_time(client.since)?;
        client.body(&head)?;
        match (head.status, head.closes()) {
            (408, true) => client.closed(),
            _ => Err(wrong("408 and Connection: close", format!("{head:?}"))),
        }
    })
}

pub(crate) fn silent(server: &mut Server) -> Result<(), Wrong> {
    for empty in [false, true] {
        let mut client = server.connect()?;
        if empty {
            client.send(b"\r\n");
        }
        is_silent(&mut client)?;
        check_time(client.since)?;
    }
    Ok(())
}

pub(crate) fn silent_between(server: &mut Server) -> Result<(), Wrong> {
    let mut client = server.connect()?;
    let asked = Instant::now();
    let head = ask(&mut client)?;
    is_silent(&mut client)?;
    match head.closes() {
        true => Ok(()),
        false => check_time(asked),
    }
}

pub(crate) fn reads_nothing(server: &mut Server) -> Result<(), Wrong> {
    sparse(server, LARGE)?;
    let mut client = server.connect()?;
    let ports = client.stream.local_addr().map(|own| own.port());
    let own = ports.map_err(|error| wrong("an address", error))?;
    client.send(ASK_LARGE);
    while is_open(server.address.port(), own) {
        if client.since.elapsed() > PATIENCE {
            return Err(wrong("the end of the connection", "it is still open"));
        }
        thread::sleep(TICK);
    }
    check_time(client.since)?;
    match client.count() {
        LARGE.. => Err(wrong("a connection that was cut", "the whole file")),
        _ => Ok(()),
    }
}

pub(crate) fn reads_slowly(server: &mut Server) -> Result<(), Wrong> {
    const MEBIBYTE: u64 = 1 << 20;
    sparse(server, 32 * MEBIBYTE)?;
    let mut client = server.connect()?;
    client.send(ASK_LARGE);
    let head = client.head()?;
    let (mut read, mut next) = (0, MEBIBYTE);
    let end = client.body_to(&head, &mut |bytes| {
        read += bytes.len() as u64;
        if read >= next {
            next += MEBIBYTE;
            thread::sleep(3 * TICK);
        }
    });
    is_whole(end?)
}

pub(crate) fn hang_up(server: &mut Server) -> Result<(), Wrong> {
    sparse(server, LARGE)?;
    for _ in 0..5 {
        for sent in [
            &b""[..],
            b"GET /a.t",
            b"GET /a.txt HTTP/1.1\r\n",
            ASK,
            ASK_LARGE,
        ] {
            for reset in [false, true] {
                let mut client = server.connect()?;
                client.send(sent);
                if sent == ASK_LARGE {
                    client.head()?;
                }
                if reset {
                    let _ = set_socket_linger(&client.stream, Some(Duration::ZERO));
                }
            }
        }
    }
    Ok(())
}

pub(crate) fn large(server: &mut Server) -> Result<(), Wrong> {
    const BYTES: u64 = 1 << 30;
    // The last is beyond 4 GiB.
    const MARKS: [u64; 5] = [0, 65_000, 123_456_789, BYTES - 4, 5_000_000_000];
    let file = sparse(server, BYTES)?;
    let mark = |at: u64| file.write_all_at(b"mark", at);
    let made = MARKS[..4].iter().try_for_each(|&at| mark(at));
    made.map_err(|error| wrong("a file", error))?;
    let mut client = server.connect()?;
    client.send(ASK_LARGE);
    let head = client.head()?;
    if !server.serial {
        // More of the answer than the kernel keeps is still to be sent.
        server.is_well()?;
    }
    let (mut at, mut first_wrong, mut buffer) = (0, None, Vec::new());
    let end = client.body_to(&head, &mut |bytes| {
        buffer.resize(bytes.len(), 0);
        let read = file.read_exact_at(&mut buffer, at);
        if read.is_err() || buffer != bytes {
            first_wrong.get_or_insert(at);
        }
        at += bytes.len() as u64;
    })?;
    is_whole(end)?;
    if at != BYTES {
        return Err(wrong(format!("{BYTES} bytes"), at));
    }
    if let Some(at) = first_wrong {
        return Err(wrong("the file's bytes", format!("others after byte {at}")));
    }
    mark(MARKS[4]).map_err(|error| wrong("a file", error))?;
    let mut client = server.connect()?;
    client.send(b"GET /large HTTP/1.1\r\nHost: a\r\nRange: bytes=5000000000-\r\n\r\n");
    let head = client.head()?;
    let body = client.body(&head)?;
    let range = head.field("content-range");
    match (range, &*body) {
        (Some("bytes 5000000000-5000000003/5000000004"), b"mark") => Ok(()),
        _ => Err(wrong("the last four bytes", format!("{head:?} {body:?}"))),
    }
}

pub(crate) fn shrinks(server: &mut Server) -> Result<(), Wrong> {
    let file = sparse(server, LARGE)?;
    let mut client = server.connect()?;
    client.send(ASK_LARGE);
    let head = client.head()?;
    file.set_len(1 << 20)
        .map_err(|error| wrong("a file", error))?;
    match client.body_to(&head, &mut |_| {})? {
        End::Cut(_) => Ok(()),
        End::Whole => Err(wrong("a body that is cut", "all that was promised")),
    }
}

pub(crate) fn at_most(server: &mut Server) -> Result<(), Wrong> {
    let (mut first, mut second) = (server.connect()?, server.connect()?);
    for client in [&mut first, &mut second] {
        if ask(client)?.closes() {
            // It has one at a time.
            return client.closed();
        }
    }
    let third = server.connect();
    if let Ok(mut third) = third {
        third.send(ASK);
        if third.says_more(WATCHED) {
            let head = third.head()?;
            if head.status != 503 {
                return Err(wrong(
                    "at most two connections",
                    format!("a third: {head:?}"),
                ));
            }
        }
        drop(first);
        // If it has waited, it is answered now. If not, a new one is.
        if third.head().is_ok_and(|head| head.status == 200) {
            return Ok(());
        }
    } else {
        drop(first);
    }
    let began = Instant::now();
    loop {
        match server.is_well() {
            Err(_) if began.elapsed() < PATIENCE => thread::sleep(TICK),
            done => return done,
        }
    }
}

pub(crate) fn ends_well(server: &mut Server) -> Result<(), Wrong> {
    sparse(server, LARGE)?;
    let mut idle = Vec::new();
    if !server.serial {
        let mut kept = server.connect()?;
        ask(&mut kept)?;
        idle.extend([kept, server.connect()?]);
    }
    let mut client = server.connect()?;
    client.send(ASK_LARGE);
    let head = client.head()?;
    server.process.kill(Signal::SIGTERM);
    server.ending = Ending::Begun;
    let mut read = 0;
    is_whole(client.body_to(&head, &mut |bytes| read += bytes.len() as u64)?)?;
    if read != LARGE {
        return Err(wrong(format!("{LARGE} bytes"), read));
    }
    client.closed()?;
    idle.iter_mut().try_for_each(is_silent)
}

pub(crate) fn ends_at_once(server: &mut Server) -> Result<(), Wrong> {
    sparse(server, LARGE)?;
    let mut client = server.connect()?;
    client.send(ASK_LARGE);
    client.head()?;
    server.ending = Ending::Forced;
    let began = Instant::now();
    loop {
        // Two at once may arrive as one.
        server.process.kill(Signal::SIGINT);
        if server.process.wait(2 * TICK) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(wrong("an end after Ctrl-C twice", "it goes on"));
        }
    }
}

/// Asks for a file, and takes the whole answer.
fn ask(client: &mut Client) -> Result<Head, Wrong> {
    client.send(ASK);
    let head = client.head()?;
    client.body(&head)?;
    match head.status {
        200 => Ok(head),
        _ => Err(wrong(200, format!("{head:?}"))),
    }
}

fn is_silent(client: &mut Client) -> Result<(), Wrong> {
    let said = client.rest()?;
    match said.is_empty() {
        true => Ok(()),
        false => Err(wrong("the end, silently", String::from_utf8_lossy(&said))),
    }
}

/// Sooner than after the timeout, it is wrong. How much later, the machine decides.
fn check_time(since: Instant) -> Result<(), Wrong> {
    match since.elapsed() {
        took if took < TIMEOUT => Err(wrong(
            format!("{TIMEOUT:?} at least"),
            format!("the end after {took:?}"),
        )),
        _ => Ok(()),
    }
}

fn is_whole(end: End) -> Result<(), Wrong> {
    match end {
        End::Whole => Ok(()),
        End::Cut(bytes) => Err(wrong("the whole body", format!("{bytes} bytes of it"))),
    }
}

/// The file `large`, which takes no place on the disk.
fn sparse(server: &Server, bytes: u64) -> Result<File, Wrong> {
    let make = || {
        let path = server.directory.join("large");
        let mut options = File::options();
        let file = options
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(path)?;
        file.set_len(bytes)?;
        io::Result::Ok(file)
    };
    make().map_err(|error| wrong("a file", error))
}

/// Whether the server has this connection open, as the kernel has it.
fn is_open(server: u16, client: u16) -> bool {
    let ends = [format!(":{server:04X}"), format!(":{client:04X}")];
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let [own, other] = [fields.next(), fields.next()].map(Option::unwrap_or_default);
        // 01 is ESTABLISHED.
        own.ends_with(&ends[0]) && other.ends_with(&ends[1]) && fields.next() == Some("01")
    })
}
