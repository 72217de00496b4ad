//! The loop that sends, waits and counts.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use rustix::event::epoll;

use crate::answer::Whole;
use crate::connection::{Came, Connection, Failure};
use crate::limits::allow_open_files;
use crate::pacer::Pacer;
use crate::plan::{Expected, Mode, Plan};
use crate::report::{Latency, Report};
use crate::schedule::Schedule;
use crate::wait::{cpu_ns, wait, wait_for_end};

/// Open files on top of the connections.
pub(crate) const OTHER_FILES: u64 = 32;
/// Connections that are opened at once, at the beginning: fewer than a server's backlog has.
pub(crate) const OPENED_AT_ONCE: usize = 128;
/// Latencies are counted to three digits.
pub(crate) const DIGITS: u8 = 3;

/// Sends the requests of a plan, waits for all answers, and asks once more over a new
/// connection.
///
/// # Errors
///
/// When the connections cannot be opened, or may not be; failed requests are no error, but
/// counted.
pub fn run(plan: &Plan) -> anyhow::Result<(Report, Open)> {
    let (mut report, open) = run_all(plan)?;
    let again = Plan {
        connections: 1,
        idle: 0,
        requests: 1,
        rate_per_s: None,
        ..plan.clone()
    };
    report.healthy = run_all(&again).is_ok_and(|(again, _)| again.right == 1);
    Ok((report, open))
}

fn run_all(plan: &Plan) -> anyhow::Result<(Report, Open)> {
    ensure!(!plan.paths.is_empty(), "there is nothing to ask for");
    ensure!(plan.connections > 0, "requests need a connection");
    let all = plan.connections + plan.idle;
    allow_open_files(all as u64 + OTHER_FILES)?;
    let mut load = Load::open(plan)?;
    load.begun = Instant::now();
    let before = cpu_ns();
    load.run()?;
    load.report.cpu_ns = cpu_ns() - before;
    load.report()
}

/// Connections that are still open when all has been answered. The end that closes first
/// keeps a connection's port for a minute, and a client has some 28,000.
#[derive(Debug, Default)]
pub struct Open(pub(crate) Vec<TcpStream>);

impl Open {
    /// Waits until the server has closed all of them.
    ///
    /// # Errors
    ///
    /// When it has not after this time, or broke them off.
    pub fn wait_for_end(self, timeout: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + timeout;
        let all = self.0.len();
        for (at, connection) in self.0.into_iter().enumerate() {
            let ended = wait_for_end(&connection, until);
            ended.with_context(|| format!("the end of open connection {} of {all}", at + 1))?;
        }
        Ok(())
    }
}

struct Load<'a> {
    plan: &'a Plan,
    requests: Vec<Vec<u8>>,
    /// What each connection begins with, if it is a tunnel.
    tunnel: Option<Arc<[u8]>>,
    epoll: OwnedFd,
    /// Those that requests go over, and then the idle ones.
    lanes: Vec<Lane>,
    /// Lanes without a request, and since when, in the order in which they became free.
    free: VecDeque<(usize, u64)>,
    /// Lanes with a request or a connection under way, in the order in which it began: the
    /// first is the first to take too long. Those that have ended since are passed over.
    under_way: VecDeque<(usize, u64)>,
    pacer: Pacer,
    histogram: Histogram<u64>,
    /// The longest time in it, exactly.
    longest_ns: u64,
    begun: Instant,
    next_path: usize,
    /// Requests under way.
    busy: usize,
    /// Connections that the server is about to close.
    ending: usize,
    report: Report,
    buffer: Vec<u8>,
}

/// A connection, and what is under way over it.
struct Lane {
    connection: Option<Connection>,
    /// Which request, and when it was due.
    request: Option<(usize, u64)>,
    /// When this began, in nanoseconds.
    since_ns: u64,
    /// Whether it is registered for writing, too.
    watches_writing: bool,
}

impl<'a> Load<'a> {
    fn open(plan: &'a Plan) -> anyhow::Result<Self> {
        let (address, mode) = (plan.address, plan.via.map(|via| via.mode));
        let fields = format!("Host: {address}\r\nUser-Agent: paces-load\r\n\r\n");
        let target = match mode {
            Some(Mode::Forward) => format!("http://{address}"),
            Some(Mode::Connect) | None => String::new(),
        };
        let request = |path: &str| format!("GET {target}{path} HTTP/1.1\r\n{fields}");
        let tunnel = format!("CONNECT {address} HTTP/1.1\r\n{fields}");
        let schedule = plan.rate_per_s.map(|rate| Schedule::new(rate, plan.seed));
        let mut load = Self {
            plan,
            requests: plan
                .paths
                .iter()
                .map(|(path, _)| request(path).into_bytes())
                .collect(),
            tunnel: (mode == Some(Mode::Connect)).then(|| tunnel.into_bytes().into()),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll")?,
            lanes: Vec::new(),
            free: VecDeque::new(),
            under_way: VecDeque::new(),
            pacer: Pacer::new(plan.requests, schedule),
            histogram: Histogram::new(DIGITS).context("a histogram")?,
            longest_ns: 0,
            begun: Instant::now(),
            next_path: 0,
            busy: 0,
            ending: 0,
            report: Report::default(),
            buffer: Vec::new(),
        };
        let all = plan.connections + plan.idle;
        for lane in 0..all {
            load.lanes.push(Lane {
                connection: None,
                request: None,
                since_ns: 0,
                watches_writing: false,
            });
            load.connect(lane)
                .with_context(|| format!("connection {} of {all}", lane + 1))?;
            if (lane + 1) % OPENED_AT_ONCE == 0 || lane + 1 == all {
                load.stand()?;
            }
        }
        load.report.connections = all as u64;
        load.free = (0..plan.connections).map(|lane| (lane, 0)).collect();
        load.under_way.clear();
        Ok(load)
    }

    /// Waits until every connection that has begun stands.
    fn stand(&mut self) -> anyhow::Result<()> {
        while let Some(lane) = self.lanes.iter().position(|lane| !lane.is_ready()) {
            let waited = self.now_ns().saturating_sub(self.lanes[lane].since_ns);
            let left = self
                .plan
                .timeout
                .saturating_sub(Duration::from_nanos(waited));
            if left.is_zero() {
                let timeout = self.plan.timeout;
                bail!("{} did not come about in {timeout:?}", self.name(lane));
            }
            for event in wait(&self.epoll, Some(left))? {
                let lane = event.data.u64() as usize;
                if let Err(failure) = self.turn(lane, event.flags) {
                    bail!("{}: {failure}", self.name(lane));
                }
            }
        }
        Ok(())
    }

    fn name(&self, lane: usize) -> String {
        let through = self.plan.via.map(|via| format!(" through {}", via.proxy));
        let through = through.unwrap_or_default();
        format!("connection {} to {}{through}", lane + 1, self.plan.address)
    }

    /// Opens a lane's connection.
    fn connect(&mut self, lane: usize) -> anyhow::Result<()> {
        let to = self.plan.via.map_or(self.plan.address, |via| via.proxy);
        let connection = Connection::open(to, self.tunnel.clone())?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT;
        epoll::add(
            &self.epoll,
            &connection.stream,
            epoll::EventData::new_u64(lane as u64),
            flags,
        )?;
        let now = self.now_ns();
        let place = &mut self.lanes[lane];
        // Closing the one before removes it from the epoll.
        place.connection = Some(connection);
        place.watches_writing = true;
        place.since_ns = now;
        self.under_way.push_back((lane, now));
        Ok(())
    }

    fn run(&mut self) -> anyhow::Result<()> {
        loop {
            self.send_what_is_due();
            if self.pacer.is_done() && self.busy + self.ending == 0 {
                return Ok(());
            }
            let now = self.now_ns();
            let due = match self.free.is_empty() {
                true => None, // an answer has to come first
                false => self.pacer.next_due(),
            };
            let late = self.next_timeout(now);
            let until = [due, late].into_iter().flatten().min();
            let until = until.map(|at| Duration::from_nanos(at.saturating_sub(now)));
            for event in wait(&self.epoll, until)? {
                let lane = event.data.u64() as usize;
                if let Err(failure) = self.turn(lane, event.flags) {
                    self.fail(lane, failure);
                }
                // At once: the other events may be many.
                self.send_what_is_due();
            }
            self.give_up();
        }
    }

    /// Sends requests over free lanes, as long as any are due.
    fn send_what_is_due(&mut self) {
        while let Some(&(lane, free_ns)) = self.free.front() {
            let now = self.now_ns();
            let Some(due_ns) = self.pacer.next(now, free_ns) else {
                return;
            };
            self.free.pop_front();
            let request = self.next_path;
            self.next_path = (request + 1) % self.requests.len();
            self.report.sent += 1;
            self.busy += 1;
            let place = &mut self.lanes[lane];
            place.request = Some((request, due_ns));
            place.since_ns = now;
            self.under_way.push_back((lane, now));
            if let Err(failure) = self.begin(lane) {
                self.fail(lane, failure);
            }
        }
    }

    /// Sends a lane's request, if its connection stands; opens one if there is none.
    fn begin(&mut self, lane: usize) -> Result<(), Failure> {
        if self.lanes[lane].connection.is_none() {
            self.report.reopened += 1;
            return self.connect(lane).map_err(|_| Failure::Connect);
        }
        let place = &mut self.lanes[lane];
        if let (Some(connection), Some((request, _))) = (&mut place.connection, place.request)
            && connection.is_ready()
        {
            connection.send(&self.requests[request])?;
        }
        self.watch(lane)
    }

    /// A lane's socket can be read or written.
    fn turn(&mut self, lane: usize, flags: epoll::EventFlags) -> Result<(), Failure> {
        let place = &mut self.lanes[lane];
        let Some(connection) = &mut place.connection else {
            return Ok(());
        };
        let request = place.request.map(|(request, _)| &*self.requests[request]);
        if connection.wants_to_write() {
            let was_ready = connection.is_ready();
            connection.write(request.unwrap_or_default())?;
            if !was_ready && connection.is_ready() && request.is_some() {
                return self.begin(lane);
            }
            return self.watch(lane);
        }
        if flags.intersects(!epoll::EventFlags::OUT) {
            match connection.read(&mut self.buffer)? {
                Came::Part => {}
                Came::Tunnel if request.is_some() => return self.begin(lane),
                Came::Tunnel => {}
                Came::Answer(whole) => self.answered(lane, whole)?,
                Came::End => self.set_free(lane),
            }
        }
        Ok(())
    }

    /// A connection has ended as announced: the next request opens one anew.
    fn set_free(&mut self, lane: usize) {
        let now = self.now_ns();
        self.ending -= 1;
        self.lanes[lane].connection = None;
        self.free.push_back((lane, now));
    }

    fn answered(&mut self, lane: usize, whole: Whole) -> Result<(), Failure> {
        let now = self.now_ns();
        let place = &mut self.lanes[lane];
        let (request, due_ns) = place.request.ok_or(Failure::NoHttp)?;
        let right = self.plan.paths[request].1;
        let right = right
            .is_none_or(|Expected { bytes, crc32 }| (bytes, crc32) == (whole.bytes, whole.crc32));
        if whole.status != 200 {
            return Err(Failure::Status);
        } else if !right {
            return Err(Failure::Body);
        }
        place.request = None;
        self.busy -= 1;
        self.report.right += 1;
        // It grows as far as need be: any time fits.
        let _ = self.histogram.record(now - due_ns);
        self.longest_ns = self.longest_ns.max(now - due_ns);
        if whole.closes {
            self.ending += 1;
            place.since_ns = now;
            self.under_way.push_back((lane, now));
            // It is free when the server has closed it, and the end may be here already.
            return self.turn(lane, epoll::EventFlags::IN);
        }
        self.free.push_back((lane, now));
        Ok(())
    }

    /// A lane's request has failed, or only its connection if there was none: it is opened
    /// anew for the next.
    fn fail(&mut self, lane: usize, failure: Failure) {
        let now = self.now_ns();
        let place = &mut self.lanes[lane];
        let connection = place.connection.take();
        let was_busy = place.request.take().is_some();
        // The end of one whose answer was wrong is not waited for.
        let was_ending = !was_busy && connection.is_some_and(|connection| connection.is_ending());
        self.ending -= usize::from(was_ending);
        self.busy -= usize::from(was_busy);
        if was_busy || was_ending {
            *self.report.errors.entry(failure.to_string()).or_default() += 1;
            self.free.push_back((lane, now));
        }
    }

    /// Gives up what has taken too long.
    fn give_up(&mut self) {
        let now = self.now_ns();
        while self.next_timeout(now).is_some_and(|at| at <= now) {
            if let Some((lane, _)) = self.under_way.pop_front() {
                self.fail(lane, Failure::Timeout);
            }
        }
    }

    /// When the next request will have taken too long.
    fn next_timeout(&mut self, now: u64) -> Option<u64> {
        while let Some(&(lane, since)) = self.under_way.front() {
            let place = &self.lanes[lane];
            let connection = place.connection.as_ref();
            let is_ending = connection.is_some_and(Connection::is_ending);
            if (place.request.is_some() || is_ending) && place.since_ns == since {
                let timeout = u64::try_from(self.plan.timeout.as_nanos()).unwrap_or(u64::MAX);
                return Some(since.saturating_add(timeout).max(now));
            }
            self.under_way.pop_front();
        }
        None
    }

    /// Has the kernel tell when a lane can be written to, only as long as it matters.
    fn watch(&mut self, lane: usize) -> Result<(), Failure> {
        let place = &mut self.lanes[lane];
        let Some(connection) = &place.connection else {
            return Ok(());
        };
        let writing = connection.wants_to_write();
        if writing != place.watches_writing {
            let mut flags = epoll::EventFlags::IN;
            flags.set(epoll::EventFlags::OUT, writing);
            let data = epoll::EventData::new_u64(lane as u64);
            epoll::modify(&self.epoll, &connection.stream, data, flags)
                .map_err(|_| Failure::Closed)?;
            place.watches_writing = writing;
        }
        Ok(())
    }

    fn report(mut self) -> anyhow::Result<(Report, Open)> {
        let elapsed_ns = self.now_ns();
        let idle = &self.lanes[self.plan.connections..];
        let quiet = |lane: &&Lane| lane.connection.as_ref().is_some_and(Connection::is_quiet);
        self.report.idle_alive = idle.iter().filter(quiet).count() as u64;
        let report = Report {
            elapsed_ns,
            due_ns: self.pacer.last_due(),
            offered_per_s: self
                .pacer
                .last_due()
                .map(|due_ns| per_second(self.report.sent, due_ns)),
            achieved_per_s: per_second(self.report.right, elapsed_ns),
            latency: Latency::of(&self.histogram, self.longest_ns),
            late: self.pacer.late(),
            ..self.report
        };
        let open = self.lanes.into_iter().filter_map(|lane| lane.connection);
        Ok((report, Open(open.map(|open| open.stream).collect())))
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn per_second(count: u64, ns: u64) -> f64 {
    count as f64 / (ns.max(1) as f64 / 1e9)
}

impl Lane {
    fn is_ready(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_ready)
    }
}
