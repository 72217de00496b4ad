//! `download`: the files of a list, into a directory, to the exit code.

use std::io;
use std::process;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use suite::{Model, Setup, Workload};
use transfer::{Fatal, List, OpenError, Session};

use crate::cli::DownloadArgs;
use crate::progress::Progress;
use crate::{DISK, FAILED, INTERRUPTED, INVALID, complain, exit_code};

/// How long a model has to end once it was told to. What is on the disk is
/// valid at all times, so that whatever still waits for a name server, a disk
/// or a line of standard input can be left behind.
const PATIENCE: Duration = Duration::from_millis(700);

/// What other programs take proxies from.
const PROXIES: [&str; 6] = [
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

/// How often it is looked whether files wait for their names.
const NAMES_TICK: Duration = Duration::from_millis(100);

/// Downloads, and returns the exit code.
pub(crate) fn download<M: Model>(args: &DownloadArgs) -> u8 {
    raise_open_files();
    let progress = Arc::new(Progress::new(args.json, args.quiet));
    let list = match args.urls.to_str() {
        Some("-") => List::Stdin,
        _ => List::File(args.urls.clone()),
    };
    let session = match Session::open(&args.into, list, args.options(), progress.clone()) {
        Ok(session) => session,
        Err(fatal) => return fail(fatal),
    };
    if let Some(variable) = PROXIES.iter().find(|name| is_set(name)) {
        session.note(&format!(
            "proxies are not supported: {variable} is passed over"
        ));
    }
    match attended::<M>(args, &session, &progress) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            exit_code(&error)
        }
    }
}

fn attended<M: Model>(
    args: &DownloadArgs,
    session: &Arc<Session>,
    progress: &Arc<Progress>,
) -> anyhow::Result<u8> {
    // First: a model may take some time to start.
    let ending = Ending::watch(session)?;
    let program = process_path()?;
    let model = M::start(&Setup {
        threads: args.threads.unwrap_or_else(crate::cores),
        blocking_threads: args.blocking_threads,
        workload: Workload::Download,
        units: args.limit,
        program,
    })
    .context("the model does not start")?;
    let names = Names::give(session)?;
    let started = Instant::now();
    let shown = progress.show(session.clone(), started);
    let done = model.download_session(session);
    names.end();
    let closed = session.close();
    shown.end();
    ending.over();
    drop(model);
    done?;
    let tally = match closed {
        Ok(tally) => tally,
        Err(fatal) => return Ok(fail(fatal)),
    };
    progress.sum_up(&tally, started.elapsed(), session.is_stopped());
    if let Some(error) = progress.unprinted() {
        complain(&anyhow::Error::new(error).context("standard output"));
        return Ok(DISK);
    }
    Ok(match (session.is_stopped(), tally.failed) {
        (true, _) => INTERRUPTED,
        (false, 0) => 0,
        (false, _) => FAILED,
    })
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn process_path() -> anyhow::Result<std::path::PathBuf> {
    std::env::current_exe().context("this program's own path")
}

fn fail(fatal: Fatal) -> u8 {
    let code = code_of(&fatal);
    complain(&fatal.into());
    code
}

fn code_of(fatal: &Fatal) -> u8 {
    match fatal {
        Fatal::Disk(_) | Fatal::Open(OpenError::Disk(_)) => DISK,
        Fatal::Open(OpenError::Busy { .. }) => FAILED,
        Fatal::List { source, .. } if source.kind() == io::ErrorKind::NotFound => INVALID,
        Fatal::List { .. } => FAILED,
        Fatal::Certificates(_) => INVALID,
    }
}

/// Whether a signal was ignored when the process began: std does not tell, and the
/// kernel tells a mask. Where it does not, none was.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// A thread that commits files which have waited long enough, also while no other file
/// arrives: the list may come slowly.
struct Names {
    end: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Names {
    fn give(session: &Arc<Session>) -> io::Result<Self> {
        let (end, ended) = mpsc::channel::<()>();
        let session = session.clone();
        let thread = thread::Builder::new()
            .name("names".to_owned())
            .spawn(move || {
                while ended.recv_timeout(NAMES_TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                    if session.is_due()
                        && let Err(error) = session.commit()
                    {
                        return session.stop_for(error);
                    }
                }
            })?;
        Ok(Self { end, thread })
    }

    /// Stops, and waits until a commit that is under way has ended.
    fn end(self) {
        drop(self.end);
        // Its panic is on standard error.
        let _ = self.thread.join();
    }
}

/// Sees to it that a download ends when it is to: on a signal, or because it
/// cannot go on.
struct Ending {
    signals: signal_hook::iterator::Handle,
    /// Dropped when the download has ended by itself.
    ended: mpsc::Sender<()>,
}

impl Ending {
    fn watch(session: &Arc<Session>) -> io::Result<Self> {
        // A write beyond the limit of a file's size (`ulimit -f`) fails, and says
        // so, if the signal is not left to end the process.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        // `nohup` has it ignored.
        if !is_ignored(SIGHUP) {
            signals.add_signal(SIGHUP)?;
        }
        let handle = signals.handle();
        let (stopping, stopped) = mpsc::channel::<u8>();
        let (ended, end) = mpsc::channel();
        let interrupted = Arc::new(AtomicU8::new(0));
        let by_signal = interrupted.clone();
        let of_signals = session.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for _ in signals.forever() {
                    // Who asks twice does not want to wait.
                    if by_signal.swap(INTERRUPTED, Ordering::SeqCst) > 0 {
                        process::exit(INTERRUPTED.into());
                    }
                    of_signals.stop();
                }
            })?;
        session.on_stop(move || {
            let _ = stopping.send(interrupted.load(Ordering::SeqCst));
        });
        let of_watchdog = session.clone();
        thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                let Ok(code) = stopped.recv() else { return };
                if end.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                    let code = match code {
                        0 => of_watchdog.fatal().map_or(FAILED, fail),
                        code => code,
                    };
                    process::exit(code.into());
                }
            })?;
        Ok(Self {
            signals: handle,
            ended,
        })
    }

    fn over(self) {
        self.signals.close();
        drop(self.ended);
    }
}

/// As many open files as this user may have: each request is one, and so is
/// the file that it goes to. Best effort: without, fewer are taken at once.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let _ = setrlimit(Resource::Nofile, raised);
}
