//! What is running and how much is left: a bar on a terminal, lines in a log.

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// In a log, what changes often gets a line this often at most.
const LEAST_GAP: Duration = Duration::from_secs(5);

/// A log that has been silent for so long gets the last line again: people who wait
/// should not have to wonder.
const LONGEST_GAP: Duration = Duration::from_secs(8);

/// Shown on standard error: standard output is for the tables.
#[derive(Debug)]
pub struct Progress(Output);

#[derive(Debug)]
enum Output {
    Bar(ProgressBar),
    Log(Log),
}

impl Progress {
    /// A bar on a terminal that can draw one; else lines.
    pub fn new() -> Self {
        if !runner::can_draw() {
            return Self(Output::Log(Log::start()));
        }
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(Output::Bar(bar))
    }

    /// From now on it is known that this takes about `total`.
    pub fn plan(&self, total: Duration) {
        match &self.0 {
            Output::Bar(bar) => {
                bar.set_length(milliseconds(total));
                let style =
                    ProgressStyle::with_template("{bar:30} {percent:>3} % · {prefix} · {wide_msg}");
                // A template that does not parse leaves the spinner there was.
                if let Ok(style) = style {
                    bar.set_style(style.progress_chars("━━╌"));
                }
            }
            Output::Log(log) => log.state().total = Some(total),
        }
        self.reached(Duration::ZERO);
    }

    /// What was planned to take this long has been done.
    pub fn reached(&self, planned: Duration) {
        match &self.0 {
            Output::Bar(bar) => {
                bar.set_position(milliseconds(planned));
                let total = Duration::from_millis(bar.length().unwrap_or_default());
                bar.set_prefix(left(total, planned));
            }
            Output::Log(log) => log.state().reached(planned),
        }
    }

    /// It is not known any more how long this takes.
    pub(crate) fn forget_plan(&self) {
        match &self.0 {
            Output::Bar(bar) => bar.set_style(ProgressStyle::default_spinner()),
            Output::Log(log) => log.state().total = None,
        }
    }

    /// What is running now. In a log, that is a line every five seconds at most.
    pub fn doing(&self, what: &str) {
        match &self.0 {
            Output::Bar(bar) => bar.set_message(what.to_owned()),
            Output::Log(log) => log.state().doing(what, LEAST_GAP),
        }
    }

    /// What is running now, always as a line where there is no bar.
    pub fn stage(&self, what: &str) {
        match &self.0 {
            Output::Bar(bar) => bar.set_message(what.to_owned()),
            Output::Log(log) => log.state().doing(what, Duration::ZERO),
        }
    }

    /// A line that stays, above the bar.
    pub fn line(&self, text: &str) {
        match &self.0 {
            Output::Bar(bar) => bar.suspend(|| log_line(text)),
            Output::Log(log) => log.state().print(text),
        }
    }

    /// Prints to standard output, with the bar out of its way.
    pub fn print(&self, text: &str) {
        match &self.0 {
            Output::Bar(bar) => bar.suspend(|| print(text)),
            Output::Log(_) => print(text),
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        match &mut self.0 {
            Output::Bar(bar) => bar.finish_and_clear(),
            Output::Log(log) => log.end(),
        }
    }
}

/// A log, and the thread that ends its silences.
///
/// The thread sleeps but for one line every eight seconds of silence, which costs
/// some microseconds: too little to show in what is timed meanwhile.
#[derive(Debug)]
struct Log {
    state: Arc<Mutex<State>>,
    repeater: Option<(Sender<()>, JoinHandle<()>)>,
}

#[derive(Debug)]
struct State {
    doing: String,
    began: Instant,
    /// Whether what is being done has had its line.
    printed: bool,
    printed_at: Option<Instant>,
    total: Option<Duration>,
    reached: Duration,
    reached_at: Instant,
}

impl Log {
    fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            doing: String::new(),
            began: Instant::now(),
            printed: false,
            printed_at: None,
            total: None,
            reached: Duration::ZERO,
            reached_at: Instant::now(),
        }));
        let (end, ended) = mpsc::channel();
        let shared = Arc::clone(&state);
        let repeat = move || {
            let mut wait = LONGEST_GAP;
            while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = lock(&shared).repeat(Instant::now());
            }
        };
        // A log without it is a log all the same.
        let thread = thread::Builder::new().spawn(repeat).ok();
        Self {
            state,
            repeater: thread.map(|thread| (end, thread)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn end(&mut self) {
        if let Some((end, thread)) = self.repeater.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn reached(&mut self, planned: Duration) {
        self.reached = planned;
        self.reached_at = Instant::now();
    }

    fn doing(&mut self, what: &str, gap: Duration) {
        what.clone_into(&mut self.doing);
        self.began = Instant::now();
        self.printed = self.printed_at.is_none_or(|at| at.elapsed() >= gap);
        if self.printed {
            self.print(what);
        }
    }

    fn print(&mut self, text: &str) {
        self.printed_at = Some(Instant::now());
        log_line(text);
    }

    /// Prints what is running if the log has been silent for too long. Returns the
    /// time until that may be so again.
    fn repeat(&mut self, now: Instant) -> Duration {
        let silent = self
            .printed_at
            .map_or(LONGEST_GAP, |at| now.saturating_duration_since(at));
        if silent < LONGEST_GAP {
            return LONGEST_GAP - silent;
        }
        if let Some(line) = self.still(now) {
            self.printed = true;
            self.print(&line);
        }
        LONGEST_GAP
    }

    fn still(&self, now: Instant) -> Option<String> {
        if self.doing.is_empty() {
            return None;
        }
        let took = whole_seconds(now.saturating_duration_since(self.began));
        let mut line = if self.printed {
            format!("... still: {}, {took}", self.doing)
        } else {
            self.doing.clone()
        };
        if let Some(total) = self.total {
            let reached = self.reached + now.saturating_duration_since(self.reached_at);
            // Once that time is over, there is no telling.
            if reached < total {
                line += &format!("; {}", left(total, reached));
            }
        }
        Some(line)
    }
}

/// Prints to standard output. If that is closed (`| head`), or a full disk, which
/// results would not fit on either, there is no way left to tell.
pub fn print(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints a line to standard error.
pub fn log_line(line: &str) {
    // A closed standard error is no reason to measure nothing.
    let _ = writeln!(io::stderr(), "{line}");
}

/// `95 s`, `15 min`.
pub fn whole_seconds(duration: Duration) -> String {
    match duration.as_secs_f64().round() as u64 {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}

fn left(total: Duration, reached: Duration) -> String {
    let left = whole_seconds(total.saturating_sub(reached));
    format!("about {left} left")
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_ends_with_what_is_running_and_for_how_long() {
        let log = Log::start();
        let mut state = log.state();
        let began = state.began;
        assert_eq!(state.still(began + LONGEST_GAP), None);
        state.doing("building a", LEAST_GAP);
        assert!(state.printed, "the first line comes at once");
        let after = |seconds| state.began + Duration::from_secs(seconds);
        let still = |state: &State, at| state.still(at).expect("something runs");
        assert_eq!(still(&state, after(65)), "... still: building a, 65 s");
        state.doing("building b", LEAST_GAP);
        assert!(!state.printed, "the next one would be too soon");
        assert_eq!(still(&state, state.began), "building b");
        state.total = Some(Duration::from_secs(100));
        state.reached(Duration::from_secs(60));
        let reached = state.reached_at;
        let after = |seconds| still(&state, reached + Duration::from_secs(seconds));
        assert_eq!(after(0), "building b; about 40 s left");
        assert_eq!(after(30), "building b; about 10 s left");
        assert_eq!(after(50), "building b");
    }

    #[test]
    fn only_a_silence_is_ended() {
        let log = Log::start();
        let mut state = log.state();
        state.doing("building a", LEAST_GAP);
        let printed = state.printed_at.expect("just now");
        let soon = printed + Duration::from_secs(3);
        assert_eq!(state.repeat(soon), LONGEST_GAP - Duration::from_secs(3));
        assert_eq!(state.printed_at, Some(printed));
        assert_eq!(state.repeat(printed + LONGEST_GAP), LONGEST_GAP);
        assert_ne!(state.printed_at, Some(printed));
    }
}
