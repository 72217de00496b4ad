//! One room: its log, and where each member is in it.

mod relay;

use std::collections::{BTreeMap, VecDeque};
use std::task::{Poll, Waker};

pub use self::relay::Message;
use crate::received::{Received, Refusal, SERVER};
use crate::{Policy, Settings};

/// A member takes no more at once, but for the last message of it.
const TAKE_BYTES: usize = 64 * 1024;
/// A member that waits for messages keeps no larger buffer.
const KEPT_BYTES: usize = 16 * 1024;

/// Who is to be woken when the room is not locked any more.
pub(crate) type Woken = Vec<Waker>;

#[derive(Debug)]
pub(crate) struct Room {
    settings: Settings,
    /// Messages that some member has not taken, and those after them.
    log: VecDeque<Entry>,
    /// The place of the first of these.
    first: u64,
    members: BTreeMap<u32, Member>,
    /// Members that get what is put from now on.
    present: usize,
    next_number: u32,
    /// Members that wait to take, by their numbers; some of them may have been woken.
    idle: Vec<u32>,
    /// Those that wait to put.
    blocked: Vec<u32>,
    /// What waits to put messages from all machines.
    relay: Option<Waker>,
}

#[derive(Debug)]
struct Entry {
    sender: u32,
    /// As members get it.
    bytes: Box<[u8]>,
    /// Members that have not taken it.
    missing: usize,
}

#[derive(Debug)]
struct Member {
    /// The place of what it takes next. It may be before the first one in the log: there has
    /// been only what it has said itself.
    next: u64,
    state: State,
    /// Of how many members it is the last that has joined, until it is told.
    joined: Option<usize>,
    /// Messages that were dropped for it since it took last.
    dropped: u64,
    waits_to_take: Option<Waker>,
    waits_to_put: Option<Waker>,
    waits_for_cut: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Present,
    /// It takes what is before this place.
    Left(u64),
    Cut,
}

impl Room {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            log: VecDeque::new(),
            first: 0,
            members: BTreeMap::new(),
            present: 0,
            next_number: 0,
            idle: Vec::new(),
            blocked: Vec::new(),
            relay: None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Gives the new member's number.
    pub(crate) fn join(&mut self) -> u32 {
        let number = loop {
            let number = self.next_number;
            self.next_number = (number + 1) % SERVER;
            if !self.members.contains_key(&number) {
                break number;
            }
        };
        self.insert(number, self.present + 1);
        number
    }

    /// Gives the new member this number, unless there is one that has it: whether there is none.
    pub(crate) fn join_as(&mut self, number: u32, members: usize) -> bool {
        let is_free = !self.members.contains_key(&number);
        if is_free {
            self.insert(number, members);
        }
        is_free
    }

    /// Adds a member, which is told that there are `members` with it.
    fn insert(&mut self, number: u32, members: usize) {
        self.present += 1;
        let member = Member {
            next: self.end(),
            state: State::Present,
            joined: Some(members),
            dropped: 0,
            waits_to_take: None,
            waits_to_put: None,
            waits_for_cut: None,
        };
        self.members.insert(number, member);
    }

    /// Puts all messages that are whole.
    pub(crate) fn put(
        &mut self,
        number: u32,
        received: &mut Received,
        waker: &Waker,
        woken: &mut Woken,
    ) -> Poll<Result<(), Refusal>> {
        let mut has_put = false;
        let put = loop {
            let member = self.members.get_mut(&number);
            let Some(member) = member.filter(|member| member.state == State::Present) else {
                break Poll::Ready(Err(Refusal::Cut));
            };
            let bytes = match received.whole(number) {
                None => break Poll::Ready(Ok(())),
                Some(Err(refusal)) => break Poll::Ready(Err(refusal)),
                Some(Ok(bytes)) => bytes,
            };
            if self.log.len() >= self.settings.queue {
                if self.settings.policy == Policy::Wait {
                    if wait(&mut member.waits_to_put, waker) {
                        self.blocked.push(number);
                    }
                    break Poll::Pending;
                }
                self.evict(woken);
                continue;
            }
            let message = received.take(bytes, number);
            if self.present > 1 {
                self.log.push_back(Entry {
                    sender: number,
                    bytes: message,
                    missing: self.present - 1,
                });
                has_put = true;
            }
        };
        if has_put {
            self.wake_idle(number, woken);
        }
        put
    }

    /// Takes all that there is for a member, or as much as fits: whether there will be more.
    pub(crate) fn take(
        &mut self,
        number: u32,
        buffer: &mut Vec<u8>,
        waker: &Waker,
        woken: &mut Woken,
    ) -> Poll<bool> {
        buffer.clear();
        let end = self.end();
        let Some(member) = self.members.get_mut(&number) else {
            return Poll::Ready(false);
        };
        let until = match member.state {
            State::Present => end,
            State::Left(until) => until,
            State::Cut => return Poll::Ready(false),
        };
        let format = self.settings.format;
        if let Some(members) = member.joined.take() {
            format.joined(number, members, buffer);
        }
        if member.dropped > 0 {
            format.gap(member.dropped, buffer);
            member.dropped = 0;
        }
        member.next = member.next.max(self.first);
        let begin = (member.next - self.first) as usize;
        let stop = until.saturating_sub(self.first) as usize;
        if begin < stop {
            for entry in self.log.range_mut(begin..stop) {
                if buffer.len() >= TAKE_BYTES {
                    break;
                }
                member.next += 1;
                if entry.sender != number {
                    buffer.extend_from_slice(&entry.bytes);
                    entry.missing -= 1;
                }
            }
        }
        if !buffer.is_empty() {
            self.forget_taken(woken);
            return Poll::Ready(true);
        }
        if member.state != State::Present {
            return Poll::Ready(false);
        }
        if buffer.capacity() > KEPT_BYTES {
            *buffer = Vec::new();
        }
        if wait(&mut member.waits_to_take, waker) {
            self.idle.push(number);
        }
        Poll::Pending
    }

    /// Whether a member has been cut.
    pub(crate) fn poll_cut(&mut self, number: u32, waker: &Waker) -> Poll<()> {
        match self.members.get_mut(&number) {
            Some(member) if member.state != State::Cut => {
                wait(&mut member.waits_for_cut, waker);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// A member gets nothing of what is put from now on.
    pub(crate) fn leave(&mut self, number: u32, woken: &mut Woken) {
        let end = self.end();
        if let Some(member) = self.members.get_mut(&number)
            && member.state == State::Present
        {
            member.state = State::Left(end);
            self.present -= 1;
            woken.extend(member.waits_to_take.take());
            woken.extend(member.waits_to_put.take());
        }
    }

    /// So do all members.
    pub(crate) fn leave_all(&mut self, woken: &mut Woken) {
        let numbers: Vec<_> = self.members.keys().copied().collect();
        for number in numbers {
            self.leave(number, woken);
        }
    }

    /// A member gets nothing any more.
    pub(crate) fn cut(&mut self, number: u32, woken: &mut Woken) {
        let end = self.end();
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        let until = match member.state {
            State::Present => {
                self.present -= 1;
                end
            }
            State::Left(until) => until,
            State::Cut => return,
        };
        member.state = State::Cut;
        woken.extend(member.waits_to_take.take());
        woken.extend(member.waits_to_put.take());
        woken.extend(member.waits_for_cut.take());
        let begin = member.next.saturating_sub(self.first) as usize;
        let stop = until.saturating_sub(self.first) as usize;
        if begin < stop {
            for entry in self.log.range_mut(begin..stop) {
                entry.missing -= usize::from(entry.sender != number);
            }
        }
        self.forget_taken(woken);
    }

    /// There is no such member any more.
    pub(crate) fn remove(&mut self, number: u32, woken: &mut Woken) {
        self.cut(number, woken);
        self.members.remove(&number);
        self.idle.retain(|&idle| idle != number);
        self.blocked.retain(|&blocked| blocked != number);
    }

    /// The place after the last message.
    fn end(&self) -> u64 {
        self.first + self.log.len() as u64
    }

    /// Drops the first message for those that have not taken it, or cuts these.
    fn evict(&mut self, woken: &mut Woken) {
        let (first, sender) = (self.first, self.log.front().map(|entry| entry.sender));
        let is_behind = |(&number, member): (&u32, &Member)| {
            let takes = match member.state {
                State::Present => true,
                State::Left(until) => first < until,
                State::Cut => false,
            };
            takes && member.next <= first && sender != Some(number)
        };
        let behind = |room: &Self| -> Vec<u32> {
            let behind = room
                .members
                .iter()
                .filter(|&(number, member)| is_behind((number, member)));
            behind.map(|(&number, _)| number).collect()
        };
        for number in behind(self) {
            if self.settings.policy == Policy::Disconnect {
                self.cut(number, woken);
            } else if let Some(member) = self.members.get_mut(&number) {
                member.dropped += 1;
                member.next = first + 1;
            }
        }
        // Cutting forgets it as well.
        if self.first == first && self.log.pop_front().is_some() {
            self.first += 1;
        }
        self.forget_taken(woken);
    }

    /// Forgets messages that no member has still to take. Those that wait to put go on.
    fn forget_taken(&mut self, woken: &mut Woken) {
        let before = self.first;
        while self.log.front().is_some_and(|entry| entry.missing == 0) {
            self.log.pop_front();
            self.first += 1;
        }
        if self.first > before {
            woken.extend(self.relay.take());
            for number in self.blocked.drain(..) {
                let member = self.members.get_mut(&number);
                woken.extend(member.and_then(|member| member.waits_to_put.take()));
            }
        }
    }

    /// Wakes members that wait to take, but for the sender.
    fn wake_idle(&mut self, sender: u32, woken: &mut Woken) {
        let members = &mut self.members;
        self.idle.retain(|number| {
            if *number == sender {
                return true;
            }
            let member = members.get_mut(number);
            woken.extend(member.and_then(|member| member.waits_to_take.take()));
            false
        });
    }
}

/// Has this woken, and no longer the one before; whether there was none before.
fn wait(waits: &mut Option<Waker>, waker: &Waker) -> bool {
    let is_first = waits.is_none();
    match waits {
        Some(before) => before.clone_from(waker),
        None => *waits = Some(waker.clone()),
    }
    is_first
}
