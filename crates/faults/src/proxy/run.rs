//! Tests a proxy.

use std::fmt::Display;
use std::path::Path;
use std::process::Command;

use crate::check::{Wrong, wrong};
use crate::conformance::case::Test;
use crate::conformance::expect::{Expect, answer};
use crate::conformance::message::Head;
use crate::conformance::peer::Peer;
use crate::conformance::server::{Ending, Server};
use crate::proxy::upstream::{Asked, Came, Upstream, one_hop};
use crate::run::Failure;

/// A proxy that runs, and both of its sides.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) server: Server,
    pub(crate) upstream: Upstream,
    /// The client's connection, if it was kept.
    pub(crate) client: Option<Peer>,
}

/// A test that has both sides.
#[derive(Debug)]
pub(crate) struct Script(pub(crate) fn(&mut Proxy) -> Result<(), Wrong>);

impl Test for Script {
    fn run(
        &self,
        program: &Path,
        serial: bool,
        arguments: &[&str],
        _directory: &Path,
    ) -> anyhow::Result<Failure> {
        let upstream = Upstream::listen()?;
        let mut command = Command::new(program);
        command.args(["proxy", "--listen", "127.0.0.1:0"]);
        let server = upstream.address.to_string();
        command.args(arguments.iter().map(|one| one.replace("{A}", &server)));
        let mut proxy = Proxy {
            server: Server::start(&mut command, "proxying", serial)?,
            upstream,
            client: None,
        };
        let done = (self.0)(&mut proxy).and_then(|()| match proxy.server.ending {
            Ending::Not => proxy.is_well(),
            _ => Ok(()),
        });
        let Proxy {
            server,
            upstream,
            client,
        } = proxy;
        // As it could wait for either.
        drop((upstream, client));
        server.end(&command, done)
    }
}

/// An answer to most requests.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a client gets of it.
pub(crate) fn ok() -> Expect {
    answer(200).body("ok")
}

/// A request for a path of the server, which also has these fields.
pub(crate) fn get(path: &str, fields: &[&str]) -> String {
    request(&format!("GET http://{{A}}{path} HTTP/1.1"), fields)
}

/// One that sends something; its body is to follow.
pub(crate) fn post(path: &str, fields: &[&str]) -> String {
    request(&format!("POST http://{{A}}{path} HTTP/1.1"), fields)
}

/// A request with this line.
pub(crate) fn request(line: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("{line}\r\nHost: {{A}}\r\n{fields}\r\n")
}

impl Proxy {
    /// A new connection of a client, in the place of the one that was kept.
    pub(crate) fn connect(&mut self) -> Result<(), Wrong> {
        self.client = None;
        self.client()?;
        Ok(())
    }

    /// The client's connection: the one that was kept, or a new one.
    pub(crate) fn client(&mut self) -> Result<&mut Peer, Wrong> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.server.connect()?,
        };
        Ok(self.client.insert(client))
    }

    /// Sends a request, in which `{A}` stands for the server's address.
    pub(crate) fn send(&mut self, request: &str) -> Result<(), Wrong> {
        let request = request.replace("{A}", &self.upstream.address.to_string());
        self.client()?.send(request);
        Ok(())
    }

    /// What the server is asked next.
    pub(crate) fn asked(&mut self) -> Result<Asked, Wrong> {
        self.upstream.asked(self.client.as_mut())
    }

    /// Reads what the client gets.
    pub(crate) fn expect(&mut self, expect: &Expect) -> Result<Head, Wrong> {
        let serial = self.server.serial;
        let head = expect.read(self.client()?, serial)?;
        if head.closes() {
            self.client = None;
        }
        Ok(head)
    }

    /// The same, of an answer that comes from the server.
    pub(crate) fn passed(&mut self, expect: &Expect) -> Result<Head, Wrong> {
        let head = self.expect(expect)?;
        one_hop(&head.fields)?;
        Ok(head)
    }

    /// A request, which is passed on; the server's answer to it, which is passed on, too.
    /// Returns what has come to the server, which then keeps its connection.
    pub(crate) fn exchange(
        &mut self,
        request: &str,
        answer: &str,
        expect: &Expect,
    ) -> Result<Came, Wrong> {
        self.send(request)?;
        let mut asked = self.asked()?;
        asked.body()?;
        asked.peer.send(answer);
        self.passed(expect)?;
        self.upstream.keep(asked.peer);
        Ok(asked.came)
    }

    /// A request that the proxy answers itself.
    pub(crate) fn answered(&mut self, request: &str, expect: &Expect) -> Result<(), Wrong> {
        self.send(request)?;
        self.expect(expect)?;
        match self.upstream.was_asked()? {
            true => Err(wrong("nothing to reach the server", "it was asked")),
            false => Ok(()),
        }
    }

    /// Requests after each of which nothing can be told apart any more.
    pub(crate) fn refused<T: Display>(
        &mut self,
        status: u16,
        requests: impl IntoIterator<Item = T>,
    ) -> Result<(), Wrong> {
        let refused = answer(status).closes();
        for request in requests {
            let request = request.to_string();
            let done = self.answered(&request, &refused);
            done.map_err(|Wrong { expected, got }| {
                wrong(expected, format!("{got} to {request:?}"))
            })?;
        }
        Ok(())
    }

    /// Whether one more request is answered, over a connection of its own. Others that reach
    /// the server before are of clients that have gone.
    fn is_well(&mut self) -> Result<(), Wrong> {
        self.connect()?;
        self.send(&get("/well", &["Connection: close"]))?;
        loop {
            let mut asked = self.asked()?;
            if asked.came.line == "GET /well HTTP/1.1" {
                asked.peer.send(OK);
                return self.passed(&ok().closes()).map(drop);
            }
        }
    }
}
