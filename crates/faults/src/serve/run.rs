//! Tests a server.

use std::path::Path;
use std::process::Command;

use crate::check::{Wrong, wrong};
use crate::conformance::case;
use crate::conformance::message::Framing;
use crate::conformance::peer::Peer;
use crate::conformance::server::{Ending, Server};
use crate::run::Failure;
use crate::serve::case::{Pace, Test, Turn};
use crate::serve::site::{Site, make_directory};

impl case::Test for Test {
    fn run(
        &self,
        program: &Path,
        serial: bool,
        arguments: &[&str],
        directory: &Path,
    ) -> anyhow::Result<Failure> {
        let directory = make_directory(directory)?;
        let mut command = Command::new(program);
        command.arg("serve").arg(&directory);
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        let does = format!("serving {}", directory.display());
        let server = Server::start(&mut command, &does, serial)?;
        let mut site = Site { server, directory };
        let done = match self {
            Test::Turns(turns) => take_turns(&site, turns),
            Test::Clients(test) => test(&mut site),
        };
        let done = done.and_then(|()| match site.server.ending {
            Ending::Not => site.is_well(),
            _ => Ok(()),
        });
        site.server.end(&command, done)
    }
}

/// What the last answers had, for the next requests.
#[derive(Default)]
struct Known {
    tag: String,
    date: String,
}

fn take_turns(site: &Site, turns: &[Turn]) -> Result<(), Wrong> {
    let mut connection = None;
    let mut known = Known::default();
    for turn in turns {
        if let Some(before) = turn.before {
            let done = before(&site.directory);
            done.map_err(|error| wrong("a change in the directory", error))?;
        }
        let send = turn.send.replace("{TAG}", &known.tag);
        let send = send.replace("{DATE}", &known.date);
        let mut client = match connection.take() {
            Some(client) => client,
            None => site.server.connect()?,
        };
        match turn.pace {
            Pace::AtOnce => client.send(&send),
            Pace::Bytes => send.bytes().for_each(|byte| client.send([byte])),
            Pace::HalfClosed => {
                client.send(&send);
                client.half_close();
            }
        }
        connection = answers(client, turn, site.server.serial, &mut known)?;
    }
    match connection {
        // It was said to be kept: then it is good for one more.
        Some(mut client) => {
            client.send("GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
            match client.head()?.status {
                200 => Ok(()),
                status => Err(wrong("one more answer", status)),
            }
        }
        None => Ok(()),
    }
}

/// Reads the answers of a turn. Returns the connection, if it is kept.
fn answers(
    mut client: Peer,
    turn: &Turn,
    serial: bool,
    known: &mut Known,
) -> Result<Option<Peer>, Wrong> {
    for expect in &turn.answers {
        let head = expect.read(&mut client, serial)?;
        if !matches!(head.framing()?, Framing::Length(_)) {
            return Err(wrong("Content-Length", format!("{head:?}")));
        }
        for (name, value) in [("etag", &mut known.tag), ("last-modified", &mut known.date)] {
            if let Some(field) = head.field(name) {
                field.clone_into(value);
            }
        }
        if head.closes() {
            return Ok(None);
        }
    }
    match turn.pace {
        // All was answered, and no more can come.
        Pace::HalfClosed => client.closed().map(|()| None),
        _ => Ok(Some(client)),
    }
}
