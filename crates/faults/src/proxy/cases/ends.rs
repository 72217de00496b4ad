//! How a proxy ends, and what a part of it takes along.

use nix::sys::signal::{Signal, kill};

use super::tunnels::{close, open, pass};
use super::{case, with};
use crate::check::Wrong;
use crate::conformance::case::Case;
use crate::conformance::peer::Peer;
use crate::conformance::sockets::child_with;
use crate::conformance::timed::{self, LONG, is_silent};
use crate::proxy::run::{OK, Proxy, get, ok};

pub(super) fn all() -> Vec<Case> {
    vec![
        with(
            [
                "ends-well",
                "RFC 9112, 9.6",
                "SIGTERM, while a request is under way and other connections are idle",
                "it is answered, idle ones are closed, and the proxy ends with exit code 0",
            ],
            LONG,
            ends_well,
        ),
        with(
            [
                "ends-after-tunnel",
                "RFC 9112, 9.6",
                "SIGTERM, while there is a tunnel",
                "it goes on until both have closed, and the proxy ends with exit code 0",
            ],
            LONG,
            ends_after_tunnel,
        ),
        with(
            [
                "ends-tunnel",
                "RFC 9112, 9.6",
                "SIGTERM, while there is a tunnel that does not end",
                "it is cut after some seconds, and the proxy ends with exit code 0",
            ],
            LONG,
            ends_tunnel,
        ),
        with(
            [
                "ends-silent",
                "RFC 9112, 9.6",
                "SIGTERM, while a client has sent a part of its request",
                "it is closed, and the proxy ends with exit code 0",
            ],
            LONG,
            |proxy| timed::ends_silent(&mut proxy.server),
        ),
        with(
            [
                "ends-at-once",
                "RFC 9112, 9.6",
                "Ctrl-C twice, while a request is under way that is not answered",
                "it ends at once",
            ],
            LONG,
            ends_at_once,
        ),
        case(
            [
                "child",
                "RFC 9112, 9.5",
                "the child process that has a connection is killed, where there is one",
                "the others go on",
            ],
            child,
        ),
    ]
}

/// Connections that are idle: one after an answer, and one that has said nothing. A model
/// that does one thing after the other has none.
fn idle(proxy: &mut Proxy) -> Result<Vec<Peer>, Wrong> {
    if proxy.server.serial {
        return Ok(Vec::new());
    }
    proxy.exchange(&get("/", &[]), OK, &ok())?;
    let mut idle: Vec<_> = proxy.client.take().into_iter().collect();
    idle.push(proxy.server.connect()?);
    Ok(idle)
}

fn ends_well(proxy: &mut Proxy) -> Result<(), Wrong> {
    let mut idle = idle(proxy)?;
    proxy.send(&get("/last", &[]))?;
    let mut asked = proxy.asked()?;
    proxy.server.begin_end();
    // When these are closed, the end has begun.
    idle.iter_mut().try_for_each(is_silent)?;
    asked.peer.send(OK);
    proxy.passed(&ok().may_close())?;
    match proxy.client.take() {
        Some(mut client) => client.closed(),
        None => Ok(()),
    }
}

fn ends_after_tunnel(proxy: &mut Proxy) -> Result<(), Wrong> {
    let mut idle = idle(proxy)?;
    let mut ends = open(proxy, "")?;
    proxy.server.begin_end();
    idle.iter_mut().try_for_each(is_silent)?;
    let [client, server] = &mut ends;
    pass(client, server, "last")?;
    pass(server, client, "words")?;
    close(&mut ends)
}

fn ends_tunnel(proxy: &mut Proxy) -> Result<(), Wrong> {
    let [mut client, mut server] = open(proxy, "")?;
    proxy.server.begin_end();
    client.until_end()?;
    server.until_end()?;
    Ok(())
}

fn ends_at_once(proxy: &mut Proxy) -> Result<(), Wrong> {
    proxy.send(&get("/", &[]))?;
    let _asked = proxy.asked()?;
    proxy.server.force_end()
}

fn child(proxy: &mut Proxy) -> Result<(), Wrong> {
    let mut lost = open(proxy, "")?;
    let group = proxy.server.process.pid();
    let port = proxy.server.address.port();
    let [client, server] = &mut lost;
    let Some(child) = child_with(group, port, &client.stream)? else {
        return close(&mut lost);
    };
    let mut ends = open(proxy, "")?;
    let _ = kill(child, Signal::SIGKILL);
    client.until_end()?;
    server.until_end()?;
    let [client, server] = &mut ends;
    for text in ["still", "here"] {
        pass(client, server, text)?;
        pass(server, client, text)?;
    }
    close(&mut ends)
}
