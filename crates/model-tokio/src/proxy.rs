//! Unit: task, one a client; it waits for both of its sides at once. Shares: places for
//! clients, and kept connections to upstreams. Ends: when the end begins, tasks answer what has
//! been asked, tunnels have some seconds more, and the `JoinSet` drains.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::iter;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http_head::Received;
use http_proxy::{
    Authority, ESTABLISHED, Kept, Message, Refusal, Request, Requests, Response, Responses,
};
use rustix::net::{Shutdown, shutdown};
use suite::Result;
use suite::listening::PIECES_IN_A_ROW;
use suite::proxy::{
    KEPT, LastUse, PIECE, Service, TUNNEL_GRACE, TUNNEL_PATIENCE, is_quiet, reset_on_close,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::server::{self, Closed, linger, next};

thread_local! {
    /// What goes through tunnels: it is in use only while a worker reads and writes, and an
    /// idle tunnel has none.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

pub async fn run(service: Arc<Service>) -> Result<()> {
    let closed = server::closed(&service.listening);
    let kept = Arc::new(Kept::new(service.connections, KEPT));
    let converse = |stream, closed| {
        let client = Client {
            stream,
            service: service.clone(),
            kept: kept.clone(),
        };
        client.converse(closed)
    };
    let (listening, connections) = (&service.listening, service.connections);
    server::accept_all(listening, connections, &closed, converse).await
}

/// A client, and what it shares with others.
struct Client {
    stream: TcpStream,
    service: Arc<Service>,
    kept: Arc<Kept<Upstream>>,
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

impl Client {
    /// Answers what comes from the client, until either end closes the connection.
    async fn converse(mut self, mut closed: Closed) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut closing = pin!(closed.changed());
        let mut requests = Requests::default();
        let patience = self.service.patience;
        while let Some(next) =
            next(&mut self.stream, &mut requests, patience, closing.as_mut()).await?
        {
            let keeps = match next {
                Ok(request) if request.is_connect() => {
                    let upstream = self.connect(request.upstream()).await;
                    match upstream {
                        Ok(upstream) => {
                            let early = requests.received().bytes();
                            return self.tunnel(&upstream, early, closing).await;
                        }
                        Err(refusal) => self.refuse(refusal, Some(&request)).await?,
                    }
                }
                Ok(request) => self.answer(requests.received(), &request).await?,
                Err(refusal) => self.refuse(refusal, None).await?,
            };
            if !keeps {
                return linger(&mut self.stream).await;
            }
            if self.service.listening.is_closing() {
                return linger(&mut self.stream).await;
            }
        }
        Ok(())
    }

    /// Tells whether the connection is to be kept.
    async fn refuse(&mut self, refusal: Refusal, request: Option<&Request>) -> io::Result<bool> {
        self.write(&refusal.answer(request)).await?;
        Ok(request.is_some_and(Request::keeps_connection))
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(self.service.patience, self.stream.write_all(bytes)).await?
    }

    /// Passes a request on, and the response back. Tells whether the client's connection is to
    /// be kept.
    async fn answer(&mut self, received: &mut Received, request: &Request) -> io::Result<bool> {
        if let Some(own) = request.own_answer() {
            self.write(&own).await?;
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
                None => self.connect(to).await.map(Upstream::new),
            };
            let mut upstream = match upstream {
                Ok(upstream) => upstream,
                Err(refusal) => return self.refuse(refusal, Some(request)).await,
            };
            match self.exchange(received, request, &mut upstream).await {
                Ok(response) => {
                    if self.service.reuse && upstream.responses.may_be_kept(&response) {
                        self.kept.put(to, upstream);
                    }
                    return Ok(response.keeps_client());
                }
                // It has ended before it was asked: a new one is.
                Err(Failure::Refused(Refusal::BadGateway))
                    if is_kept && !upstream.responses.has_begun() => {}
                Err(Failure::Refused(refusal)) => return self.refuse(refusal, Some(request)).await,
                Err(Failure::Cut(error)) => {
                    reset_on_close(&self.stream);
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

    async fn connect(&self, to: &Authority) -> std::result::Result<TcpStream, Refusal> {
        if !self.service.allowed.allows(to) {
            return Err(Refusal::Forbidden);
        }
        let connect = async {
            let addresses = match to.known_addresses() {
                Some(addresses) => addresses,
                None => lookup_host((to.host.as_str(), to.port)).await?.collect(),
            };
            let mut failed = io::Error::from(ErrorKind::NotFound);
            for address in addresses {
                match TcpStream::connect(address).await {
                    Ok(stream) => return stream.set_nodelay(true).map(|()| stream),
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        };
        match timeout(self.service.upstream_patience, connect).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if error.kind() != ErrorKind::TimedOut => Err(Refusal::BadGateway),
            _ => Err(Refusal::GatewayTimeout),
        }
    }

    /// Sends a request on, and responses back, up to the end of the final one. The upstream may
    /// respond before it has all of the request's body.
    async fn exchange(
        &mut self,
        received: &mut Received,
        request: &Request,
        upstream: &mut Upstream,
    ) -> std::result::Result<Response, Failure> {
        let service = &*self.service;
        let [patience, upstream_patience] = [service.patience, service.upstream_patience];
        let (mut from_client, mut to_client) = self.stream.split();
        let (mut from_upstream, mut to_upstream) = upstream.stream.split();
        let responses = &mut upstream.responses;
        responses.begin();
        let mut message = request.message(service.reuse);
        let sending = pass_on(
            &mut message,
            (&mut from_client, patience),
            received,
            (&mut to_upstream, upstream_patience),
        );
        let mut sending = pin!(sending);
        let (mut is_sending, mut all_sent) = (true, false);
        if !request.has_body() {
            is_sending = false;
            // If it is not taken, the response may tell why.
            all_sent = sending.as_mut().await.is_ok();
        }
        let mut response = loop {
            // How long a client takes to send a body is no fault of the upstream.
            let limit = match is_sending {
                true => Duration::MAX,
                false => upstream_patience,
            };
            let from = &mut from_upstream;
            let next = timeout(limit, next_response(from, responses, request, all_sent));
            let response = tokio::select! {
                biased;
                sent = &mut sending, if is_sending => {
                    is_sending = false;
                    match sent {
                        Ok(()) => all_sent = true,
                        Err(Stopped::To) => {}
                        Err(Stopped::From) => return Err(cut("the client has gone")),
                        Err(Stopped::Malformed) => {
                            return Err(Failure::Refused(Refusal::BadRequest));
                        }
                    }
                    continue;
                }
                response = next => match response {
                    Ok(response) => response.map_err(Failure::Refused)?,
                    Err(_) => return Err(Failure::Refused(Refusal::GatewayTimeout)),
                },
            };
            if response.is_final() {
                break response;
            }
            let passed = timeout(patience, to_client.write_all(response.message.bytes())).await;
            passed
                .map_err(|_| cut("the client has gone"))?
                .map_err(Failure::Cut)?;
        };
        let passed = {
            let receiving = pass_on(
                &mut response.message,
                (&mut from_upstream, upstream_patience),
                responses.received(),
                (&mut to_client, patience),
            );
            let mut receiving = pin!(receiving);
            loop {
                tokio::select! {
                    biased;
                    passed = &mut receiving => break passed,
                    // The rest of a body is still sent on meanwhile.
                    _ = &mut sending, if is_sending => is_sending = false,
                }
            }
        };
        match passed {
            Ok(()) => Ok(response),
            Err(_) => Err(cut("the response is not passed on to its end")),
        }
    }

    /// Passes bytes on in both directions, until both have ended.
    async fn tunnel(
        &mut self,
        upstream: &TcpStream,
        early: &[u8],
        closing: Pin<&mut impl Future>,
    ) -> io::Result<()> {
        self.write(ESTABLISHED).await?;
        let client = &self.stream;
        let last = LastUse::default();
        let both = async {
            let forth = copy(client, upstream, early, &last);
            let back = copy(upstream, client, &[], &last);
            tokio::try_join!(forth, back)
        };
        let end = async {
            closing.await;
            sleep(TUNNEL_GRACE).await;
        };
        tokio::select! {
            done = both => done.map(drop),
            () = end => Ok(()),
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

fn cut(why: &str) -> Failure {
    Failure::Cut(io::Error::other(why))
}

/// Passes a message on to its end. Each side has this long for each piece.
async fn pass_on(
    message: &mut Message,
    (from, read_patience): (&mut ReadHalf<'_>, Duration),
    received: &mut Received,
    (to, write_patience): (&mut WriteHalf<'_>, Duration),
) -> std::result::Result<(), Stopped> {
    loop {
        let taken = message.take(received);
        match timeout(write_patience, to.write_all(message.bytes())).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(Stopped::To),
        }
        taken.map_err(|_| Stopped::Malformed)?;
        if message.is_whole() {
            return Ok(());
        }
        message.written();
        match timeout(read_patience, from.read(message.room(received))).await {
            Ok(Ok(0)) => message.end().map_err(|_| Stopped::From)?,
            Ok(Ok(read)) => received.filled(read),
            Ok(Err(_)) | Err(_) => return Err(Stopped::From),
        }
    }
}

/// The next response of an upstream.
async fn next_response(
    from: &mut ReadHalf<'_>,
    responses: &mut Responses,
    request: &Request,
    all_sent: bool,
) -> std::result::Result<Response, Refusal> {
    loop {
        if let Some(response) = responses.next(request, all_sent) {
            return response;
        }
        match from.read(responses.room()).await {
            Ok(0) | Err(_) => return Err(Refusal::BadGateway),
            Ok(read) => responses.filled(read),
        }
    }
}

/// Passes bytes on in one direction, after these, and then its end.
async fn copy(from: &TcpStream, to: &TcpStream, first: &[u8], last: &LastUse) -> io::Result<()> {
    let mut rest = first.to_vec();
    let mut pieces = 0usize;
    loop {
        pieces += 1;
        if pieces.is_multiple_of(PIECES_IN_A_ROW) {
            yield_now().await;
        }
        while !rest.is_empty() {
            timeout(TUNNEL_PATIENCE, to.writable()).await??;
            match to.try_write(&rest) {
                Ok(written) => drop(rest.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        match timeout(TUNNEL_PATIENCE, from.readable()).await {
            Ok(ready) => ready?,
            // The other direction may be in use.
            Err(_) if last.was_within(TUNNEL_PATIENCE) => continue,
            Err(late) => return Err(late.into()),
        }
        let piece = BUFFER.with_borrow_mut(|buffer| {
            let read = from.try_read(buffer)?;
            let bytes = &buffer[..read];
            let written = match to.try_write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                written => written?,
            };
            io::Result::Ok((read > 0).then(|| bytes[written..].to_vec()))
        });
        rest = match piece {
            Ok(Some(rest)) => rest,
            Ok(None) => return Ok(shutdown(to, Shutdown::Write)?),
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        last.now();
    }
}
