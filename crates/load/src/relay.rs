//! The relay: it passes on what goes over connections, both ways, cuts some of them after a
//! number of bytes, flips a bit, and counts.
//!
//! Bytes that go to the server are counted when they are passed on. A connection that is cut has
//! brought exactly as many of them as it was to; what had come beyond that is lost.
//!
//! It is one thread with one epoll, and uses none of the runtimes that are measured.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::epoll::{self, EventData, EventFlags};
use serde::{Deserialize, Serialize};

use crate::clients::{BACKLOG, OTHER_FILES, print};
use crate::limits::allow_open_files;
use crate::wait::{cpu_ns, wait};

const LISTENER: u64 = u64::MAX;
const COMMANDS: u64 = u64::MAX - 1;
/// Bytes that it holds of each direction of a connection.
const HELD_BYTES: usize = 64 * 1024;
/// How long connections may take to close when their counts are asked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a relay passes on to, and what it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayShape {
    /// Where the server listens.
    pub to: SocketAddr,
    /// After how many bytes to the server a connection is cut.
    pub cut: u64,
    /// How many connections are cut.
    pub cuts: u64,
    /// Which bit is flipped of all that go to the server, from 1; 0 for none.
    pub flip: u64,
    /// Connections at once, at most.
    pub connections: usize,
}

/// What has gone over a relay since the counts were taken last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayCounts {
    /// Connections.
    pub connections: u64,
    /// The most that were open at once.
    pub most_at_once: u64,
    /// Connections that were cut.
    pub cuts: u64,
    /// Bits that were flipped.
    pub flips: u64,
    /// Bytes to the server.
    pub bytes: u64,
    /// Bytes back.
    pub bytes_back: u64,
    /// Connections that were still open.
    pub open: u64,
    /// Its processor time, in nanoseconds.
    pub cpu_ns: u64,
}

/// Passes on at a port of its own, until `commands` ends. It prints its address; then, after a
/// line of `commands`, its [`RelayCounts`] as a line of JSON, when all connections have been
/// closed. Then it cuts and flips anew.
///
/// # Errors
///
/// When it may not open as many files, or has no port; broken connections are no error.
pub fn relay(
    shape: &RelayShape,
    mut commands: impl Read + AsFd,
    mut printed: impl Write,
) -> anyhow::Result<()> {
    allow_open_files(2 * shape.connections as u64 + OTHER_FILES)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port to listen on")?;
    rustix::net::listen(&listener, BACKLOG).context("the queue of new connections")?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll")?;
    for (fd, token) in [(listener.as_fd(), LISTENER), (commands.as_fd(), COMMANDS)] {
        let data = EventData::new_u64(token);
        epoll::add(&epoll, fd, data, EventFlags::IN).context("what cannot be waited for")?;
    }
    writeln!(printed, "{}", listener.local_addr()?)?;
    printed.flush()?;
    let mut relay = Relay {
        shape: *shape,
        epoll,
        pairs: Vec::new(),
        counts: RelayCounts::default(),
        came: 0,
        cpu_ns: cpu_ns(),
    };
    let mut asked: Option<Instant> = None;
    loop {
        let patience = asked.map(|since| PATIENCE.saturating_sub(since.elapsed()));
        for event in wait(&relay.epoll, patience)? {
            match event.data.u64() {
                LISTENER => relay.accept(&listener)?,
                COMMANDS => match commands.read(&mut [0; 64]) {
                    Ok(0) => return Ok(()),
                    Ok(_) => asked = Some(Instant::now()),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error).context("the commands"),
                },
                token => relay.pass_on((token / 2) as usize),
            }
        }
        let is_done = |since: Instant| relay.open() == 0 || since.elapsed() >= PATIENCE;
        if asked.is_some_and(is_done) {
            asked = None;
            let counts = relay.take_counts();
            print(&mut printed, &counts)?;
        }
    }
}

struct Relay {
    shape: RelayShape,
    epoll: OwnedFd,
    pairs: Vec<Option<Pair>>,
    counts: RelayCounts,
    /// Bytes that have come to go to the server, over all connections.
    came: u64,
    cpu_ns: u64,
}

/// A connection from a client and the one to the server.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    to_server: Held,
    to_client: Held,
}

/// What was read and has still to be written.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// Of them, how many have been written.
    written: usize,
    /// Bytes that were written ever.
    passed: u64,
    has_ended: bool,
    is_shut: bool,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Whether something may be read; what is held is written first.
    fn wants_more(&self) -> bool {
        self.is_empty() && !self.has_ended
    }

    /// Reads at most this many bytes, if it holds none; how many have come.
    fn read(&mut self, mut from: &TcpStream, most: usize) -> io::Result<usize> {
        if !self.wants_more() || most == 0 {
            return Ok(0);
        }
        self.bytes.resize(most.min(HELD_BYTES), 0);
        self.written = 0;
        let read = from.read(&mut self.bytes);
        let length = *read.as_ref().unwrap_or(&0);
        self.bytes.truncate(length);
        match read {
            Ok(0) => self.has_ended = true,
            Ok(_) => {}
            Err(error) if is_later(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(length)
    }

    /// Writes what it holds, as far as that is possible; how many bytes. When nothing will come
    /// any more, the other side is told.
    fn write(&mut self, mut to: &TcpStream) -> io::Result<usize> {
        let mut all = 0;
        while !self.is_empty() {
            match to.write(&self.bytes[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.written += written;
                    all += written;
                }
                Err(error) if is_later(&error) => break,
                Err(error) => return Err(error),
            }
        }
        self.passed += all as u64;
        if self.has_ended && self.is_empty() && !self.is_shut {
            to.shutdown(Shutdown::Write)?;
            self.is_shut = true;
        }
        Ok(all)
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl Relay {
    fn open(&self) -> usize {
        self.pairs.iter().flatten().count()
    }

    fn accept(&mut self, listener: &TcpListener) -> anyhow::Result<()> {
        loop {
            let client = match listener.accept() {
                Ok((client, _)) => client,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionAborted | ErrorKind::Interrupted
                    ) =>
                {
                    continue;
                }
                Err(error) => return Err(error).context("accepting a connection"),
            };
            // Without a server, the client sees the end of its connection.
            let Ok(server) = TcpStream::connect(self.shape.to) else {
                continue;
            };
            let place = self.pairs.iter().position(Option::is_none);
            let place = place.unwrap_or_else(|| {
                self.pairs.push(None);
                self.pairs.len() - 1
            });
            for (stream, side) in [(&client, 0), (&server, 1)] {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                let data = EventData::new_u64(2 * place as u64 + side);
                epoll::add(&self.epoll, stream, data, EventFlags::IN)?;
            }
            self.pairs[place] = Some(Pair {
                client,
                server,
                to_server: Held::default(),
                to_client: Held::default(),
            });
            self.counts.connections += 1;
            let open = self.open() as u64;
            self.counts.most_at_once = self.counts.most_at_once.max(open);
        }
    }

    /// Passes on what has come, both ways, as far as that is possible now.
    fn pass_on(&mut self, place: usize) {
        let Some(mut pair) = self.pairs.get_mut(place).and_then(Option::take) else {
            return;
        };
        let cuts = self.counts.cuts;
        let goes_on = self.exchange(&mut pair).unwrap_or(false) && cuts == self.counts.cuts;
        if goes_on && self.watch(place, &pair).is_ok() {
            self.pairs[place] = Some(pair);
        }
    }

    /// Whether more will go over it.
    fn exchange(&mut self, pair: &mut Pair) -> io::Result<bool> {
        let is_cut = self.counts.cuts < self.shape.cuts;
        let most = match is_cut {
            true => self.shape.cut.saturating_sub(pair.to_server.passed),
            false => u64::MAX,
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let read = pair.to_server.read(&pair.client, most)?;
        self.flip(&mut pair.to_server.bytes[..read]);
        self.counts.bytes += pair.to_server.write(&pair.server)? as u64;
        if is_cut && pair.to_server.passed >= self.shape.cut {
            self.counts.cuts += 1;
            return Ok(false);
        }
        pair.to_client.read(&pair.server, HELD_BYTES)?;
        self.counts.bytes_back += pair.to_client.write(&pair.client)? as u64;
        Ok(!(pair.to_server.is_shut && pair.to_client.is_shut))
    }

    /// Flips the bit, if it is among these that have come.
    fn flip(&mut self, bytes: &mut [u8]) {
        let before = self.came;
        self.came += bytes.len() as u64;
        let Some(bit) = self.shape.flip.checked_sub(1) else {
            return;
        };
        if (before..self.came).contains(&(bit / 8)) {
            bytes[(bit / 8 - before) as usize] ^= 1 << (bit % 8);
            self.counts.flips += 1;
        }
    }

    fn watch(&self, place: usize, pair: &Pair) -> io::Result<()> {
        for (stream, side, from, to) in [
            (&pair.client, 0, &pair.to_server, &pair.to_client),
            (&pair.server, 1, &pair.to_client, &pair.to_server),
        ] {
            let mut flags = EventFlags::empty();
            flags.set(EventFlags::IN, from.wants_more());
            flags.set(EventFlags::OUT, !to.is_empty());
            let data = EventData::new_u64(2 * place as u64 + side);
            epoll::modify(&self.epoll, stream, data, flags)?;
        }
        Ok(())
    }

    fn take_counts(&mut self) -> RelayCounts {
        let open = self.open() as u64;
        self.pairs.clear();
        self.came = 0;
        let now = cpu_ns();
        let cpu_ns = now - std::mem::replace(&mut self.cpu_ns, now);
        RelayCounts {
            open,
            cpu_ns,
            ..std::mem::take(&mut self.counts)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::io::BufReader;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    /// What a client sends, and what arrives at a server, connection by connection.
    fn passed(cut: u64, cuts: u64, flip: u64, sent: &[u8]) -> (Vec<Vec<u8>>, RelayCounts) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let shape = RelayShape {
            to: listener.local_addr().expect("an address"),
            cut,
            cuts,
            flip,
            connections: 4,
        };
        let (mut commands, input) = UnixStream::pair().expect("a pipe");
        let (output, lines) = UnixStream::pair().expect("a pipe");
        let relaying = thread::spawn(move || relay(&shape, input, output));
        let mut lines = BufReader::new(lines);
        let mut line = || {
            let mut line = String::new();
            lines.read_line(&mut line).expect("a line");
            line
        };
        let address: SocketAddr = line().trim().parse().expect("an address");
        let connections = cuts + 1;
        let sent = sent.to_vec();
        let client = thread::spawn(move || {
            for _ in 0..connections {
                let mut stream = TcpStream::connect(address).expect("a connection");
                // It breaks where it is cut.
                let _ = stream.write_all(&sent);
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        let arrived = (0..connections).map(|_| {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut arrived = Vec::new();
            stream.read_to_end(&mut arrived).expect("all of it");
            arrived
        });
        let arrived = arrived.collect();
        client.join().expect("the client");
        writeln!(commands, "counts").expect("a command");
        let counts = serde_json::from_str(&line()).expect("counts");
        drop(commands);
        relaying.join().expect("the relay").expect("no error");
        (arrived, counts)
    }

    #[test]
    fn what_is_cut_and_flipped_is_exactly_that() {
        let sent: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        let (arrived, counts) = passed(70_000, 2, 8 * 70_010 + 4, &sent);
        assert_eq!(arrived[0], sent[..70_000]);
        let mut flipped = sent[..70_000].to_vec();
        flipped[10] ^= 1 << 3;
        assert_eq!(arrived[1], flipped);
        assert_eq!(arrived[2], sent);
        assert_eq!((counts.connections, counts.cuts, counts.flips), (3, 2, 1));
        assert_eq!((counts.bytes, counts.open), (340_000, 0));
        assert_eq!(counts.most_at_once, 1);
    }

    #[test]
    fn nothing_is_cut_or_flipped_that_was_not_asked_for() {
        let (arrived, counts) = passed(0, 0, 0, b"text");
        assert_eq!(arrived, [b"text".to_vec()]);
        assert_eq!((counts.cuts, counts.flips, counts.bytes), (0, 0, 4));
    }
}
