//! The connections between the parent of a chat and its nodes: one for each member, and one that
//! lasts as long as the node serves.

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

/// What the kernel may hold of what a node has sent to the parent for a member, and of what has
/// come there: as much again is its own. With smaller ones, each waits for acknowledgements that
/// the other holds back.
pub(crate) const SEND_BUFFER_BYTES: usize = 64 * 1024;
const RECEIVE_BUFFER_BYTES: u32 = 32 * 1024;

/// How long a node may take to accept a connection, and the parent to say what it is for.
const LONGEST_GREETING: Duration = Duration::from_secs(5);

/// After how long without a sign of the other machine, how often, and in what intervals the kernel
/// asks for one: after 30 seconds the connection is broken.
const SILENCE: Duration = Duration::from_secs(10);
const PROBES: u32 = 4;
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// By this byte the parent tells a node that members are not listened to any more.
pub(crate) const DRAIN: u8 = 1;

/// By this one the node tells that all they have said is in the stream. The parent then tells it
/// the last sequence of that, by a number.
pub(crate) const DRAINED: u8 = 2;

/// A node's part of a chat.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChatTask {
    pub(crate) settings: Settings,
    /// How long a member may take to take a piece of what is written to it.
    pub(crate) patience: Duration,
    pub(crate) secret: Secret,
    /// The stream of what is said in all rooms.
    pub(crate) stream: String,
    /// What the subject of each room begins with.
    pub(crate) rooms: String,
    /// Whether the server keeps the stream in its memory.
    pub(crate) in_memory: bool,
    /// Where a node says that it serves: see [`Serves`].
    pub(crate) front: String,
}

/// What a node says when it can serve members. The reply is whether it is to do so.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Serves {
    pub(crate) node: String,
    /// What the server delivers to it: no other node, and not this one a second time, has the same.
    pub(crate) consumer: String,
    pub(crate) address: SocketAddr,
}

/// What says that a connection comes from the parent. It is not printed.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secret(String);

const SECRET_BYTES: usize = 32;

impl Secret {
    /// One that cannot be guessed.
    pub(crate) fn random() -> Result<Self> {
        Ok(Self(random_hex()?))
    }

    /// Whether this is it. How long that takes does not tell how much of it is right.
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
    /// To tell the node of the end, and to notice that of the node, or of the parent.
    Control,
    /// It is a member's.
    Member(Place),
}

/// A member's place in its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) room: u32,
    pub(crate) number: u32,
    /// How many members there were with it when it joined, on all nodes.
    pub(crate) members: u32,
}

/// The secret, what the connection is for, and three numbers.
const GREETING_BYTES: usize = SECRET_BYTES + 1 + 3 * 4;

const CONTROL: u8 = 0;
const MEMBER: u8 = 1;

/// Opens a connection to a node, and says what it is for.
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

/// What a connection to a node is for, if it comes from the parent.
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

/// Has the kernel look whether the other machine is still there.
fn notice_end(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_tcp_keepidle(stream, SILENCE)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}

/// Waits until it is told that this is so, or that which tells it is gone.
pub(crate) async fn until(mut is_so: watch::Receiver<bool>) {
    let _ = is_so.wait_for(|is_so| *is_so).await;
}

/// The same, and some time more.
pub(crate) async fn until_late(is_so: watch::Receiver<bool>) {
    until(is_so).await;
    sleep(LINGER).await;
}

/// Lets the other end read what was sent before the connection is gone: what it sends meanwhile
/// is passed over.
pub(crate) async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let rest = async {
        while stream.read(&mut [0; 1024]).await? > 0 {}
        Ok(())
    };
    timeout(LINGER, rest).await?
}

/// Lets this process have as many files open as the system allows: how many that is, if there is a
/// limit.
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

    /// What a node with this secret makes of a connection with that one.
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
