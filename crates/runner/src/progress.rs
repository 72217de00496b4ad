//! What a download shows: bars on a terminal, lines in a log, JSON for programs.

use std::collections::VecDeque;
use std::io::{self, BufWriter, Stdout, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{
    DecimalBytes, HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle,
};
use serde::Serialize;
use suite::completion::nanoseconds;
use transfer::list::BadLine;
use transfer::{Failure, FileProgress, Finished, Observer, Session, Tally};

/// How often bars move.
const TICK: Duration = Duration::from_millis(100);
/// How often there is a line where there are no bars.
const LINE: Duration = Duration::from_secs(1);
/// The rate shown is that of the last ticks, this many.
const RATE_TICKS: usize = 30;

/// Told by a session what happens, shows it.
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    json: Option<Mutex<BufWriter<Stdout>>>,
    /// The first line that could not be printed.
    unprinted: Mutex<Option<io::Error>>,
    quiet: bool,
    running: Mutex<Vec<Arc<FileProgress>>>,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    url: &'a str,
    name: &'a str,
    status: &'static str,
    bytes: u64,
    retries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Summary {
    complete: u64,
    already: u64,
    failed: u64,
    repeated: u64,
    bytes: u64,
    received: u64,
    elapsed_ns: u64,
}

impl Progress {
    /// Bars if standard error can draw them; nothing but failures if `quiet`.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let draws = crate::can_draw() && !quiet;
        Self {
            bars: draws.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr())),
            json: json.then(|| Mutex::new(BufWriter::new(io::stdout()))),
            unprinted: Mutex::default(),
            quiet,
            running: Mutex::default(),
        }
    }

    /// Shows how far a session is, until told to end.
    pub(crate) fn show(self: &Arc<Self>, session: Arc<Session>, started: Instant) -> Shown {
        let (end, ended) = mpsc::channel::<()>();
        let progress = self.clone();
        let thread = thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || progress.run(&session, started, &ended));
        Shown {
            _end: end,
            // A download can do without being seen.
            thread: thread.ok(),
        }
    }

    fn run(&self, session: &Session, started: Instant, ended: &mpsc::Receiver<()>) {
        let mut bars = self.bars.as_ref().map(Bars::new);
        let mut rate = Rate::default();
        let mut next_line = started + LINE;
        let tick = match (&bars, &self.json, self.quiet) {
            // Nothing to do but wait for the end.
            (None, None, true) => Duration::MAX,
            _ => TICK,
        };
        while ended.recv_timeout(tick) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.flush();
            let tally = session.tally();
            rate.add(tally.received);
            if let Some(bars) = &mut bars {
                bars.draw(&tally, &rate, started.elapsed(), &lock(&self.running));
            } else if !self.quiet && Instant::now() >= next_line {
                next_line = Instant::now() + LINE;
                self.line(&headline(&tally, &rate, started.elapsed()));
            }
        }
        if let Some(bars) = bars {
            bars.clear();
        }
    }

    /// Says what came of it.
    pub(crate) fn sum_up(&self, tally: &Tally, elapsed: Duration, interrupted: bool) {
        if let Some(json) = &self.json {
            let summary = Summary {
                complete: tally.complete,
                already: tally.before,
                failed: tally.failed,
                repeated: tally.repeated,
                bytes: tally.bytes,
                received: tally.received,
                elapsed_ns: nanoseconds(elapsed),
            };
            self.printed(write_json(&mut *lock(json), &summary));
            self.flush();
        }
        if self.quiet {
            return;
        }
        let mut text = format!(
            "{} files, {}, in {elapsed:.2?}",
            tally.complete,
            DecimalBytes(tally.bytes)
        );
        for (count, what) in [
            (tally.before, "there already"),
            (tally.repeated, "named again"),
            (tally.failed, "failed"),
        ] {
            if count > 0 {
                text = format!("{text}; {count} {what}");
            }
        }
        if interrupted {
            text = format!("interrupted: {text}; the same command goes on from here");
        }
        self.line(&text);
    }

    /// A line that stays, above the bars.
    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => drop(bars.println(text)),
            // There is no other place to say that this cannot be printed.
            None => drop(writeln!(io::stderr(), "{text}")),
        }
    }

    fn json(&self, line: &Line<'_>) {
        if let Some(json) = &self.json {
            self.printed(write_json(&mut *lock(json), line));
        }
    }

    fn flush(&self) {
        if let Some(json) = &self.json {
            self.printed(lock(json).flush());
        }
    }

    /// Remembers the first line that could not be printed: the download goes on, and its
    /// end reports that.
    fn printed(&self, printed: io::Result<()>) {
        if let Err(error) = printed {
            lock(&self.unprinted).get_or_insert(error);
        }
    }

    /// Why not all of `--json` could be printed, if that is so.
    pub(crate) fn unprinted(&self) -> Option<io::Error> {
        lock(&self.unprinted).take()
    }
}

impl Observer for Progress {
    fn bad_line(&self, bad: &BadLine) {
        self.line(&bad.to_string());
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            self.line(&format!("note: {text}"));
        }
    }

    fn begun(&self, progress: &Arc<FileProgress>) {
        if self.bars.is_some() {
            lock(&self.running).push(progress.clone());
        }
    }

    fn ended(&self, progress: &Arc<FileProgress>) {
        if self.bars.is_some() {
            lock(&self.running).retain(|other| !Arc::ptr_eq(other, progress));
        }
    }

    fn complete(&self, file: &Finished, before: bool) {
        self.json(&Line {
            url: &file.url,
            name: &file.name,
            status: if before { "already" } else { "complete" },
            bytes: file.bytes,
            retries: file.retries,
            sha256: file.sha256.map(|sha256| sha256.to_string()),
            reason: None,
        });
    }

    fn failed(&self, failure: &Failure) {
        self.json(&Line {
            url: &failure.url,
            name: &failure.name,
            status: "failed",
            bytes: 0,
            retries: failure.retries,
            sha256: None,
            reason: Some(&failure.reason),
        });
        self.line(&format!(
            "{} ({}): {}",
            failure.name, failure.url, failure.reason
        ));
    }
}

fn write_json(to: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(line)?;
    writeln!(to, "{text}")
}

/// A progress that is being shown.
pub(crate) struct Shown {
    _end: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Shown {
    /// Takes the bars away.
    pub(crate) fn end(self) {
        drop(self._end);
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}

/// Bytes a second, of late.
#[derive(Default)]
struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    fn add(&mut self, bytes: u64) {
        if self.0.len() == RATE_TICKS {
            self.0.pop_front();
        }
        self.0.push_back((Instant::now(), bytes));
    }

    fn bytes_per_second(&self) -> u64 {
        match (self.0.front(), self.0.back()) {
            (Some((since, before)), Some((now, after))) if now > since => {
                ((after - before) as f64 / now.duration_since(*since).as_secs_f64()) as u64
            }
            _ => 0,
        }
    }
}

fn headline(tally: &Tally, rate: &Rate, elapsed: Duration) -> String {
    let done = tally.complete + tally.failed + tally.repeated;
    let (total, left) = if tally.list_ended {
        (
            format!(" of {}", tally.listed),
            time_left(done - tally.before.min(done), tally.listed - done, elapsed),
        )
    } else {
        (String::new(), String::new())
    };
    format!(
        "{done}{total} files, {}, {}/s{left}",
        DecimalBytes(tally.received),
        DecimalBytes(rate.bytes_per_second()),
    )
}

/// As the files so far went, so will the rest.
fn time_left(done: u64, left: u64, elapsed: Duration) -> String {
    if done == 0 || left == 0 {
        return String::new();
    }
    let left = elapsed.as_secs_f64() / done as f64 * left as f64;
    format!(", {} left", HumanDuration(Duration::from_secs_f64(left)))
}

/// One bar for everything, and one for each running file that there is room for.
struct Bars {
    all: MultiProgress,
    overall: ProgressBar,
    files: Vec<ProgressBar>,
}

impl Bars {
    fn new(all: &MultiProgress) -> Self {
        let overall = all.add(ProgressBar::new(0));
        overall.set_style(style("{bar:30} {wide_msg}"));
        Self {
            all: all.clone(),
            overall,
            files: Vec::new(),
        }
    }

    fn draw(
        &mut self,
        tally: &Tally,
        rate: &Rate,
        elapsed: Duration,
        running: &[Arc<FileProgress>],
    ) {
        self.overall.set_length(tally.listed.max(1));
        self.overall
            .set_position(tally.complete + tally.failed + tally.repeated);
        self.overall.set_message(headline(tally, rate, elapsed));
        let (height, _) = console::Term::stderr().size();
        let rows = running.len().min(usize::from(height).saturating_sub(3));
        while self.files.len() < rows {
            let bar = self.all.insert_before(&self.overall, ProgressBar::new(0));
            self.files.push(bar);
        }
        for bar in self.files.drain(rows..) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        for (bar, progress) in self.files.iter().zip(running) {
            let (bytes, total) = (
                progress.bytes.load(Ordering::Relaxed),
                progress.total.load(Ordering::Relaxed),
            );
            match total {
                0 => bar.set_style(style("{decimal_bytes:>12}                   {wide_msg}")),
                total => {
                    bar.set_style(style(
                        "{bar:12} {decimal_bytes:>9}/{decimal_total_bytes:9} {wide_msg}",
                    ));
                    bar.set_length(total);
                }
            }
            bar.set_position(bytes);
            bar.set_message(progress.name.clone());
        }
    }

    fn clear(self) {
        for bar in &self.files {
            bar.finish_and_clear();
        }
        self.overall.finish_and_clear();
    }
}

pub(crate) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━╌")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
