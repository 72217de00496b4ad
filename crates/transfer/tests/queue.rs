//! `Queue`: whatever happens in whatever order, each file is run to its end, by
//! one unit at a time, and the run ends when all have been.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use transfer::list::Lines;
use transfer::{Action, Next, Options, Part, Queue, Transfer};

#[derive(Debug, Clone)]
enum Event {
    Add(Vec<u8>),
    Poll,
    /// One that runs is done.
    Done(Index),
    /// One is to be tried again after so many milliseconds.
    Again(Index, u64),
    /// So, and its host is to be left alone.
    LeaveAlone(Index, u64),
    /// One has found too many files open.
    Crowded(Index),
    Pass(u64),
    Stop,
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<Index>;
    prop_oneof![
        3 => prop::collection::vec(0..4u8, 0..5).prop_map(Event::Add),
        8 => Just(Event::Poll),
        4 => index().prop_map(Event::Done),
        3 => (index(), 0..50u64).prop_map(|(at, wait)| Event::Again(at, wait)),
        2 => (index(), 0..50u64).prop_map(|(at, wait)| Event::LeaveAlone(at, wait)),
        1 => index().prop_map(Event::Crowded),
        4 => (0..60u64).prop_map(Event::Pass),
    ]
}

fn file(host: u8, number: usize) -> Transfer {
    let line = format!("http://h{host}/{number}");
    let entry = Lines::new(line.as_bytes()).next();
    let entry = entry.expect("memory").expect("a line").expect("a URL");
    Transfer::new(entry, Part::default())
}

/// What is to be true, kept beside the queue.
struct Model {
    queue: Queue,
    now: Instant,
    per_host: usize,
    most: usize,
    running: Vec<(String, Transfer)>,
    /// When each that waits may begin.
    waiting: HashMap<String, Instant>,
    alone: HashMap<String, Instant>,
    done: HashSet<String>,
    added: usize,
    closed: bool,
    stopped: bool,
}

impl Model {
    fn poll(&mut self) -> Result<Option<Action>, TestCaseError> {
        let may = |(name, when): (&String, &Instant)| {
            let host = &name[..2];
            let running = self.running.iter().filter(|(of, _)| of == host).count();
            let left_alone = self.alone.get(host).is_some_and(|until| *until > self.now);
            *when <= self.now && !left_alone && running < self.per_host
        };
        let some_may = self.running.len() < self.most && self.waiting.iter().any(may);
        match self.queue.poll(self.now) {
            Action::Begin(transfer) => {
                let name = name(&transfer);
                let when = self.waiting.get(&name);
                prop_assert!(when.is_some(), "{name} began, and did not wait");
                prop_assert!(may((&name, when.unwrap())), "{name} began too early");
                prop_assert!(self.running.len() < self.most, "{name} is one too many");
                self.waiting.remove(&name);
                self.running.push((transfer.host().to_owned(), *transfer));
                Ok(None)
            }
            Action::Wait(when) => {
                prop_assert!(!some_may, "one could begin");
                let over = self.closed && self.running.is_empty() && self.waiting.is_empty();
                prop_assert!(!over, "all is done");
                prop_assert!(when.is_none_or(|when| when > self.now));
                if self.running.is_empty() && !self.waiting.is_empty() {
                    prop_assert!(when.is_some(), "nobody would ever wake");
                }
                if let Some(next) = self.waiting.values().filter(|at| **at > self.now).min() {
                    prop_assert!(
                        when.is_some_and(|when| when <= *next),
                        "it would sleep too long"
                    );
                }
                Ok(Some(Action::Wait(when)))
            }
            Action::End => {
                prop_assert!(self.closed, "more may come");
                prop_assert!(
                    self.running.is_empty() && self.waiting.is_empty(),
                    "not all is done"
                );
                Ok(Some(Action::End))
            }
        }
    }

    /// One that runs rests.
    fn release(&mut self, at: &Index, next: &Next) {
        if !self.running.is_empty() {
            let at = at.index(self.running.len());
            self.rest_at(at, next);
        }
    }

    fn rest_at(&mut self, at: usize, next: &Next) {
        let (host, transfer) = self.running.swap_remove(at);
        let name = name(&transfer);
        let wait = match next {
            Next::Complete => {
                self.done.insert(name.clone());
                None
            }
            Next::After(wait) => Some(*wait),
            Next::HostAfter(wait) => {
                let when = self.now + *wait;
                let until = self.alone.entry(host.clone()).or_insert(when);
                *until = (*until).max(when);
                Some(*wait)
            }
            Next::TooManyOpenFiles => {
                self.most = self.most.min(self.running.len()).max(1);
                Some(Duration::ZERO)
            }
            other => unreachable!("{other:?}"),
        };
        let tell = self.queue.release(&host, transfer, Some(next), self.now);
        assert_eq!(tell, wait.is_some());
        if let Some(wait) = wait.filter(|_| !self.stopped) {
            self.waiting.insert(name, self.now + wait);
        }
    }
}

/// Its host, then its number.
fn name(transfer: &Transfer) -> String {
    format!("{}{}", transfer.host(), transfer.name)
}

fn run(per_host: Option<usize>, events: &[Event]) -> Result<(), TestCaseError> {
    let options = Options {
        per_host,
        ..Options::default()
    };
    let mut model = Model {
        queue: Queue::new(&options),
        now: Instant::now(),
        per_host: per_host.unwrap_or(usize::MAX),
        most: usize::MAX,
        running: Vec::new(),
        waiting: HashMap::new(),
        alone: HashMap::new(),
        done: HashSet::new(),
        added: 0,
        closed: false,
        stopped: false,
    };
    for event in events {
        let room = model.queue.room();
        match event {
            Event::Add(hosts) => {
                let hosts = &hosts[..hosts.len().min(room)];
                let from = model.added;
                let files: Vec<_> = (from..)
                    .zip(hosts)
                    .map(|(at, host)| file(*host, at))
                    .collect();
                if !model.stopped {
                    model.added += files.len();
                    let names = files.iter().map(|file| (name(file), model.now));
                    model.waiting.extend(names);
                }
                model.queue.add(files);
            }
            Event::Poll => drop(model.poll()?),
            Event::Done(at) => model.release(at, &Next::Complete),
            Event::Again(at, wait) => model.release(at, &Next::After(Duration::from_millis(*wait))),
            Event::LeaveAlone(at, wait) => {
                model.release(at, &Next::HostAfter(Duration::from_millis(*wait)));
            }
            Event::Crowded(at) => model.release(at, &Next::TooManyOpenFiles),
            Event::Pass(time) => model.now += Duration::from_millis(*time),
            Event::Stop => {
                model.queue.stop();
                model.waiting.clear();
                model.stopped = true;
                model.closed = true;
            }
        }
        prop_assert_eq!(model.queue.running(), model.running.len());
    }
    // The list ends, and all that is left is done.
    model.queue.close();
    model.closed = true;
    for _ in 0..10_000 {
        match model.poll()? {
            None => {}
            Some(Action::End) => {
                prop_assert!(
                    model.stopped || model.done.len() == model.added,
                    "one was lost"
                );
                prop_assert!(
                    matches!(model.queue.poll(model.now), Action::End),
                    "it ends for all"
                );
                return Ok(());
            }
            Some(Action::Wait(when)) => match model.running.len() {
                0 => model.now = when.expect("nobody would ever wake"),
                running => model.rest_at(running - 1, &Next::Complete),
            },
            Some(Action::Begin(_)) => unreachable!("it is told by none"),
        }
    }
    Err(TestCaseError::fail("it does not end"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_file_runs_to_its_end(
        per_host in prop::option::of(1..4usize),
        events in prop::collection::vec(event(), 0..80),
    ) {
        run(per_host, &events)?;
    }

    #[test]
    fn after_a_stop_all_that_runs_ends_and_nothing_begins(
        per_host in prop::option::of(1..4usize),
        mut events in prop::collection::vec(event(), 0..60),
        at in any::<Index>(),
    ) {
        let at = at.index(events.len() + 1);
        events.insert(at, Event::Stop);
        run(per_host, &events)?;
    }
}

#[test]
fn what_waits_for_a_retry_holds_back_no_others_but_not_without_end() {
    let mut queue = Queue::new(&Options::default());
    let now = Instant::now();
    let wait = Duration::from_secs(5);
    let mut failed = 0;
    while queue.room() > 0 {
        queue.add([file(0, failed)]);
        let Action::Begin(transfer) = queue.poll(now) else {
            panic!("it did not begin")
        };
        let host = transfer.host().to_owned();
        let _ = queue.release(&host, *transfer, Some(&Next::After(wait)), now);
        failed += 1;
    }
    assert!((1000..2000).contains(&failed), "{failed}");
}

#[test]
fn calls_that_make_no_sense_break_nothing() {
    let options = Options {
        per_host: Some(1),
        limit: usize::MAX,
        ..Options::default()
    };
    let (mut queue, now) = (Queue::new(&options), Instant::now());
    let _ = queue.release("h0", file(0, 0), Some(&Next::HostAfter(Duration::MAX)), now);
    let _ = queue.release(
        "h1",
        file(1, 0),
        Some(&Next::HostAfter(Duration::ZERO)),
        now,
    );
    let _ = queue.release("h1", file(1, 0), None, now);
    let _ = queue.release("h2", file(2, 0), Some(&Next::TooManyOpenFiles), now);
    queue.add([file(1, 0), file(1, 1)]);
    assert!(matches!(queue.poll(now), Action::Begin(_)));
    assert!(matches!(queue.poll(now), Action::Wait(None)));
    assert_eq!(queue.running(), 1);
}
