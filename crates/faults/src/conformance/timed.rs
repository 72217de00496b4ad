//! Clients whose time counts, and programs that must not wait for them.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::check::{Wrong, wrong};
use crate::conformance::peer::{PATIENCE, Peer};
use crate::conformance::server::Server;

/// How long a time limit of a case is that has to pass, with [`SHORT`].
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

/// A second, of which a test can wait for the end.
pub(crate) const SHORT: &[&str] = &["--idle-timeout", "1", "--connections", "16"];

/// A time that a busy machine does not reach. More connections than any case has at once, and
/// few enough for a model that starts a process for each.
pub(crate) const USUAL: &[&str] = &["--idle-timeout", "20", "--connections", "16"];

/// Longer than a test waits.
pub(crate) const LONG: &[&str] = &["--idle-timeout", "600", "--connections", "16"];

/// How often something is looked at or done again.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// A head that begins so and goes on a byte at a time: 408 after the time limit.
pub(crate) fn head_without_end(server: &Server, begin: &str) -> Result<(), Wrong> {
    let mut client = server.connect()?;
    client.send(begin);
    dripping(client, b"x", |client| {
        let head = client.head()?;
        check_time(client.since)?;
        client.body(&head)?;
        match (head.status, head.closes()) {
            (408, true) => client.closed(),
            _ => Err(wrong("408 and Connection: close", format!("{head:?}"))),
        }
    })
}

/// A client that sends nothing but empty lines: closed after the time limit, without an answer.
pub(crate) fn empty_lines(server: &Server) -> Result<(), Wrong> {
    dripping(server.connect()?, b"\r\n", |client| {
        // It may be reset, as more comes than is read.
        let said = client.until_end()?;
        check_time(client.since)?;
        is_nothing(&said)
    })
}

/// A client that says nothing when the end begins.
pub(crate) fn ends_silent(server: &mut Server) -> Result<(), Wrong> {
    let mut client = server.connect()?;
    client.send("GET");
    server.begin_end();
    // It may be reset, if it has not been accepted.
    is_nothing(&client.until_end()?)
}

/// Sends these bytes again and again, until the connection ends or this is done.
fn dripping(
    mut client: Peer,
    bytes: &'static [u8],
    test: impl FnOnce(&mut Peer) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    let drip = client.stream.try_clone();
    let mut drip = drip.map_err(|error| wrong("a descriptor", error))?;
    thread::scope(|scope| {
        scope.spawn(move || {
            let began = Instant::now();
            while began.elapsed() < PATIENCE && drip.write_all(bytes).is_ok() {
                thread::sleep(TICK);
            }
        });
        test(&mut client)
    })
}

/// Clients that say nothing: closed after the time limit, without an answer.
pub(crate) fn silent(server: &Server) -> Result<(), Wrong> {
    for empty in [false, true] {
        let mut client = server.connect()?;
        if empty {
            client.send("\r\n");
        }
        is_silent(&mut client)?;
        check_time(client.since)?;
    }
    Ok(())
}

/// Whether the connection ends, and nothing comes before.
pub(crate) fn is_silent(client: &mut Peer) -> Result<(), Wrong> {
    is_nothing(&client.rest()?)
}

fn is_nothing(said: &[u8]) -> Result<(), Wrong> {
    match said.is_empty() {
        true => Ok(()),
        false => Err(wrong("the end, silently", String::from_utf8_lossy(said))),
    }
}

/// Sooner than after the timeout, it is wrong. How much later, the machine decides.
pub(crate) fn check_time(since: Instant) -> Result<(), Wrong> {
    match since.elapsed() {
        took if took < TIMEOUT => Err(wrong(
            format!("{TIMEOUT:?} at least"),
            format!("the end after {took:?}"),
        )),
        _ => Ok(()),
    }
}
