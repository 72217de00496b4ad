//! What the responder and the upstream share: a port, the connections to it, and a pipe that
//! commands come from. One thread waits for all of them in one epoll.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use anyhow::Context;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use serde::Serialize;

use crate::limits::allow_open_files;
use crate::wait::{cpu_ns, wait};

/// As many as a server's queue of new connections may have, by the system's default.
pub(crate) const BACKLOG: i32 = 4096;
pub(crate) const OTHER_FILES: u64 = 32;
/// What events are of that are not a connection's.
const LISTENER: u64 = u64::MAX;
const COMMANDS: u64 = u64::MAX - 1;

/// The connections to a port, each with a state `T`.
pub(crate) struct Clients<T> {
    listener: TcpListener,
    address: SocketAddr,
    epoll: OwnedFd,
    places: Vec<Option<Client<T>>>,
    /// Places that are free.
    free: Vec<usize>,
    /// Accepted during the last wait, and during the one before it.
    came: Vec<TcpStream>,
    before: Vec<TcpStream>,
    /// Connections ever, which numbers them.
    opened: u64,
    peak: usize,
    /// Processor time when it was taken last.
    cpu_ns: u64,
}

pub(crate) struct Client<T> {
    pub(crate) stream: TcpStream,
    pub(crate) id: u64,
    pub(crate) state: T,
}

/// What a wait was for.
pub(crate) enum Event {
    /// A connection at this place can be read or written.
    Client(usize, EventFlags),
    /// The counts are asked for.
    Counts,
    /// There are no more commands.
    End,
}

impl<T: Default> Clients<T> {
    /// Listens at a port of its own, for at most this number of connections at once, and
    /// prints its address.
    ///
    /// # Errors
    ///
    /// When it may not open a file for each of them, or has no port.
    pub(crate) fn open(
        connections: usize,
        commands: &impl AsFd,
        printed: &mut impl Write,
    ) -> anyhow::Result<Self> {
        allow_open_files(connections as u64 + OTHER_FILES)?;
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port to listen on")?;
        rustix::net::listen(&listener, BACKLOG).context("the queue of new connections")?;
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll")?;
        for (fd, token) in [(listener.as_fd(), LISTENER), (commands.as_fd(), COMMANDS)] {
            epoll::add(&epoll, fd, EventData::new_u64(token), EventFlags::IN)
                .context("what cannot be waited for")?;
        }
        let address = listener.local_addr()?;
        writeln!(printed, "{address}")?;
        printed.flush()?;
        Ok(Self {
            listener,
            address,
            epoll,
            places: Vec::new(),
            free: Vec::new(),
            came: Vec::new(),
            before: Vec::new(),
            opened: 0,
            peak: 0,
            cpu_ns: cpu_ns(),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for connections and commands; for this time at most, if one is given.
    ///
    /// A new connection counts from the second wait after it was accepted. By then all that
    /// had ended before it began has been met, so that the peak is never above what clients
    /// do.
    pub(crate) fn wait(
        &mut self,
        most: Option<Duration>,
        commands: &mut impl Read,
    ) -> anyhow::Result<Vec<Event>> {
        self.add_those_before()?;
        std::mem::swap(&mut self.came, &mut self.before);
        let most = match self.before.is_empty() {
            true => most,
            false => Some(Duration::ZERO),
        };
        let ready = wait(&self.epoll, most)?;
        let mut events = Vec::with_capacity(ready.len());
        let mut command = [0; 64];
        for event in ready {
            match event.data.u64() {
                LISTENER => self.accept()?,
                COMMANDS => match commands.read(&mut command) {
                    Ok(0) => events.push(Event::End),
                    // A line may come in pieces.
                    Ok(read) if command[..read].contains(&b'\n') => events.push(Event::Counts),
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error).context("the commands"),
                },
                place => events.push(Event::Client(place as usize, event.flags)),
            }
        }
        Ok(events)
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match accept_with(&self.listener, flags) {
                Ok(socket) => self.came.push(socket.into()),
                Err(Errno::AGAIN) => return Ok(()),
                // It has gone already; or a signal came.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(error) => return Err(error).context("accepting a connection"),
            }
        }
    }

    fn add_those_before(&mut self) -> anyhow::Result<()> {
        for stream in std::mem::take(&mut self.before) {
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.places.push(None);
                self.places.len() - 1
            });
            let data = EventData::new_u64(place as u64);
            epoll::add(&self.epoll, &stream, data, EventFlags::IN)?;
            self.opened += 1;
            self.places[place] = Some(Client {
                stream,
                id: self.opened,
                state: T::default(),
            });
        }
        self.peak = self.peak.max(self.places.len() - self.free.len());
        Ok(())
    }

    /// Accepts and adds all that has come.
    pub(crate) fn settle(&mut self) -> anyhow::Result<()> {
        self.accept()?;
        self.before.append(&mut self.came);
        self.add_those_before()
    }

    pub(crate) fn at(&mut self, place: usize) -> Option<&mut Client<T>> {
        self.places.get_mut(place)?.as_mut()
    }

    /// The same, if another has not got its place.
    pub(crate) fn with_id(&mut self, place: usize, id: u64) -> Option<&mut Client<T>> {
        self.at(place).filter(|client| client.id == id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Client<T>> {
        self.places.iter().flatten()
    }

    /// Has the kernel tell when it can be read and written, as these flags say.
    pub(crate) fn watch(&self, place: usize, flags: EventFlags) -> std::io::Result<()> {
        if let Some(Some(client)) = self.places.get(place) {
            let data = EventData::new_u64(place as u64);
            epoll::modify(&self.epoll, &client.stream, data, flags)?;
        }
        Ok(())
    }

    /// Closes one, which removes it from the epoll.
    pub(crate) fn close(&mut self, place: usize) -> Option<Client<T>> {
        let client = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(client)
    }

    /// Closes all that have been added.
    pub(crate) fn close_all(&mut self) {
        self.places.clear();
        self.free.clear();
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.places.len() - self.free.len() + self.came.len() + self.before.len()
    }

    /// The most that were open at once since this was asked last.
    pub(crate) fn take_peak(&mut self) -> usize {
        let now = self.places.len() - self.free.len();
        std::mem::replace(&mut self.peak, now)
    }

    /// Processor time of this thread since this was asked last, in nanoseconds.
    pub(crate) fn take_cpu_ns(&mut self) -> u64 {
        let now = cpu_ns();
        now - std::mem::replace(&mut self.cpu_ns, now)
    }
}

/// Prints counts, as a line of JSON.
pub(crate) fn print(printed: &mut impl Write, counts: &impl Serialize) -> anyhow::Result<()> {
    writeln!(printed, "{}", serde_json::to_string(counts)?)?;
    printed.flush()?;
    Ok(())
}
