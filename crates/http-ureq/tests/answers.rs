//! What servers do to a client, as they should and as they should not.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use http_ureq::{Client, Response};
use rustix::net::{AddressFamily, SocketType, sockopt};
use transfer::{AttemptError, Options, Request};
use url::Url;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// What a server does when it has sent what it had to send.
#[derive(Clone, Copy)]
enum Then {
    Close,
    Reset,
    /// Nothing, until the client has gone.
    Hold,
}

/// A server whose connections, in turn, answer one request after the other.
struct Server {
    url: Url,
    /// A word for each connection that has done what it had to, but for those
    /// that were reset.
    sent: Receiver<()>,
    done: JoinHandle<()>,
}

impl Server {
    fn new(connections: Vec<(Vec<Vec<u8>>, Then)>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let (tell, sent) = mpsc::channel();
        let done = thread::spawn(move || {
            for (answers, then) in connections {
                let (connection, _) = listener.accept().expect("a connection");
                converse(connection, answers, then, &tell);
            }
        });
        let url = Url::parse(&format!("http://{address}/")).expect("a URL");
        Self { url, sent, done }
    }

    /// One connection, one answer.
    fn once(answer: impl Into<Vec<u8>>, then: Then) -> Self {
        Self::new(vec![(vec![answer.into()], then)])
    }

    fn request(&self) -> Request {
        Request {
            url: self.url.clone(),
            headers: Default::default(),
            fresh: false,
        }
    }

    /// Waits until a connection has read its requests, and all that it sends,
    /// and be it its end, is where the client will find it: the loopback device
    /// keeps nothing under way.
    fn has_sent(&self) {
        self.sent.recv().expect("a connection");
    }

    /// All connections have been made, and used as was expected.
    fn end(self) {
        self.done.join().expect("no panic in the server");
    }
}

fn converse(mut connection: TcpStream, answers: Vec<Vec<u8>>, then: Then, tell: &Sender<()>) {
    for answer in answers {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut piece = [0; 1000];
            let read = connection.read(&mut piece).expect("a request");
            assert!(read > 0, "no request");
            request.extend_from_slice(&piece[..read]);
        }
        // The client may have seen enough before that.
        let _ = connection.write_all(&answer);
    }
    match then {
        Then::Close => drop(connection.shutdown(Shutdown::Write)),
        Then::Reset => {
            // What has been sent has arrived, and is read before the reset is seen.
            let at_once = Some(Duration::ZERO);
            sockopt::set_socket_linger(&connection, at_once).expect("an option");
            return;
        }
        Then::Hold => {}
    }
    // Few want to know.
    let _ = tell.send(());
    let _ = connection.read_to_end(&mut Vec::new());
}

/// How long nothing is waited for, so that a busy machine is not taken for silence.
const LONG: Duration = Duration::from_secs(60);

fn waiting(limit: Duration) -> Options {
    Options {
        idle_timeout: limit,
        connect_timeout: limit,
        ..Options::default()
    }
}

/// For what never comes.
fn impatient() -> Options {
    waiting(Duration::from_millis(300))
}

fn send(client: &Client, request: &Request) -> Result<Response, AttemptError> {
    send_within(&waiting(LONG), client, request)
}

fn send_within(
    options: &Options,
    client: &Client,
    request: &Request,
) -> Result<Response, AttemptError> {
    client.send(request, options, || unreachable!("no TLS here"))
}

fn body(mut response: Response) -> Result<Vec<u8>, AttemptError> {
    let (mut body, mut piece) = (Vec::new(), [0; 1000]);
    loop {
        match response.piece(&mut piece)? {
            0 => return Ok(body),
            read => body.extend_from_slice(&piece[..read]),
        }
    }
}

fn get(client: &Client, request: &Request) -> Result<Vec<u8>, AttemptError> {
    send(client, request).and_then(body)
}

/// What comes of one answer.
fn answered(answer: impl Into<Vec<u8>>, then: Then) -> Result<Vec<u8>, AttemptError> {
    answered_within(&waiting(LONG), answer, then)
}

fn answered_within(
    options: &Options,
    answer: impl Into<Vec<u8>>,
    then: Then,
) -> Result<Vec<u8>, AttemptError> {
    let client = Client::new(1);
    let server = Server::once(answer, then);
    let body = send_within(options, &client, &server.request()).and_then(body);
    drop(client);
    server.end();
    body
}

#[track_caller]
fn assert_hello(body: Result<Vec<u8>, AttemptError>) {
    assert_eq!(body.as_deref(), Ok(&b"hello"[..]));
}

#[test]
fn bodies_end_where_their_framing_says() {
    for (answer, then) in [
        (OK, Then::Hold),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", Then::Close),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", Then::Close),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", Then::Hold),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nT: t\r\n\r\n",
            Then::Hold,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\nhello",
            Then::Hold,
        ),
    ] {
        assert_hello(answered(answer, then));
    }
    let empty = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Then::Hold);
    assert_eq!(empty, Ok(Vec::new()));
}

#[test]
fn short_bodies_are_broken() {
    for (answer, then) in [
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"[..],
            Then::Close,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
            Then::Reset,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", Then::Reset),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            Then::Close,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            Then::Close,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5",
            Then::Close,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Then::Close),
    ] {
        let body = answered(answer, then);
        assert!(matches!(body, Err(AttemptError::Broken(_))), "{body:?}");
    }
}

#[test]
fn what_is_no_http_is_refused() {
    let long = [&b"HTTP/1.1 200 OK\r\nX: "[..], &[b'x'; 70_000]].concat();
    let endless = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(5000);
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        &long,
        &endless,
    ] {
        let body = answered(answer, Then::Hold);
        assert!(matches!(body, Err(AttemptError::Protocol(_))), "{body:?}");
    }
    // The other side says no more, and does not hang up.
    for answer in [
        &b"HTP/9.9 huh\r\n\r\n"[..],
        b"HTTP/2 200 OK\r\n\r\n",
        b"\0\0\x12\x04",
        b"\r\nSSH",
    ] {
        let body = answered(answer, Then::Hold);
        assert_eq!(body, Err(AttemptError::NotHttp1), "{answer:?}");
    }
}

#[test]
fn a_long_head_is_read() {
    let line = format!("X: {}\r\n", "x".repeat(997));
    let head = format!("HTTP/1.1 200 OK\r\n{}", line.repeat(50));
    let answer = [head.as_bytes(), b"Content-Length: 5\r\n\r\nhello"].concat();
    assert_hello(answered(answer, Then::Hold));
}

#[test]
fn a_long_request_is_sent() {
    let server = Server::new(vec![(vec![OK.into(); 3], Then::Hold)]);
    let client = Client::new(1);
    let mut request = server.request();
    assert_hello(get(&client, &request));
    request.url.set_path(&"p".repeat(50_000));
    assert_hello(get(&client, &request));
    let value = "v".repeat(60_000).parse().expect("a value");
    request.headers.insert("x", value);
    assert_hello(get(&client, &request));
    drop(client);
    server.end();
}

#[test]
fn informational_answers_are_none() {
    let before = b"HTTP/1.1 100 Continue\r\nDate: today\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n";
    assert_hello(answered([before, OK].concat(), Then::Hold));
}

#[test]
fn silence_has_its_names() {
    assert_eq!(answered("", Then::Close), Err(AttemptError::NoAnswer));
    assert_eq!(answered("", Then::Reset), Err(AttemptError::NoAnswer));
    let impatient = impatient();
    let idle = Err(AttemptError::Idle(impatient.idle_timeout));
    assert_eq!(answered_within(&impatient, "", Then::Hold), idle);
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe";
    assert_eq!(answered_within(&impatient, half, Then::Hold), idle);
}

#[test]
fn a_connection_is_kept() {
    let server = Server::new(vec![(vec![OK.into(); 3], Then::Close)]);
    let client = Client::new(1);
    for _ in 0..3 {
        assert_hello(get(&client, &server.request()));
    }
    drop(client);
    server.end();
}

#[test]
fn a_connection_that_was_closed_or_says_too_much_is_not_used_again() {
    let more = [OK, OK].concat();
    for (answer, then) in [(OK.to_vec(), Then::Close), (more, Then::Hold)] {
        let again = (vec![OK.to_vec()], Then::Close);
        let server = Server::new(vec![(vec![answer], then), again]);
        let client = Client::new(1);
        assert_hello(get(&client, &server.request()));
        server.has_sent();
        assert_hello(get(&client, &server.request()));
        drop(client);
        server.end();
    }
}

#[test]
fn a_late_word_does_not_pass_for_an_answer() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    let (had, first_answer) = mpsc::channel();
    let (tell, sent) = mpsc::channel();
    let server = thread::spawn(move || {
        let (mut first, _) = listener.accept().expect("a connection");
        let mut request = [0; 1000];
        let _ = first.read(&mut request).expect("a request");
        first.write_all(OK).expect("a client");
        first_answer.recv().expect("a client");
        let poison = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        first.write_all(poison).expect("a client");
        tell.send(()).expect("a client");
        let (second, _) = listener.accept().expect("another connection");
        converse(second, vec![OK.into()], Then::Close, &tell);
    });
    let client = Client::new(1);
    let request = Request {
        url: Url::parse(&format!("http://{address}/")).expect("a URL"),
        headers: Default::default(),
        fresh: false,
    };
    assert_hello(get(&client, &request));
    had.send(()).expect("a server");
    sent.recv().expect("a server");
    assert_hello(get(&client, &request));
    drop(client);
    server.join().expect("no panic in the server");
}

#[test]
fn an_unread_body_closes_its_connection_and_a_drained_one_does_not() {
    let request = |server: &Server| server.request();
    let unread = Server::new(vec![
        (vec![OK.into()], Then::Hold),
        (vec![OK.into()], Then::Hold),
    ]);
    let client = Client::new(1);
    drop(send(&client, &request(&unread)).expect("an answer"));
    assert_hello(get(&client, &request(&unread)));
    drop(client);
    unread.end();

    let drained = Server::new(vec![(vec![OK.into(); 2], Then::Hold)]);
    let client = Client::new(1);
    let response = send(&client, &request(&drained)).expect("an answer");
    response.drain(1000);
    assert_hello(get(&client, &request(&drained)));
    drop(client);
    drained.end();
}

#[test]
fn idle_connections_can_be_closed_and_others_go_on() {
    let idle = Server::once(OK, Then::Hold);
    let busy = Server::once(OK, Then::Hold);
    let client = Client::new(2);
    assert_hello(get(&client, &idle.request()));
    let response = send(&client, &busy.request()).expect("an answer");
    client.close_idle();
    idle.end();
    assert_hello(body(response));
    // It was put away after that, so it was closed.
    busy.end();
    let next = Server::once(OK, Then::Hold);
    assert_hello(get(&client, &next.request()));
    drop(client);
    next.end();
}

/// Does something that is interrupted at a time, and says how long after that
/// it ended.
fn interrupted<T: Send>(
    client: &Client,
    act: impl FnOnce() -> T + Send,
    wait: impl FnOnce(),
) -> (T, Duration) {
    thread::scope(|scope| {
        let act = scope.spawn(|| (act(), Instant::now()));
        wait();
        client.interrupt();
        let when = Instant::now();
        let (result, ended) = act.join().expect("no panic");
        (result, ended.saturating_duration_since(when))
    })
}

#[test]
fn an_interrupt_ends_a_read_and_no_body() {
    for answer in [&b""[..], b"HTTP/1.1 200 OK\r\n\r\nhel"] {
        let server = Server::once(answer, Then::Hold);
        let client = Client::new(1);
        let (request, patient) = (server.request(), waiting(10 * LONG));
        let read = || {
            let response = client.send(&request, &patient, || unreachable!());
            response.and_then(body)
        };
        let (body, took) = interrupted(&client, read, || server.has_sent());
        assert!(matches!(body, Err(AttemptError::Broken(_))), "{body:?}");
        assert!(took < LONG, "{took:?}");
        server.end();
        // Until the next run there is nothing to be had.
        let next = Server::once(OK, Then::Hold);
        let refused = get(&client, &next.request());
        assert!(
            matches!(refused, Err(AttemptError::Connect(_))),
            "{refused:?}"
        );
        client.begin();
        assert_hello(get(&client, &next.request()));
        drop(client);
        next.end();
    }
}

/// An address that takes no more connections, and refuses none; and what makes
/// it so.
fn black_hole() -> (Request, Vec<rustix::fd::OwnedFd>) {
    let socket = || {
        let flags = rustix::net::SocketFlags::NONBLOCK;
        rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
            .expect("a socket")
    };
    let listener = socket();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    rustix::net::bind(&listener, &any).expect("a port");
    rustix::net::listen(&listener, 0).expect("a listener");
    let address: SocketAddr = rustix::net::getsockname(&listener)
        .and_then(TryInto::try_into)
        .expect("its address");
    let mut sockets = vec![listener];
    for _ in 0..4 {
        let filler = socket();
        let _ = rustix::net::connect(&filler, &address);
        sockets.push(filler);
    }
    let request = Request {
        url: Url::parse(&format!("http://{address}/")).expect("a URL"),
        headers: Default::default(),
        fresh: false,
    };
    (request, sockets)
}

/// How many connections to a request's server wait for its first word.
fn connecting(request: &Request) -> usize {
    let port = request.url.port().expect("a port");
    let table = fs::read_to_string("/proc/net/tcp").expect("a table");
    // The end of a remote address, and the state SYN_SENT.
    table.matches(&format!(":{port:04X} 02 ")).count()
}

#[test]
fn connecting_takes_no_longer_than_it_may_or_until_an_interrupt() {
    let (request, _sockets) = black_hole();
    let client = Client::new(1);
    let start = Instant::now();
    let impatient = impatient();
    let refused = send_within(&impatient, &client, &request).err();
    assert!(
        matches!(refused, Some(AttemptError::Connect(_))),
        "{refused:?}"
    );
    let took = start.elapsed();
    let limit = impatient.connect_timeout;
    assert!(took >= limit && took < 10 * limit, "{took:?}");

    let patient = waiting(10 * LONG);
    let send = || client.send(&request, &patient, || unreachable!()).err();
    // Nobody but the kernel knows when it has begun.
    let others = connecting(&request);
    let (refused, took) = interrupted(&client, send, || {
        let start = Instant::now();
        while connecting(&request) <= others {
            assert!(start.elapsed() < LONG, "no connection");
            thread::yield_now();
        }
    });
    assert!(
        matches!(refused, Some(AttemptError::Connect(_))),
        "{refused:?}"
    );
    assert!(took < LONG, "{took:?}");
}

#[test]
fn who_refuses_is_named() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = closed.local_addr().expect("its address");
    drop(closed);
    let request = |url: &str| Request {
        url: Url::parse(url).expect("a URL"),
        headers: Default::default(),
        fresh: false,
    };
    for url in [
        format!("http://{address}/"),
        "http://no.such.host.invalid/".to_owned(),
    ] {
        let refused = get(&Client::new(1), &request(&url));
        assert!(
            matches!(refused, Err(AttemptError::Connect(_))),
            "{refused:?}"
        );
    }
}
