//! What sending shows: a bar on a terminal, lines in a log.

use std::io::{self, Write};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use file_send::{Error, Outgoing};
use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget};
use suite::send::{Observer, Sending};

use crate::progress::style;

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);
/// How often there is a line where there is no bar.
const LINE: Duration = Duration::from_secs(1);

/// Told what has come of files, shows it.
pub(crate) struct Progress {
    files: u64,
    bytes: u64,
    quiet: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of this many files and bytes; nothing but failures if `quiet`.
    pub(crate) fn new(files: u64, bytes: u64, quiet: bool) -> Self {
        let draws = crate::can_draw() && !quiet;
        let bar = draws.then(|| {
            let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
            bar.set_style(style(
                "{bar:30} {decimal_bytes}/{decimal_total_bytes} {wide_msg}",
            ));
            bar
        });
        Self {
            files,
            bytes,
            quiet,
            bar,
        }
    }

    /// Shows how far it is, until told to end.
    pub(crate) fn show(self: &Arc<Self>, sending: &Arc<Sending>) -> Shown {
        let (end, ended) = mpsc::channel::<()>();
        let (progress, sending) = (self.clone(), sending.clone());
        let thread = thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || progress.run(&sending, &ended));
        Shown {
            _end: end,
            // It can do without being seen.
            thread: thread.ok(),
        }
    }

    fn run(&self, sending: &Sending, ended: &mpsc::Receiver<()>) {
        let started = Instant::now();
        let mut next_line = started + LINE;
        while !self.quiet && ended.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
            let done = sending.outcome().files + sending.failures().0;
            let sent = sending.sent();
            let rate = sent as f64 / started.elapsed().as_secs_f64();
            let text = format!(
                "{done} of {} files, {}/s",
                self.files,
                DecimalBytes(rate as u64)
            );
            if let Some(bar) = &self.bar {
                // What was there before is not sent, and some of it is sent twice.
                bar.set_position(sent.min(self.bytes));
                bar.set_message(text);
            } else if Instant::now() >= next_line {
                next_line = Instant::now() + LINE;
                self.line(&format!("{text}, {}", DecimalBytes(sent)));
            }
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Says what has come of it.
    pub(crate) fn sum_up(&self, text: &str) {
        if !self.quiet {
            self.line(text);
        }
    }

    /// A line that stays, above the bar.
    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) if !bar.is_finished() => bar.println(text),
            // There is no other place to say that this cannot be printed.
            _ => drop(writeln!(io::stderr(), "{text}")),
        }
    }
}

impl Observer for Progress {
    fn again(&self, file: &Outgoing, why: &str) {
        if !self.quiet {
            self.line(&format!("note: {}: {why}; it is tried again", file.name));
        }
    }

    fn failed(&self, file: &Outgoing, error: &Error) {
        self.line(&format!("{}: {error}", file.name));
    }
}

/// A progress that is being shown.
pub(crate) struct Shown {
    _end: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Shown {
    /// Takes the bar away.
    pub(crate) fn end(self) {
        drop(self._end);
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}
