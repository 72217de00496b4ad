//! A process that serves until its standard input ends: the server of `echo` or of `datagram`, or
//! the receiver of `send`.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use suite::{Job, Model, Result, Setup, Unsupported};

/// How long a server has to print a line, and to end: many times what starting and
/// ending hundreds of children takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What stands before the reason in place of the address.
pub(crate) const UNSUPPORTED: &str = "unsupported: ";

/// Starts the model in this process. None if it does not do such a job: the reason has then been
/// printed in place of the address, for the process that waits for it.
pub(crate) fn start<M: Model>(
    job: &Job,
    threads: usize,
    blocking_threads: usize,
) -> Result<Option<M>> {
    let program = std::env::current_exe().context("this program's own path")?;
    let setup = Setup::sized(job, program, threads, blocking_threads);
    match M::start(&setup) {
        Err(error) if error.is::<Unsupported>() => {
            crate::print(&format!("{UNSUPPORTED}{error:#}\n"))?;
            Ok(None)
        }
        started => started.context("the model does not start").map(Some),
    }
}

/// Does this when standard input ends, in a thread.
pub(crate) fn at_end_of_input(
    end: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<io::Result<u64>>> {
    thread::Builder::new()
        .name("end of input".to_owned())
        .spawn(move || {
            // If it cannot be read, its end would never be seen: end now.
            let read = io::copy(&mut io::stdin().lock(), &mut io::sink());
            end();
            read
        })
        .context("cannot start a thread")
}

/// Waits for that thread.
pub(crate) fn join(input: JoinHandle<io::Result<u64>>) -> Result<()> {
    match input.join() {
        Ok(read) => read.map(drop).context("standard input"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A server, by the address that it has printed. Dropping it ends the process and waits
/// for its end.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    /// What it is called, before its address.
    role: String,
    address: SocketAddr,
    /// Closes when the process has ended.
    output: Option<Output>,
}

type Output = BufReader<ChildStdout>;

impl ServerProcess {
    /// Runs a command, which names its role first, and waits for its address.
    pub(crate) fn spawn(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let role = command.get_args().next().unwrap_or_default();
        let role = role.to_string_lossy().into_owned();
        let program = command.get_program().to_string_lossy().into_owned();
        let named = || format!("{program} {role}");
        let mut child = command.spawn().with_context(named)?;
        let ready = ready(&mut child);
        let (address, output) = ready.inspect_err(|_| end_at_once(&mut child)).map_err(
            // What the model does not do is no fault of the program.
            |error| {
                if error.is::<Unsupported>() {
                    error
                } else {
                    error.context(named())
                }
            },
        )?;
        Ok(Self {
            child,
            role: role.replace('-', " "),
            address,
            output: Some(output),
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it and waits for its end. Its clients have hung up before.
    pub(crate) fn end(mut self) -> Result<()> {
        self.close()
    }

    fn named(&self) -> String {
        format!("the {} at {}", self.role, self.address)
    }

    fn close(&mut self) -> Result<()> {
        let named = self.named();
        drop(self.child.stdin.take());
        if let Some(mut output) = self.output.take() {
            // An error too is an end.
            let ended = patiently(move || drop(io::copy(&mut output, &mut io::sink())))?;
            if ended.is_none() {
                end_at_once(&mut self.child);
                bail!("{named} had not ended {PATIENCE:?} after it was told to");
            }
        }
        let status = self.child.wait().with_context(|| named.clone())?;
        ensure!(status.success(), "{named} ended with {status}");
        Ok(())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // After `end` this finds a process that has been waited for.
        let _ = self.close();
    }
}

fn end_at_once(child: &mut Child) {
    // It fails when it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits for the address.
fn ready(child: &mut Child) -> Result<(SocketAddr, Output)> {
    let stdout = child.stdout.take().context("it has no standard output")?;
    let read = read_line(BufReader::new(stdout))?;
    let read = read.with_context(|| format!("it printed no address in {PATIENCE:?}"))?;
    let (line, output) = read.context("its standard output cannot be read")?;
    if line.is_empty() {
        let status = child.wait()?;
        bail!("it ended with {status} before it printed its address");
    }
    if let Some(reason) = line.strip_prefix(UNSUPPORTED) {
        return Err(Unsupported(reason.trim_end().to_owned()).into());
    }
    match line.trim_end().parse() {
        Ok(address) => Ok((address, output)),
        Err(_) => bail!("it printed {line:?} instead of its address"),
    }
}

/// The next line; nothing if it takes too long.
fn read_line(mut output: Output) -> Result<Option<io::Result<(String, Output)>>> {
    patiently(move || {
        let mut line = String::new();
        output.read_line(&mut line).map(|_| (line, output))
    })
}

/// What comes of reading from a pipe, which has no timeout of its own; nothing if
/// it takes too long. The thread that reads ends with the process at the other
/// end, so it is not waited for.
fn patiently<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<Option<T>> {
    let (sender, result) = mpsc::channel();
    thread::Builder::new()
        .name("server's output".to_owned())
        // The receiver is gone if this took too long.
        .spawn(move || drop(sender.send(read())))
        .context("cannot start a thread")?;
    Ok(result.recv_timeout(PATIENCE).ok())
}
