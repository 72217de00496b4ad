//! `report --serve` over real connections: what is to be seen, and nothing else.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lab::workspace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A directory with results, Criterion's pages, and what must not be served.
fn place() -> tempfile::TempDir {
    let place = tempfile::Builder::new().prefix("a place ").tempdir();
    let place = place.expect("a directory");
    let at = |name: &str| place.path().join(name);
    for directory in [
        "results/run",
        "target/criterion/counter/report",
        "target/debug",
    ] {
        fs::create_dir_all(at(directory)).expect("a directory");
    }
    let reference = workspace::root()
        .expect("a checkout")
        .join("results/reference/comparison.json");
    fs::copy(reference, at("results/run/comparison.json")).expect("a copy");
    fs::write(at("target/criterion/counter/report/index.html"), "violins").expect("a file");
    fs::write(at("results/run/two words.txt"), "words").expect("a file");
    for secret in ["secret", "target/debug/secret"] {
        fs::write(at(secret), "hush").expect("a file");
    }
    symlink("../secret", at("results/link")).expect("a link");
    place
}

/// A server, and where it listens.
struct Served {
    child: Child,
    host: String,
    page: String,
}

impl Served {
    fn start(place: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(["report", "run", "--serve", "--output"])
            .arg(place)
            .args(args);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let url = line.trim().strip_prefix("http://").expect("an address");
        let (host, page) = url.split_once('/').expect("a path");
        Self {
            host: host.to_owned(),
            page: format!("/{page}"),
            child,
        }
    }

    /// What it answers: its head, and its body.
    fn ask(&self, method: &str, path: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.host).expect("it listens");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.host
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let body = answer.split_off(end.expect("a head") + 4);
        (String::from_utf8(answer).expect("it is text"), body)
    }

    /// The number alone.
    fn status(&self, method: &str, path: &str) -> u16 {
        let (head, _) = self.ask(method, path);
        let number = head.split(' ').nth(1).expect("a status");
        number.parse().expect("a number")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn results_and_criterions_pages_are_served_and_ctrl_c_ends_it() {
    let place = place();
    let mut served = Served::start(place.path(), &[]);
    assert!(served.host.starts_with("127.0.0.1:"), "{}", served.host);

    let (head, page) = served.ask("GET", &served.page);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("text/html; charset=utf-8"), "{head}");
    let written = fs::read(place.path().join("results/run/index.html")).expect("the page");
    assert!(page == written, "{} of {} bytes", page.len(), written.len());
    let (head, body) = served.ask("HEAD", &served.page);
    assert!(
        head.contains(&format!("Content-Length: {}", page.len())),
        "{head}"
    );
    assert!(body.is_empty());

    let (head, _) = served.ask("GET", "/results/run/comparison.json");
    assert!(head.contains("application/json"), "{head}");
    let (_, words) = served.ask("GET", "/results/run/two%20words.txt");
    assert_eq!(words, b"words");
    let (head, _) = served.ask("GET", "/results/run?x#y");
    assert!(head.contains("Location: /results/run/\r\n"), "{head}");
    assert_eq!(served.status("GET", "/results/run/"), 200);
    let (_, violins) = served.ask("GET", "/target/criterion/counter/report/");
    assert_eq!(violins, b"violins");

    let pid = Pid::from_raw(served.child.id().cast_signed());
    kill(pid, Signal::SIGINT).expect("it runs");
    assert_eq!(served.child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn nothing_else_is_served_and_nothing_is_changed() {
    let place = place();
    let served = Served::start(place.path(), &[]);
    for path in [
        "/secret",
        "/target/debug/secret",
        "/results/link",
        "/results/../secret",
        "/results/%2e%2e/secret",
        "/results/..%2fsecret",
        "/target/criterion/../debug/secret",
        "//etc/passwd",
        "/%2Fetc/passwd",
        "/results/%00",
        "/results/%ff",
        "/results/nothing",
        "/results/",
        "/",
    ] {
        let (head, body) = served.ask("GET", path);
        assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
        assert!(!String::from_utf8_lossy(&body).contains("hush"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let (head, _) = served.ask(method, "/results/run/comparison.json");
        assert!(head.starts_with("HTTP/1.1 405"), "{method}: {head}");
        assert!(head.contains("Allow: GET, HEAD"), "{head}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let place = place();
    let first = Served::start(place.path(), &[]);
    let (_, port) = first.host.split_once(':').expect("a port");
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["report", "run", "--serve", "--port", port, "--output"]);
    let done = command.arg(place.path()).output().expect("it runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("port {port}")), "{said}");
}
