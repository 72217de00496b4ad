//! The NATS server of a parent: finds the program, starts it with a token that only this user can
//! read, restarts it if it is killed, and ends it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, process};

use anyhow::{Context, anyhow, bail, ensure};
use runner::scratch::{self, Scratch};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::retry_on_intr;
use rustix::process::{
    Pid, PidfdFlags, Signal, getppid, pidfd_open, pidfd_send_signal,
    set_parent_process_death_signal,
};
use serde::Deserialize;
use suite::{Result, Unsupported};

use crate::connection::{Access, Token};

/// The reason in every table cell if there is no server program.
const NONE: &str = "no nats-server (Debian: apt-get install nats-server)";

/// How long a server may take to become ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a server that has ended is restarted.
const MOST_RESTARTS: usize = 5;

/// The largest payload that is sent, in bytes, without its message header.
pub(crate) const LONGEST_MESSAGE: usize = 1 << 20;

/// A server that this process started. It ends when this is dropped, and when this process is
/// killed.
pub(crate) struct Server {
    pub(crate) access: Access,
    /// The file with the token, for nodes.
    token_file: PathBuf,
    running: Arc<Mutex<Running>>,
    supervisor: Option<JoinHandle<()>>,
    /// Its configuration, its store and its log.
    _directory: Scratch,
}

/// State shared by the supervisor thread and the owner of the server.
#[derive(Default)]
struct Running {
    process: Option<OwnedFd>,
    is_ending: bool,
}

/// Everything needed to start the server, the first time and again.
struct Recipe {
    program: PathBuf,
    nats_server: PathBuf,
    directory: PathBuf,
    token: Token,
    /// 0 until the system has chosen a port.
    port: u16,
}

/// Finds the server program. Debian installs it in a directory that is only in root's `PATH`.
fn find() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let given = env::var_os("PACES_NATS_SERVER").map(PathBuf::from);
    let mut programs: Vec<_> = match given {
        Some(program) => vec![program],
        None => directories
            .map(|directory| directory.join("nats-server"))
            .collect(),
    };
    let is_program = |path: &PathBuf| {
        let metadata = fs::metadata(path);
        metadata.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    programs.retain(is_program);
    let program = programs.into_iter().next();
    program.ok_or_else(|| Unsupported(NONE.to_owned()).into())
}

impl Server {
    /// Starts a server through `program`, and waits until it accepts connections. `gone` is called
    /// with a reason when the server has ended and is not restarted.
    pub(crate) fn start(
        program: &Path,
        gone: impl FnOnce(String) + Send + 'static,
    ) -> Result<Self> {
        let nats_server = find()?;
        let directory = scratch::on_disk()?;
        let token = Token::random()?;
        let token_file = directory.path().join("token");
        private(&token_file, token.reveal())?;
        let recipe = Recipe {
            program: program.to_owned(),
            nats_server,
            directory: directory.path().to_owned(),
            token: token.clone(),
            port: 0,
        };
        let running = Arc::new(Mutex::new(Running::default()));
        let (report, started) = mpsc::channel();
        // The kernel ties the server's death signal to the thread that started it.
        let supervisor = thread::Builder::new().name("server supervisor".to_owned());
        let shared = running.clone();
        let supervisor = supervisor.spawn(move || supervise(recipe, &shared, &report, gone))?;
        let mut server = Self {
            access: Access::own(String::new(), token),
            token_file,
            running,
            supervisor: Some(supervisor),
            _directory: directory,
        };
        let port: u16 = started.recv().context("the server's supervisor thread")??;
        server.access.url = format!("nats://127.0.0.1:{port}");
        Ok(server)
    }

    /// The file with the token. Only its owner can read it.
    pub(crate) fn token_file(&self) -> &Path {
        &self.token_file
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut running = lock(&self.running);
        running.is_ending = true;
        // Its store is not needed any more, so it need not shut down cleanly.
        kill(&running);
        drop(running);
        if let Some(supervisor) = self.supervisor.take() {
            // A panic of that thread was already printed.
            let _ = supervisor.join();
        }
    }
}

/// Runs the server, and restarts it, until it is to end. The calling thread has to last that long.
fn supervise(
    mut recipe: Recipe,
    running: &Mutex<Running>,
    report: &mpsc::Sender<Result<u16>>,
    gone: impl FnOnce(String),
) {
    let mut ended = anyhow!("never started");
    for _ in 0..=MOST_RESTARTS {
        match recipe.run(running, report) {
            Ok(None) => return,
            Ok(Some(status)) => ended = anyhow!("{status}"),
            Err(error) => {
                ended = error;
                break;
            }
        }
    }
    // Only one of the two has a receiver: `report` during the start, `gone` after it.
    gone(format!("the NATS server has ended: {ended:#}"));
    let _ = report.send(Err(ended));
}

impl Recipe {
    /// Runs the server once. Returns its exit status, or `None` if it was ended on purpose.
    fn run(
        &mut self,
        running: &Mutex<Running>,
        report: &mpsc::Sender<Result<u16>>,
    ) -> Result<Option<ExitStatus>> {
        let ports = self.directory.join("ports");
        // Remove the ports file of the previous server.
        let _ = fs::remove_dir_all(&ports);
        DirBuilder::new().mode(0o700).create(&ports)?;
        let changes =
            inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&changes, &ports, inotify::WatchFlags::CLOSE_WRITE)?;
        let configuration = self.configure()?;
        let log = self.directory.join("log");
        let mut child = Command::new(&self.program)
            .arg("nats-server")
            .arg(process::id().to_string())
            .arg(&self.nats_server)
            .args([OsString::from("--config"), configuration.into()])
            .args([OsString::from("--ports_file_dir"), ports.clone().into()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            // What a terminal sends is for the parent.
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", self.nats_server.display()))?;
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        {
            let mut running = lock(running);
            running.process = Some(pidfd.try_clone()?);
            if running.is_ending {
                kill(&running);
            }
        }
        let port = wait_for_port(&changes, &pidfd, &ports);
        if port.is_err() {
            child.kill()?;
        } else if let Ok(port) = port {
            self.port = port;
            // Only the first start is waited for.
            let _ = report.send(Ok(port));
        }
        let status = child.wait()?;
        let mut running = lock(running);
        running.process = None;
        if running.is_ending {
            return Ok(None);
        }
        let log = fs::read_to_string(&log).unwrap_or_default();
        let last = log.lines().last().unwrap_or_default();
        port.with_context(|| format!("{}: {status}: {last}", self.nats_server.display()))?;
        Ok(Some(status))
    }

    /// Writes the configuration, with the token in it.
    fn configure(&self) -> Result<PathBuf> {
        let path = self.directory.join("configuration");
        let port = match self.port {
            0 => -1,
            port => i32::from(port),
        };
        // The server's configuration format is a superset of JSON.
        let configuration = serde_json::json!({
            "host": "127.0.0.1",
            "port": port,
            "authorization": { "token": self.token.reveal() },
            "jetstream": { "store_dir": self.directory.join("store") },
            // Larger than the payload, to leave room for the message header.
            "max_payload": 2 * LONGEST_MESSAGE,
        });
        private(&path, &configuration.to_string())?;
        Ok(path)
    }
}

/// Writes a file that only its owner can read.
fn private(path: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = (options.open(path)).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| path.display().to_string())
}

/// The content of the file that the server writes when it accepts connections.
#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
}

/// Waits until the server writes the file with its port, or ends.
fn wait_for_port(changes: &OwnedFd, process: &OwnedFd, ports: &Path) -> Result<u16> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "not ready after {PATIENCE:?}");
        let left = Timespec::try_from(left)?;
        let mut fds = [
            PollFd::new(changes, PollFlags::IN),
            PollFd::new(process, PollFlags::IN),
        ];
        retry_on_intr(|| poll(&mut fds, Some(&left)))?;
        if !fds[0].revents().is_empty() {
            let mut buffer = [MaybeUninit::uninit(); 4096];
            // Discard the events: the directory is listed below.
            while inotify::Reader::new(changes, &mut buffer).next().is_ok() {}
            if let Some(file) = fs::read_dir(ports)?.next() {
                let Ports { nats } = serde_json::from_slice(&fs::read(file?.path())?)?;
                let url = nats.first().context("the server listens nowhere")?;
                let (_, port) = url.rsplit_once(':').context("an address without a port")?;
                return Ok(port.parse()?);
            }
        }
        if !fds[1].revents().is_empty() {
            bail!("it has ended");
        }
    }
}

fn kill(running: &Running) {
    if let Some(process) = &running.process {
        // It fails only if the process has already ended.
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Replaces this process by the server that the arguments name. The server ends when its parent
/// does: `PROGRAM nats-server PARENT PATH ARGUMENT...`, where `PARENT` is the parent's process ID.
/// Returns only on failure.
pub fn become_server() -> ExitCode {
    let mut args = env::args_os().skip(2);
    let Some((parent, path)) = args.next().zip(args.next()) else {
        eprintln!("a server is started by its parent, not by hand");
        return ExitCode::FAILURE;
    };
    let is_orphan = || {
        getppid()
            .map(Pid::as_raw_pid)
            .map(|pid| pid.to_string().into())
            != Some(parent)
    };
    if set_parent_process_death_signal(Some(Signal::KILL)).is_err() || is_orphan() {
        return ExitCode::FAILURE;
    }
    let error = Command::new(&path).args(args).exec();
    eprintln!("{}: {error}", path.display());
    ExitCode::FAILURE
}
