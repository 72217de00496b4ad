//! The same origin under TLS.

mod common;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use common::{PROGRAM, authority, path, raw};
use origin::{Origin, Run, Shape, fault_body, fault_log};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;

type Client = StreamOwned<ClientConnection, TcpStream>;

/// An origin with a certificate of its own, and who trusts it.
struct Secure {
    origin: Origin,
    trusting: Arc<ClientConfig>,
    _files: TempDir,
}

fn write(directory: &Path, name: &str, content: &str) -> PathBuf {
    let file = directory.join(name);
    fs::write(&file, content).expect("a file");
    file
}

fn text(file: &Path) -> &str {
    file.to_str().expect("text")
}

fn secure() -> Secure {
    let files = tempfile::tempdir().expect("a directory");
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let certificate = write(files.path(), "certificate.pem", &made.cert.pem());
    let key = write(files.path(), "key.pem", &made.signing_key.serialize_pem());
    let args = ["--certificate", text(&certificate), "--key", text(&key)];
    let origin = Origin::spawn(Path::new(PROGRAM), &args).expect("an origin");
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(&certificate).expect("a certificate");
    roots.add(root).expect("a root");
    let trusting = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Secure {
        origin,
        trusting: Arc::new(trusting),
        _files: files,
    }
}

impl Secure {
    fn connect(&self) -> Client {
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let session = ClientConnection::new(Arc::clone(&self.trusting), name).expect("a session");
        let socket = TcpStream::connect(authority(self.origin.plain_url().as_str()));
        Client::new(session, socket.expect("a connection"))
    }

    /// All that is answered to a GET, and how it ends.
    fn get(&self, path: &str, header: &str) -> (Vec<u8>, Result<usize, ErrorKind>) {
        let mut stream = self.connect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        (answer, end.map_err(|error| error.kind()))
    }
}

#[test]
fn everything_is_served_under_tls() {
    let secure = secure();
    let url = secure.origin.url();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    let close = "Connection: close";
    let (answer, end) = secure.get("/fault/right/t/x?bytes=1000000", close);
    end.expect("a proper end");
    assert!(answer.ends_with(&fault_body(1, 1_000_000)));
    let (answer, end) = secure.get("/fault/until-close/t/x", "X: y");
    end.expect("a proper end");
    assert!(answer.ends_with(&fault_body(1, 100_000)));
    // Several on one connection.
    let mut stream = secure.connect();
    for _ in 0..3 {
        stream
            .write_all(b"GET /tiny/x HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"sixteen bytes...") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("more");
            answer.push(byte[0]);
        }
    }
    let log = fault_log(&secure.origin.plain_url(), "t").expect("a log");
    assert_eq!(log.len(), 2);

    // This crate's client, in the clear, learns of files under TLS.
    let shape = Shape {
        images: 1,
        ..Shape::default()
    };
    let run = Run::open(&secure.origin.plain_url(), &shape).expect("a run");
    let files = run.files().expect("files");
    assert!(files[0].url.starts_with(url), "{}", files[0].url);
    let image = files[0].url.replacen("https://", "http://", 1);
    let (answer, end) = secure.get(path(&image), close);
    end.expect("a proper end");
    assert!(answer.len() as u64 > files[0].bytes);
    assert_eq!(run.stats().expect("figures").requests, 1);
    let error = Run::open(url, &shape).expect_err("no TLS");
    assert!(format!("{error:#}").contains("begins with http://"));
}

#[test]
fn faults_are_the_same_under_tls() {
    let secure = secure();
    let half = &fault_body(1, 100_000)[..50_000];
    let (answer, _) = secure.get("/fault/close-midway/t/x", "X: y");
    assert!(answer.ends_with(half));
    let (answer, end) = secure.get("/fault/reset-midway/t/x", "X: y");
    assert!(answer.ends_with(half));
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
    let (answer, _) = secure.get("/fault/no-status/t/x", "X: y");
    assert!(answer.is_empty());
    let (answer, _) = secure.get("/fault/longer-than-announced/t/x", "Connection: close");
    assert!(answer.ends_with(b"\r\n\r\npoisoned\n"));
    let (answer, end) = secure.get("/fault/until-close-torn/t/x", "X: y");
    assert!(answer.ends_with(half));
    assert_eq!(end, Err(ErrorKind::UnexpectedEof));
    let (answer, _) = secure.get("/fault/redirect-to-http/t/x", "Connection: close");
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.contains("\r\nLocation: http://127.0.0.1:"),
        "{answer}"
    );
}

#[test]
fn a_client_that_does_not_trust_the_certificate_gets_nothing() {
    let secure = secure();
    let stranger = Secure {
        trusting: trusting_nobody(),
        ..secure
    };
    let mut stream = stranger.connect();
    let error = stream
        .write_all(b"GET / HTTP/1.1\r\n")
        .expect_err("no trust");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    // And the origin is still there.
    let log = fault_log(&stranger.origin.plain_url(), "t");
    assert_eq!(log.expect("a log"), []);
    // What is neither is refused in the clear.
    let answer = raw(&stranger.origin.plain_url(), b"nonsense\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

fn trusting_nobody() -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Arc::new(config)
}

#[test]
fn certificates_that_are_of_no_use_are_named() {
    let files = tempfile::tempdir().expect("a directory");
    let make = |name: &str| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        (
            write(files.path(), &format!("{name}.pem"), &made.cert.pem()),
            write(
                files.path(),
                &format!("{name}.key"),
                &made.signing_key.serialize_pem(),
            ),
        )
    };
    let (one, one_key) = make("one");
    let (_, other_key) = make("other");
    let missing = files.path().join("missing");
    let serve = |certificate: Option<&Path>, key: Option<&Path>| {
        origin::serve(&origin::ServeArgs {
            address: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            until_stdin_closes: true,
            certificate: certificate.map(Path::to_owned),
            key: key.map(Path::to_owned),
        })
    };
    for (certificate, key, reason) in [
        (Some(&*missing), Some(&*one_key), "missing"),
        (Some(&*one), Some(&*missing), "missing"),
        (Some(&*one_key), Some(&*one_key), "one.key"),
        (Some(&*one), Some(&*other_key), "other.key"),
        (Some(&*one), None, "go together"),
        (None, Some(&*one_key), "go together"),
    ] {
        let error = serve(certificate, key).expect_err(reason);
        assert!(format!("{error:#}").contains(reason), "{error:#}");
    }
}
