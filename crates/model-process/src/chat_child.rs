//! A child's side of a chat: the rooms that it has, and their members. There is one thread: it
//! serves those that are ready.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use chat_room::{Received, Seat, Settings};
use http_head::LINGER;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::time::Timespec;
use suite::listening::PIECES_IN_A_ROW;

use crate::pool::fd_passing;

/// The number of the entrance among the members'.
const ENTRANCE: u64 = u64::MAX;

/// Events that are met at once.
const EVENTS: usize = 256;

/// The rooms of a child, and their members.
pub struct Rooms {
    rooms: chat_room::Rooms,
    patience: Duration,
    /// Clients come from here, and it is told of their ends.
    entrance: UnixStream,
    epoll: OwnedFd,
    members: HashMap<u64, Member>,
    next_number: u64,
    /// Members that may be able to go on.
    woken: Arc<Mutex<Vec<u64>>>,
    /// When members are to be looked at because of the time, and their numbers: once each.
    times: BTreeSet<(Instant, u64)>,
    /// Members whose end the parent has not been told of.
    ended: usize,
    /// By when all is to be written, once the end has begun.
    end: Option<Instant>,
}

struct Member {
    stream: TcpStream,
    seat: Seat,
    received: Received,
    /// What was taken from the room, and how much of it has been written.
    buffer: Vec<u8>,
    written: usize,
    state: State,
    /// Whether the client will send nothing more.
    is_at_end: bool,
    /// When it is to be closed, if it does not go on before.
    until: Option<Instant>,
    /// When it is looked at because of that, or before.
    timed: Option<Instant>,
    waker: Waker,
    notice: Arc<Notice>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// What it sends is put.
    Reads,
    /// It has left, and is written what is left.
    Left,
    /// All is written: what it sends is passed over.
    Lingers,
    /// The connection is to be closed.
    Over,
}

/// Notes that a member may be able to go on.
struct Notice {
    number: u64,
    is_noted: AtomicBool,
    woken: Arc<Mutex<Vec<u64>>>,
}

impl Wake for Notice {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_noted.swap(true, Relaxed) {
            let woken = self.woken.lock();
            woken
                .unwrap_or_else(PoisonError::into_inner)
                .push(self.number);
        }
    }
}

impl Rooms {
    pub fn new(entrance: UnixStream, settings: Settings, patience: Duration) -> io::Result<Self> {
        entrance.set_nonblocking(true)?;
        let rooms = Self {
            rooms: chat_room::Rooms::new(settings),
            patience,
            entrance,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            members: HashMap::new(),
            next_number: 0,
            woken: Arc::default(),
            times: BTreeSet::new(),
            ended: 0,
            end: None,
        };
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        let number = EventData::new_u64(ENTRANCE);
        epoll::add(&rooms.epoll, &rooms.entrance, number, flags)?;
        Ok(rooms)
    }

    /// Serves members, until no more come and all have ended.
    pub fn serve(mut self) -> io::Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        while self.end.is_none() || !self.members.is_empty() {
            self.wait(&mut events)?;
            let mut comes_in = false;
            for event in events.drain(..) {
                match event.data.u64() {
                    ENTRANCE => comes_in = true,
                    number => self.note(number),
                }
            }
            if comes_in {
                self.let_in()?;
            }
            self.look_at_times();
            // First all read and then all write: more is written at once.
            let mut ready = self.take_woken();
            let mut unread = Vec::new();
            for &number in &ready {
                let member = self.members.get_mut(&number);
                if member.is_some_and(|member| member.read(self.end)) {
                    unread.push(number);
                }
            }
            ready.extend(self.take_woken());
            for number in ready {
                self.write(number);
            }
            unread.into_iter().for_each(|number| self.note(number));
            self.tell_ended();
        }
        Ok(())
    }

    /// Waits for events, or until it is time for something.
    fn wait(&self, events: &mut Vec<Event>) -> io::Result<()> {
        let is_ready = !self.lock_woken().is_empty();
        let until = match is_ready {
            true => Some(Instant::now()),
            false => self.times.first().map(|(time, _)| *time),
        };
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.map(Timespec::try_from).transpose();
        let left = left.map_err(io::Error::other)?;
        match epoll::wait(&self.epoll, spare_capacity(events), left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn lock_woken(&self) -> MutexGuard<'_, Vec<u64>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, number: u64) {
        if let Some(member) = self.members.get(&number) {
            member.waker.wake_by_ref();
        }
    }

    /// The members that may be able to go on. They can be noted again from now on.
    fn take_woken(&self) -> Vec<u64> {
        let woken = mem::take(&mut *self.lock_woken());
        for number in &woken {
            if let Some(member) = self.members.get(number) {
                member.notice.is_noted.store(false, Relaxed);
            }
        }
        woken
    }

    /// Has clients join the rooms that were passed along with them.
    fn let_in(&mut self) -> io::Result<()> {
        while self.end.is_none() {
            let mut room = [0; 4];
            let received = fd_passing::receive(&self.entrance, &mut room, RecvFlags::empty());
            match received {
                Ok((0, _)) => {
                    self.rooms.leave_all();
                    let end = Instant::now() + LINGER;
                    self.end = Some(end);
                    for member in self.members.values_mut() {
                        member.until = Some(member.until.map_or(end, |until| until.min(end)));
                        member.waker.wake_by_ref();
                    }
                }
                Ok((_, None)) => self.ended += 1,
                Ok((_, Some(client))) => {
                    // What breaks is the client's to tell.
                    if self.join(client.into(), u32::from_be_bytes(room)).is_err() {
                        self.ended += 1;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn join(&mut self, stream: TcpStream, room: u32) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let number = self.next_number;
        self.next_number += 1;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &stream, EventData::new_u64(number), flags)?;
        let notice = Arc::new(Notice {
            number,
            is_noted: AtomicBool::new(false),
            woken: self.woken.clone(),
        });
        let waker = Waker::from(notice.clone());
        let seat = self.rooms.join(room);
        // It may be cut while it waits to write.
        let _ = seat.poll_cut(&mut Context::from_waker(&waker));
        waker.wake_by_ref();
        let member = Member {
            stream,
            seat,
            received: Received::new(self.rooms.settings().format),
            buffer: Vec::new(),
            written: 0,
            state: State::Reads,
            is_at_end: false,
            until: None,
            timed: None,
            waker,
            notice,
        };
        self.members.insert(number, member);
        Ok(())
    }

    /// Closes connections whose time is over.
    fn look_at_times(&mut self) {
        let now = Instant::now();
        while let Some(&(time, number)) = self.times.first()
            && time <= now
        {
            self.times.pop_first();
            if let Some(member) = self.members.get_mut(&number) {
                member.timed = None;
                if member.until.is_some_and(|until| until <= now) {
                    member.state = State::Over;
                }
                member.waker.wake_by_ref();
            }
        }
    }

    /// Writes what there is for a member, and closes the connection if it is over.
    fn write(&mut self, number: u64) {
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        member.write(self.patience, self.end);
        if member.state == State::Over {
            if let Some(timed) = member.timed {
                self.times.remove(&(timed, number));
            }
            self.members.remove(&number);
            self.ended += 1;
        } else if let Some(until) = member.until
            && member.timed.is_none_or(|timed| until < timed)
        {
            if let Some(timed) = member.timed.replace(until) {
                self.times.remove(&(timed, number));
            }
            self.times.insert((until, number));
        }
    }

    /// Tells the parent of members that have ended.
    fn tell_ended(&mut self) {
        while self.ended > 0 {
            let ended = [0; EVENTS];
            match self.entrance.write(&ended[..self.ended.min(EVENTS)]) {
                Ok(told) => self.ended -= told,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It will be told later, or is at its end itself.
                Err(_) => return,
            }
        }
    }
}

impl Member {
    /// Puts what the client sends, as far as it has come; whether more may have come.
    fn read(&mut self, end: Option<Instant>) -> bool {
        for _ in 0..PIECES_IN_A_ROW {
            match self.state {
                State::Reads => {
                    let mut context = Context::from_waker(&self.waker);
                    match self.seat.poll_put(&mut context, &mut self.received) {
                        Poll::Pending => return false,
                        Poll::Ready(Ok(())) if self.is_at_end => self.leave(),
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) if end.is_some() => self.leave(),
                        Poll::Ready(Err(_)) => {
                            self.seat.cut();
                            self.state = State::Left;
                        }
                    }
                }
                State::Lingers if self.is_at_end => self.state = State::Over,
                State::Lingers => {}
                State::Left | State::Over => {}
            }
            if matches!(self.state, State::Left | State::Over) {
                return false;
            }
            match self.stream.read(self.received.room()) {
                Ok(read) => {
                    self.is_at_end = read == 0;
                    if self.state == State::Reads {
                        self.received.filled(read);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.state = State::Over,
            }
        }
        true
    }

    fn leave(&mut self) {
        self.seat.leave();
        self.state = State::Left;
    }

    /// Writes what there is for the member, as far as the client takes it.
    fn write(&mut self, patience: Duration, end: Option<Instant>) {
        let mut context = Context::from_waker(&self.waker);
        for _ in 0..PIECES_IN_A_ROW {
            if matches!(self.state, State::Lingers | State::Over) {
                return;
            }
            if self.written == self.buffer.len() {
                self.written = 0;
                match self.seat.poll_take(&mut context, &mut self.buffer) {
                    Poll::Pending => return,
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => {
                        self.state = match self.stream.shutdown(Shutdown::Write) {
                            Ok(()) => State::Lingers,
                            Err(_) => State::Over,
                        };
                        self.until = Some(Instant::now() + LINGER);
                        self.waker.wake_by_ref(); // to read what comes
                        return;
                    }
                }
            }
            let has_waited = self.until.is_some();
            if has_waited && self.seat.poll_cut(&mut context).is_ready() {
                self.state = State::Over;
                return;
            }
            match self.stream.write(&self.buffer[self.written..]) {
                Ok(written) => {
                    self.written += written;
                    self.until = end;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.until.get_or_insert_with(|| Instant::now() + patience);
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.state = State::Over,
            }
        }
        self.waker.wake_by_ref(); // after the others
    }
}
