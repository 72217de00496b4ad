//! What is running and what is left: a bar on a terminal, plain lines in a log.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shown on standard error: standard output is for the tables.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar on a terminal; lines where there is none.
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self { bar }
    }

    /// From now on it is known that this takes about `total`.
    pub fn plan(&self, total: Duration) {
        if let Some(bar) = &self.bar {
            let about = whole_seconds(total);
            let template = format!("{{bar:30}} {{percent:>3}} % of about {about} · {{wide_msg}}");
            let style = ProgressStyle::with_template(&template);
            bar.set_length(milliseconds(total));
            bar.set_position(0);
            // A template that does not parse leaves the spinner there was.
            if let Ok(style) = style {
                bar.set_style(style.progress_chars("━━╌"));
            }
        }
    }

    /// What was planned to take this long has been done.
    pub fn reached(&self, planned: Duration) {
        if let Some(bar) = &self.bar {
            bar.set_position(milliseconds(planned));
        }
    }

    /// What is running now. Too much for a log, so only shown on a bar.
    pub fn doing(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    /// A line that stays, above the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => log(text),
        }
    }

    /// What is running now, as a line where there is no bar.
    pub fn stage(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => log(what),
        }
    }

    /// Prints to standard output, with the bar out of its way.
    pub fn print(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print(text)),
            None => print(text),
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
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Prints to standard output. If that is closed (`| head`), or a full disk, which
/// results would not fit on either, there is no way left to tell.
pub fn print(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

fn log(line: &str) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// `95 s`, `15 min`.
pub fn whole_seconds(duration: Duration) -> String {
    match duration.as_secs_f64().round() as u64 {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
