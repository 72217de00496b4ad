//! The kinds of servers that an origin starts when it is asked to, each at a path of its name.

use serde::de::DeserializeOwned;

use crate::refusal::Refusal;
use crate::servers::{Opened, Servers};

/// The servers of each kind.
pub(crate) struct Kinds {
    hosts: Servers,
    responders: Servers,
    datagram_relays: Servers,
    relays: Servers,
    upstreams: Servers,
}

impl Kinds {
    pub(crate) fn new() -> Self {
        Self {
            hosts: Servers::new("host"),
            responders: Servers::new("responder"),
            datagram_relays: Servers::new("relay"),
            relays: Servers::new("relay"),
            upstreams: Servers::new("upstream"),
        }
    }

    /// Whether there are servers at this path.
    pub(crate) fn has(kind: &str) -> bool {
        [
            "hosts",
            "responders",
            "datagram-relays",
            "relays",
            "upstreams",
        ]
        .contains(&kind)
    }

    /// Those at this path.
    pub(crate) fn at(&self, kind: &str) -> &Servers {
        match kind {
            "hosts" => &self.hosts,
            "responders" => &self.responders,
            "datagram-relays" => &self.datagram_relays,
            "relays" => &self.relays,
            _ => &self.upstreams,
        }
    }

    /// Starts one at this path, as the body says.
    pub(crate) fn open(&self, kind: &str, body: &[u8]) -> Result<Opened, Refusal> {
        let servers = self.at(kind);
        match kind {
            "hosts" => {
                let shape = read(body, "the shape of a host")?;
                servers.open(move |input, output| load::host(&shape, input, output))
            }
            "responders" => {
                let connections = read(body, "a number of connections")?;
                servers.open(move |input, output| load::respond(connections, input, output))
            }
            "datagram-relays" => {
                let shape = read(body, "the shape of a relay")?;
                servers.open(move |input, output| load::datagram_relay(shape, input, output))
            }
            "relays" => {
                let shape = read(body, "the shape of a relay")?;
                servers.open(move |input, output| load::relay(&shape, input, output))
            }
            _ => {
                let shape = read(body, "the shape of an upstream")?;
                servers.open(move |input, output| load::upstream(&shape, input, output))
            }
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::new(400, format!("not {what}: {error}")))
}
