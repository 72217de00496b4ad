//! Unit: none. Shares: nothing. Ends: when the one client at a time does.
//!
//! A connection is closed after one answer, or the others would wait until its client does
//! that. A tunnel stays until both of its ends have closed.

use std::io::{self, ErrorKind, Read, Write};
use std::iter;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use http_head::Received;
use http_proxy::{
    Allowed, Authority, Kept, Message, Refusal, Request, Requests, Response, Responses,
};
use rustix::event::{PollFd, PollFlags};
use suite::proxy::{Job, KEPT, Mode, Outcome, Service, is_quiet, reset_on_close};
use suite::{Result, Unsupported};

use crate::both_ways::{Passing, Way, tunnel, wait};
use crate::server::{accept_all, end, linger, next};

/// Connections to upstreams that are kept: there is one client at a time.
const MOST_KEPT: usize = 4;

pub fn job(job: &Job) -> Result<Outcome> {
    if job.silent() > 0 {
        let text = "one connection at a time: a silent one would keep all others waiting";
        return Err(Unsupported(text.to_owned()).into());
    }
    if job.mode == Mode::Connect {
        let text = "one tunnel at a time: while it is open, no other is asked for";
        return Err(Unsupported(text.to_owned()).into());
    }
    run(job.service())?;
    Ok(Outcome::default())
}

pub fn run(service: &Service) -> Result<()> {
    let proxy = Proxy {
        allowed: &service.allowed,
        patience: service.patience,
        upstream_patience: service.upstream_patience,
        reuse: service.reuse,
        kept: Kept::new(MOST_KEPT, KEPT),
        end: end(&service.listening)?,
    };
    let converse = |_: &TcpListener, client: &TcpStream| proxy.converse(client);
    accept_all(&service.listening, converse, || {})
}

/// What requests are passed on by.
struct Proxy<'a> {
    allowed: &'a Allowed,
    patience: Duration,
    upstream_patience: Duration,
    reuse: bool,
    kept: Kept<Upstream>,
    /// It is closed at the other end when the end begins.
    end: UnixStream,
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
    /// Answers one request, and closes the connection.
    fn converse(&self, client: &TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        client.set_read_timeout(Some(self.patience))?;
        client.set_write_timeout(Some(self.patience))?;
        let mut requests = Requests::default();
        let Some(next) = next(client, &mut requests, self.patience, &self.end)? else {
            return Ok(());
        };
        let next = next.map(|mut request| {
            request.close_connection();
            request
        });
        match next {
            Ok(request) if request.is_connect() => match self.connect(request.upstream()) {
                Ok(upstream) => {
                    let early = requests.received().bytes();
                    return tunnel(client, early, &upstream, self.end.as_fd(), PollFlags::IN);
                }
                Err(refusal) => Self::refuse(client, refusal, Some(&request))?,
            },
            Ok(request) => {
                client.set_read_timeout(Some(self.patience))?;
                self.answer(client, requests.received(), &request)?
            }
            Err(refusal) => Self::refuse(client, refusal, None)?,
        };
        linger(client)
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
        let mut kept = match request.may_use_kept() && self.allowed.allows(to) {
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
                    if self.reuse && upstream.responses.may_be_kept(&response) {
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
        if !self.allowed.allows(to) {
            return Err(Refusal::Forbidden);
        }
        let until = Instant::now() + self.upstream_patience;
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
                    let set_up = set_up(&stream, self.upstream_patience);
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
        let mut message = request.message(self.reuse);
        if !request.has_body() {
            // If it is not taken, the response may tell why.
            let sent = pass_on(&mut message, client, received, stream).is_ok();
            return receive(client, stream, responses, request, sent);
        }
        set_nonblocking([client, stream], true).map_err(Failure::Cut)?;
        let exchanged = self.exchange_both_ways(client, received, request, &mut message, upstream);
        let restored = set_nonblocking([client, &upstream.stream], false);
        restored.map_err(Failure::Cut)?;
        exchanged
    }

    /// The same with a body.
    fn exchange_both_ways(
        &self,
        mut client: &TcpStream,
        received: &mut Received,
        request: &Request,
        message: &mut Message,
        upstream: &mut Upstream,
    ) -> std::result::Result<Response, Failure> {
        let Upstream { stream, responses } = upstream;
        let mut upstream = &*stream;
        let mut sending = Way {
            from: client,
            to: upstream,
            received,
            message,
            written: 0,
            state: Passing::On,
        };
        let mut response = 'response: loop {
            sending.step();
            match sending.state {
                Passing::From => return Err(cut("the client has gone")),
                Passing::Malformed => return Err(Failure::Refused(Refusal::BadRequest)),
                // If it is not taken, the response may tell why.
                Passing::On | Passing::Whole | Passing::To => {}
            }
            let all_sent = sending.state == Passing::Whole;
            while let Some(response) = responses.next(request, all_sent) {
                let response = response.map_err(Failure::Refused)?;
                if response.is_final() {
                    break 'response response;
                }
                let blocking = set_nonblocking([client], false);
                let passed = blocking.and_then(|()| client.write_all(response.message.bytes()));
                let passed = passed.and_then(|()| set_nonblocking([client], true));
                passed.map_err(Failure::Cut)?;
            }
            match upstream.read(responses.room()) {
                Ok(0) => return Err(Failure::Refused(Refusal::BadGateway)),
                Ok(read) => responses.filled(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // How long a client takes to send a body is no fault of the upstream.
                    let (patience, late) = match sending.state {
                        Passing::On if !sending.is_writing() => {
                            (self.patience, cut("the client sends nothing"))
                        }
                        _ => (
                            self.upstream_patience,
                            Failure::Refused(Refusal::GatewayTimeout),
                        ),
                    };
                    let own = PollFd::new(upstream, PollFlags::IN);
                    let mut waiting: Vec<_> =
                        [own].into_iter().chain(sending.waits_for()).collect();
                    if !wait(&mut waiting, Instant::now() + patience).map_err(Failure::Cut)? {
                        return Err(late);
                    }
                }
                Err(_) => return Err(Failure::Refused(Refusal::BadGateway)),
            }
        };
        let mut receiving = Way {
            from: upstream,
            to: client,
            received: responses.received(),
            message: &mut response.message,
            written: 0,
            state: Passing::On,
        };
        loop {
            receiving.step();
            // The rest of a body is still sent on meanwhile.
            sending.step();
            match receiving.state {
                Passing::On => {}
                Passing::Whole => return Ok(response),
                _ => return Err(cut("the response is not passed on to its end")),
            }
            let waiting = [receiving.waits_for(), sending.waits_for()];
            let mut waiting: Vec<_> = waiting.into_iter().flatten().collect();
            let until = Instant::now() + self.patience.max(self.upstream_patience);
            if !wait(&mut waiting, until).map_err(Failure::Cut)? {
                return Err(cut("the response is not passed on in time"));
            }
        }
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

/// Passes a message on to its end.
fn pass_on(
    message: &mut Message,
    mut from: &TcpStream,
    received: &mut Received,
    mut to: &TcpStream,
) -> std::result::Result<(), Stopped> {
    loop {
        let taken = message.take(received);
        to.write_all(message.bytes()).map_err(|_| Stopped::To)?;
        taken.map_err(|_| Stopped::Malformed)?;
        if message.is_whole() {
            return Ok(());
        }
        message.written();
        match from.read(message.room(received)) {
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
    all_sent: bool,
) -> std::result::Result<Response, Failure> {
    loop {
        while let Some(response) = responses.next(request, all_sent) {
            let mut response = response.map_err(Failure::Refused)?;
            if response.is_final() {
                let received = responses.received();
                let passed = pass_on(&mut response.message, upstream, received, client);
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
                ErrorKind::WouldBlock => return Err(Failure::Refused(Refusal::GatewayTimeout)),
                _ => return Err(Failure::Refused(Refusal::BadGateway)),
            },
        }
    }
}

fn set_nonblocking<const N: usize>(streams: [&TcpStream; N], nonblocking: bool) -> io::Result<()> {
    (streams.into_iter()).try_for_each(|stream| stream.set_nonblocking(nonblocking))
}
