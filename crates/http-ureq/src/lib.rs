//! ureq, as the downloads of the blocking models speak it: HTTP/1.1, in the
//! terms of the crate `transfer`.
//!
//! ureq frames requests and answers and keeps connections; the connections are
//! ours (`connect.rs`, `stream.rs`). They wait for a byte no longer than the idle timeout, and
//! [`Client::interrupt`] ends every wait for a name, a connection, a handshake or a
//! byte.
//!
//! A connection is kept for another request when a body has been read to its
//! end, and closed when a [`Response`] is dropped before.

mod chunks;
mod connect;
mod errors;
mod stream;
mod wire;

use std::io::{self, Read};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ClientConfig;
use transfer::{AttemptError, Head, Options, Request};
use ureq::http::{self, Version, header::TRANSFER_ENCODING};
use ureq::{Agent, BodyReader};

use crate::connect::{Connects, Unresolved};
use crate::wire::Wire;

/// The most bytes that are read at once, and that the head of an answer may have: as
/// in `http-hyper`. ureq's own buffers have 128 KiB each.
const INPUT_BYTES: usize = 64 * 1024;
/// More than a line of a request has on top of a URL, or a header's name and value.
const LINE_BYTES: usize = 64;

/// Sends requests, and keeps connections. One run at a time.
#[derive(Debug)]
pub struct Client {
    /// With the connections that it keeps.
    agent: RwLock<Agent>,
    wire: Arc<Wire>,
    units: usize,
}

impl Client {
    /// A client that keeps a connection for each of `units`. (ureq keeps 3 a host
    /// unless told.)
    pub fn new(units: usize) -> Self {
        let wire = Arc::new(Wire::default());
        Self {
            agent: RwLock::new(agent(units, &wire)),
            wire,
            units,
        }
    }

    /// A run begins: takes an [`interrupt`](Self::interrupt) of an earlier one
    /// back.
    pub fn begin(&self) {
        self.wire.begin();
    }

    /// Closes all connections: a call that waits for one, or for something to
    /// come over one, fails at once. None is made until the next
    /// [`begin`](Self::begin).
    pub fn interrupt(&self) {
        self.wire.interrupt();
    }

    /// Closes the connections that wait for another request: others may need
    /// what this process may have open.
    pub fn close_idle(&self) {
        // ureq closes them with their agent, and with nothing less; those that are
        // in use are not known to it, and are closed when they are put away.
        let fresh = agent(self.units, &self.wire);
        let mut agent = self.agent.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *agent, fresh).shutdown();
    }

    /// Sends a request, and waits for the head of its answer. `tls` says
    /// which certificates to trust, if that matters.
    ///
    /// # Errors
    ///
    /// [`AttemptError::NoAnswer`] if the connection was closed, which a server may do
    /// at any time with one that waits; else what was wrong.
    pub fn send(
        &self,
        request: &Request,
        options: &Options,
        tls: impl FnOnce() -> Arc<ClientConfig>,
    ) -> Result<Response, AttemptError> {
        let url = request.url.as_str();
        if request.url.scheme() == "https" {
            self.wire.trust(tls());
        }
        let headers = request.headers.iter();
        let lines = headers.map(|(name, value)| name.as_str().len() + value.len());
        let longest = lines.fold(url.len(), usize::max);
        self.wire.expect_line(longest + LINE_BYTES);
        let mut message = message(url)?;
        message.headers_mut().clone_from(&request.headers);
        // One without connections that it has kept, and that keeps none.
        let agent = match request.fresh {
            true => agent(0, &self.wire),
            false => self.agent(),
        };
        let message = agent
            .configure_request(message)
            .timeout_connect(Some(options.connect_timeout))
            .timeout_per_read(Some(options.idle_timeout))
            .timeout_per_write(Some(options.idle_timeout))
            .build();
        run(&agent, message)
    }

    /// The same with nothing but a URL, and with all the patience in the world.
    pub fn get(&self, url: &str) -> Result<Response, AttemptError> {
        self.wire.expect_line(url.len() + LINE_BYTES);
        run(&self.agent(), message(url)?)
    }

    fn agent(&self) -> Agent {
        let agent = self.agent.read().unwrap_or_else(PoisonError::into_inner);
        agent.clone()
    }
}

fn agent(units: usize, wire: &Arc<Wire>) -> Agent {
    let config = Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .max_response_header_size(INPUT_BYTES)
        .max_idle_connections(units)
        .max_idle_connections_per_host(units)
        .build();
    Agent::with_parts(config, Connects(wire.clone()), Unresolved)
}

fn run(agent: &Agent, message: http::Request<()>) -> Result<Response, AttemptError> {
    let response = agent.run(message).map_err(errors::before_head)?;
    let (head, body) = response.into_parts();
    // RFC 9112, 6.1: such a transfer cannot be relied on. hyper refuses it itself.
    if head.version != Version::HTTP_11 && head.headers.contains_key(TRANSFER_ENCODING) {
        let why = format!("Transfer-Encoding in {:?}", head.version);
        return Err(AttemptError::Protocol(why));
    }
    Ok(Response {
        head: Head {
            status: head.status.as_u16(),
            headers: head.headers,
        },
        body: body.into_reader(),
    })
}

fn message(url: &str) -> Result<http::Request<()>, AttemptError> {
    let message = http::Request::get(url).body(());
    message.map_err(|why| AttemptError::Connect(format!("{url} is no URL for HTTP: {why}")))
}

/// An answer: its head, and its body, to be read piece by piece.
pub struct Response {
    /// The head.
    pub head: Head,
    body: BodyReader<'static>,
}

impl Response {
    /// Reads a piece of the body; 0 bytes at its end.
    ///
    /// # Errors
    ///
    /// [`AttemptError::Broken`] if the connection ends in the middle,
    /// [`AttemptError::Idle`] if nothing comes, and [`AttemptError::Protocol`] if the
    /// server's chunks are none.
    pub fn piece(&mut self, buffer: &mut [u8]) -> Result<usize, AttemptError> {
        self.body.read(buffer).map_err(errors::in_body)
    }

    /// Reads a body that is not wanted to its end, so that the connection can be
    /// kept; gives up, and the connection with it, if that is more than `most`
    /// bytes.
    pub fn drain(mut self, most: usize) {
        let (mut buffer, mut read) = ([0; 1024], 0);
        while read <= most
            && let Ok(piece @ 1..) = self.piece(&mut buffer)
        {
            read += piece;
        }
    }
}

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.piece(buffer).map_err(io::Error::other)
    }
}
