//! Runs, as the server keeps them: each has its own pictures, link and counters.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    api::{File, Shape, Stats},
    images::{Image, Library, Set},
    link::Link,
    lock,
    refusal::Refusal,
};

/// Runs whose clients were killed are never closed; this many are kept.
const MAX_RUNS: usize = 10_000;

#[derive(Default)]
pub(crate) struct Runs {
    library: Library,
    last_id: AtomicU64,
    open: Mutex<HashMap<u64, Arc<HostedRun>>>,
}

impl Runs {
    /// Opens a run; its images are made when this returns.
    pub(crate) fn open(&self, shape: Shape) -> Result<u64, Refusal> {
        shape.check().map_err(|reason| Refusal::new(400, reason))?;
        let unavailable = |reason: String| Refusal::new(503, reason);
        let set = match shape.images {
            0 => None,
            _ => {
                let set = self.library.set(shape.image_bytes, shape.images);
                Some(set.map_err(|error| unavailable(format!("{error:#}")))?)
            }
        };
        let link = (shape.mbit_per_s > 0).then(|| Link::new(shape.mbit_per_s));
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let run = Arc::new(HostedRun {
            id,
            shape,
            set,
            link,
            tally: Mutex::new(Tally {
                cpu_before: cpu_ns(),
                ..Tally::default()
            }),
        });
        let mut open = lock(&self.open);
        if open.len() >= MAX_RUNS {
            return Err(unavailable(format!(
                "{MAX_RUNS} runs are open, the most there may be"
            )));
        }
        open.insert(id, run);
        Ok(id)
    }

    /// The run that a path names.
    pub(crate) fn get(&self, id: &str) -> Result<Arc<HostedRun>, Refusal> {
        id.parse()
            .ok()
            .and_then(|id: u64| lock(&self.open).get(&id).cloned())
            .ok_or_else(|| Refusal::new(404, format!("there is no run {id}")))
    }

    /// Forgets a run. What it still serves ends as it would have.
    pub(crate) fn close(&self, run: &HostedRun) {
        lock(&self.open).remove(&run.id);
    }
}

pub(crate) struct HostedRun {
    id: u64,
    shape: Shape,
    /// None in a run without images.
    set: Option<Arc<Set>>,
    link: Option<Link>,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    connections: HashSet<u64>,
    in_flight: u64,
    /// Processor time when the run was opened or last reset, in nanoseconds.
    cpu_before: u64,
    /// All but `connections` and processor time, which are filled in when asked for.
    stats: Stats,
}

impl HostedRun {
    /// How long a request for an image waits.
    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.shape.delay_ms)
    }

    /// The image that a path names, if the run has it.
    pub(crate) fn image(&self, name: &str) -> Option<&Image> {
        let number = name.strip_suffix(".jpg")?.parse().ok()?;
        // One name an image: "17.jpg" and "+017.jpg" are not other names of "0017.jpg".
        if number >= self.shape.images || self.image_name(number) != name {
            return None;
        }
        self.set.as_ref()?.image(number).ok()
    }

    fn image_name(&self, number: u64) -> String {
        let digits = (self.shape.images - 1)
            .checked_ilog10()
            .map_or(1, |log| log + 1);
        format!("{number:0width$}.jpg", width = digits.max(4) as usize)
    }

    /// The manifest, with URLs at `origin`.
    pub(crate) fn files(&self, origin: &str) -> anyhow::Result<Vec<File>> {
        let Some(set) = &self.set else {
            return Ok(Vec::new());
        };
        let file = |number| {
            let image = set.image(number)?;
            let name = self.image_name(number);
            Ok(File {
                url: format!("{origin}/runs/{}/image/{name}", self.id),
                name,
                bytes: image.bytes.len() as u64,
                sha256: image.sha256.clone(),
            })
        };
        (0..self.shape.images).map(file).collect()
    }

    /// The figures so far; `reset` zeroes them. Requests in flight stay so.
    pub(crate) fn stats(&self, reset: bool) -> Stats {
        let mut tally = lock(&self.tally);
        let connections = tally.connections.len() as u64;
        let cpu_ns = cpu_ns();
        let stats = Stats {
            connections,
            cpu_ns,
            run_cpu_ns: cpu_ns.saturating_sub(tally.cpu_before),
            ..tally.stats
        };
        if reset {
            tally.connections.clear();
            tally.cpu_before = cpu_ns;
            tally.stats = Stats {
                peak_in_flight: tally.in_flight,
                ..Stats::default()
            };
        }
        stats
    }

    /// Counts a request, which is in flight from now on.
    pub(crate) fn enter(self: &Arc<Self>, connection: u64) -> RequestGuard {
        let mut tally = lock(&self.tally);
        tally.connections.insert(connection);
        tally.in_flight += 1;
        tally.stats.requests += 1;
        tally.stats.peak_in_flight = tally.stats.peak_in_flight.max(tally.in_flight);
        RequestGuard {
            run: Arc::clone(self),
            in_flight: true,
        }
    }
}

/// A request of a run; in flight until its last piece, or until dropped.
pub(crate) struct RequestGuard {
    run: Arc<HostedRun>,
    in_flight: bool,
}

impl RequestGuard {
    /// The link that the answer has to cross.
    pub(crate) fn link(&self) -> Option<&Link> {
        self.run.link.as_ref()
    }

    /// To be called just *before* `bytes` go to the kernel. Afterwards would be
    /// too late: a quick client's next request could come in between, and the
    /// origin would accuse it of exceeding its limit.
    pub(crate) fn send(&mut self, bytes: usize, last: bool) {
        let mut tally = lock(&self.run.tally);
        tally.stats.bytes_sent += bytes as u64;
        if last && self.in_flight {
            self.in_flight = false;
            tally.in_flight -= 1;
        }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if self.in_flight {
            lock(&self.run.tally).in_flight -= 1;
        }
    }
}

/// Processor time of this process so far, in nanoseconds.
fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
