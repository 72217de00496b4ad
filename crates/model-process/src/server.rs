//! What the servers share: children that accept, what is asked next, and how a connection ends.
//!
//! The children run before the first client connects, and each accepts for itself, as those
//! of a pre-forking web server do. One that dies loses its connection and nothing else.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use http_head::{Head, Heads, LINGER, Wrong};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::shutdown;
use suite::Result;
use suite::echo::Closing;
use suite::listening::{Listening, pause_after};
use suite::offload::Place;
use suite::serve::{Burns, burn};

use crate::pool::fd_passing;
use crate::pool::{self, Children, Event, Task};

/// Keeps this number of children running, which share this socket, until a server is told to
/// end: what tells it comes over the socket, and the child that receives it answers.
pub fn keep_running(
    socket: impl AsFd,
    units: usize,
    task: &dyn Fn() -> Task,
    closing: &Closing,
    children: &mut Children,
) -> Result<()> {
    children.drain_events();
    children.ensure_started(units)?;
    let slot = &children.fd_slot;
    slot.put(socket).context("passing on the socket")?;
    let served = run_until_told(units, task, closing, children);
    // They wait for clients, and there are no more.
    children.kill_busy();
    let slot = &children.fd_slot;
    slot.clear().context("taking the socket back")?;
    served
}

fn run_until_told(
    units: usize,
    task: &dyn Fn() -> Task,
    closing: &Closing,
    children: &mut Children,
) -> Result<()> {
    for unit in 0..units {
        children.send(unit, task())?;
    }
    loop {
        let unit = match children.next_event(None)? {
            Some(Event::Answer(unit, answer)) => answer.map(|_| unit)?,
            Some(Event::Death(unit, true)) => {
                children.start_missing(unit..unit + 1)?;
                unit
            }
            // One that has no task is none of them.
            Some(Event::Death(_, false) | Event::Wake) | None => continue,
        };
        if closing.has_begun() {
            return Ok(());
        }
        children.send(unit, task())?;
    }
}

/// Keeps a child running for each connection that may be open, until the end begins: each does
/// this task. Waits until they have answered what they have been asked.
pub fn run(
    listening: &Listening,
    connections: usize,
    burns: Option<&Burns>,
    task: &dyn Fn() -> Task,
    children: &mut Children,
) -> Result<()> {
    let listener = listening.listener()?;
    children.drain_events();
    // For CPU work, one for each core.
    let burners = burns.map_or(0, |_| runner::cores());
    children.ensure_started(connections + burners)?;
    let waker = children.waker();
    listening.on_close(move || waker.wake());
    let slot = &children.fd_slot;
    slot.put(&listener).context("passing on the listener")?;
    let mut server = Server {
        listening,
        connections,
        burns,
        task,
        children,
        burning: vec![false; burners],
        owed: 0,
        serving: 0,
    };
    let served = server.keep_serving();
    let closed = shutdown(&listener, rustix::net::Shutdown::Both);
    let ended = served.and_then(|()| server.wait_for_ends());
    // None is left but after an error.
    children.kill_busy();
    let slot = &children.fd_slot;
    slot.clear().context("taking the listener back")?;
    closed.context("closing the listener")?;
    ended
}

/// The parent's side.
struct Server<'a> {
    listening: &'a Listening,
    connections: usize,
    burns: Option<&'a Burns>,
    task: &'a dyn Fn() -> Task,
    children: &'a mut Children,
    /// Which of the children for CPU work have a piece of it. They come after those for
    /// connections.
    burning: Vec<bool>,
    /// Pieces that are due, and that no child was free for.
    owed: usize,
    /// Children that accept clients.
    serving: usize,
}

impl Server<'_> {
    /// Keeps a child running for each connection, and begins CPU work when it is due, until
    /// the end begins.
    fn keep_serving(&mut self) -> Result<()> {
        for unit in 0..self.connections {
            self.serve(unit)?;
        }
        let mut schedule = self.burns.map(Burns::schedule);
        let mut next = schedule.as_mut().and_then(Iterator::next);
        while !self.listening.is_closing() {
            if next.is_some_and(|due| due <= Instant::now()) {
                self.owed += 1;
                self.burns.iter().copied().for_each(Burns::begin);
                self.begin_owed()?;
                next = schedule.as_mut().and_then(Iterator::next);
                continue;
            }
            let event = self.children.next_event(next)?;
            self.meet(event)?;
        }
        Ok(())
    }

    /// Waits until every child has answered: those for connections have seen the end of the
    /// listener.
    fn wait_for_ends(&mut self) -> Result<()> {
        while self.serving > 0 || self.owed > 0 || self.burning.contains(&true) {
            let event = self.children.next_event(None)?;
            self.meet(event)?;
        }
        Ok(())
    }

    fn serve(&mut self, unit: usize) -> Result<()> {
        self.children.send(unit, (self.task)())?;
        self.serving += 1;
        Ok(())
    }

    fn meet(&mut self, event: Option<Event>) -> Result<()> {
        let (unit, died) = match event {
            Some(Event::Answer(unit, answer)) => {
                answer?;
                (unit, false)
            }
            Some(Event::Death(unit, busy)) => {
                if !busy {
                    return Ok(()); // after its last answer, as was agreed
                }
                (unit, true)
            }
            Some(Event::Wake) | None => return Ok(()),
        };
        match unit.checked_sub(self.connections) {
            None => {
                self.serving -= 1;
                if died && !self.listening.is_closing() {
                    self.children.start_missing(unit..unit + 1)?;
                    self.serve(unit)?;
                }
                Ok(())
            }
            Some(burner) => {
                self.burning[burner] = false;
                match died {
                    true => self.owed += 1,
                    false => self.burns.iter().copied().for_each(Burns::end),
                }
                self.begin_owed()
            }
        }
    }

    /// Gives owed work to children that are free.
    fn begin_owed(&mut self) -> Result<()> {
        let place = self.burns.map(|burns| burns.place);
        while let Some(burner) = self.burning.iter().position(|burning| !burning)
            && self.owed > 0
        {
            let unit = self.connections + burner;
            // In a unit of its own, it is the child's last task.
            let is_last = place == Some(Place::Inline);
            self.children.start_missing(unit..unit + 1)?;
            self.children.send(unit, Task::Burn { is_last })?;
            self.burning[burner] = true;
            self.owed -= 1;
        }
        Ok(())
    }
}

/// A child's CPU work.
pub(crate) fn perform_burn() -> pool::Answer {
    burn();
    pool::Answer::Done
}

/// Takes one client after the other, until the listener is shut down.
pub fn accept_all(
    mut converse: impl FnMut(&Listener, &TcpStream) -> io::Result<()>,
) -> Result<pool::Answer> {
    let listener = fd_passing::copy().context("no listener")?;
    let listener = Listener(TcpListener::from(listener));
    loop {
        match listener.0.accept() {
            // What breaks is the client's to tell.
            Ok((stream, _)) => drop(converse(&listener, &stream)),
            Err(_) if listener.is_closing() => return Ok(pool::Answer::Done),
            Err(error) => match pause_after(&error) {
                Some(pause) => thread::sleep(pause),
                None => return Err(error).context("accepting a connection"),
            },
        }
    }
}

/// Where a child accepts, and by which it is told of the end.
pub struct Listener(TcpListener);

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Listener {
    /// Whether the parent has shut it down.
    pub fn is_closing(&self) -> bool {
        let mut listener = [PollFd::new(&self.0, PollFlags::empty())];
        let polled = poll(&mut listener, Some(&Timespec::default()));
        polled.is_ok_and(|ready| ready > 0)
    }
}

/// The next request, or what is wrong with it; none when there will be no other.
pub fn next<H: Head>(
    mut stream: &TcpStream,
    requests: &mut Heads<H>,
    patience: Duration,
    listener: &Listener,
) -> io::Result<Option<std::result::Result<H::Whole, H::Refusal>>> {
    let until = Instant::now() + patience;
    loop {
        if let Some(next) = requests.next() {
            return Ok(Some(next));
        }
        match wait_to_read(stream, listener, until)? {
            ready if ready.is_readable => {}
            ready if ready.is_closing => return Ok(None),
            _ => return Ok(requests.has_begun().then_some(Err(Wrong::Late.into()))),
        }
        match stream.read(requests.room()) {
            Ok(0) => return Ok(None),
            Ok(read) => requests.filled(read),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What a wait for bytes ends with: neither of these if it took too long.
pub struct Ready {
    pub is_readable: bool,
    /// The listener was shut down.
    pub is_closing: bool,
}

pub fn wait_to_read(stream: impl AsFd, listener: impl AsFd, until: Instant) -> io::Result<Ready> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        // Without flags of its own, the listener tells its end, and not its clients.
        let mut both = [
            PollFd::new(&stream, PollFlags::IN),
            PollFd::new(&listener, PollFlags::empty()),
        ];
        match poll(&mut both, Some(&left)) {
            Ok(_) => {
                return Ok(Ready {
                    is_readable: !both[0].revents().is_empty(),
                    is_closing: !both[1].revents().is_empty(),
                });
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Lets the client read the answer before the connection is gone: what it sends meanwhile is
/// passed over.
pub fn linger(mut stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let until = Instant::now() + LINGER;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        if stream.read(&mut [0; 1024])? == 0 {
            return Ok(());
        }
    }
}
