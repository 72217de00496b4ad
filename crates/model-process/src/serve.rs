//! Unit: child process, one for each connection that may be open. Shares: the listener.
//! Ends: it is shut down, which every child sees that waits for a client or a request; each
//! answers what it has been asked.
//!
//! The children run before the first client connects, and each accepts for itself, as those
//! of a pre-forking web server do. One that dies loses its connection and nothing else.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use http_serve::{Answer, LINGER, Refusal, Request, Requests, Site};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::shutdown;
use suite::Result;
use suite::offload::Place;
use suite::serve::{Burns, Service, burn, pause_after};

use crate::pool::fd_passing;
use crate::pool::protocol::ServeTask;
use crate::pool::{self, Children, Event, Task};

/// Children for CPU work, in addition to those for connections.
pub const BURNERS: usize = 2;

pub fn run(service: &Service, children: &mut Children) -> Result<()> {
    let listener = service.listener()?;
    children.drain_events();
    let burners = service.burns.as_ref().map_or(0, |_| BURNERS);
    children.ensure_started(service.connections + burners)?;
    let waker = children.waker();
    service.on_close(move || waker.wake());
    let slot = &children.fd_slot;
    slot.put(&listener).context("passing on the listener")?;
    let mut server = Server {
        service,
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
    service: &'a Service,
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
        for unit in 0..self.service.connections {
            self.serve(unit)?;
        }
        let mut schedule = self.service.burns.as_ref().map(Burns::schedule);
        let mut next = schedule.as_mut().and_then(Iterator::next);
        while !self.service.is_closing() {
            if next.is_some_and(|due| due <= Instant::now()) {
                self.owed += 1;
                self.service.burns.iter().for_each(Burns::begin);
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
        let task = ServeTask {
            directory: self.service.directory.clone().into(),
            patience: self.service.patience,
        };
        self.children.send(unit, Task::Serve(task))?;
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
        match unit.checked_sub(self.service.connections) {
            None => {
                self.serving -= 1;
                if died && !self.service.is_closing() {
                    self.children.start_missing(unit..unit + 1)?;
                    self.serve(unit)?;
                }
                Ok(())
            }
            Some(burner) => {
                self.burning[burner] = false;
                match died {
                    true => self.owed += 1,
                    false => self.service.burns.iter().for_each(Burns::end),
                }
                self.begin_owed()
            }
        }
    }

    /// Gives owed work to children that are free.
    fn begin_owed(&mut self) -> Result<()> {
        let place = self.service.burns.as_ref().map(|burns| burns.place);
        while let Some(burner) = self.burning.iter().position(|burning| !burning)
            && self.owed > 0
        {
            let unit = self.service.connections + burner;
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

/// Serves one client after the other, until the listener is shut down.
pub(crate) fn perform(task: ServeTask) -> Result<pool::Answer> {
    let listener = TcpListener::from(fd_passing::copy().context("no listener")?);
    let directory = Path::new(&task.directory);
    let site = Site::open(directory).with_context(|| directory.display().to_string())?;
    let server = Child {
        listener,
        site,
        patience: task.patience,
    };
    loop {
        match server.listener.accept() {
            // What breaks is the client's to tell.
            Ok((stream, _)) => drop(server.converse(&stream)),
            Err(_) if server.is_closing() => return Ok(pool::Answer::Done),
            Err(error) => match pause_after(&error) {
                Some(pause) => thread::sleep(pause),
                None => return Err(error).context("accepting a connection"),
            },
        }
    }
}

/// The child's side.
struct Child {
    listener: TcpListener,
    site: Site,
    patience: Duration,
}

impl Child {
    /// Answers what comes over a connection, until either end closes it.
    fn converse(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(self.patience))?;
        let mut requests = Requests::default();
        while let Some(next) = self.next(stream, &mut requests)? {
            let mut answer = match next {
                Ok(request) => self.site.answer(&request),
                Err(refusal) => Answer::refusal(refusal, None),
            };
            stream.write_all(answer.bytes())?;
            while answer.next_piece()? {
                stream.write_all(answer.bytes())?;
            }
            if !answer.keeps_connection() {
                return linger(stream);
            }
            if self.is_closing() {
                break;
            }
        }
        Ok(())
    }

    /// The next request, or what is wrong with it; none when there will be no other.
    fn next(
        &self,
        mut stream: &TcpStream,
        requests: &mut Requests,
    ) -> io::Result<Option<std::result::Result<Request, Refusal>>> {
        let until = Instant::now() + self.patience;
        loop {
            if let Some(next) = requests.next() {
                return Ok(Some(next));
            }
            match wait_to_read(stream, &self.listener, until)? {
                Waited::Readable => {}
                Waited::Closing => return Ok(None),
                Waited::Late => {
                    return Ok(requests.has_begun().then_some(Err(Refusal::Timeout)));
                }
            }
            match stream.read(requests.room()) {
                Ok(0) => return Ok(None),
                Ok(read) => requests.filled(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the parent has shut the listener down.
    fn is_closing(&self) -> bool {
        let mut listener = [PollFd::new(&self.listener, PollFlags::empty())];
        let polled = poll(&mut listener, Some(&Timespec::default()));
        polled.is_ok_and(|ready| ready > 0)
    }
}

/// What a wait for bytes ends with.
enum Waited {
    Readable,
    /// The listener was shut down.
    Closing,
    Late,
}

fn wait_to_read(stream: impl AsFd, listener: impl AsFd, until: Instant) -> io::Result<Waited> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        // Without flags of its own, the listener tells its end, and not its clients.
        let mut both = [
            PollFd::new(&stream, PollFlags::IN),
            PollFd::new(&listener, PollFlags::empty()),
        ];
        match poll(&mut both, Some(&left)) {
            Ok(0) => return Ok(Waited::Late),
            Ok(_) if !both[0].revents().is_empty() => return Ok(Waited::Readable),
            Ok(_) => return Ok(Waited::Closing),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Lets the client read the answer before the connection is gone: what it sends meanwhile is
/// passed over.
fn linger(mut stream: &TcpStream) -> io::Result<()> {
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
