//! The rooms that have members.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::Settings;
use crate::received::{Received, Refusal};
use crate::room::{Message, Room, Woken};

/// The rooms that have members. Clones are the same rooms.
#[derive(Debug, Clone)]
pub struct Rooms {
    settings: Settings,
    open: Arc<Mutex<HashMap<u32, Arc<Mutex<Room>>>>>,
}

/// A member's place in a room, for what reads from it and for what writes to it. When it is
/// dropped, the member is gone, and what it has not taken with it.
#[derive(Debug)]
pub struct Seat {
    rooms: Rooms,
    room: (u32, Arc<Mutex<Room>>),
    number: u32,
}

/// Nothing that is locked can panic half way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rooms {
    /// No rooms yet: each is there as long as it has members.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            open: Arc::default(),
        }
    }

    /// How they work.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Joins the room of this number. The first thing to take says so.
    pub fn join(&self, number: u32) -> Seat {
        let mut open = lock(&self.open);
        let room = self.room(&mut open, number);
        let member = lock(&room).join();
        self.seat(number, room, member)
    }

    /// The same for a room that has members on other machines: `member` is a number that no
    /// other member of the room has on any machine, and `members` how many there are with it.
    /// None if a member here has this number already.
    pub fn join_as(&self, number: u32, member: u32, members: usize) -> Option<Seat> {
        let mut open = lock(&self.open);
        let room = self.room(&mut open, number);
        let has_joined = lock(&room).join_as(member, members);
        has_joined.then(|| self.seat(number, room, member))
    }

    /// Puts messages into the room of this number, which have come from all machines, this one
    /// among them: each is for all members that are here, but for its sender. Pending if the policy
    /// is to wait, and some member is as far behind as it may be: `messages` has what is left, and
    /// nothing else is to be put into this room before. False if the room has no members here.
    pub fn poll_relay(
        &self,
        context: &mut Context<'_>,
        number: u32,
        messages: &mut VecDeque<Message>,
    ) -> Poll<bool> {
        let Some(room) = lock(&self.open).get(&number).cloned() else {
            messages.clear();
            return Poll::Ready(false);
        };
        let mut woken = Woken::new();
        let put = lock(&room).relay(messages, context.waker(), &mut woken);
        woken.into_iter().for_each(Waker::wake);
        put.map(|()| true)
    }

    fn room(&self, open: &mut HashMap<u32, Arc<Mutex<Room>>>, number: u32) -> Arc<Mutex<Room>> {
        let new = || Arc::new(Mutex::new(Room::new(self.settings)));
        open.entry(number).or_insert_with(new).clone()
    }

    fn seat(&self, number: u32, room: Arc<Mutex<Room>>, member: u32) -> Seat {
        Seat {
            rooms: self.clone(),
            room: (number, room),
            number: member,
        }
    }

    /// All members of all rooms [leave](Seat::leave): the end begins.
    pub fn leave_all(&self) {
        let rooms: Vec<_> = lock(&self.open).values().cloned().collect();
        for room in rooms {
            let mut woken = Woken::new();
            lock(&room).leave_all(&mut woken);
            woken.into_iter().for_each(Waker::wake);
        }
    }
}

impl Seat {
    /// Puts all messages that have come whole. Ready when there is none left: read on. Pending
    /// if the policy is to wait, and some member is as far behind as it may be.
    ///
    /// # Errors
    ///
    /// When the client is not to be listened to any more. Messages before have been put.
    pub fn poll_put(
        &self,
        context: &mut Context<'_>,
        received: &mut Received,
    ) -> Poll<Result<(), Refusal>> {
        self.with(|room, woken| room.put(self.number, received, context.waker(), woken))
    }

    /// Fills `buffer`, which is cleared before, with all that there is for the member: with some
    /// 64 KiB at most, if messages are short. Pending if there is nothing. False if there
    /// will be nothing more: the member has left, or was cut.
    pub fn poll_take(&self, context: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<bool> {
        self.with(|room, woken| room.take(self.number, buffer, context.waker(), woken))
    }

    /// Ready when the member has been cut: nothing is put or taken any more, and its connection
    /// is to be closed at once.
    pub fn poll_cut(&self, context: &mut Context<'_>) -> Poll<()> {
        self.with(|room, _| room.poll_cut(self.number, context.waker()))
    }

    /// The member gets nothing of what is said from now on; it can still take what was said
    /// before.
    pub fn leave(&self) {
        self.with(|room, woken| room.leave(self.number, woken));
    }

    /// Cuts the member: its connection is of no use any more.
    pub fn cut(&self) {
        self.with(|room, woken| room.cut(self.number, woken));
    }

    fn with<R>(&self, act: impl FnOnce(&mut Room, &mut Woken) -> R) -> R {
        let mut woken = Woken::new();
        let result = act(&mut lock(&self.room.1), &mut woken);
        for waker in woken {
            waker.wake();
        }
        result
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Locked first, as by those who join: a room that is empty is not joined meanwhile.
        let mut open = lock(&self.rooms.open);
        let mut woken = Woken::new();
        let is_empty = {
            let mut room = lock(&self.room.1);
            room.remove(self.number, &mut woken);
            room.is_empty()
        };
        if is_empty {
            open.remove(&self.room.0);
        }
        drop(open);
        for waker in woken {
            waker.wake();
        }
    }
}
