//! `echo-server`: the other end of the workload `echo`, in a process of its own.
//!
//! The server is the model's, as the clients are: `serve` starts the model in
//! its process and has it serve. [`Server`] is that process, as the clients' side
//! sees it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use suite::echo::{BACKLOG, Closing, Job};
use suite::{Model, Result, Setup, Unsupported};

use crate::cli::EchoServerArgs;
use crate::server_process::{ServerProcess, UNSUPPORTED, at_end_of_input};

/// Open files that a process needs on top of its connections.
const OTHER_OPEN_FILES: u64 = 128;

/// Serves until standard input ends, and prints the address first.
pub(crate) fn serve<M: Model>(args: &EchoServerArgs) -> Result<()> {
    let mut job = Job {
        connections: args.connections,
        messages: args.messages,
        bytes: args.bytes,
        address: None,
    };
    suite::Job::Echo(job.clone()).validate()?;
    allow(job.connections)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port to listen on")?;
    rustix::net::listen(&listener, BACKLOG as i32).context("cannot set the backlog")?;
    let address = listener.local_addr().context("no address to listen at")?;
    job.address = Some(address);

    let program = std::env::current_exe().context("this program's own path")?;
    let (threads, blocking_threads) = (args.threads, args.blocking_threads);
    let sized = suite::Job::Echo(job.clone());
    let setup = Setup::sized(&sized, program, threads, blocking_threads);
    let model = match M::start(&setup) {
        // The process that waits for the address reports it as its own.
        Err(error) if error.is::<Unsupported>() => {
            return crate::print(&format!("{UNSUPPORTED}{error:#}\n"));
        }
        started => started.context("the model does not start")?,
    };
    crate::print(&format!("{address}\n"))?;

    let closing = Closing::default();
    let end = closing.clone();
    let input = at_end_of_input(move || end.begin(address))?;
    let served = model.echo_server(listener, &job, &closing);
    served.with_context(|| format!("the echo server at {address}"))?;
    ensure!(
        closing.has_begun(),
        "the echo server at {address} ended before it was told to"
    );
    match input.join() {
        Ok(read) => read.map(drop).context("standard input"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A server in a process of its own. Dropping it ends the process and waits for
/// its end.
#[derive(Debug)]
pub struct Server(ServerProcess);

impl Server {
    /// Runs `program echo-server` for a job and waits for its address. Its
    /// standard error is the caller's. It also ends when this process dies, as
    /// its standard input, which only this value holds open, closes then.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] if the model does not do such a job. Else when it does not
    /// start, or does not print its address in time; these errors name the program.
    pub fn spawn(
        program: &Path,
        job: &Job,
        threads: usize,
        blocking_threads: usize,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("echo-server");
        for (option, number) in [
            ("--connections", job.connections as u64),
            ("--messages", job.messages),
            ("--bytes", job.bytes as u64),
            ("--threads", threads as u64),
            ("--blocking-threads", blocking_threads as u64),
        ] {
            command.args([option, &number.to_string()]);
        }
        ServerProcess::spawn(command).map(Self)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Ends it and waits for its end. Its clients have hung up before.
    pub fn end(self) -> Result<()> {
        self.0.end()
    }
}

/// Has this process be allowed this many connections.
///
/// # Errors
///
/// [`Unsupported`] if it cannot be.
pub(crate) fn allow(connections: usize) -> Result<()> {
    allow_open_files(connections)?;
    // Each connection needs a port at the client's end.
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    if let Some(ports) = range.ok().and_then(|range| ports(&range))
        && ports < connections
    {
        let text = format!(
            "{connections} connections need as many ports, and there are {ports} \
             (net.ipv4.ip_local_port_range)"
        );
        return Err(Unsupported(text).into());
    }
    Ok(())
}

/// Raises the soft limit of open files as far as need be.
fn allow_open_files(connections: usize) -> Result<()> {
    let needed = connections as u64 + OTHER_OPEN_FILES;
    load::allow_open_files(needed)
        .map_err(|error| Unsupported(format!("{connections} connections: {error:#}")).into())
}

/// How many ports there are in a range like `32768 60999`.
fn ports(range: &str) -> Option<usize> {
    let mut ends = range.split_whitespace().map(str::parse::<usize>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, getrlimit};

    use super::*;

    #[test]
    fn ports_are_counted() {
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!(ports("5 4"), Some(0));
        assert_eq!(ports(""), None);
    }

    #[test]
    fn too_many_connections_are_refused_with_both_numbers() {
        allow(1).expect("one is always allowed");
        let hard = getrlimit(Resource::Nofile).maximum;
        let Some(too_many) = hard.and_then(|most| usize::try_from(most).ok()) else {
            return; // there is no limit here
        };
        let refused = allow_open_files(too_many).expect_err("one file a connection, and more");
        assert!(refused.is::<Unsupported>());
        let text = refused.to_string();
        assert!(text.contains(&format!("may have {too_many}")), "{text}");
    }

    #[test]
    fn a_program_that_is_no_server_is_named() {
        let job = Job {
            connections: 1,
            messages: 1,
            bytes: 1,
            address: None,
        };
        for (program, says) in [
            (
                "/bin/true",
                "/bin/true echo-server: it ended with exit status: 0",
            ),
            (
                "/bin/echo",
                "/bin/echo echo-server: it printed \"echo-server",
            ),
            ("/no/such", "/no/such echo-server"),
        ] {
            let failed = Server::spawn(Path::new(program), &job, 1, 1).expect_err(program);
            let text = format!("{failed:#}");
            assert!(text.starts_with(says), "{text}");
        }
    }
}
