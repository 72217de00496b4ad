//! Unit: thread, one a client, and a second one as long as bytes go both ways at once. Shares:
//! the open connections, and kept ones to upstreams. Ends: when the end begins, nothing more is
//! asked, tunnels have some seconds more; the scope joins.

use std::io::{self, ErrorKind, Read, Write};
use std::iter;
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread;
use std::time::{Duration, Instant};

use http_head::Received;
use http_proxy::{
    Authority, ESTABLISHED, Kept, Message, Refusal, Request, Requests, Response, Responses,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use suite::Result;
use suite::proxy::{
    KEPT, LastUse, PIECE, Service, TUNNEL_GRACE, TUNNEL_PATIENCE, is_quiet, reset_on_close,
};

use crate::server::{self, Client, Open};

pub fn run(service: &Arc<Service>) -> Result<()> {
    let open = Arc::new(Open::default());
    let closing = open.clone();
    service.listening.on_close(move || closing.close());
    let proxy = Proxy {
        service,
        kept: Kept::new(service.connections, KEPT),
    };
    thread::scope(|scope| {
        let (listening, most) = (&service.listening, service.connections);
        let converse = |client: &Client| proxy.converse(client);
        let accepted = server::accept_all(scope, listening, most, &open, converse);
        // Also when accepting has failed: all threads are joined.
        open.close();
        if !open.are_ended_by(Instant::now() + TUNNEL_GRACE) {
            // Requests that are under way have as long as ever.
            open.cut_tunnels();
        }
        accepted
    })
}

/// What clients share.
struct Proxy<'a> {
    service: &'a Service,
    kept: Kept<Upstream>,
}

/// A connection to an upstream.
struct Upstream {
    stream: TcpStream,
    responses: Responses,
}

/// Why there is no response, or no whole one.
enum Failure {
    /// Nothing of a final one has gone to the client.
    Refused(Refusal),
    /// The client's connection is to be cut.
    Cut(io::Error),
}

/// Why a message is not passed on to its end.
enum Stopped {
    /// Its own side has failed.
    From,
    /// It could be read in two ways, or in none.
    Malformed,
    /// The other side has failed, or does not take it in time.
    To,
}

impl Proxy<'_> {
    /// Answers what comes from a client, until either end closes the connection.
    fn converse(&self, client: &Client) -> io::Result<()> {
        let stream = client.stream();
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.service.patience))?;
        stream.set_write_timeout(Some(self.service.patience))?;
        let mut requests = Requests::default();
        while let Some(next) = client.next(&mut requests, self.service.patience)? {
            let keeps = match next {
                Ok(request) if request.is_connect() => match self.connect(request.upstream()) {
                    Ok(upstream) => {
                        let upstream = Arc::new(upstream);
                        if !client.begin_tunnel(&upstream) {
                            return Ok(());
                        }
                        return Self::tunnel(stream, requests.received().bytes(), &upstream);
                    }
                    Err(refusal) => Self::refuse(stream, refusal, Some(&request))?,
                },
                Ok(request) => self.answer(stream, requests.received(), &request)?,
                Err(refusal) => Self::refuse(stream, refusal, None)?,
            };
            if !keeps {
                return client.linger();
            }
            if self.service.listening.is_closing() {
                return client.linger();
            }
        }
        Ok(())
    }

    /// Tells whether the connection is to be kept.
    fn refuse(
        mut client: &TcpStream,
        refusal: Refusal,
        request: Option<&Request>,
    ) -> io::Result<bool> {
        client.write_all(&refusal.answer(request))?;
        Ok(request.is_some_and(Request::keeps_connection))
    }

    /// Passes a request on, and the response back. Tells whether the client's connection is to
    /// be kept.
    fn answer(
        &self,
        mut client: &TcpStream,
        received: &mut Received,
        request: &Request,
    ) -> io::Result<bool> {
        if let Some(own) = request.own_answer() {
            client.write_all(&own)?;
            return Ok(request.keeps_connection());
        }
        let to = request.upstream();
        let mut kept = match request.may_use_kept() && self.service.allowed.allows(to) {
            true => self.take_kept(to),
            false => None,
        };
        loop {
            let is_kept = kept.is_some();
            let upstream = match kept.take() {
                Some(upstream) => Ok(upstream),
                None => self.connect(to).map(Upstream::new),
            };
            let mut upstream = match upstream {
                Ok(upstream) => upstream,
                Err(refusal) => return Self::refuse(client, refusal, Some(request)),
            };
            match self.exchange(client, received, request, &mut upstream) {
                Ok(response) => {
                    if self.service.reuse && upstream.responses.may_be_kept(&response) {
                        self.kept.put(to, upstream);
                    }
                    return Ok(response.keeps_client());
                }
                // It has ended before it was asked: a new one is.
                Err(Failure::Refused(Refusal::BadGateway))
                    if is_kept && !upstream.responses.has_begun() => {}
                Err(Failure::Refused(refusal)) => {
                    return Self::refuse(client, refusal, Some(request));
                }
                Err(Failure::Cut(error)) => {
                    reset_on_close(client);
                    return Err(error);
                }
            }
        }
    }

    /// A kept connection over which nothing has come since.
    fn take_kept(&self, to: &Authority) -> Option<Upstream> {
        let mut kept = iter::from_fn(|| self.kept.take(to));
        kept.find(|upstream| is_quiet(&upstream.stream))
    }

    fn connect(&self, to: &Authority) -> std::result::Result<TcpStream, Refusal> {
        if !self.service.allowed.allows(to) {
            return Err(Refusal::Forbidden);
        }
        let until = Instant::now() + self.service.upstream_patience;
        let addresses: io::Result<Vec<SocketAddr>> = match to.known_addresses() {
            Some(addresses) => Ok(addresses),
            None => (to.host.as_str(), to.port)
                .to_socket_addrs()
                .map(Iterator::collect),
        };
        let mut refusal = Refusal::BadGateway;
        for address in addresses.map_err(|_| refusal)? {
            let left = until.saturating_duration_since(Instant::now());
            match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1))) {
                Ok(stream) => {
                    let set_up = set_up(&stream, self.service.upstream_patience);
                    return set_up.map(|()| stream).map_err(|_| Refusal::BadGateway);
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    refusal = Refusal::GatewayTimeout;
                }
                Err(_) => refusal = Refusal::BadGateway,
            }
        }
        Err(refusal)
    }

    /// Sends a request on, and responses back, up to the end of the final one. The upstream may
    /// respond before it has all of the request's body.
    fn exchange(
        &self,
        client: &TcpStream,
        received: &mut Received,
        request: &Request,
        upstream: &mut Upstream,
    ) -> std::result::Result<Response, Failure> {
        let Upstream { stream, responses } = upstream;
        let stream = &*stream;
        responses.begin();
        let mut message = request.message(self.service.reuse);
        if !request.has_body() {
            // If it is not taken, the response may tell why.
            let sent = pass_on(&mut message, client, received, stream, &Sending::default()).is_ok();
            return receive(client, stream, responses, request, &|| sent, &|| false);
        }
        let (stop, stopped) = UnixStream::pair().map_err(Failure::Cut)?;
        let sending = Sending {
            is_taken: AtomicBool::new(false),
            stopped: Some((stopped, self.service.patience)),
        };
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let send = || {
                let sent = pass_on(&mut message, client, received, stream, &sending);
                match sent {
                    // If it is not taken, the response may tell why.
                    Ok(()) | Err(Stopped::To) => {}
                    // The other thread sees the end of what it reads.
                    Err(Stopped::From | Stopped::Malformed) => {
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                }
                is_over.store(true, Release);
                sent
            };
            let sender = crate::spawn_small(scope, send);
            let sender = sender.map_err(|error| Failure::Cut(io::Error::other(error)))?;
            let all_taken = || sending.is_taken.load(Acquire);
            let is_sending = || !is_over.load(Acquire);
            let response = receive(client, stream, responses, request, &all_taken, &is_sending);
            if !all_taken() {
                // The other thread waits at one of these.
                drop(stop);
                let _ = stream.shutdown(Shutdown::Both);
            }
            match (crate::join(sender), response) {
                (Err(Stopped::Malformed), Err(Failure::Refused(_))) => {
                    Err(Failure::Refused(Refusal::BadRequest))
                }
                (Err(Stopped::From), Err(Failure::Refused(Refusal::BadGateway))) => {
                    Err(cut("the client has gone"))
                }
                (_, response) => response,
            }
        })
    }

    /// Passes bytes on in both directions, until both have ended.
    fn tunnel(mut client: &TcpStream, early: &[u8], mut upstream: &TcpStream) -> io::Result<()> {
        client.write_all(ESTABLISHED)?;
        upstream.write_all(early)?;
        for stream in [client, upstream] {
            stream.set_read_timeout(Some(TUNNEL_PATIENCE))?;
            stream.set_write_timeout(Some(TUNNEL_PATIENCE))?;
        }
        let last = LastUse::default();
        let copy = |from: &TcpStream, to: &TcpStream| {
            let copied = copy(from, to, &last);
            if copied.is_err() {
                // The other thread sees the end of what it reads.
                let _ = client.shutdown(Shutdown::Both);
                let _ = upstream.shutdown(Shutdown::Both);
            }
            copied
        };
        thread::scope(|scope| {
            let back = crate::spawn_small(scope, || copy(upstream, client));
            let back = back.map_err(io::Error::other)?;
            let forth = copy(client, upstream);
            crate::join(back).and(forth)
        })
    }
}

impl Upstream {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            responses: Responses::default(),
        }
    }
}

fn set_up(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))
}

fn cut(why: &str) -> Failure {
    Failure::Cut(io::Error::other(why))
}

/// What a thread that sends a message shares with the one that waits for the response.
#[derive(Default)]
struct Sending {
    /// Whether all of it has been read. It is set before the last of it is written, as the
    /// response may come before the thread goes on after that.
    is_taken: AtomicBool,
    /// Its other end is dropped when nothing more is to be read; and how long the client may
    /// take for each piece. None, if no other thread waits.
    stopped: Option<(UnixStream, Duration)>,
}

impl Sending {
    /// Waits until there is something to read; not, if nothing more is to be read.
    fn may_read(&self, from: &TcpStream) -> io::Result<bool> {
        let Some((stopped, patience)) = &self.stopped else {
            return Ok(true);
        };
        let limit = Timespec::try_from(*patience).map_err(io::Error::other)?;
        let mut both = [
            PollFd::new(from, PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        match poll(&mut both, Some(&limit))? {
            0 => Err(ErrorKind::TimedOut.into()),
            _ => Ok(both[1].revents().is_empty()),
        }
    }
}

/// Passes a message on to its end.
fn pass_on(
    message: &mut Message,
    mut from: &TcpStream,
    received: &mut Received,
    mut to: &TcpStream,
    sending: &Sending,
) -> std::result::Result<(), Stopped> {
    loop {
        let taken = message.take(received);
        sending.is_taken.store(message.is_whole(), Release);
        to.write_all(message.bytes()).map_err(|_| Stopped::To)?;
        taken.map_err(|_| Stopped::Malformed)?;
        if message.is_whole() {
            return Ok(());
        }
        message.written();
        let read = match sending.may_read(from) {
            Ok(true) => from.read(message.room(received)),
            Ok(false) => return Err(Stopped::To),
            Err(error) => Err(error),
        };
        match read {
            Ok(0) => message.end().map_err(|_| Stopped::From)?,
            Ok(read) => received.filled(read),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(Stopped::From),
        }
    }
}

/// Passes responses of an upstream on, up to the end of the final one.
fn receive(
    mut client: &TcpStream,
    mut upstream: &TcpStream,
    responses: &mut Responses,
    request: &Request,
    all_sent: &dyn Fn() -> bool,
    is_sending: &dyn Fn() -> bool,
) -> std::result::Result<Response, Failure> {
    loop {
        while let Some(response) = responses.next(request, all_sent()) {
            let mut response = response.map_err(Failure::Refused)?;
            if response.is_final() {
                let received = responses.received();
                let alone = Sending::default();
                let passed = pass_on(&mut response.message, upstream, received, client, &alone);
                let cut = |_| cut("the response is not passed on to its end");
                return passed.map(|()| response).map_err(cut);
            }
            let passed = client.write_all(response.message.bytes());
            passed.map_err(Failure::Cut)?;
        }
        match upstream.read(responses.room()) {
            Ok(0) => return Err(Failure::Refused(Refusal::BadGateway)),
            Ok(read) => responses.filled(read),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                // How long a client takes to send a body is no fault of the upstream.
                ErrorKind::WouldBlock if is_sending() => {}
                ErrorKind::WouldBlock => return Err(Failure::Refused(Refusal::GatewayTimeout)),
                _ => return Err(Failure::Refused(Refusal::BadGateway)),
            },
        }
    }
}

/// Passes bytes on in one direction, and then its end.
fn copy(mut from: &TcpStream, mut to: &TcpStream, last: &LastUse) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return to.shutdown(Shutdown::Write),
            Ok(read) => to.write_all(&buffer[..read])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // The other direction may be in use.
            Err(error)
                if error.kind() == ErrorKind::WouldBlock && last.was_within(TUNNEL_PATIENCE) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        }
        last.now();
    }
}
