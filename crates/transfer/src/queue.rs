//! Which file is next, and when: retries, and limits that are a host's.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::{Next, Options, Transfer};

/// Up to this many files that are to be tried again hold back no others: else a
/// host that is down at the head of the list would hold up all that follow.
const LATER: usize = 1024;

/// The files that wait. It never blocks: how a model's units sleep
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
    /// The most that may run at once: fewer when too many files were open.
    most: usize,
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
pub enum Action {
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
            most: usize::MAX,
            closed: false,
            stopped: false,
        }
    }

    /// How many more files of the list it takes now.
    pub fn room(&self) -> usize {
        let later = self.later.len().saturating_sub(LATER);
        self.room.saturating_sub(self.ready.len() + later)
    }

    /// Files that wait for nothing but their turn.
    pub fn ready(&self) -> usize {
        self.ready.len()
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
    pub fn poll(&mut self, now: Instant) -> Action {
        let mut at = 0;
        while at < self.later.len() {
            if self.later[at].0 <= now {
                self.ready.push_front(self.later.swap_remove(at).1)
            } else {
                at += 1
            }
        }
        let free = |transfer: &Transfer| {
            self.hosts.get(transfer.host()).is_none_or(|host| {
                host.running < self.per_host
                    && host.left_alone_until.is_none_or(|until| until <= now)
            })
        };
        let at = if self.running < self.most {
            self.ready.iter().position(free)
        } else {
            None
        };
        if let Some(mut transfer) = at.and_then(|at| self.ready.remove(at)) {
            transfer.taken_up.get_or_insert(now);
            self.running += 1;
            let host = self.hosts.entry(transfer.host().to_owned()).or_default();
            host.running += 1;
            return Action::Begin(Box::new(transfer));
        }
        if self.closed && self.running == 0 && self.ready.is_empty() && self.later.is_empty() {
            return Action::End;
        }
        let retries = self.later.iter().map(|(when, _)| *when);
        let hosts = self.hosts.values().filter_map(|host| host.left_alone_until);
        Action::Wait(retries.chain(hosts).filter(|when| *when > now).min())
    }

    /// A file that was begun has ended, or goes on as `next` says; it is none if
    /// the run is stopped. `host` as it was when it began. True says that there
    /// may be something new for the units that wait; the caller looks anyway.
    #[must_use]
    pub fn release(
        &mut self,
        host: &str,
        transfer: Transfer,
        next: Option<&Next>,
        now: Instant,
    ) -> bool {
        self.running = self.running.saturating_sub(1);
        if let Some(entry) = self.hosts.get_mut(host) {
            entry.running = entry.running.saturating_sub(1);
            if entry.running == 0 && entry.left_alone_until.is_none_or(|until| until <= now) {
                self.hosts.remove(host);
            }
        }
        let wait = match next {
            None | Some(Next::Complete | Next::Failed(_)) => return false,
            Some(Next::Now | Next::Elsewhere) => Duration::ZERO,
            Some(Next::After(wait)) => *wait,
            Some(Next::HostAfter(wait)) => {
                let entry = self.hosts.entry(host.to_owned()).or_default();
                entry.left_alone_until = entry.left_alone_until.max(now.checked_add(*wait));
                *wait
            }
            Some(Next::TooManyOpenFiles) => {
                self.most = self.most.min(self.running).max(1);
                Duration::ZERO
            }
        };
        if !self.stopped {
            // One that no clock can tell is none.
            let when = now.checked_add(wait).unwrap_or(now);
            self.later.push((when, transfer));
        }
        true
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

    /// The files that may begin now.
    fn begin(queue: &mut Queue, now: Instant) -> Vec<Transfer> {
        let next = || match queue.poll(now) {
            Action::Begin(transfer) => Some(*transfer),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    fn names(files: &[Transfer]) -> Vec<&str> {
        files.iter().map(|file| file.name.as_str()).collect()
    }

    /// Says of these files that they go on like this.
    fn rest(
        queue: &mut Queue,
        files: impl IntoIterator<Item = Transfer>,
        next: &Next,
        now: Instant,
    ) {
        for file in files {
            let host = file.host().to_owned();
            let _ = queue.release(&host, file, Some(next), now);
        }
    }

    #[test]
    fn files_begin_in_the_order_of_the_list_and_the_last_one_ends_it() {
        let now = Instant::now();
        let mut queue = queue("http://h/a\nhttp://h/b\n", &Options::default());
        let mut running = begin(&mut queue, now);
        assert_eq!(names(&running), ["a", "b"]);
        assert!(matches!(queue.poll(now), Action::Wait(None)));
        rest(&mut queue, running.pop(), &Next::Complete, now);
        assert!(matches!(queue.poll(now), Action::Wait(None)));
        rest(&mut queue, running.pop(), &Next::Complete, now);
        assert!(matches!(queue.poll(now), Action::End));
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
        let mut running = begin(&mut queue, now);
        assert_eq!(names(&running), ["a", "c"]);
        rest(&mut queue, [running.remove(0)], &Next::Complete, now);
        assert_eq!(names(&begin(&mut queue, now)), ["b"]);
    }

    #[test]
    fn a_host_is_left_alone_with_all_its_files() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut queue = queue("http://g/a\nhttp://g/b\nhttp://h/c\n", &Options::default());
        let Action::Begin(first) = queue.poll(now) else {
            panic!("nothing began")
        };
        rest(&mut queue, [*first], &Next::HostAfter(second), now);
        let running = begin(&mut queue, now);
        assert_eq!(names(&running), ["c"]);
        rest(&mut queue, running, &Next::Complete, now);
        assert!(matches!(queue.poll(now), Action::Wait(Some(when)) if when == now + second));
        assert_eq!(names(&begin(&mut queue, now + second)), ["a", "b"]);
    }

    #[test]
    fn where_too_many_files_are_open_no_more_run_than_could() {
        let now = Instant::now();
        let list: String = (0..9).map(|file| format!("http://h/{file}\n")).collect();
        let mut queue = queue(&list, &Options::default());
        let mut running = begin(&mut queue, now);
        assert_eq!(running.len(), 9);
        rest(&mut queue, running.drain(..6), &Next::TooManyOpenFiles, now);
        assert_eq!(begin(&mut queue, now).len(), 0, "three run, and could");
        rest(&mut queue, running.pop(), &Next::Complete, now);
        assert_eq!(begin(&mut queue, now).len(), 1);
        assert_eq!(queue.running(), 3);
    }

    #[test]
    fn a_file_is_taken_up_once_however_often_it_begins() {
        let (first, again) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        let mut queue = queue("http://h/a\n", &Options::default());
        let running = begin(&mut queue, first);
        assert_eq!(running[0].taken_up, Some(first));
        rest(&mut queue, running, &Next::Now, first);
        assert_eq!(begin(&mut queue, again)[0].taken_up, Some(first));
    }

    #[test]
    fn after_a_stop_nothing_begins() {
        let now = Instant::now();
        let mut queue = queue("http://h/a\nhttp://h/b\n", &Options::default());
        let Action::Begin(running) = queue.poll(now) else {
            panic!("nothing began")
        };
        queue.stop();
        rest(&mut queue, [*running], &Next::Now, now);
        assert!(matches!(queue.poll(now), Action::End));
    }
}
