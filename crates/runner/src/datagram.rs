//! `datagram-server`: the other end of the workload `datagram`, in a process of its own, and what
//! is between: a relay at the origin, and the kernel, which drops what it has no room for.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail, ensure};
use load::DatagramRelayShape;
use origin::DatagramRelay;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use suite::datagram::{Dropped, Job, Outcome, RECEIVE_BUFFER_BYTES, Relayed, Seen};
use suite::echo::Closing;
use suite::{Model, Result, Workload};

use crate::cli::DatagramServerArgs;
use crate::server_process::{self, ServerProcess};

/// How often a server that waits is woken, until it has returned.
const WAKE: Duration = Duration::from_millis(5);

/// How long the server may take for the datagram after all others.
const PATIENCE: Duration = Duration::from_secs(10);

/// After this time, that datagram is sent again.
const TRY: Duration = Duration::from_millis(100);

/// Serves until standard input ends, and prints the address first.
pub(crate) fn serve<M: Model>(args: &DatagramServerArgs) -> Result<()> {
    let asked =
        serde_json::from_str(&args.job).and_then(|job| Workload::Datagram.job_from_json(job));
    let suite::Job::Datagram(mut job) = asked.context("the job")? else {
        bail!("not a job of datagram");
    };
    suite::Job::Datagram(job.clone()).validate()?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no port to listen at")?;
    set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES).context("the socket's buffer")?;
    let address = socket.local_addr().context("no address to listen at")?;
    job.address = Some(address);
    // It has no unit a client: as many receive as can at once.
    let clients = job.clients.min(crate::cores());
    let sized = suite::Job::Datagram(Job {
        clients,
        ..job.clone()
    });
    let Some(model) = server_process::start::<M>(&sized, args.threads, args.blocking_threads)?
    else {
        return Ok(());
    };
    let waker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no port to wake it from")?;
    crate::print(&format!("{address}\n"))?;

    let closing = Closing::default();
    let end = closing.clone();
    let (is_serving, served) = channel::<()>();
    let input = server_process::at_end_of_input(move || {
        end.set();
        // Again and again: each unit that waits has to be woken, and a datagram can be lost.
        while let Err(RecvTimeoutError::Timeout) = served.recv_timeout(WAKE) {
            let _ = waker.send_to(&[], address);
        }
    })?;
    let ended = model.datagram_server(socket, &job, &closing);
    drop(is_serving);
    ended.with_context(|| format!("the datagram server at {address}"))?;
    ensure!(
        closing.has_begun(),
        "the datagram server at {address} ended before it was told to"
    );
    server_process::join(input)
}

/// A server in a process of its own. Dropping it ends the process and waits for its end.
#[derive(Debug)]
pub struct Server(ServerProcess);

impl Server {
    /// Runs `program datagram-server` for a job and waits for its address. Its standard error is
    /// the caller's. It also ends when this process dies.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](suite::Unsupported) if the model does not do such a job. Else when it does
    /// not start, or does not print its address in time; these errors name the program.
    pub fn spawn(
        program: &Path,
        job: &Job,
        threads: usize,
        blocking_threads: usize,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .arg("datagram-server")
            .args(["--job", &serde_json::to_string(job)?]);
        command.args(["--threads", &threads.to_string()]);
        command.args(["--blocking-threads", &blocking_threads.to_string()]);
        ServerProcess::spawn(command).map(Self)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Ends it and waits for its end.
    pub fn end(self) -> Result<()> {
        self.0.end()
    }

    /// Whether it sends a datagram of this many bytes back, which is sent again if it is lost.
    fn is_healthy(&self, bytes: usize) -> Result<bool> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for a client")?;
        socket.connect(self.address())?;
        socket.set_read_timeout(Some(TRY))?;
        // Its run is none.
        let datagram = vec![0; bytes];
        let mut room = vec![1; bytes + 1];
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let received = socket.send(&datagram).and_then(|_| socket.recv(&mut room));
            match received {
                Ok(bytes) => return Ok(room[..bytes] == datagram),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(false),
                // It is late, or lost.
                Err(_) => {}
            }
        }
        Ok(false)
    }
}

/// What is around the clients of a job: their server, and what drops datagrams.
#[derive(Debug)]
pub struct Network {
    server: Server,
    relay: Option<DatagramRelay>,
}

impl Network {
    /// With this server, and this relay between clients and it.
    pub fn new(server: Server, relay: Option<DatagramRelay>) -> Self {
        Self { server, relay }
    }

    /// The relay of a job, at an origin: `double` and `reorder` are 0.
    pub fn relay_shape(job: &Job, server: &Server) -> DatagramRelayShape {
        DatagramRelayShape {
            server: server.address(),
            buffer_bytes: RECEIVE_BUFFER_BYTES,
            seed: 1,
            lose: job.lose,
            double: 0,
            reorder: 0,
        }
    }

    /// Where clients send to.
    pub fn address(&self) -> SocketAddr {
        let relay = self.relay.as_ref().map(DatagramRelay::address);
        relay.unwrap_or_else(|| self.server.address())
    }

    /// Has the model's clients do the job, times exactly that, and adds what others have seen.
    pub fn run(&self, job: &mut Job, model: &dyn Model) -> Result<(Duration, Outcome)> {
        job.address = Some(self.address());
        // Later than all before, also those of another process.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        job.run = u64::try_from(now.as_nanos())?;
        let before = self.dropped()?;
        let started = Instant::now();
        let outcome = model.datagram(job);
        let elapsed = started.elapsed();
        let outcome = outcome?;
        let healthy = self.server.is_healthy(job.bytes)?;
        let relay = self.relay.as_ref().map(DatagramRelay::counts).transpose()?;
        let after = self.dropped()?;
        let dropped = Dropped {
            server: after.server.saturating_sub(before.server),
            relay: after.relay.saturating_sub(before.relay),
            others: after.others.saturating_sub(before.others),
        };
        let relay = relay.map_or_else(Relayed::default, |counts| Relayed {
            requests: counts.requests,
            lost_requests: counts.lost_requests,
            echoes: counts.echoes,
            lost_echoes: counts.lost_echoes,
            doubled: counts.doubled,
            reordered: counts.reordered,
            unanswered: counts.unanswered,
            cpu_ns: counts.cpu_ns,
        });
        let seen = Seen {
            healthy,
            relay,
            dropped,
        };
        Ok((elapsed, Outcome { seen, ..outcome }))
    }

    /// Ends the server.
    pub fn end(self) -> Result<()> {
        self.server.end()
    }

    /// What has been dropped so far.
    fn dropped(&self) -> Result<Dropped> {
        let sockets = fs::read_to_string("/proc/net/udp").context("/proc/net/udp")?;
        // A socket that is gone is found by other means.
        let of = |address| drops(&sockets, address).unwrap_or(0);
        let server = of(self.server.address());
        let relay = self.relay.as_ref().map_or(0, |relay| of(relay.address()));
        // Of all sockets, also those that have been closed since.
        let system = fs::read_to_string("/proc/net/snmp").context("/proc/net/snmp")?;
        let all = in_errors(&system).context("/proc/net/snmp has no InErrors of UDP")?;
        let others = all.saturating_sub(server + relay);
        Ok(Dropped {
            server,
            relay,
            others,
        })
    }
}

/// The last column of a socket's line in `/proc/net/udp`.
fn drops(sockets: &str, address: SocketAddr) -> Option<u64> {
    let SocketAddr::V4(address) = address else {
        return None;
    };
    let ip = u32::from_ne_bytes(address.ip().octets());
    let local = format!("{ip:08X}:{:04X}", address.port());
    let mut lines = sockets.lines();
    let line = lines.find(|line| line.split_whitespace().nth(1) == Some(&local))?;
    line.split_whitespace().last()?.parse().ok()
}

/// Datagrams that have come to a socket which had no room for them, by `/proc/net/snmp`.
fn in_errors(system: &str) -> Option<u64> {
    let mut lines = system.lines().filter(|line| line.starts_with("Udp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut both = names.split_whitespace().zip(values.split_whitespace());
    both.find(|(name, _)| *name == "InErrors")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_drops_is_counted() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        set_socket_recv_buffer_size(&socket, 4_096).expect("a small buffer");
        let address = socket.local_addr().expect("its address");
        let counts = || {
            let sockets = fs::read_to_string("/proc/net/udp").expect("sockets");
            let system = fs::read_to_string("/proc/net/snmp").expect("counters");
            let dropped = drops(&sockets, address).expect("its line");
            (dropped, in_errors(&system).expect("InErrors"))
        };
        let (dropped, all) = counts();
        assert_eq!(dropped, 0);
        let sent = 100;
        for _ in 0..sent {
            let bytes = socket.send_to(&[0; 512], address).expect("sent");
            assert_eq!(bytes, 512);
        }
        let (dropped, all_then) = counts();
        socket.set_nonblocking(true).expect("a flag");
        let mut came = 0;
        while socket.recv(&mut [0; 512]).is_ok() {
            came += 1;
        }
        assert!(dropped > 0 && came > 0);
        assert_eq!(dropped + came, sent);
        assert!(all_then - all >= dropped, "{all_then} - {all}");
    }

    #[test]
    fn a_socket_that_is_not_listed_has_no_count() {
        let address = "127.0.0.1:9".parse().expect("an address");
        assert_eq!(drops("  sl  local_address\n", address), None);
        let line = "1: 0100007F:0009 00000000:0000 07 0:0 00:0 0 0 0 1 2 ffff 42\n";
        assert_eq!(drops(line, address), Some(42));
        assert_eq!(in_errors("Tcp: InErrors\nTcp: 1\nUdp: A\nUdp: 1\n"), None);
        assert_eq!(in_errors("Udp: A InErrors\nUdp: 1 2\n"), Some(2));
    }
}
