//! All cases, in the order of the table.

mod answers;
mod bodies;
mod broken;
mod ends;
mod fields;
mod framing;
mod refused;
mod reuse;
mod targets;
mod tunnels;
mod upstreams;

use std::net::TcpStream;

use crate::check::{Wrong, wrong};
use crate::conformance::case::{Case, Said};
use crate::conformance::peer::Peer;
use crate::conformance::timed::USUAL;
use crate::proxy::run::{Proxy, Script};

/// All of them.
pub fn all() -> Vec<Case> {
    [
        targets::all(),
        fields::all(),
        refused::all(),
        framing::all(),
        bodies::all(),
        answers::all(),
        broken::all(),
        upstreams::all(),
        reuse::all(),
        tunnels::all(),
        ends::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A case, with the usual arguments.
fn case(said: Said, test: fn(&mut Proxy) -> Result<(), Wrong>) -> Case {
    with(said, USUAL, test)
}

fn with(
    said: Said,
    arguments: &'static [&'static str],
    test: fn(&mut Proxy) -> Result<(), Wrong>,
) -> Case {
    Case::new(said, arguments, Script(test))
}

/// Bytes of which no part is like another.
fn noise(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut noise = vec![0; bytes];
    random.fill(&mut noise);
    noise
}

/// A connection's other descriptor, to write to while it is read from.
fn writer(peer: &Peer) -> Result<TcpStream, Wrong> {
    let cloned = peer.stream.try_clone();
    cloned.map_err(|error| wrong("a descriptor", error))
}
