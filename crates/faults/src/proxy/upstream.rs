//! The server that a proxy asks.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::check::{Wrong, wrong};
use crate::conformance::message::{Fields, Framing, split};
use crate::conformance::peer::{PATIENCE, Peer};

/// What concerns one connection, and is not passed on (RFC 9110, 7.6.1). `Connection` and
/// `Transfer-Encoding` are made anew, if need be.
const HOP_BY_HOP: [&str; 7] = [
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "te",
    "trailer",
    "upgrade",
];

/// A server whose connections a test reads and writes itself.
#[derive(Debug)]
pub(crate) struct Upstream {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
    open: Vec<Open>,
}

/// A connection over which a request may come.
#[derive(Debug)]
struct Open {
    peer: Peer,
    /// Whether it has had one before.
    is_used: bool,
}

/// A request that has come.
#[derive(Debug)]
pub(crate) struct Came {
    /// Its request line.
    pub(crate) line: String,
    pub(crate) fields: Fields,
    /// Its body, when that has been read.
    pub(crate) body: Vec<u8>,
    /// Whether another one came over the same connection.
    pub(crate) is_reused: bool,
}

/// A request that is to be answered. Dropping it closes its connection.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) came: Came,
    pub(crate) peer: Peer,
}

impl Upstream {
    pub(crate) fn listen() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            open: Vec::new(),
        })
    }

    /// The next request, over a new connection or one that was kept. If the client gets an
    /// answer before, there is none.
    pub(crate) fn asked(&mut self, client: Option<&mut Peer>) -> Result<Asked, Wrong> {
        let Open { mut peer, is_used } = self.next(true, client, "a request to the server")?;
        let head = peer.raw_head("a request to the server")?;
        let (line, fields) = split(&head);
        let fields = Fields::parse(fields).ok_or_else(|| wrong("a head as in RFC 9112", &head))?;
        let came = Came {
            line: line.to_owned(),
            fields,
            body: Vec::new(),
            is_reused: is_used,
        };
        came.check(self.address.port())?;
        Ok(Asked { came, peer })
    }

    /// The next connection, whatever comes over it.
    pub(crate) fn connected(&mut self, client: Option<&mut Peer>) -> Result<Peer, Wrong> {
        Ok(self.next(false, client, "a connection to the server")?.peer)
    }

    /// Keeps a connection for another request.
    pub(crate) fn keep(&mut self, peer: Peer) {
        let is_used = true;
        self.open.push(Open { peer, is_used });
    }

    /// The connection that was kept last.
    pub(crate) fn kept(&mut self) -> Result<&mut Peer, Wrong> {
        let last = self.open.last_mut().map(|open| &mut open.peer);
        last.ok_or_else(|| wrong("a connection that is kept", "none"))
    }

    /// Closes all connections that were kept.
    pub(crate) fn close(&mut self) {
        self.open.clear();
    }

    /// Whether a request has come, or a connection was opened, that is not answered.
    pub(crate) fn was_asked(&mut self) -> Result<bool, Wrong> {
        self.accept()?;
        let moment = Duration::from_millis(1);
        let mut open = self.open.iter_mut();
        Ok(open.any(|open| !open.is_used || open.peer.says_more(moment)))
    }

    /// Connections over which something may have come that is not answered.
    pub(crate) fn unanswered(&mut self) -> Result<Vec<Peer>, Wrong> {
        self.accept()?;
        let new = self.open.extract_if(.., |open| !open.is_used);
        Ok(new.map(|open| open.peer).collect())
    }

    fn next(
        &mut self,
        with_bytes: bool,
        mut client: Option<&mut Peer>,
        what: &str,
    ) -> Result<Open, Wrong> {
        let until = Instant::now() + PATIENCE;
        loop {
            self.accept()?;
            let peek = |open: &Open| {
                let _ = open.peer.stream.set_nonblocking(true);
                let peeked = open.peer.stream.peek(&mut [0]);
                let _ = open.peer.stream.set_nonblocking(false);
                peeked
            };
            // One that has ended is no more to be had.
            let is_open = |peeked: &io::Result<usize>| match peeked {
                Ok(bytes) => *bytes > 0,
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            };
            self.open
                .retain(|open| !with_bytes && !open.is_used || is_open(&peek(open)));
            let is_next = |open: &Open| match with_bytes {
                true => peek(open).is_ok(),
                false => !open.is_used,
            };
            if let Some(at) = self.open.iter().position(is_next) {
                return Ok(self.open.remove(at));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(wrong(what, "none"));
            }
            let listener = PollFd::new(&self.listener, PollFlags::IN);
            let open = self.open.iter().map(|open| &open.peer);
            let all = open.chain(client.as_deref());
            let all = all.map(|peer| PollFd::new(&peer.stream, PollFlags::IN));
            let mut all: Vec<_> = std::iter::once(listener).chain(all).collect();
            let timeout = Timespec::try_from(left).map_err(|error| wrong("a time", error))?;
            let polled = poll(&mut all, Some(&timeout));
            polled.map_err(|error| wrong("to wait", error))?;
            let own = &all[..=self.open.len()];
            let is_silent = own.iter().all(|one| one.revents().is_empty());
            if is_silent && let Some(client) = &mut client {
                let said = client.until_silent();
                return Err(wrong(what, format!("the client gets {said}")));
            }
        }
    }

    fn accept(&mut self) -> Result<(), Wrong> {
        loop {
            let since = Instant::now();
            let accepted = match self.listener.accept() {
                Ok((stream, _)) => Peer::over(stream, since),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => Err(error),
            };
            let peer = accepted.map_err(|error| wrong("a connection to the server", error))?;
            self.open.push(Open {
                peer,
                is_used: false,
            });
        }
    }
}

impl Came {
    /// What every request to a server has to be like.
    fn check(&self, port: u16) -> Result<(), Wrong> {
        let mut parts = self.line.split(' ');
        let target = parts.nth(1).unwrap_or_default();
        if !(target.starts_with('/') || target == "*") || !parts.eq(["HTTP/1.1"]) {
            return Err(wrong("a request in origin-form", &self.line));
        }
        match &self.fields.all("host")[..] {
            [host] if host.ends_with(&format!(":{port}")) => {}
            hosts => return Err(wrong("one Host, that of the server", format!("{hosts:?}"))),
        }
        one_hop(&self.fields)?;
        match self.fields.all("connection")[..] {
            [] | ["close"] => Ok(()),
            ref all => Err(wrong("no Connection but close", format!("{all:?}"))),
        }
    }

    /// How its body is delimited.
    pub(crate) fn framing(&self) -> Result<Framing, Wrong> {
        Ok(self.fields.framing()?.unwrap_or(Framing::Length(0)))
    }

    /// Whether this is the one field of this name.
    pub(crate) fn has(&self, name: &str, value: &str) -> Result<(), Wrong> {
        match self.fields.all(name)[..] {
            [one] if one == value => Ok(()),
            ref all => Err(wrong(format!("{name}: {value}"), format!("{all:?}"))),
        }
    }
}

impl Asked {
    /// Reads its body, which has to be whole.
    pub(crate) fn body(&mut self) -> Result<&[u8], Wrong> {
        self.came.body = self.peer.whole(self.came.framing()?)?;
        Ok(&self.came.body)
    }
}

/// That one Via is there, and nothing that is of the hop before.
pub(crate) fn one_hop(fields: &Fields) -> Result<(), Wrong> {
    if fields.all("via").len() != 1 {
        return Err(wrong("one Via", format!("{fields:?}")));
    }
    match HOP_BY_HOP.iter().find(|name| fields.get(name).is_some()) {
        Some(name) => Err(wrong(format!("no {name}"), format!("{fields:?}"))),
        None => Ok(()),
    }
}
