//! An origin process, and its end.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, bail};

/// How long a program has to print its address.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running origin process. Dropping it ends the process and waits for its end.
#[derive(Debug)]
pub struct Origin {
    child: Reaped,
    url: String,
}

impl Origin {
    /// Runs `program ARGS_BEFORE.. --until-stdin-closes` and waits for its address.
    /// The arguments are `["origin"]` for a model's binary and `[]` for the origin's
    /// own; `--certificate FILE --key FILE` make it speak TLS. Its standard error is
    /// the caller's.
    ///
    /// The process ends when this value is dropped, and also when this process
    /// dies: its standard input, which only this value holds open, closes then.
    ///
    /// # Errors
    ///
    /// When the program cannot be started, or does not print an address within 10
    /// seconds. Errors name the program.
    pub fn spawn(program: &Path, args_before: &[&str]) -> anyhow::Result<Origin> {
        Self::start(Command::new(program).args(args_before))
    }

    /// The same in a process group of its own: Ctrl-Z and Ctrl-C do not reach it, so
    /// that programs which run on can still ask it.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub fn spawn_in_own_group(program: &Path) -> anyhow::Result<Origin> {
        Self::start(Command::new(program).process_group(0))
    }

    fn start(command: &mut Command) -> anyhow::Result<Origin> {
        let mut start = || {
            let mut child = command
                .arg("--until-stdin-closes")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("cannot start it")
                .map(Reaped)?;
            let url = address(&mut child.0)?;
            anyhow::Ok(Origin { child, url })
        };
        start().with_context(|| {
            let words = [command.get_program()]
                .into_iter()
                .chain(command.get_args());
            let words: Vec<_> = words.map(|word| word.display().to_string()).collect();
            format!("origin {}", words.join(" "))
        })
    }

    /// Where it listens: `http://127.0.0.1:PORT`, or `https://` if it speaks TLS.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens to plain HTTP: `http://127.0.0.1:PORT`. An origin that speaks
    /// TLS does so on the same port, for [`Run`](crate::Run) and
    /// [`fault_log`](crate::fault_log).
    pub fn plain_url(&self) -> String {
        self.url.replacen("https://", "http://", 1)
    }

    /// The number of the process.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }
}

/// Waits for the address line.
fn address(child: &mut Child) -> anyhow::Result<String> {
    let stdout = child.stdout.take().context("it has no standard output")?;
    let (sender, line) = mpsc::channel();
    // A thread, because reading from a pipe has no timeout. It ends at the line's
    // end, or else with the process, so it is not waited for.
    thread::Builder::new()
        .name("origin's address".to_owned())
        .spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout.take(256)).read_line(&mut line);
            // The receiver is gone if this took too long.
            let _ = sender.send(read.map(|_| line));
        })?;
    let line = line
        .recv_timeout(PATIENCE)
        .with_context(|| format!("it printed no address in {PATIENCE:?}"))?
        .context("its standard output cannot be read")?;
    match line.strip_suffix('\n') {
        Some(url) if is_address(url) => Ok(url.to_owned()),
        Some(other) => bail!("it printed {other:?} instead of its address"),
        None => bail!("it ended before it printed its address"),
    }
}

fn is_address(line: &str) -> bool {
    let rest = line
        .strip_prefix("http://")
        .or(line.strip_prefix("https://"));
    rest.is_some_and(|rest| rest.starts_with("127.0.0.1:"))
}

/// A child that is ended and waited for when dropped, however that comes about.
#[derive(Debug)]
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // An origin ends by itself once its standard input closes. It has nothing
        // to save, though, and a program that is no origin may never end.
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
