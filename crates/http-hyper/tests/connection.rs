//! What becomes of connections, against servers of a few lines.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http_hyper::{Connection, FuturesStream, Idle, Response, handshake};
use hyper::header::HeaderMap;
use transfer::{AttemptError, Request};
use url::Url;

/// A server for one connection: `serve` has it all to itself.
fn server<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (Url, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let url = format!("http://127.0.0.1:{port}/").parse().expect("a URL");
    let server = thread::spawn(move || serve(listener.accept().expect("a connection").0));
    (url, server)
}

/// Reads the head of a request.
fn head(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("a request") > 0 {
        text.push(byte[0]);
    }
    String::from_utf8(text).expect("text")
}

/// Answers a request with just these bytes.
fn answer(stream: &mut TcpStream, bytes: &str) -> String {
    let request = head(stream);
    stream.write_all(bytes.as_bytes()).expect("a reader");
    request
}

/// Whether the other side has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    let patience = Some(Duration::from_secs(5));
    stream.set_read_timeout(patience).expect("a timeout");
    !matches!(stream.read(&mut [0]), Ok(1..) | Err(_))
}

async fn connect(url: &Url) -> Connection {
    let (host, port) = http_hyper::host_and_port(url);
    let stream = smol::net::TcpStream::connect((host, port)).await;
    let io = FuturesStream::new(stream.expect("a connection"));
    handshake(io, url).await.expect("a handshake")
}

fn request(url: &Url) -> Request {
    Request {
        url: url.clone(),
        headers: HeaderMap::new(),
        fresh: false,
    }
}

async fn body(response: &mut Response) -> Result<String, AttemptError> {
    let mut text = Vec::new();
    while let Some(piece) = response.piece().await? {
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8(text).expect("text"))
}

/// What comes of one request that is answered so.
fn outcome(bytes: &'static str) -> Result<String, AttemptError> {
    let (url, server) = server(move |mut stream| answer(&mut stream, bytes));
    let outcome = smol::block_on(async {
        let connection = connect(&url).await;
        body(&mut connection.send(&request(&url)).await?).await
    });
    server.join().expect("the server");
    outcome
}

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn a_connection_is_used_again() {
    let (url, server) = server(|mut stream| {
        let first = answer(&mut stream, HELLO);
        let second = answer(&mut stream, HELLO);
        (first, second, is_closed(&mut stream))
    });
    let url = url.join("/a|b%20c?d={e}#f").expect("a URL");
    smol::block_on(async {
        let idle = Idle::new(1);
        let mut connection = connect(&url).await;
        for _ in 0..2 {
            let mut response = connection.send(&request(&url)).await.expect("an answer");
            assert_eq!(response.head.status, 200);
            assert_eq!(body(&mut response).await.as_deref(), Ok("hello"));
            idle.keep(response);
            let elsewhere = "http://127.0.0.1:1/".parse().expect("a URL");
            assert!(idle.take(&elsewhere).await.is_none());
            connection = idle.take(&url).await.expect("it was kept");
        }
        drop(connection);
    });
    let (first, second, closed) = server.join().expect("the server");
    assert_eq!(first, second);
    let port = url.port().expect("a port");
    assert_eq!(
        first,
        format!("GET /a|b%20c?d={{e}} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n")
    );
    assert!(closed);
}

/// What follows an answer unasked must not be taken for the next one.
#[test]
fn a_connection_that_sent_more_than_it_said_is_not_used_again() {
    let (ended, waits) = mpsc::channel();
    let (sent, waited) = mpsc::channel();
    let (url, server) = server(move |mut stream| {
        answer(&mut stream, HELLO);
        waits.recv().expect("a body that was read");
        let forged = HELLO.replace("hello", "wrong");
        stream.write_all(forged.as_bytes()).expect("a reader");
        sent.send(()).expect("a test that waits");
        is_closed(&mut stream)
    });
    smol::block_on(async {
        let idle = Idle::new(1);
        let connection = connect(&url).await;
        let mut response = connection.send(&request(&url)).await.expect("an answer");
        assert_eq!(body(&mut response).await.as_deref(), Ok("hello"));
        idle.keep(response);
        ended.send(()).expect("a server");
        waited.recv().expect("a server");
        assert!(idle.take(&url).await.is_none());
    });
    assert!(server.join().expect("the server"));
}

#[test]
fn more_than_was_said_in_the_same_packet_is_seen_at_once() {
    let both: &'static str = format!("{HELLO}{HELLO}").leak();
    let (url, server) = server(move |mut stream| {
        answer(&mut stream, both);
        is_closed(&mut stream)
    });
    smol::block_on(async {
        let idle = Idle::new(1);
        let connection = connect(&url).await;
        let mut response = connection.send(&request(&url)).await.expect("an answer");
        assert_eq!(body(&mut response).await.as_deref(), Ok("hello"));
        idle.keep(response);
        assert!(idle.take(&url).await.is_none());
    });
    assert!(server.join().expect("the server"));
}

/// Even while the server sends nothing: hyper alone would wait for it.
#[test]
fn a_body_that_nobody_reads_closes_its_connection() {
    let (url, server) = server(|mut stream| {
        answer(
            &mut stream,
            "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        );
        is_closed(&mut stream)
    });
    smol::block_on(async {
        let idle = Idle::new(1);
        let connection = connect(&url).await;
        let mut response = connection.send(&request(&url)).await.expect("an answer");
        let piece = response.piece().await.expect("a piece");
        assert_eq!(piece.as_deref(), Some(&b"hello"[..]));
        idle.keep(response);
        assert!(idle.take(&url).await.is_none());
    });
    assert!(server.join().expect("the server"));
}

#[test]
fn a_small_body_that_nobody_wants_is_drained() {
    let (url, server) = server(|mut stream| {
        answer(
            &mut stream,
            "HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nlater",
        );
        answer(&mut stream, HELLO);
        answer(&mut stream, HELLO);
        is_closed(&mut stream)
    });
    smol::block_on(async {
        let idle = Idle::new(1);
        let connection = connect(&url).await;
        let mut response = connection.send(&request(&url)).await.expect("an answer");
        response.drain(5).await.expect("a body");
        idle.keep(response);
        let connection = idle.take(&url).await.expect("it was kept");
        let mut response = connection.send(&request(&url)).await.expect("an answer");
        response.drain(5).await.expect("a body");
        idle.keep(response);
        let connection = idle.take(&url).await.expect("it was kept");
        let mut response = connection.send(&request(&url)).await.expect("an answer");
        response.drain(4).await.expect("a body");
        idle.keep(response);
        assert!(idle.take(&url).await.is_none());
    });
    assert!(server.join().expect("the server"));
}

#[test]
fn a_connection_that_closes_is_not_kept() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, CLOSE\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\n\r\nhello",
    ] {
        let (url, server) = server(move |mut stream| answer(&mut stream, head));
        smol::block_on(async {
            let idle = Idle::new(1);
            let connection = connect(&url).await;
            let mut response = connection.send(&request(&url)).await.expect("an answer");
            assert_eq!(body(&mut response).await.as_deref(), Ok("hello"), "{head}");
            idle.keep(response);
            assert!(idle.take(&url).await.is_none(), "{head}");
        });
        server.join().expect("the server");
    }
}

#[test]
fn an_answer_without_a_body_leaves_the_connection_as_it_was() {
    let (url, server) = server(|mut stream| {
        answer(&mut stream, "HTTP/1.1 304 Same\r\n\r\n");
        answer(
            &mut stream,
            "HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        );
        answer(&mut stream, HELLO);
        is_closed(&mut stream)
    });
    smol::block_on(async {
        let idle = Idle::new(1);
        let mut connection = connect(&url).await;
        for status in [304, 200, 200] {
            let mut response = connection.send(&request(&url)).await.expect("an answer");
            assert_eq!(response.head.status, status);
            let _ = body(&mut response).await.expect("a body");
            idle.keep(response);
            connection = idle.take(&url).await.expect("it was kept");
        }
        drop(connection);
    });
    assert!(server.join().expect("the server"));
}

#[test]
fn room_is_for_the_latest() {
    // Neither server closes first.
    let serve = |mut stream: TcpStream| (answer(&mut stream, HELLO), is_closed(&mut stream));
    let ((first, _one), (second, _other)) = (server(serve), server(serve));
    smol::block_on(async {
        let idle = Idle::new(1);
        for url in [&first, &second] {
            let connection = connect(url).await;
            let mut response = connection.send(&request(url)).await.expect("an answer");
            let _ = body(&mut response).await.expect("a body");
            idle.keep(response);
        }
        assert!(idle.take(&first).await.is_none());
    });
}

#[test]
fn every_error_has_its_name() {
    assert_eq!(outcome(HELLO).as_deref(), Ok("hello"));
    assert_eq!(outcome(""), Err(AttemptError::NoAnswer));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(outcome(chunked).as_deref(), Ok("hello"));
    for (bytes, wanted) in [
        (&HELLO[..HELLO.len() - 1], "in the middle"),
        (&chunked[..chunked.len() - 5], "in the middle"),
        (&chunked[..chunked.len() - 2], "in the middle"),
    ] {
        match outcome(bytes) {
            Err(AttemptError::Broken(why)) => assert!(why.contains(wanted), "{why}"),
            other => panic!("{bytes}: {other:?}"),
        }
    }
    for bytes in ["hello\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "\0\0\x12\x04\0\0"] {
        assert_eq!(outcome(bytes), Err(AttemptError::NotHttp1), "{bytes:?}");
    }
    for bytes in [
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
    ] {
        assert!(
            matches!(outcome(bytes), Err(AttemptError::Protocol(_))),
            "{bytes}: {:?}",
            outcome(bytes)
        );
    }
}

#[test]
fn heads_without_end_are_an_error() {
    for (start, more) in [
        ("HTTP/1.1 200 OK\r\n", "a: b\r\n"),
        ("HTTP/1.1 200 OK\r\na: ", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
        ("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
    ] {
        let (url, server) = server(move |mut stream| {
            answer(&mut stream, start);
            let more = more.repeat(1000);
            let mut sent = 0;
            while stream.write_all(more.as_bytes()).is_ok() {
                sent += more.len();
            }
            sent
        });
        let sent = smol::block_on(async {
            let connection = connect(&url).await;
            connection.send(&request(&url)).await
        });
        let error = sent.err();
        assert!(
            matches!(error, Some(AttemptError::Protocol(_))),
            "{more}: {error:?}"
        );
        let sent = server.join().expect("the server");
        assert!(sent < 32 * 1024 * 1024, "{sent} bytes of {more} were taken");
    }
}

#[test]
fn hosts_and_ports_are_those_to_connect_to() {
    for (url, wanted) in [
        ("http://a.b/", ("a.b", 80)),
        ("https://a.b/", ("a.b", 443)),
        ("https://a.b:8443/", ("a.b", 8443)),
        ("http://[::1]:81/", ("::1", 81)),
    ] {
        assert_eq!(
            http_hyper::host_and_port(&url.parse().expect("a URL")),
            wanted
        );
    }
}
