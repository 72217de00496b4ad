//! `send` and `receive`: a model's two ends, as programs; and the receiver of a job.

use std::collections::HashSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use file_send::{Error, Secret};
use indicatif::DecimalBytes;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use suite::generator::PATIENCE;
use suite::send::{Job, Receiving, Sending};
use suite::{Invalid, Model, Preset, Result, Setup, Unsupported, Workload};
use transfer::OpenError;

use crate::cli::{ReceiveArgs, ReceiverArgs, SendArgs};
use crate::download::is_ignored;
use crate::send_progress::Progress;
use crate::server::{end_on_signals, listen, start};
use crate::server_process::{UNSUPPORTED, at_end_of_input};
use crate::{DISK, FAILED, INTERRUPTED, complain, echo, exit_code};

/// Where the secret is, if no file has it. On the command line, every user could read it.
const VARIABLE: &str = "PACES_SECRET";

/// How long units have to end when they were told to. All that is kept is at the receiver.
const PATIENCE_TO_END: Duration = Duration::from_millis(700);

/// What both ends of a job have: the receiver is reached from this machine alone, and lasts as
/// long as the job.
const JOB_SECRET: &[u8] = b"what both ends of a measured job have";

pub(crate) fn job_secret() -> Result<Secret> {
    Secret::new(JOB_SECRET).context("the secret is too short")
}

/// Sends files, and returns the exit code.
pub(crate) fn send<M: Model>(args: &SendArgs) -> u8 {
    attended::<M>(args).unwrap_or_else(|error| {
        complain(&error);
        exit_code(&error)
    })
}

fn attended<M: Model>(args: &SendArgs) -> Result<u8> {
    let secret = secret(args.secret_file.as_deref())?;
    let files = named(&args.files)?;
    let to = resolve(&args.to)?;
    let path = match args.sendfile {
        true => file_send::Path::SendFile,
        false => file_send::Path::Copy,
    };
    let units = args.streams.min(files.len());
    echo::allow(2 * units)?;
    let sizes = files.iter().map(|(path, _)| fs::metadata(path));
    let bytes = sizes.flatten().map(|data| data.len()).sum();
    let progress = Arc::new(Progress::new(files.len() as u64, bytes, args.quiet));
    let sending = Arc::new(Sending::new(
        to,
        secret,
        files,
        (args.streams, path),
        args.idle_timeout,
        progress.clone(),
    ));
    let model = M::start(&Setup {
        threads: args.threads.unwrap_or_else(crate::cores),
        blocking_threads: args.blocking_threads,
        workload: Workload::Send,
        units,
        program: std::env::current_exe().context("this program's own path")?,
    })
    .context("the model does not start")?;
    let ending = Ending::watch(&sending)?;
    let started = Instant::now();
    let shown = progress.show(&sending);
    let done = model.send_files(&sending);
    shown.end();
    drop(model);
    done?;
    let interrupted = ending.over();
    let (failed, _) = sending.failures();
    let outcome = sending.outcome();
    let left = args.files.len() as u64 - outcome.files - failed;
    let mut text = format!(
        "{} files, {}, in {:.2?}",
        outcome.files,
        DecimalBytes(outcome.bytes),
        started.elapsed()
    );
    for (count, what) in [
        (outcome.before, "there already"),
        (failed, "failed"),
        (left, "not sent"),
    ] {
        if count > 0 {
            text = format!("{text}; {count} {what}");
        }
    }
    if interrupted {
        text = format!("interrupted: {text}; the same command goes on from here");
    }
    progress.sum_up(&text);
    Ok(match sending.stopped_for() {
        _ if interrupted => INTERRUPTED,
        Some(Error::Disk(_)) => DISK,
        _ if failed > 0 || left > 0 => FAILED,
        _ => 0,
    })
}

/// Each file with the name that it shall have at the receiver.
fn named(files: &[PathBuf]) -> Result<Vec<(PathBuf, String)>> {
    let refuse = |path: &Path, why: &str| Invalid::new("FILE", path.display(), why);
    let mut names = HashSet::new();
    let mut all = Vec::new();
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| refuse(path, "has to end with a name in UTF-8"))?;
        if !names.insert(name.to_lowercase()) {
            return Err(refuse(path, "another file has the same name").into());
        }
        all.push((path.clone(), name.to_owned()));
    }
    Ok(all)
}

fn resolve(to: &str) -> Result<SocketAddr> {
    let refuse = |why: String| Invalid::new("--to", to, why);
    let mut found = to
        .to_socket_addrs()
        .map_err(|error| refuse(format!("has to be HOST:PORT: {error}")))?;
    let address = found.next();
    Ok(address.ok_or_else(|| refuse("the host has no address".to_owned()))?)
}

/// What the file has, or else the variable, without the end of a line.
fn secret(file: Option<&Path>) -> Result<Secret> {
    let (from, text) = match file {
        Some(path) => {
            let named = path.display().to_string();
            let text = fs::read(path)
                .map_err(|error| Invalid::new("--secret-file", &named, error.to_string()))?;
            (named, text)
        }
        None => {
            let text = std::env::var_os(VARIABLE).unwrap_or_default();
            (VARIABLE.to_owned(), text.into_encoded_bytes())
        }
    };
    let secret = Secret::new(text.trim_ascii_end());
    let least = Secret::FEWEST;
    let needed =
        format!("--secret-file, or else {VARIABLE}, has to have a secret of {least} bytes or more");
    Ok(secret.ok_or_else(|| Invalid::new("secret", from, needed))?)
}

/// Ends the sending on a signal.
struct Ending {
    signals: signal_hook::iterator::Handle,
    is_interrupted: Arc<AtomicBool>,
    /// Dropped when the sending has ended by itself.
    ended: mpsc::Sender<()>,
}

impl Ending {
    fn watch(sending: &Arc<Sending>) -> Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        // `nohup` has it ignored.
        if !is_ignored(SIGHUP) {
            signals.add_signal(SIGHUP)?;
        }
        let handle = signals.handle();
        let (ended, end) = mpsc::channel::<()>();
        let is_interrupted = Arc::new(AtomicBool::new(false));
        let (sending, interrupted) = (sending.clone(), is_interrupted.clone());
        let watch = move || {
            if signals.forever().next().is_none() {
                return;
            }
            interrupted.store(true, SeqCst);
            sending.stop();
            if end.recv_timeout(PATIENCE_TO_END) == Err(mpsc::RecvTimeoutError::Timeout) {
                process::exit(INTERRUPTED.into());
            }
        };
        let thread = thread::Builder::new().name("signals".to_owned());
        thread.spawn(watch).context("cannot start a thread")?;
        Ok(Self {
            signals: handle,
            is_interrupted,
            ended,
        })
    }

    /// Whether a signal has ended it.
    fn over(self) -> bool {
        self.signals.close();
        drop(self.ended);
        self.is_interrupted.load(SeqCst)
    }
}

/// Receives until it is interrupted, and returns the exit code.
pub(crate) fn receive<M: Model>(args: &ReceiveArgs) -> u8 {
    match received::<M>(args) {
        Ok(()) => 0,
        Err(error) => {
            complain(&error);
            match error.downcast_ref::<OpenError>() {
                Some(OpenError::Disk(_)) => DISK,
                _ => exit_code(&error),
            }
        }
    }
}

fn received<M: Model>(args: &ReceiveArgs) -> Result<()> {
    let secret = secret(args.secret_file.as_deref())?;
    let (model, connections) = start::<M>(Workload::Send, &args.server)?;
    let service = Receiving::new(
        listen(args.listen)?,
        &args.into,
        true,
        secret,
        connections,
        args.server.idle_timeout,
    )?;
    let service = Arc::new(service);
    say_when_full()?;
    end_on_signals(&service.listening)?;
    let (directory, address) = (args.into.display(), service.listening.address());
    crate::print(&format!("receiving into {directory} at {address}\n"))?;
    let received = model.receive_files(&service);
    received.with_context(|| format!("the receiver at {address}"))
}

/// A write beyond the limit of a file's size (`ulimit -f`) fails, and the sender is told so, if
/// the signal is not left to end the process.
fn say_when_full() -> Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).context("a signal")?;
    Ok(())
}

/// Receives for a job until standard input ends, and prints the address first.
pub(crate) fn receiver<M: Model>(args: &ReceiverArgs) -> Result<()> {
    echo::allow(2 * args.connections)?;
    let listener = listen((Ipv4Addr::LOCALHOST, 0).into())?;
    let program = std::env::current_exe().context("this program's own path")?;
    let sized = sized(args.connections)?;
    let setup = Setup::sized(&sized, program, args.threads, args.blocking_threads);
    let model = match M::start(&setup) {
        // The process that waits for the address reports it as its own.
        Err(error) if error.is::<Unsupported>() => {
            return crate::print(&format!("{UNSUPPORTED}{error:#}\n"));
        }
        started => started.context("the model does not start")?,
    };
    let service = Arc::new(Receiving::new(
        listener,
        &args.into,
        args.sync,
        job_secret()?,
        args.connections,
        PATIENCE,
    )?);
    let listening = service.listening.clone();
    let address = listening.address();
    crate::print(&format!("{address}\n"))?;
    let input = at_end_of_input(move || listening.close())?;
    let received = model.receive_files(&service);
    received.with_context(|| format!("the receiver at {address}"))?;
    ensure!(
        service.listening.is_closing(),
        "the receiver at {address} ended before it was told to"
    );
    match input.join() {
        Ok(read) => read.map(drop).context("standard input"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A job with this number of connections at the receiver.
pub(crate) fn sized(connections: usize) -> Result<suite::Job> {
    match Workload::Send.job(Preset::Heavy) {
        suite::Job::Send(job) => Ok(suite::Job::Send(Job {
            streams: connections,
            files: connections as u64,
            ..job
        })),
        _ => bail!("that is no job of `send`"),
    }
}
