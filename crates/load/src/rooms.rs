//! The members of chat rooms: they send each other messages through a server, and check what
//! comes.
//!
//! A room has only so many messages on their way: the first of them is there when all members
//! that read have it. So such a member is never further behind than these and as many of its own,
//! which the others may have got meanwhile. A server that keeps twice as many messages as are on
//! their way has no reason to drop one for a member that reads, however late it is served.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::limits::allow_open_files;
use crate::member::{Member, Payloads, READ_BYTES, Room, Sending, Wrong, is_served};
use crate::pacer::TOLERATED_NS;
use crate::report::Latency;
use crate::rooms_plan::{RoomsPlan, RoomsReport};
use crate::run::{DIGITS, OPENED_AT_ONCE, OTHER_FILES, Open};
use crate::schedule::Schedule;
use crate::wait::{cpu_ns, is_quiet, wait};

/// Members that have joined.
#[derive(Debug)]
pub struct Talk {
    plan: RoomsPlan,
    epoll: OwnedFd,
    rooms: Vec<Room>,
    /// Room by room.
    members: Vec<Member>,
    /// What is sent in each room.
    sending: Vec<Sending>,
    payloads: Payloads,
    schedule: Option<Schedule>,
    /// Messages that have become due, in an open loop.
    due: u64,
    due_ns: u64,
    begun: Instant,
    /// Members that are to get each message and that read.
    others: usize,
    /// Messages that members that read have still to get.
    missing: u64,
    /// When one has got one last.
    last_ns: u64,
    /// Whether slow members read.
    slow_read: bool,
    histogram: Histogram<u64>,
    longest_ns: u64,
    report: RoomsReport,
    buffer: Vec<u8>,
    /// What has come with the last read: whose place, and which of its messages.
    came: Vec<(usize, u64)>,
}

impl Talk {
    /// Has all members join.
    ///
    /// # Errors
    ///
    /// When one cannot, or may not open as many connections.
    pub fn open(plan: &RoomsPlan) -> anyhow::Result<Self> {
        let all = plan.rooms * plan.members;
        ensure!(
            plan.senders + plan.slow <= plan.members,
            "more than all members"
        );
        ensure!(
            plan.rooms * plan.senders > 0 && plan.window > 0,
            "no messages"
        );
        allow_open_files(all as u64 + OTHER_FILES)?;
        let sent = plan.rooms as u64 * plan.senders as u64 * plan.messages;
        let room = || Room {
            by_number: vec![None; plan.members],
            senders: plan.senders,
        };
        let mut talk = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll")?,
            rooms: (0..plan.rooms).map(|_| room()).collect(),
            members: Vec::with_capacity(all),
            sending: (0..plan.rooms).map(|_| Sending::default()).collect(),
            payloads: Payloads::new(plan.bytes),
            schedule: plan.rate_per_s.map(|rate| Schedule::new(rate, plan.seed)),
            due: 0,
            due_ns: 0,
            begun: Instant::now(),
            others: plan.members - plan.slow - 1,
            missing: sent * (plan.members - plan.slow - 1) as u64,
            last_ns: 0,
            slow_read: false,
            histogram: Histogram::new(DIGITS).context("a histogram")?,
            longest_ns: 0,
            report: RoomsReport::default(),
            buffer: vec![0; READ_BYTES],
            came: Vec::new(),
            plan: plan.clone(),
        };
        for first in (0..all).step_by(OPENED_AT_ONCE) {
            talk.join(first..(first + OPENED_AT_ONCE).min(all))?;
        }
        talk.report.members = all as u64;
        Ok(talk)
    }

    fn join(&mut self, some: Range<usize>) -> anyhow::Result<()> {
        let plan = &self.plan;
        let all = plan.rooms * plan.members;
        let name = |at: usize| format!("member {} of {all} at {}", at + 1, plan.address);
        for at in some.clone() {
            let (room, place) = (at / plan.members, at % plan.members);
            let ids = [room, place, plan.senders];
            let is_slow = place >= plan.members - plan.slow;
            let member = Member::connect(plan.address, plan.timeout, is_slow, ids);
            self.members.push(member.with_context(|| name(at))?);
        }
        for at in some {
            let member = &mut self.members[at];
            let joined = member.join(plan.timeout).with_context(|| name(at))?;
            let by_number = &mut self.rooms[member.room].by_number;
            let known = by_number.get_mut(member.number as usize);
            let is_new = known.is_some_and(|known| known.replace(member.place).is_none());
            ensure!(is_new, "{} has the number {}", name(at), member.number);
            ensure!(
                joined <= plan.members as u64,
                "{} is one of {joined}",
                name(at)
            );
            if !member.is_slow {
                let data = EventData::new_u64(at as u64);
                epoll::add(&self.epoll, &member.stream, data, EventFlags::IN)?;
            }
        }
        Ok(())
    }

    /// Sends everything, until those that read have it, or something is wrong.
    ///
    /// # Errors
    ///
    /// When sockets cannot be waited for.
    pub fn send_all(&mut self) -> anyhow::Result<()> {
        self.begun = Instant::now();
        let before = cpu_ns();
        for room in 0..self.sending.len() {
            self.send(room);
        }
        let ended = self.go_on(|talk| talk.missing == 0 && talk.is_all_written());
        self.report.cpu_ns = cpu_ns() - before;
        self.report.elapsed_ns = self.now_ns();
        self.report.due_ns = self.schedule.as_ref().map(|_| self.due_ns);
        self.report.latency = Latency::of(&self.histogram, self.longest_ns);
        ended
    }

    /// Has slow members read until they have everything or are cut, and two more members join.
    /// The connections are still open.
    ///
    /// # Errors
    ///
    /// When sockets cannot be waited for.
    pub fn finish(mut self) -> anyhow::Result<(RoomsReport, Open)> {
        self.let_slow_read()?;
        let all = self.plan.senders as u64 * self.plan.messages;
        let has_all = |member: &Member| {
            !member.is_slow
                || member.is_closed
                || member.delivered.saturating_add(member.dropped) >= all
        };
        self.go_on(|talk| talk.members.iter().all(has_all))?;
        let plan = &self.plan;
        let more = is_served(plan.address, plan.timeout, plan.rooms);
        self.report.healthy = more.is_ok();
        let is_quiet = |member: &Member| member.is_closed || is_quiet(&member.stream);
        if self.is_right() && !self.members.iter().all(is_quiet) {
            self.count(Wrong::Early);
        }
        let open = self.members.into_iter().filter(|member| !member.is_closed);
        let streams = open.map(|member| member.stream);
        Ok((
            self.report,
            Open(streams.chain(more.into_iter().flatten()).collect()),
        ))
    }

    /// Sends, waits and reads until this is so, or something is wrong.
    fn go_on(&mut self, is_done: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        self.last_ns = self.now_ns();
        while self.is_right() && !is_done(self) {
            self.send_what_is_due();
            let now = self.now_ns();
            let waited = Duration::from_nanos(now - self.last_ns);
            let pause = self.plan.pause.filter(|_| !self.slow_read);
            let most = pause.unwrap_or(self.plan.timeout);
            if waited >= most {
                match pause {
                    Some(_) => self.let_slow_read()?,
                    None => self.count(Wrong::Timeout),
                }
                continue;
            }
            let most = most - waited;
            let due = self
                .next_due()
                .map(|at| Duration::from_nanos(at.saturating_sub(now)));
            for event in wait(&self.epoll, Some(due.map_or(most, |due| due.min(most))))? {
                let at = event.data.u64() as usize;
                if let Err(wrong) = self.turn(at, event.flags) {
                    self.fail(at, wrong);
                }
            }
        }
        Ok(())
    }

    /// Whether nothing is wrong so far for members that read.
    fn is_right(&self) -> bool {
        self.report.errors.is_empty() && self.report.dropped == 0
    }

    fn is_all_written(&self) -> bool {
        let is_sent = |sending: &Sending| sending.sent == self.in_a_room();
        self.sending.iter().all(is_sent) && !self.members.iter().any(Member::has_to_write)
    }

    fn let_slow_read(&mut self) -> anyhow::Result<()> {
        if !std::mem::replace(&mut self.slow_read, true) {
            for (at, member) in self
                .members
                .iter()
                .enumerate()
                .filter(|(_, member)| member.is_slow)
            {
                let data = EventData::new_u64(at as u64);
                epoll::add(&self.epoll, &member.stream, data, EventFlags::IN)?;
            }
            self.last_ns = self.now_ns();
        }
        Ok(())
    }

    /// All messages of a room.
    fn in_a_room(&self) -> u64 {
        self.plan.senders as u64 * self.plan.messages
    }

    /// When the next message is due, in an open loop.
    fn next_due(&self) -> Option<u64> {
        let all = self.sending.len() as u64 * self.in_a_room();
        let schedule = self.schedule.as_ref().filter(|_| self.due < all)?;
        Some(schedule.next_ns())
    }

    /// Gives messages that are due to the rooms, in turn.
    fn send_what_is_due(&mut self) {
        while let Some(due_ns) = self.next_due().filter(|&due_ns| due_ns <= self.now_ns()) {
            let room = (self.due % self.sending.len() as u64) as usize;
            self.sending[room].due.push_back(due_ns);
            (self.due, self.due_ns) = (self.due + 1, due_ns);
            self.schedule.iter_mut().for_each(Schedule::advance);
            self.send(room);
        }
    }

    /// Sends what a room may have on its way.
    fn send(&mut self, room: usize) {
        let now = self.now_ns();
        let (all, senders) = (self.in_a_room(), self.plan.senders as u64);
        let before = self.sending[room].sent;
        let sending = &mut self.sending[room];
        while sending.sent < all && (sending.on_their_way.len() as u64) < self.plan.window {
            let due_ns = match self.schedule {
                None => sending.free_ns,
                Some(_) => match sending.due.pop_front() {
                    Some(due_ns) => due_ns,
                    None => break,
                },
            };
            let could_ns = due_ns.max(sending.free_ns);
            self.report.late += u64::from(now.saturating_sub(could_ns) > TOLERATED_NS);
            let (place, sequence) = ((sending.sent % senders) as usize, sending.sent / senders);
            let member = &mut self.members[room * self.plan.members + place];
            member.say(sequence, self.payloads.of(room, place, sequence));
            sending.sent += 1;
            if self.others > 0 {
                sending.on_their_way.push_back((due_ns, 0));
            }
        }
        let sent = sending.sent;
        for message in before..sent.min(before + senders) {
            let at = room * self.plan.members + (message % senders) as usize;
            if let Err(wrong) = self.write(at) {
                self.fail(at, wrong);
            }
        }
    }

    /// Writes what a member has to write, and has the kernel tell when it takes more.
    fn write(&mut self, at: usize) -> Result<(), Wrong> {
        let member = &mut self.members[at];
        member.write()?;
        if member.watches_writing != member.has_to_write() {
            member.watches_writing = !member.watches_writing;
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, member.watches_writing);
            let data = EventData::new_u64(at as u64);
            let watched = epoll::modify(&self.epoll, &member.stream, data, flags);
            return watched.map_err(|_| Wrong::Closed);
        }
        Ok(())
    }

    /// A member can read or write.
    fn turn(&mut self, at: usize, flags: EventFlags) -> Result<(), Wrong> {
        if flags.contains(EventFlags::OUT) {
            self.write(at)?;
        }
        if !flags.intersects(!EventFlags::OUT) {
            return Ok(());
        }
        let mut came = std::mem::take(&mut self.came);
        let member = &mut self.members[at];
        let (room, dropped) = (member.room, member.dropped);
        let read = member.read(
            &mut self.buffer,
            &self.rooms[room],
            &self.payloads,
            &mut came,
        );
        let (is_slow, dropped) = (member.is_slow, member.dropped - dropped);
        let now = self.now_ns();
        if is_slow {
            self.report.slow_deliveries += came.len() as u64;
            self.report.slow_dropped += dropped;
            self.last_ns = now;
        } else {
            self.report.deliveries += came.len() as u64;
            self.report.dropped += dropped;
            self.missing = self.missing.saturating_sub(came.len() as u64);
            for &(place, sequence) in &came {
                self.got(
                    room,
                    sequence * self.plan.senders as u64 + place as u64,
                    now,
                );
            }
            self.send(room);
        }
        came.clear();
        self.came = came;
        read
    }

    /// A member that reads has got this message of its room.
    fn got(&mut self, room: usize, message: u64, now: u64) {
        self.last_ns = now;
        let sending = &mut self.sending[room];
        let first = sending.sent - sending.on_their_way.len() as u64;
        // One that was never sent, or that all have, is not on its way.
        let at = message.checked_sub(first).map(|at| at as usize);
        let Some((due_ns, got)) = at.and_then(|at| sending.on_their_way.get_mut(at)) else {
            return self.count(Wrong::Early);
        };
        *got += 1;
        let took = now - *due_ns;
        // It grows as far as need be: any time fits.
        let _ = self.histogram.record(took);
        self.longest_ns = self.longest_ns.max(took);
        let others = self.others;
        while sending
            .on_their_way
            .pop_front_if(|(_, got)| *got == others)
            .is_some()
        {
            sending.free_ns = now;
        }
    }

    fn fail(&mut self, at: usize, wrong: Wrong) {
        let member = &mut self.members[at];
        if wrong == Wrong::Closed && member.is_slow && !member.is_closed {
            member.is_closed = true;
            self.report.slow_cut += 1;
            // Or its end would come again and again. Closing it would remove it as well.
            let _ = epoll::delete(&self.epoll, &member.stream);
            return;
        }
        self.count(wrong);
    }

    fn count(&mut self, wrong: Wrong) {
        *self.report.errors.entry(wrong.to_string()).or_default() += 1;
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
