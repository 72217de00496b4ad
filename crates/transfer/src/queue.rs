//! Which file is next, and when: retries, and limits that are a host's.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::{Options, Transfer};

/// So many files that are to be tried again hold back no others: a host that is
/// down at the head of the list would hold up all that follow.
const LATER: usize = 1024;

/// The files that wait. It waits for nobody itself: how a model's units sleep
/// until there is something to do is the model's own.
#[derive(Debug)]
pub struct Queue {
    per_host: usize,
    room: usize,
    /// In the order of the list.
    ready: VecDeque<Transfer>,
    /// To be tried again, each when its time has come.
    later: Vec<(Instant, Transfer)>,
    /// Only those with requests in flight, or to be left alone.
    hosts: HashMap<String, Host>,
    running: usize,
    closed: bool,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Host {
    running: usize,
    left_alone_until: Option<Instant>,
}

/// What a unit without a file is to do.
#[derive(Debug)]
pub enum Turn {
    /// Begin with this one.
    Begin(Box<Transfer>),
    /// Look again when something changes, or at this time.
    Wait(Option<Instant>),
    /// End: there is nothing left, and nothing will come.
    End,
}

impl Queue {
    /// An empty queue.
    pub fn new(options: &Options) -> Self {
        Self {
            per_host: options.per_host.unwrap_or(usize::MAX),
            // What is read ahead: with limits a host, the next file that may
            // begin can be far down the list.
            room: match options.per_host {
                None => options.limit.saturating_mul(2).max(64),
                Some(_) => options.limit.saturating_mul(2).max(1024),
            },
            ready: VecDeque::new(),
            later: Vec::new(),
            hosts: HashMap::new(),
            running: 0,
            closed: false,
            stopped: false,
        }
    }

    /// How many more files of the list it takes now.
    pub fn room(&self) -> usize {
        let later = self.later.len().saturating_sub(LATER);
        self.room.saturating_sub(self.ready.len() + later)
    }

    /// Adds files of the list.
    pub fn add(&mut self, transfers: impl IntoIterator<Item = Transfer>) {
        if !self.stopped {
            self.ready.extend(transfers);
        }
    }

    /// The list has ended.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Nothing more is to begin.
    pub fn stop(&mut self) {
        self.close();
        self.stopped = true;
        self.ready.clear();
        self.later.clear();
    }

    /// What a unit is to do that has no file.
    pub fn turn(&mut self, now: Instant) -> Turn {
        let mut at = 0;
        while at < self.later.len() {
            match self.later[at].0 <= now {
                true => self.ready.push_front(self.later.swap_remove(at).1),
                false => at += 1,
            }
        }
        let free = |transfer: &Transfer| {
            self.hosts.get(transfer.host()).is_none_or(|host| {
                host.running < self.per_host
                    && host.left_alone_until.is_none_or(|until| until <= now)
            })
        };
        if let Some(transfer) = self
            .ready
            .iter()
            .position(free)
            .and_then(|at| self.ready.remove(at))
        {
            self.running += 1;
            let host = self.hosts.entry(transfer.host().to_owned()).or_default();
            host.running += 1;
            return Turn::Begin(Box::new(transfer));
        }
        if self.closed && self.running == 0 && self.ready.is_empty() && self.later.is_empty() {
            return Turn::End;
        }
        let retries = self.later.iter().map(|(when, _)| *when);
        let hosts = self.hosts.values().filter_map(|host| host.left_alone_until);
        Turn::Wait(retries.chain(hosts).filter(|when| *when > now).min())
    }

    /// A file that was begun has ended, well or not. `host` as it was then.
    pub fn ended(&mut self, host: &str, now: Instant) {
        self.running = self.running.saturating_sub(1);
        if let Some(entry) = self.hosts.get_mut(host) {
            entry.running = entry.running.saturating_sub(1);
            if entry.running == 0 && entry.left_alone_until.is_none_or(|until| until <= now) {
                self.hosts.remove(host);
            }
        }
    }

    /// It goes on later. Under the same lock as [`ended`](Self::ended), or before
    /// it: between the two, others would take the run to be over.
    pub fn again(&mut self, transfer: Transfer, when: Instant) {
        if !self.stopped {
            self.later.push((when, transfer));
        }
    }

    /// The whole host is to be left alone.
    pub fn leave_alone(&mut self, host: &str, wait: Duration, now: Instant) {
        let until = &mut self
            .hosts
            .entry(host.to_owned())
            .or_default()
            .left_alone_until;
        *until = (*until).max(now.checked_add(wait));
    }

    /// Files that have begun and not ended.
    pub fn running(&self) -> usize {
        self.running
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::Lines;
    use crate::transfer::Part;

    fn files(list: &str) -> Vec<Transfer> {
        let mut lines = Lines::new(list.as_bytes());
        std::iter::from_fn(|| lines.next().expect("memory"))
            .map(|entry| Transfer::new(entry.expect("a good line"), Part::default()))
            .collect()
    }

    fn queue(list: &str, options: &Options) -> Queue {
        let mut queue = Queue::new(options);
        queue.add(files(list));
        queue.close();
        queue
    }

    /// The names of the files that may begin now.
    fn begin(queue: &mut Queue, now: Instant) -> Vec<String> {
        let next = || match queue.turn(now) {
            Turn::Begin(transfer) => Some(transfer.name),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn files_begin_in_the_order_of_the_list_and_the_last_one_ends_it() {
        let now = Instant::now();
        let mut queue = queue("http://h/a\nhttp://h/b\n", &Options::default());
        assert_eq!(begin(&mut queue, now), ["a", "b"]);
        assert!(matches!(queue.turn(now), Turn::Wait(None)));
        queue.ended("h", now);
        assert!(matches!(queue.turn(now), Turn::Wait(None)));
        queue.ended("h", now);
        assert!(matches!(queue.turn(now), Turn::End));
        assert!(queue.hosts.is_empty());
    }

    #[test]
    fn a_host_has_its_limit_and_others_pass_by() {
        let options = Options {
            per_host: Some(1),
            ..Options::default()
        };
        let now = Instant::now();
        let mut queue = queue("http://g/a\nhttp://g/b\nhttp://h/c\n", &options);
        assert_eq!(begin(&mut queue, now), ["a", "c"]);
        queue.ended("g", now);
        assert_eq!(begin(&mut queue, now), ["b"]);
    }

    #[test]
    fn a_host_is_left_alone_with_all_its_files() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut queue = queue("http://g/a\nhttp://g/b\nhttp://h/c\n", &Options::default());
        let Turn::Begin(first) = queue.turn(now) else {
            panic!("nothing began")
        };
        queue.leave_alone("g", second, now);
        queue.ended("g", now);
        queue.again(*first, now + second);
        assert_eq!(begin(&mut queue, now), ["c"]);
        queue.ended("h", now);
        assert!(matches!(queue.turn(now), Turn::Wait(Some(when)) if when == now + second));
        assert_eq!(begin(&mut queue, now + second), ["a", "b"]);
    }

    #[test]
    fn after_a_stop_nothing_begins() {
        let now = Instant::now();
        let mut queue = queue("http://h/a\nhttp://h/b\n", &Options::default());
        let Turn::Begin(running) = queue.turn(now) else {
            panic!("nothing began")
        };
        queue.stop();
        queue.ended("h", now);
        queue.again(*running, now);
        assert!(matches!(queue.turn(now), Turn::End));
    }
}
