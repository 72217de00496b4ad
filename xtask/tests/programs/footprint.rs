//! A program of known size, to test `cargo xtask measure` with: it takes up memory,
//! says so in a line, and gives it back when its input has ended.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes up memory.
#[derive(Parser)]
struct Args {
    /// How much, in MiB
    mebibytes: usize,
    /// In this many children, as much in each, and not in this process
    #[arg(long, default_value_t = 0)]
    children: usize,
    /// Also this many threads, which wait
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Also both ends of this many connections, on which nothing is sent
    #[arg(long, default_value_t = 0)]
    connections: usize,
    /// The children share one piece of memory
    #[arg(long, requires = "children")]
    shared: bool,
    /// Gives it back after this many milliseconds, whatever its input does
    #[arg(long)]
    brief: Option<u64>,
    /// Maps this instead
    #[arg(long, hide = true)]
    map: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let bytes = args.mebibytes << 20;
    if args.children > 0 {
        return in_children(&args, bytes);
    }
    if let Some(path) = &args.map {
        let mapped = map(path).with_context(|| path.display().to_string())?;
        hold()?;
        drop(mapped);
        return Ok(());
    }
    // Written to: pages that were only asked for take up nothing.
    let taken = black_box(vec![0x5a_u8; bytes]);
    start_threads(args.threads)?;
    let connections = connections(args.connections)?;
    match args.brief {
        Some(milliseconds) => thread::sleep(Duration::from_millis(milliseconds)),
        None => hold()?,
    }
    drop((taken, connections));
    Ok(())
}

/// Starts threads, which are there until the process ends.
fn start_threads(number: usize) -> io::Result<()> {
    let begun = Arc::new(Barrier::new(number + 1));
    for _ in 0..number {
        let begun = Arc::clone(&begun);
        thread::Builder::new().spawn(move || {
            begun.wait();
            loop {
                thread::park();
            }
        })?;
    }
    begun.wait();
    Ok(())
}

/// Opens this many connections, and keeps both ends.
fn connections(number: usize) -> io::Result<Vec<[TcpStream; 2]>> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // If it is still too low, the error names it.
    let _ = setrlimit(Resource::Nofile, raised);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let connect = |_| Ok([TcpStream::connect(address)?, listener.accept()?.0]);
    (0..number).map(connect).collect()
}

/// Says that all is taken up, and waits until that has been sampled.
fn hold() -> anyhow::Result<()> {
    println!("it is taken up");
    io::copy(&mut io::stdin().lock(), &mut io::sink()).context("standard input")?;
    Ok(())
}

/// Maps a file with all its pages.
fn map(path: &Path) -> io::Result<MmapRaw> {
    let file = File::options().read(true).write(true).open(path)?;
    MmapOptions::new().populate().map_raw(&file)
}

fn in_children(args: &Args, bytes: usize) -> anyhow::Result<()> {
    // Memory counts for the processes that map it: so none of it is this process's.
    let file = File::from(memfd_create("footprint", MemfdFlags::CLOEXEC)?);
    file.set_len(bytes as u64)?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let program = std::env::current_exe()?;
    let start = |_| -> anyhow::Result<Child> {
        let mut command = Command::new(&program);
        command.arg(args.mebibytes.to_string());
        if args.shared {
            command.args(["--map", &path]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("a child")?;
        let stdout = child.stdout.take().context("its output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(!line.is_empty(), "a child has said nothing");
        Ok(child)
    };
    let children: Vec<_> = (0..args.children).map(start).collect::<Result<_, _>>()?;
    hold()?;
    for mut child in children {
        // Which also ends its input.
        ensure!(child.wait()?.success(), "a child has failed");
    }
    Ok(())
}
