//! `cargo xtask report --serve`: results and Criterion's pages, for a browser on
//! this machine or at the other end of a tunnel to it. It only reads, and only
//! listens on the loopback interface.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use lab::interrupt::Interrupt;
use percent_encoding::percent_decode_str;
use tiny_http::{Header, Method, Request, Response};

/// What is served, below the root. Nothing else in a build directory is meant to
/// be seen.
const SERVED: [&str; 2] = ["results", "target/criterion"];

/// How long Ctrl-C may have to wait.
const TICK: Duration = Duration::from_millis(100);

/// A server that listens.
pub(crate) struct Server {
    http: tiny_http::Server,
    root: PathBuf,
}

/// What a request comes to.
enum Answer {
    /// A file's content, and of which type it is.
    File(File, &'static str),
    /// It is elsewhere.
    Moved(String),
    /// It is not there, or not to be seen.
    NotFound,
    /// Only reading is allowed.
    NotAllowed,
    /// It is there and cannot be read.
    Failed(io::Error),
}

impl Server {
    /// Listens on `port`, or a free one if that is 0, for what is below `root`.
    pub(crate) fn bind(root: &Path, port: u16) -> anyhow::Result<Self> {
        let http = tiny_http::Server::http((Ipv4Addr::LOCALHOST, port))
            .map_err(|error| anyhow!("{error}"))
            .with_context(|| format!("cannot listen on port {port} of 127.0.0.1"))?;
        let root = root.canonicalize();
        Ok(Self {
            root: root.context("cannot tell where the results are")?,
            http,
        })
    }

    /// Where something that is below the root can be seen.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.http.server_addr())
    }

    /// Answers until a signal asks for the end.
    pub(crate) fn run(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        while !interrupt.came() {
            let request = self.http.recv_timeout(TICK);
            let Some(request) = request.context("cannot listen any longer")? else {
                continue;
            };
            let root = self.root.clone();
            // A client that reads slowly delays neither the others nor the end.
            thread::spawn(move || respond(&root, request));
        }
        Ok(())
    }
}

fn respond(root: &Path, request: Request) {
    // A client that has gone away gets no answer.
    let _ = match answer(root, request.method(), request.url()) {
        Answer::File(file, kind) => {
            let response = Response::from_file(file).with_header(header("Content-Type", kind));
            let response = response.with_header(header("X-Content-Type-Options", "nosniff"));
            // It is known how long a file is, and browsers show how far they are.
            request.respond(response.with_chunked_threshold(usize::MAX))
        }
        Answer::Moved(to) => {
            let response = Response::empty(308).with_header(header("Location", &to));
            request.respond(response)
        }
        Answer::NotFound => request.respond(text("There is no such file.\n", 404)),
        Answer::NotAllowed => {
            let response = text("This only reads.\n", 405);
            request.respond(response.with_header(header("Allow", "GET, HEAD")))
        }
        Answer::Failed(error) => request.respond(text(&format!("{error}\n"), 500)),
    };
}

fn text(text: &str, status: u16) -> Response<io::Cursor<Vec<u8>>> {
    let kind = header("Content-Type", "text/plain; charset=utf-8");
    let response = Response::from_string(text).with_status_code(status);
    response.with_header(kind)
}

/// A header of our own: letters that a header may have.
fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("it is ASCII")
}

fn answer(root: &Path, method: &Method, url: &str) -> Answer {
    if ![Method::Get, Method::Head].contains(method) {
        return Answer::NotAllowed;
    }
    let encoded = url.split(['?', '#']).next().unwrap_or_default();
    let Some(path) = path(encoded) else {
        return Answer::NotFound;
    };
    let there = root.join(&path);
    if !is_served(root, &there) {
        return Answer::NotFound;
    }
    // Links on a page are relative to its directory, which ends with a slash.
    if there.is_dir() && !encoded.ends_with('/') {
        return Answer::Moved(format!("{encoded}/"));
    }
    let file = if there.is_dir() {
        there.join("index.html")
    } else {
        there
    };
    match File::open(&file) {
        Ok(content) if file.is_file() => Answer::File(content, kind(&file)),
        Ok(_) => Answer::NotFound,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Answer::NotFound,
        Err(error) => Answer::Failed(error),
    }
}

/// The path in a URL, if it is one that only goes down.
fn path(encoded: &str) -> Option<PathBuf> {
    let decoded = percent_decode_str(encoded.strip_prefix('/')?)
        .decode_utf8()
        .ok()?;
    let path = PathBuf::from(&*decoded);
    let down = |part: Component| matches!(part, Component::Normal(_));
    path.components().all(down).then_some(path)
}

/// Whether a path is among what is served, also when its links are followed.
fn is_served(root: &Path, path: &Path) -> bool {
    let Ok(real) = path.canonicalize() else {
        return false;
    };
    let mut served = SERVED
        .iter()
        .filter_map(|part| root.join(part).canonicalize().ok());
    served.any(|part| real.starts_with(part))
}

/// The type of a file, by what its name ends with.
fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|end| end.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        Some("md") => "text/markdown; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        Some("csv") => "text/csv; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
