//! Unit: child process, one a core: it has whole rooms. Shares: nothing; a connection is passed
//! to the child that has its room. Ends: when the end begins, no more are passed; children
//! write what was said before, and each answers.
//!
//! All members of a room share its log, and processes share no heap: with members in different
//! children, each message would be copied to each of them, twice. So the parent reads only
//! which room a client joins, and the child that has this room serves all its members,
//! whichever is ready. One that dies loses its rooms and nothing else; another has them from
//! then on.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Instant;

use anyhow::{Context, bail};
use chat_room::{HEADER_BYTES, Received};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use suite::Result;
use suite::chat::Service;
use suite::listening::pause_after;

use crate::both_ways::wait;
use crate::chat_child::Rooms;
use crate::pool::protocol::ChatTask;
use crate::pool::{self, Children, Event, MAX_DEATHS, Task, fd_passing};
use crate::shm::MAX_CHILDREN;

/// Children for this many cores.
pub fn units(cores: usize) -> usize {
    cores.clamp(1, MAX_CHILDREN)
}

pub fn run(service: &Service, children: &mut Children, cores: usize) -> Result<()> {
    let listener = service.listening.listener()?;
    listener.set_nonblocking(true)?;
    let (end, until_then) = UnixStream::pair()?;
    service.listening.on_close(move || drop(until_then));
    children.drain_events();
    children.ensure_started(units(cores))?;
    let mut server = Server {
        service,
        children,
        exits: Vec::new(),
        joining: Vec::new(),
    };
    let served = server.serve(&listener, &end, units(cores));
    drop(listener); // or clients that are not accepted would wait for the others
    let ended = served.and_then(|()| server.wait_for_ends());
    // None is left but after an error.
    children.kill_busy();
    ended
}

/// The parent's side.
struct Server<'a> {
    service: &'a Service,
    children: &'a mut Children,
    /// What leads to the children, by their places.
    exits: Vec<Exit>,
    /// Clients that have not joined a room.
    joining: Vec<Joining>,
}

/// Through what connections are passed to a child, which tells by a byte each that they have
/// ended, and by its end that the child has died.
struct Exit {
    socket: UnixStream,
    /// Connections that have been passed and have not ended.
    open: usize,
    /// Whether the child has died, and is to be followed by another.
    is_dead: bool,
}

/// A client that has not joined a room.
struct Joining {
    stream: TcpStream,
    received: Received,
    /// Bytes of the first frame that have not come.
    missing: usize,
    until: Instant,
}

impl Server<'_> {
    /// Passes connections to the children that have their rooms, until the end begins.
    fn serve(&mut self, listener: &TcpListener, end: &UnixStream, units: usize) -> Result<()> {
        for unit in 0..units {
            let exit = self.start(unit)?;
            self.exits.push(exit);
        }
        while !self.service.listening.is_closing() {
            self.wait(listener, end)?;
            self.meet_children()?;
            self.accept(listener)?;
            self.pass_on()?;
        }
        self.joining.clear();
        Ok(())
    }

    /// Has the child in this place serve rooms, or one that is started in its place.
    fn start(&mut self, unit: usize) -> Result<Exit> {
        for _ in 0..=MAX_DEATHS {
            self.children.start_missing(unit..unit + 1)?;
            let (socket, entrance) = UnixStream::pair().context("sockets to pass on clients")?;
            let slot = &self.children.fd_slot;
            slot.put(&entrance).context("passing on a socket")?;
            drop(entrance);
            self.children.send(unit, Task::Chat(ChatTask::Take))?;
            let taken = self.answers(unit);
            let slot = &self.children.fd_slot;
            slot.clear().context("taking a socket back")?;
            if taken? {
                let Service {
                    settings, patience, ..
                } = *self.service;
                let task = ChatTask::Serve { settings, patience };
                self.children.send(unit, Task::Chat(task))?;
                return Ok(Exit {
                    socket,
                    open: 0,
                    is_dead: false,
                });
            }
        }
        bail!(
            "a child keeps dying before it serves, the last by {}",
            self.children.last_exit
        )
    }

    /// Waits until the child in this place has answered, or has died; whether it has answered.
    fn answers(&mut self, unit: usize) -> Result<bool> {
        loop {
            let (of, answered) = match self.children.next_event(None)? {
                Some(Event::Answer(of, answer)) => (of, answer.map(|_| true)?),
                Some(Event::Death(of, _)) => (of, false),
                Some(Event::Wake) | None => continue,
            };
            if of == unit {
                return Ok(answered);
            }
            if let Some(exit) = self.exits.get_mut(of) {
                exit.is_dead = true;
            }
        }
    }

    /// Waits until there is something to do.
    fn wait(&self, listener: &TcpListener, end: &UnixStream) -> io::Result<()> {
        let mut waiting = vec![PollFd::new(end, PollFlags::IN)];
        if self.has_place() {
            waiting.push(PollFd::new(listener, PollFlags::IN));
        }
        let exits = self.exits.iter().map(|exit| &exit.socket);
        waiting.extend(exits.map(|socket| PollFd::new(socket, PollFlags::IN)));
        let joining = self.joining.iter().map(|joining| &joining.stream);
        waiting.extend(joining.map(|stream| PollFd::new(stream, PollFlags::IN)));
        let until = self.joining.first().map(|joining| joining.until);
        let until = until.unwrap_or_else(|| Instant::now() + self.service.patience);
        wait(&mut waiting, until).map(drop)
    }

    /// Whether there is a place for one more connection.
    fn has_place(&self) -> bool {
        let open: usize = self.exits.iter().map(|exit| exit.open).sum();
        open + self.joining.len() < self.service.connections
    }

    /// Counts connections that have ended, and starts children in place of those that have died.
    fn meet_children(&mut self) -> Result<()> {
        for unit in 0..self.exits.len() {
            let exit = &mut self.exits[unit];
            exit.count_ended();
            if exit.is_dead {
                if self.children.is_started(unit) {
                    // That it has died is still to be told.
                    self.answers(unit)?;
                }
                self.exits[unit] = self.start(unit)?;
            }
        }
        Ok(())
    }

    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        while self.has_place() {
            match listener.accept() {
                Ok((stream, _)) => {
                    // What breaks is the client's to tell.
                    if stream.set_nonblocking(true).is_ok() {
                        self.joining.push(Joining {
                            stream,
                            received: Received::new(self.service.settings.format),
                            missing: HEADER_BYTES,
                            until: Instant::now() + self.service.patience,
                        });
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => match pause_after(&error) {
                    Some(pause) => {
                        thread::sleep(pause);
                        break;
                    }
                    None => return Err(error).context("accepting a connection"),
                },
            }
        }
        Ok(())
    }

    /// Passes on clients that have joined a room.
    fn pass_on(&mut self) -> Result<()> {
        let now = Instant::now();
        let exits = &mut self.exits;
        self.joining.retain_mut(|joining| {
            let Ok(room) = joining.join() else {
                return false;
            };
            let Some(room) = room else {
                return now < joining.until;
            };
            let unit = room as usize % exits.len();
            let exit = &mut exits[unit];
            // It fails when the child has died.
            let passed = fd_passing::send(&exit.socket, &room.to_be_bytes(), &joining.stream);
            exit.open += usize::from(passed.is_ok());
            false
        });
        Ok(())
    }

    /// Waits until the members have what was said before the end.
    fn wait_for_ends(&mut self) -> Result<()> {
        for exit in &self.exits {
            // It fails when the child has died.
            let _ = exit.socket.shutdown(Shutdown::Write);
        }
        for unit in 0..self.exits.len() {
            // Its members have ended with a child that has died.
            while self.children.is_busy(unit) {
                self.answers(unit)?;
            }
        }
        Ok(())
    }
}

impl Exit {
    fn count_ended(&mut self) {
        let mut ended = [0; 1024];
        loop {
            match recv(&self.socket, &mut ended, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => break self.is_dead = true,
                Ok((_, bytes)) => self.open -= bytes,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => break self.is_dead = true,
            }
        }
    }
}

impl Joining {
    /// Which room it joins; none if that has not come yet. What comes after that is for the
    /// child to read.
    fn join(&mut self) -> io::Result<Option<u32>> {
        loop {
            if let Some(room) = self.received.join() {
                return room.map(Some).map_err(io::Error::other);
            }
            let missing = &mut self.received.room()[..self.missing];
            match self.stream.read(missing) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.received.filled(read);
                    self.missing -= read;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A child's part.
pub(crate) fn perform(task: ChatTask, entrance: &mut Option<UnixStream>) -> Result<pool::Answer> {
    match task {
        ChatTask::Take => *entrance = Some(fd_passing::copy().context("no socket")?.into()),
        ChatTask::Serve { settings, patience } => {
            let entrance = entrance.take().context("no socket was taken")?;
            Rooms::new(entrance, settings, patience)?.serve()?;
        }
    }
    Ok(pool::Answer::Done)
}
