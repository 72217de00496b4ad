//! The connections between the parent of a chat and its nodes: one for each member, and a control
//! connection for each node.

use std::fmt;
use std::hint::black_box;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use chat_room::Settings;
use http_head::LINGER;
use rustix::net::sockopt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use suite::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::connection::random_hex;
use crate::session::silence::LONGEST_SILENCE;

/// The socket buffers for a node's data to a member, at the node and at the parent; the kernel
/// doubles these sizes for its own data. With smaller buffers, each end waits for acknowledgements
/// that the other delays.
pub(crate) const SEND_BUFFER_BYTES: usize = 64 * 1024;
const RECEIVE_BUFFER_BYTES: u32 = 32 * 1024;

/// How long a node may take to accept a connection, and the parent to send the greeting.
const LONGEST_GREETING: Duration = Duration::from_secs(5);

/// TCP keepalive: the idle time before the first probe, the number of probes, and their interval. A
/// dead connection is detected after 30 seconds.
const SILENCE: Duration = Duration::from_secs(10);
const PROBES: u32 = 4;
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// The node sends this byte in each heartbeat until the end begins: the kernel of a stopped process
/// still answers keepalive probes.
pub(crate) const ALIVE: u8 = 0;

/// A node publishes nothing if it has not sent [`ALIVE`] for this many ack timeouts, because the
/// parent may have given it up. This is less than the
/// parent waits.
pub(crate) const LONGEST_PAUSE: u32 = LONGEST_SILENCE - 1;

/// The parent sends this byte to tell a node to stop reading from members.
pub(crate) const DRAIN: u8 = 1;

/// The node sends this byte when everything its members have said is in the stream. The parent then
/// sends the last sequence number of the stream.
pub(crate) const DRAINED: u8 = 2;

/// A node's part of a chat.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChatTask {
    pub(crate) settings: Settings,
    /// The time limit for writing a piece of data to a member.
    pub(crate) patience: Duration,
    pub(crate) secret: Secret,
    /// The stream of what is said in all rooms.
    pub(crate) stream: String,
    /// The prefix of the subject of each room.
    pub(crate) rooms: String,
    /// Whether the server keeps the stream in its memory.
    pub(crate) in_memory: bool,
    /// The subject where a node announces that it serves: see [`Serves`].
    pub(crate) front: String,
}

/// A node's announcement that it can serve members. The reply is a `bool`: whether it should.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Serves {
    pub(crate) node: String,
    /// The name of its consumer, which is new for each announcement.
    pub(crate) consumer: String,
    pub(crate) address: SocketAddr,
}

/// The secret that proves that a connection comes from the parent. It is never printed.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secret(String);

const SECRET_BYTES: usize = 32;

impl Secret {
    /// Creates a random secret.
    pub(crate) fn random() -> Result<Self> {
        Ok(Self(random_hex()?))
    }

    /// Whether `given` is this secret. Compares in constant time, so that the time does not reveal
    /// how much is right.
    fn is(&self, given: &[u8]) -> bool {
        let differences = self.0.bytes().zip(given).map(|(one, other)| one ^ other);
        let difference = differences.fold(0, |all, one| all | one);
        self.0.len() == given.len() && black_box(difference) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The control connection: announces the end of the chat, and detects the end of the node or
    /// the parent.
    Control,
    /// The connection of a member.
    Member(Place),
}

/// A member's place in its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) room: u32,
    pub(crate) number: u32,
    /// The number of members in the room when it joined, on all nodes, including itself.
    pub(crate) members: u32,
}

/// The size of a greeting: the secret, the purpose, and three numbers.
const GREETING_BYTES: usize = SECRET_BYTES + 1 + 3 * 4;

const CONTROL: u8 = 0;
const MEMBER: u8 = 1;

/// Opens a connection to a node, and sends the greeting.
pub(crate) async fn connect(
    address: SocketAddr,
    secret: &Secret,
    purpose: Purpose,
) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    let mut stream = timeout(LONGEST_GREETING, socket.connect(address)).await??;
    stream.set_nodelay(true)?;
    let (kind, numbers) = match purpose {
        Purpose::Control => (CONTROL, [0; 3]),
        Purpose::Member(place) => (MEMBER, [place.room, place.number, place.members]),
    };
    let mut greeting = Vec::with_capacity(GREETING_BYTES);
    greeting.extend_from_slice(secret.0.as_bytes());
    greeting.push(kind);
    for number in numbers {
        greeting.extend_from_slice(&number.to_be_bytes());
    }
    stream.write_all(&greeting).await?;
    if purpose == Purpose::Control {
        notice_end(&stream)?;
    }
    Ok(stream)
}

/// Reads the greeting of a connection. Returns its purpose, or an error if it does not come from
/// the parent.
pub(crate) async fn greeted(stream: &mut TcpStream, secret: &Secret) -> io::Result<Purpose> {
    let mut greeting = [0; GREETING_BYTES];
    timeout(LONGEST_GREETING, stream.read_exact(&mut greeting)).await??;
    let (given, rest) = greeting.split_at(SECRET_BYTES);
    if !secret.is(given) {
        return Err(ErrorKind::PermissionDenied.into());
    }
    stream.set_nodelay(true)?;
    let purpose = parse(rest).ok_or(ErrorKind::InvalidData)?;
    if purpose == Purpose::Control {
        notice_end(stream)?;
    }
    Ok(purpose)
}

fn parse(bytes: &[u8]) -> Option<Purpose> {
    let (&kind, rest) = bytes.split_first()?;
    let (room, rest) = rest.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (members, _) = rest.split_first_chunk()?;
    match kind {
        CONTROL => Some(Purpose::Control),
        MEMBER => Some(Purpose::Member(Place {
            room: u32::from_be_bytes(*room),
            number: u32::from_be_bytes(*number),
            members: u32::from_be_bytes(*members),
        })),
        _ => None,
    }
}

/// Enables TCP keepalive, so that the kernel detects a dead connection.
fn notice_end(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_tcp_keepidle(stream, SILENCE)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}

/// Waits until the value is true, or its sender is dropped.
pub(crate) async fn until(mut is_so: watch::Receiver<bool>) {
    let _ = is_so.wait_for(|is_so| *is_so).await;
}

/// Like [`until`], then waits for `LINGER` more.
pub(crate) async fn until_late(is_so: watch::Receiver<bool>) {
    until(is_so).await;
    sleep(LINGER).await;
}

/// Closes the sending side, and reads and discards data until the other end closes too, so that it
/// can read what was sent.
pub(crate) async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let rest = async {
        while stream.read(&mut [0; 1024]).await? > 0 {}
        Ok(())
    };
    timeout(LINGER, rest).await?
}

/// Raises the limit of open files of this process to the allowed maximum. Returns that maximum, or
/// `None` if there is no limit.
pub(crate) fn allow_open_files() -> io::Result<Option<u64>> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?;
    Ok(maximum)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    const PLACE: Place = Place {
        room: 7,
        number: u32::MAX - 1,
        members: 3,
    };

    /// The purpose that a node with secret `own` reads from a connection with secret `other`.
    async fn met(own: &Secret, other: &Secret, purpose: Purpose) -> io::Result<Purpose> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let _connected = connect(listener.local_addr()?, other, purpose).await?;
        greeted(&mut listener.accept().await?.0, own).await
    }

    #[tokio::test]
    async fn a_connection_is_for_what_the_parent_says() -> Result<()> {
        let secret = Secret::random()?;
        for purpose in [Purpose::Control, Purpose::Member(PLACE)] {
            assert_eq!(met(&secret, &secret, purpose).await?, purpose);
        }
        Ok(())
    }

    #[tokio::test]
    async fn without_the_secret_there_is_nothing() -> Result<()> {
        let secret = Secret::random()?;
        let mut last = secret.0.clone();
        let digit = last.pop();
        last.push(if digit == Some('0') { '1' } else { '0' });
        for other in [Secret::random()?, Secret(last), Secret("0".repeat(32))] {
            let met = met(&secret, &other, Purpose::Member(PLACE)).await;
            let error = met.expect_err("another secret");
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        }
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        Ok(())
    }
}
