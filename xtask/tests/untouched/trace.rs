//! Runs a program under `ptrace`, with all that it starts, and notes every look that
//! any of them takes under `/proc`.
//!
//! A system call is seen when it begins and when it ends, and whoever makes it stands
//! still at both. So a look noted before something else of the same thread came before
//! it, and the times that are noted enclose it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// What a program and all that it started have done.
pub struct Trace {
    /// The program's own process.
    pub root: i32,
    /// Every process, by its number, in the order in which they began.
    pub processes: Vec<Process>,
}

/// One process, from its beginning to its end.
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    /// The words of the command that it was at last.
    pub command: Vec<String>,
    pub began: Instant,
    /// None if it outlived the trace.
    pub ended: Option<Instant>,
    /// Its looks under `/proc`.
    pub looks: Vec<Look>,
    /// What it wrote to its standard output and error, piece by piece.
    pub said: Vec<(Instant, String)>,
}

/// One system call that opens, lists, follows or reads something under `/proc`.
#[derive(Debug, Clone)]
pub struct Look {
    pub thread: i32,
    pub path: String,
    pub began: Instant,
    pub ended: Instant,
}

impl Trace {
    pub fn process(&self, pid: i32) -> Option<&Process> {
        self.processes.iter().find(|process| process.pid == pid)
    }

    /// Whether a process is another one, or was started by it or by one that was.
    pub fn is_below(&self, process: &Process, top: &Process) -> bool {
        let mut of = Some(process);
        while let Some(process) = of {
            if process.pid == top.pid {
                return true;
            }
            of = self.process(process.parent);
        }
        false
    }
}

/// Runs it to its end. `None` where this system does not let one process trace
/// another.
pub fn trace(command: &Command, output: File) -> Option<Trace> {
    let mut child = waiting(command, output);
    let root = Pid::from_raw(child.id().cast_signed());
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    if let Err(Errno::EPERM | Errno::ENOSYS | Errno::EACCES) = ptrace::seize(root, options) {
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        return None;
    }
    ptrace::interrupt(root).expect("it is traced");
    let mut go = child.stdin.take().expect("a pipe");
    go.write_all(b"\n").expect("it reads");
    drop(go);
    let mut tracer = Tracer::default();
    while let Ok(status) = next() {
        tracer.stopped(status);
    }
    // How it ended was told to the tracer: this has nothing left to wait for.
    let _ = child.wait();
    Some(Trace {
        root: root.as_raw(),
        processes: tracer.processes,
    })
}

/// The command, in a process that begins with it when it is told to.
fn waiting(command: &Command, output: File) -> Child {
    let errors = output.try_clone().expect("a file");
    let mut shell = Command::new("sh");
    shell.args(["-c", "read go; exec \"$@\" < /dev/null", "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.stdin(Stdio::piped()).stdout(output).stderr(errors);
    shell.spawn().expect("a shell")
}

/// The next thing that happens to anyone who is traced; an error when all have ended.
fn next() -> nix::Result<WaitStatus> {
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

#[derive(Default)]
struct Tracer {
    processes: Vec<Process>,
    /// Each thread's process, by its place in the list.
    threads: HashMap<i32, Thread>,
}

struct Thread {
    process: usize,
    /// It is in a system call that is a look.
    looking: bool,
}

impl Tracer {
    fn stopped(&mut self, status: WaitStatus) {
        let signal = match status {
            WaitStatus::PtraceSyscall(thread) => {
                self.system_call(thread);
                None
            }
            WaitStatus::PtraceEvent(thread, _, event) => {
                self.thread(thread);
                if event == Event::PTRACE_EVENT_EXEC as i32 {
                    self.executed(thread);
                }
                None
            }
            WaitStatus::Stopped(_, signal) => Some(signal),
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                self.ended(pid);
                return;
            }
            _ => None,
        };
        let Some(thread) = status.pid() else { return };
        self.thread(thread);
        resume(thread, signal);
    }

    /// A thread, which may be one that was never seen before.
    fn thread(&mut self, thread: Pid) -> Option<&mut Thread> {
        let thread = thread.as_raw();
        if !self.threads.contains_key(&thread) {
            let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
            let field = |name| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|value| value.trim().parse::<i32>().ok())
            };
            let process = self.process(field("Tgid:")?, field("PPid:")?);
            let new = Thread {
                process,
                looking: false,
            };
            self.threads.insert(thread, new);
        }
        self.threads.get_mut(&thread)
    }

    fn process(&mut self, pid: i32, parent: i32) -> usize {
        // A number can be given again to another: that comes last, then.
        let known = |process: &Process| process.pid == pid && process.ended.is_none();
        self.processes.iter().rposition(known).unwrap_or_else(|| {
            self.processes.push(Process {
                pid,
                parent,
                command: Vec::new(),
                began: Instant::now(),
                ended: None,
                looks: Vec::new(),
                said: Vec::new(),
            });
            self.processes.len() - 1
        })
    }

    fn executed(&mut self, thread: Pid) {
        let line = fs::read(format!("/proc/{thread}/cmdline")).unwrap_or_default();
        let words = line
            .split(|&byte| byte == 0)
            .filter(|word| !word.is_empty());
        let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
        let words: Vec<_> = words.collect();
        if let Some(&mut Thread { process, .. }) = self.thread(thread) {
            self.processes[process].command = words;
        }
    }

    fn ended(&mut self, pid: Pid) {
        let pid = pid.as_raw();
        let Some(thread) = self.threads.remove(&pid) else {
            return;
        };
        let process = &mut self.processes[thread.process];
        if process.pid == pid {
            process.ended = Some(Instant::now());
        }
    }

    fn system_call(&mut self, pid: Pid) {
        let Some(&mut Thread { process, looking }) = self.thread(pid) else {
            return;
        };
        let process = &mut self.processes[process];
        let now = Instant::now();
        let ends =
            ptrace::syscall_info(pid).is_ok_and(|info| info.op == libc::PTRACE_SYSCALL_INFO_EXIT);
        if ends {
            if looking {
                let own = |look: &&mut Look| look.thread == pid.as_raw();
                if let Some(look) = process.looks.iter_mut().rev().find(own) {
                    look.ended = now;
                }
            }
            self.look(pid, false);
            return;
        }
        let Some(call) = Call::of(pid) else { return };
        let path = call.path().filter(|path| path.starts_with("/proc"));
        if let Some(said) = call.said() {
            process.said.push((now, said));
        }
        let looks = path.is_some();
        process.looks.extend(path.map(|path| Look {
            thread: pid.as_raw(),
            path: path.display().to_string(),
            began: now,
            ended: now,
        }));
        self.look(pid, looks);
    }

    fn look(&mut self, pid: Pid, looks: bool) {
        if let Some(thread) = self.thread(pid) {
            thread.looking = looks;
        }
    }
}

/// Goes on to the next system call.
fn resume(thread: Pid, signal: Option<Signal>) {
    // It may have been killed meanwhile: then its end is what comes next.
    match ptrace::syscall(thread, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("thread {thread} does not go on: {error}"),
    }
}

/// A system call at its beginning.
struct Call {
    thread: Pid,
    number: libc::c_long,
    arguments: Vec<u64>,
}

impl Call {
    fn of(thread: Pid) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{thread}/syscall")).ok()?;
        let mut words = text.split_whitespace();
        let number = words.next()?.parse().ok()?;
        let hexadecimal = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
        Some(Self {
            thread,
            number,
            arguments: words.map_while(hexadecimal).collect(),
        })
    }

    /// Which file is opened, listed, followed or read, if that is what it is.
    fn path(&self) -> Option<PathBuf> {
        let argument = |place: usize| self.arguments.get(place).copied();
        match self.number {
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open | libc::SYS_readlink => self.named(None, argument(0)?),
            libc::SYS_openat | libc::SYS_openat2 | libc::SYS_readlinkat => {
                self.named(Some(argument(0)? as i32), argument(1)?)
            }
            libc::SYS_read | libc::SYS_pread64 | libc::SYS_readv | libc::SYS_getdents64 => {
                self.descriptor(argument(0)? as i32)
            }
            _ => None,
        }
    }

    /// What is written to standard output or error.
    fn said(&self) -> Option<String> {
        const MOST: usize = 64 << 10;
        let &[descriptor, address, length, ..] = &self.arguments[..] else {
            return None;
        };
        if self.number != libc::SYS_write || !(1..=2).contains(&descriptor) {
            return None;
        }
        let bytes = self.memory(address, (length as usize).min(MOST))?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A path in the caller's memory, from a directory that it has open, or works in.
    fn named(&self, directory: Option<i32>, address: u64) -> Option<PathBuf> {
        let bytes = self.memory(address, libc::PATH_MAX as usize)?;
        let end = bytes.iter().position(|&byte| byte == 0)?;
        let path = PathBuf::from(String::from_utf8_lossy(&bytes[..end]).into_owned());
        let from = match directory {
            _ if path.is_absolute() => return Some(path),
            Some(directory) if directory != libc::AT_FDCWD => self.descriptor(directory)?,
            _ => fs::read_link(format!("/proc/{}/cwd", self.thread)).ok()?,
        };
        Some(Path::new(&from).join(path))
    }

    fn descriptor(&self, number: i32) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/fd/{number}", self.thread)).ok()
    }

    /// So much of the caller's memory, or what there is of it.
    fn memory(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        let memory = File::open(format!("/proc/{}/mem", self.thread)).ok()?;
        let mut bytes = vec![0; length];
        let mut read = 0;
        while read < length {
            match memory.read_at(&mut bytes[read..], address + read as u64) {
                Ok(0) | Err(_) => break,
                Ok(more) => read += more,
            }
        }
        bytes.truncate(read);
        (read > 0).then_some(bytes)
    }
}
