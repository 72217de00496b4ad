//! A member of a chat room: its connection, and what it makes of what comes over it.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::content::{content, splitmix64};

/// Of a frame: the payload's length, the sender's number, and a sequence; big endian.
const HEADER_BYTES: usize = 16;
/// The sender of a gap.
const SERVER: u32 = u32::MAX;
/// Read at once.
pub(crate) const READ_BYTES: usize = 64 * 1024;
/// What the kernel may hold for a slow member: as much again is its own. With half of it, small
/// frames would not fit the window that they are sent into, and would be sent again after 200 ms.
const SLOW_BYTES: usize = 32 * 1024;
/// Payloads are parts of the same bytes, which begin at one of so many places.
const PLACES: u64 = 1024;

/// What is wrong with what has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Closed,
    Length,
    NoMember,
    Own,
    Early,
    Lost,
    Payload,
    Gap,
    Timeout,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wrong::Closed => "a connection that the server has closed",
            Wrong::Length => "a frame of another length",
            Wrong::NoMember => "a message of a member that sends none",
            Wrong::Own => "a member's own message",
            Wrong::Early => "a message that came twice, or before its turn",
            Wrong::Lost => "a message that was lost without a gap",
            Wrong::Payload => "another payload",
            Wrong::Gap => "a gap of nothing",
            Wrong::Timeout => "nothing in time",
        })
    }
}

/// The payloads of all messages.
#[derive(Debug)]
pub(crate) struct Payloads {
    bytes: usize,
    all: Vec<u8>,
}

impl Payloads {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            all: content(0, bytes as u64 + PLACES),
        }
    }

    pub(crate) fn of(&self, room: usize, sender: usize, sequence: u64) -> &[u8] {
        let seed = (room as u64) << 48 ^ (sender as u64) << 32 ^ sequence;
        let at = (splitmix64(seed) % PLACES) as usize;
        &self.all[at..at + self.bytes]
    }
}

/// A room, as its members see it.
#[derive(Debug)]
pub(crate) struct Room {
    /// Which member has which number: those that join later may be served before.
    pub(crate) by_number: Vec<Option<usize>>,
    /// The members below this one send.
    pub(crate) senders: usize,
}

/// What is sent in a room: by one sender after the other, in turn.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    pub(crate) sent: u64,
    /// When those that are to be sent were due.
    pub(crate) due: VecDeque<u64>,
    /// Those on their way: when they were due, and how many members have them.
    pub(crate) on_their_way: VecDeque<(u64, usize)>,
    /// When one more could be on its way.
    pub(crate) free_ns: u64,
}

/// A member of a room.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) stream: TcpStream,
    pub(crate) is_slow: bool,
    /// Whether the server has closed its connection.
    pub(crate) is_closed: bool,
    pub(crate) room: usize,
    /// Which one it is in its room.
    pub(crate) place: usize,
    /// The number that the server has given it.
    pub(crate) number: u32,
    /// What has come and is no whole frame.
    partial: Vec<u8>,
    /// What is to be written, and how much of it has been.
    out: Vec<u8>,
    written: usize,
    pub(crate) watches_writing: bool,
    /// The next message of each sender.
    next: Vec<u64>,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    /// Messages that the last gaps are about, and that have not been missed yet.
    excused: u64,
}

impl Member {
    /// Connects, and asks to join. A slow one has a small buffer in the kernel.
    pub(crate) fn connect(
        address: SocketAddr,
        timeout: Duration,
        is_slow: bool,
        [room, place, senders]: [usize; 3],
    ) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        if is_slow {
            set_socket_recv_buffer_size(&stream, SLOW_BYTES)?;
        }
        (&stream).write_all(&header(0, u32::try_from(room)?, 0))?;
        Ok(Self {
            stream,
            is_slow,
            is_closed: false,
            room,
            place,
            number: SERVER,
            partial: Vec::new(),
            out: Vec::new(),
            written: 0,
            watches_writing: false,
            next: vec![0; senders],
            delivered: 0,
            dropped: 0,
            excused: 0,
        })
    }

    /// Waits until it has joined; gives how many members there are then.
    pub(crate) fn join(&mut self, timeout: Duration) -> anyhow::Result<u64> {
        self.stream.set_read_timeout(Some(timeout))?;
        let mut joined = [0; HEADER_BYTES];
        self.stream.read_exact(&mut joined).context("joining")?;
        let (length, number, members) = fields(&joined).context("a whole header")?;
        ensure!(length == 0, "the answer to joining has a payload");
        self.number = number;
        self.stream.set_nonblocking(true)?;
        Ok(members)
    }

    /// Appends a message to what is to be written.
    pub(crate) fn say(&mut self, sequence: u64, payload: &[u8]) {
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
        let header = header(payload.len(), self.number, sequence);
        self.out.extend_from_slice(&header);
        self.out.extend_from_slice(payload);
    }

    /// Writes as much as the kernel takes.
    pub(crate) fn write(&mut self) -> Result<(), Wrong> {
        while self.has_to_write() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Wrong::Closed),
            }
        }
        Ok(())
    }

    pub(crate) fn has_to_write(&self) -> bool {
        self.written < self.out.len()
    }

    /// Reads once, and adds each message that is right to `came`: its sender's place, and which
    /// of its messages it is.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        room: &Room,
        payloads: &Payloads,
        came: &mut Vec<(usize, u64)>,
    ) -> Result<(), Wrong> {
        let read = match self.stream.read(buffer) {
            Ok(0) => return Err(Wrong::Closed),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(_) => return Err(Wrong::Closed),
        };
        let before = std::mem::take(&mut self.partial);
        let both;
        let mut left = &buffer[..read];
        if !before.is_empty() {
            both = [&before, left].concat();
            left = &both;
        }
        while let Some((length, number, sequence)) = fields(left) {
            if length != payloads.bytes && number != SERVER {
                return Err(Wrong::Length);
            }
            let Some(payload) = left.get(HEADER_BYTES..HEADER_BYTES + length) else {
                break;
            };
            if let Some(sender) = self.take(number, sequence, payload, room, payloads)? {
                came.push((sender, sequence));
            }
            left = &left[HEADER_BYTES + length..];
        }
        self.partial = left.to_vec();
        Ok(())
    }

    /// A frame has come: the place of its sender, if it is a message.
    fn take(
        &mut self,
        number: u32,
        sequence: u64,
        payload: &[u8],
        room: &Room,
        payloads: &Payloads,
    ) -> Result<Option<usize>, Wrong> {
        if number == SERVER {
            if sequence == 0 || !payload.is_empty() {
                return Err(Wrong::Gap);
            }
            self.dropped = self.dropped.saturating_add(sequence);
            self.excused = self.excused.saturating_add(sequence);
            return Ok(None);
        }
        if number == self.number {
            return Err(Wrong::Own);
        }
        let sender = room.by_number.get(number as usize).copied().flatten();
        let sender = sender.filter(|sender| *sender < room.senders);
        let sender = sender.ok_or(Wrong::NoMember)?;
        let next = &mut self.next[sender];
        let missed = sequence.checked_sub(*next).ok_or(Wrong::Early)?;
        self.excused = self.excused.checked_sub(missed).ok_or(Wrong::Lost)?;
        if payload != payloads.of(self.room, sender, sequence) {
            return Err(Wrong::Payload);
        }
        *next = sequence + 1;
        self.delivered += 1;
        Ok(Some(sender))
    }
}

/// Two members more join a room of their own, and one says what the other gets.
pub(crate) fn is_served(
    address: SocketAddr,
    timeout: Duration,
    room: usize,
) -> anyhow::Result<[TcpStream; 2]> {
    let payloads = Payloads::new(16);
    let join = |place| {
        let mut member = Member::connect(address, timeout, false, [room, place, 1])?;
        let joined = member.join(timeout)?;
        ensure!(joined == place as u64 + 1, "{joined} members in a new room");
        member.stream.set_nonblocking(false)?;
        anyhow::Ok(member)
    };
    let (mut says, mut gets) = (join(0)?, join(1)?);
    says.say(0, payloads.of(room, 0, 0));
    says.write()
        .map_err(|wrong| io::Error::other(wrong.to_string()))?;
    let mut by_number = vec![None; 2];
    let place = by_number.get_mut(says.number as usize);
    *place.context("another number in a new room")? = Some(0);
    let of_them = Room {
        by_number,
        senders: 1,
    };
    let mut buffer = vec![0; READ_BYTES];
    let until = Instant::now() + timeout;
    while gets.delivered == 0 {
        ensure!(Instant::now() < until, "nothing in time");
        let read = gets.read(&mut buffer, &of_them, &payloads, &mut Vec::new());
        read.map_err(|wrong| io::Error::other(wrong.to_string()))?;
    }
    Ok([says.stream, gets.stream])
}

fn header(length: usize, sender: u32, sequence: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&(length as u32).to_be_bytes());
    header[4..8].copy_from_slice(&sender.to_be_bytes());
    header[8..].copy_from_slice(&sequence.to_be_bytes());
    header
}

fn fields(bytes: &[u8]) -> Option<(usize, u32, u64)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (sender, rest) = rest.split_first_chunk()?;
    let (sequence, _) = rest.split_first_chunk()?;
    let length = u32::from_be_bytes(*length) as usize;
    Some((
        length,
        u32::from_be_bytes(*sender),
        u64::from_be_bytes(*sequence),
    ))
}
