//! Clients whose time, or whose server's process, counts.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use crate::check::{Wrong, wrong};
use crate::conformance::message::Head;
use crate::conformance::peer::{End, PATIENCE, Peer};
use crate::conformance::sockets::is_open;
use crate::conformance::timed::{self, TICK, check_time, is_silent};
use crate::serve::site::Site;

/// How long a server is watched that must not answer. If it answers later, the test passes.
const WATCHED: Duration = Duration::from_millis(300);

const ASK: &[u8] = b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n";
const ASK_LARGE: &[u8] = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n";

/// Larger than what the kernel keeps for a client that reads nothing.
const LARGE: u64 = 256 << 20;

pub(crate) fn old_keep_alive(site: &mut Site) -> Result<(), Wrong> {
    let mut client = site.server.connect()?;
    for _ in 0..3 {
        client.send(b"GET /a.txt HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        let head = client.head()?;
        client.body(&head)?;
        match head.field("connection") {
            Some("keep-alive") => {}
            Some("close") if site.server.serial => return client.closed(),
            other => return Err(wrong("Connection: keep-alive", format!("{other:?}"))),
        }
    }
    Ok(())
}

pub(crate) fn half_request(site: &mut Site) -> Result<(), Wrong> {
    for begun in ["GET /a.txt HTTP/1.1\r\nHost: a\r\n", "GET /a.t", "\r\n", ""] {
        let mut client = site.server.connect()?;
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

pub(crate) fn head_without_end(site: &mut Site) -> Result<(), Wrong> {
    timed::head_without_end(&site.server, "GET /a.txt HTTP/1.1\r\nHost: a\r\nX: ")
}

pub(crate) fn silent(site: &mut Site) -> Result<(), Wrong> {
    timed::silent(&site.server)
}

pub(crate) fn empty_lines(site: &mut Site) -> Result<(), Wrong> {
    timed::empty_lines(&site.server)
}

pub(crate) fn ends_silent(site: &mut Site) -> Result<(), Wrong> {
    timed::ends_silent(&mut site.server)
}

pub(crate) fn silent_between(site: &mut Site) -> Result<(), Wrong> {
    let mut client = site.server.connect()?;
    let asked = Instant::now();
    let head = ask(&mut client)?;
    is_silent(&mut client)?;
    match head.closes() {
        true => Ok(()),
        false => check_time(asked),
    }
}

pub(crate) fn reads_nothing(site: &mut Site) -> Result<(), Wrong> {
    sparse(site, LARGE)?;
    let mut client = site.server.connect()?;
    client.send(ASK_LARGE);
    while is_open(site.server.address.port(), &client.stream)? {
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

pub(crate) fn reads_slowly(site: &mut Site) -> Result<(), Wrong> {
    const MEBIBYTE: u64 = 1 << 20;
    sparse(site, 32 * MEBIBYTE)?;
    let mut client = site.server.connect()?;
    client.send(ASK_LARGE);
    let head = client.head()?;
    let (mut read, mut next) = (0, MEBIBYTE);
    let end = client.body_to(head.framing()?, &mut |bytes| {
        read += bytes.len() as u64;
        if read >= next {
            next += MEBIBYTE;
            thread::sleep(3 * TICK);
        }
    });
    is_whole(end?)
}

pub(crate) fn hang_up(site: &mut Site) -> Result<(), Wrong> {
    sparse(site, LARGE)?;
    for _ in 0..5 {
        for sent in [
            &b""[..],
            b"GET /a.t",
            b"GET /a.txt HTTP/1.1\r\n",
            ASK,
            ASK_LARGE,
        ] {
            for reset in [false, true] {
                let mut client = site.server.connect()?;
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

pub(crate) fn large(site: &mut Site) -> Result<(), Wrong> {
    const BYTES: u64 = 1 << 30;
    // The last is beyond 4 GiB.
    const MARKS: [u64; 5] = [0, 65_000, 123_456_789, BYTES - 4, 5_000_000_000];
    let file = sparse(site, BYTES)?;
    let mark = |at: u64| file.write_all_at(b"mark", at);
    let made = MARKS[..4].iter().try_for_each(|&at| mark(at));
    made.map_err(|error| wrong("a file", error))?;
    let mut client = site.server.connect()?;
    client.send(ASK_LARGE);
    let head = client.head()?;
    if !site.server.serial {
        // More of the answer than the kernel keeps is still to be sent.
        site.is_well()?;
    }
    let (mut at, mut first_wrong, mut buffer) = (0, None, Vec::new());
    let end = client.body_to(head.framing()?, &mut |bytes| {
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
    let mut client = site.server.connect()?;
    client.send(b"GET /large HTTP/1.1\r\nHost: a\r\nRange: bytes=5000000000-\r\n\r\n");
    let head = client.head()?;
    let body = client.body(&head)?;
    let range = head.field("content-range");
    match (range, &*body) {
        (Some("bytes 5000000000-5000000003/5000000004"), b"mark") => Ok(()),
        _ => Err(wrong("the last four bytes", format!("{head:?} {body:?}"))),
    }
}

pub(crate) fn shrinks(site: &mut Site) -> Result<(), Wrong> {
    let file = sparse(site, LARGE)?;
    let mut client = site.server.connect()?;
    client.send(ASK_LARGE);
    let head = client.head()?;
    file.set_len(1 << 20)
        .map_err(|error| wrong("a file", error))?;
    match client.body_to(head.framing()?, &mut |_| {})? {
        End::Cut(_) => Ok(()),
        End::Whole => Err(wrong("a body that is cut", "all that was promised")),
    }
}

pub(crate) fn at_most(site: &mut Site) -> Result<(), Wrong> {
    let (mut first, mut second) = (site.server.connect()?, site.server.connect()?);
    for client in [&mut first, &mut second] {
        if ask(client)?.closes() {
            // It has one at a time.
            return client.closed();
        }
    }
    let third = site.server.connect();
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
        match site.is_well() {
            Err(_) if began.elapsed() < PATIENCE => thread::sleep(TICK),
            done => return done,
        }
    }
}

pub(crate) fn ends_well(site: &mut Site) -> Result<(), Wrong> {
    sparse(site, LARGE)?;
    let mut idle = Vec::new();
    if !site.server.serial {
        let mut kept = site.server.connect()?;
        ask(&mut kept)?;
        idle.extend([kept, site.server.connect()?]);
    }
    let mut client = site.server.connect()?;
    client.send(ASK_LARGE);
    let head = client.head()?;
    site.server.begin_end();
    let mut read = 0;
    is_whole(client.body_to(head.framing()?, &mut |bytes| read += bytes.len() as u64)?)?;
    if read != LARGE {
        return Err(wrong(format!("{LARGE} bytes"), read));
    }
    client.closed()?;
    idle.iter_mut().try_for_each(is_silent)
}

pub(crate) fn ends_at_once(site: &mut Site) -> Result<(), Wrong> {
    sparse(site, LARGE)?;
    let mut client = site.server.connect()?;
    client.send(ASK_LARGE);
    client.head()?;
    site.server.force_end()
}

/// Asks for a file, and takes the whole answer.
fn ask(client: &mut Peer) -> Result<Head, Wrong> {
    client.send(ASK);
    let head = client.head()?;
    client.body(&head)?;
    match head.status {
        200 => Ok(head),
        _ => Err(wrong(200, format!("{head:?}"))),
    }
}

fn is_whole(end: End) -> Result<(), Wrong> {
    match end {
        End::Whole => Ok(()),
        End::Cut(bytes) => Err(wrong("the whole body", format!("{bytes} bytes of it"))),
    }
}

/// The file `large`, which takes no place on the disk.
fn sparse(site: &Site, bytes: u64) -> Result<File, Wrong> {
    let make = || {
        let path = site.directory.join("large");
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
