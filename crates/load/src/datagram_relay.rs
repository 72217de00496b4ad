//! The relay: it is between the clients of `datagram` and their server, and drops, doubles and
//! reorders what goes through it.
//!
//! It reads the head of each datagram: run (64 bits), client and number (32 bits each),
//! little-endian. What becomes of a datagram follows from the seed, its way, its client, its
//! number, and how often it has come on that way: the same for every run and every program.
//! Datagrams of an earlier run, and those without a head, go no further.
//!
//! It is one thread with one poll, and uses none of the runtimes that are measured. Like what is
//! measured, it makes a call for each datagram.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde::{Deserialize, Serialize};

use crate::clients::print;
use crate::content::splitmix64;
use crate::wait::cpu_ns;

const HEAD_BYTES: usize = 16;
const MOST_BYTES: usize = 65_536;
/// How long a datagram is held back for a later one, if none comes.
const HELD: Duration = Duration::from_millis(5);
/// Datagrams in a row before commands are looked at again.
const IN_A_ROW: usize = 1_024;

/// What a relay does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatagramRelayShape {
    /// Where datagrams of clients go.
    pub server: SocketAddr,
    /// What its socket asks for as its receive buffer.
    pub buffer_bytes: usize,
    /// What its draws follow from.
    pub seed: u64,
    /// Of 1,000 datagrams, how many it drops on either way.
    pub lose: u64,
    /// Of 1,000 others, how many it sends on twice.
    pub double: u64,
    /// Of 1,000 others, how many it sends on after the next one.
    pub reorder: u64,
}

/// What went through a relay during the last run, since the counts were taken last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatagramRelayCounts {
    /// Datagrams from clients.
    pub requests: u64,
    /// Those of them that were dropped.
    pub lost_requests: u64,
    /// Datagrams from the server.
    pub echoes: u64,
    /// Those of them that were dropped.
    pub lost_echoes: u64,
    /// Datagrams that were sent on twice.
    pub doubled: u64,
    /// Datagrams that were sent on after a later one.
    pub reordered: u64,
    /// Numbers of clients of which no echo has been sent on.
    pub unanswered: u64,
    /// Its processor time, in nanoseconds.
    pub cpu_ns: u64,
}

/// Relays between a port of its own and the server until `commands` ends. It prints its address;
/// then, after a line of `commands`, its [`DatagramRelayCounts`] as a line of JSON.
///
/// # Errors
///
/// When it has no port, or its socket breaks. A datagram that cannot be sent on is lost, as on any
/// network.
pub fn datagram_relay(
    shape: DatagramRelayShape,
    commands: impl Read + AsFd,
    mut printed: impl Write,
) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for a relay")?;
    set_socket_recv_buffer_size(&socket, shape.buffer_bytes).context("a relay's buffer")?;
    socket.set_nonblocking(true)?;
    writeln!(printed, "{}", socket.local_addr()?)?;
    printed.flush()?;
    Relay {
        shape,
        socket,
        run: 0,
        clients: HashMap::new(),
        numbers: HashMap::new(),
        held: None,
        counts: DatagramRelayCounts::default(),
        cpu_ns: cpu_ns(),
    }
    .run(commands, printed)
}

struct Relay {
    shape: DatagramRelayShape,
    socket: UdpSocket,
    /// The newest run.
    run: u64,
    /// Where its clients are.
    clients: HashMap<u32, SocketAddr>,
    /// Its numbers of each client.
    numbers: HashMap<(u32, u32), Number>,
    held: Option<Held>,
    counts: DatagramRelayCounts,
    /// Processor time when it was taken last.
    cpu_ns: u64,
}

#[derive(Default)]
struct Number {
    /// How often it has come on its way to the server, and back.
    came: [u64; 2],
    /// Whether an echo has been sent on to its client.
    is_answered: bool,
}

/// A datagram that waits for a later one.
struct Held {
    datagram: Vec<u8>,
    to: SocketAddr,
    until: Instant,
}

/// What a number is drawn for.
enum Draw {
    Lose,
    Double,
    Reorder,
}

impl Relay {
    fn run(
        mut self,
        mut commands: impl Read + AsFd,
        mut printed: impl Write,
    ) -> anyhow::Result<()> {
        let mut room = vec![0; MOST_BYTES];
        let mut command = [0; 64];
        loop {
            let is_commanded = self.wait(&commands)?;
            // Before the counts are printed, all that has come is counted.
            for _ in 0..IN_A_ROW {
                match self.socket.recv_from(&mut room) {
                    Ok((bytes, from)) => self.pass(&room[..bytes], from),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // It tells of an earlier datagram; or a signal came.
                    Err(error) if is_passing(&error) => {}
                    Err(error) => return Err(error).context("the relay's socket"),
                }
            }
            if self
                .held
                .as_ref()
                .is_some_and(|held| held.until <= Instant::now())
            {
                self.let_go();
            }
            if !is_commanded {
                continue;
            }
            match commands.read(&mut command) {
                Ok(0) => return Ok(()),
                // A line may come in pieces.
                Ok(read) if command[..read].contains(&b'\n') => {
                    print(&mut printed, &self.take_counts())?;
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the commands"),
            }
        }
    }

    /// Waits for a datagram, a command or the time of what is held. True if there is a command.
    fn wait(&self, commands: &impl AsFd) -> anyhow::Result<bool> {
        let most = self.held.as_ref().map(|held| {
            let most = held.until.saturating_duration_since(Instant::now());
            Timespec::try_from(most).unwrap_or_default()
        });
        let mut both = [
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::new(commands, PollFlags::IN),
        ];
        match poll(&mut both, most.as_ref()) {
            Ok(_) => Ok(!both[1].revents().is_empty()),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error).context("waiting for datagrams"),
        }
    }

    fn pass(&mut self, datagram: &[u8], from: SocketAddr) {
        let Some((run, client, number)) = head(datagram) else {
            return;
        };
        if run > self.run {
            self.begin(run);
        }
        if run < self.run {
            return;
        }
        let is_echo = from == self.shape.server;
        if !is_echo {
            self.clients.insert(client, from);
        }
        let Some(&client_address) = self.clients.get(&client) else {
            return;
        };
        let state = self.numbers.entry((client, number)).or_default();
        let came = &mut state.came[usize::from(is_echo)];
        *came += 1;
        let seed = self.shape.seed ^ splitmix64(u64::from(client) << 32 | u64::from(number));
        let seed = splitmix64(seed ^ *came << 1 ^ u64::from(is_echo));
        let is_drawn = |what: Draw, per_mille| splitmix64(seed ^ what as u64) % 1_000 < per_mille;
        let is_lost = is_drawn(Draw::Lose, self.shape.lose);
        let counts = &mut self.counts;
        let (came, lost, to) = if is_echo {
            state.is_answered |= !is_lost;
            (&mut counts.echoes, &mut counts.lost_echoes, client_address)
        } else {
            let server = self.shape.server;
            (&mut counts.requests, &mut counts.lost_requests, server)
        };
        *came += 1;
        if is_lost {
            *lost += 1;
            return;
        }
        if self.held.is_none() && is_drawn(Draw::Reorder, self.shape.reorder) {
            self.held = Some(Held {
                datagram: datagram.to_vec(),
                to,
                until: Instant::now() + HELD,
            });
            return;
        }
        self.send(datagram, to);
        if is_drawn(Draw::Double, self.shape.double) {
            self.counts.doubled += 1;
            self.send(datagram, to);
        }
        if self.held.is_some() {
            self.counts.reordered += 1;
            self.let_go();
        }
    }

    /// Sends on what was held back.
    fn let_go(&mut self) {
        if let Some(Held { datagram, to, .. }) = self.held.take() {
            self.send(&datagram, to);
        }
    }

    fn send(&self, datagram: &[u8], to: SocketAddr) {
        // What cannot be sent is lost. A receiver that is gone is told of by the next call.
        let _ = self.socket.send_to(datagram, to);
    }

    fn begin(&mut self, run: u64) {
        self.run = run;
        self.clients.clear();
        self.numbers.clear();
        self.held = None;
        self.counts = DatagramRelayCounts::default();
    }

    fn take_counts(&mut self) -> DatagramRelayCounts {
        let silent = |number: &&Number| !number.is_answered;
        let unanswered = self.numbers.values().filter(silent).count() as u64;
        self.numbers.clear();
        let now = cpu_ns();
        DatagramRelayCounts {
            unanswered,
            cpu_ns: now - std::mem::replace(&mut self.cpu_ns, now),
            ..std::mem::take(&mut self.counts)
        }
    }
}

/// Whether a socket can still be used after this error.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted | ErrorKind::ConnectionRefused
    )
}

/// Run, client and number of a datagram, if it has a head.
fn head(datagram: &[u8]) -> Option<(u64, u32, u32)> {
    let head = datagram.first_chunk::<HEAD_BYTES>()?;
    let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| head[at + byte]));
    let run = u64::from(word(0)) | u64::from(word(4)) << 32;
    Some((run, word(8), word(12)))
}
