//! The server: accepting, a thread a connection, and where each path leads.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    api::{DELAY_BODY_BYTES, MAX_DELAY_MS, Opened, delay_body},
    faults::{After, Answer, FAULTS, Log},
    kinds::Kinds,
    loads::Loads,
    refusal::Refusal,
    request::{
        FAULT, Failure,
        Method::{Delete, Get, Head, Post},
        Request, Requests,
    },
    response::{Addressee, Response},
    runs::Runs,
    tls::{self, Tls},
    wire::{Wire, linger, reset},
};

/// Command line of the server.
#[derive(clap::Args, Debug, Clone)]
pub struct ServeArgs {
    /// Address to listen on, for clients on other machines. They can have the origin load any
    /// server: give one of a network that you trust
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub address: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// End when standard input does, so that the origin never outlives the
    /// process that started it
    #[arg(long)]
    pub until_stdin_closes: bool,
    /// Speak TLS, with this certificate (and those that lead to it): a PEM file
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The certificate's private key: a PEM file
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
}

/// What a tiny object is.
const TINY: &[u8; 16] = b"sixteen bytes...";

/// Stack of a connection's thread, in bytes. Thousands of threads have to fit.
const STACK: usize = 256 * 1024;

/// How many connections may wait to be accepted: a client opens thousands at once,
/// and one that is turned away tries again only a second later.
const BACKLOG: i32 = 4096;

/// Serves until stopped: until standard input closes, if `args` say so, else until
/// the process is killed. Listens on the loopback interface unless `args` name an address.
///
/// Prints the address (`http://127.0.0.1:PORT`, or `https://` with a certificate) as one line on standard output:
/// from then on connections are accepted. It is meant for a process of its own:
/// the threads of connections end with the process, not with this call.
///
/// With a certificate, plain HTTP is still understood on the same port: this
/// crate's own client, which knows nothing of TLS, asks there.
///
/// # Errors
///
/// When the certificate or its key cannot be read or do not belong together, the port cannot be had, or the address or standard input is of no use.
pub fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    prepare_process();
    let tls = match (&args.certificate, &args.key) {
        (Some(certificate), Some(key)) => Some(tls::config(certificate, key)?),
        (None, None) => None,
        _ => bail!("--certificate and --key go together"),
    };
    let address = SocketAddr::new(args.address, args.port);
    let listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    rustix::net::listen(&listener, BACKLOG).context("cannot set the backlog")?;
    let url = format!(
        "{}://{}",
        if tls.is_some() { "https" } else { "http" },
        listener.local_addr().context("cannot get the address")?
    );
    let server = Arc::new(Server {
        url: url.clone(),
        tls,
        runs: Runs::default(),
        loads: Loads::default(),
        kinds: Kinds::new(),
        faults: Log::new(),
        tiny: Arc::new(TINY.to_vec()),
    });
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{url}")
        .and_then(|()| stdout.flush())
        .context("cannot print the address to standard output")?;
    drop(stdout);
    if !args.until_stdin_closes {
        accept(&listener, &server);
    }
    thread::Builder::new()
        .name("accept".to_owned())
        .spawn(move || accept(&listener, &server))
        .context("cannot start a thread")?;
    io::copy(&mut io::stdin().lock(), &mut io::sink()).context("cannot read standard input")?;
    Ok(())
}

/// Raises what would limit connections or blur delays. Best effort: without it
/// the origin serves fewer connections, or some 50 us later.
fn prepare_process() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
    // The kernel may wake a sleeping thread late by this; threads inherit it.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZero::new(1));
}

struct Server {
    url: String,
    tls: Option<Arc<rustls::ServerConfig>>,
    runs: Runs,
    loads: Loads,
    kinds: Kinds,
    faults: Log,
    tiny: Arc<Vec<u8>>,
}

fn accept(listener: &TcpListener, server: &Arc<Server>) -> ! {
    let mut last_connection = 0;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                last_connection += 1;
                let (server, connection) = (Arc::clone(server), last_connection);
                // Where no thread can be had, the stream is dropped: the client
                // sees its connection closed, and the others live on.
                let _ = thread::Builder::new()
                    .name(format!("connection {connection}"))
                    .stack_size(STACK)
                    .spawn(move || meet(&server, stream, connection));
            }
            // A connection may be gone before it is accepted; but out of
            // descriptors the error comes back at once, and asking for it again
            // without a pause would take a core from those that are measured.
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Finds out how a client speaks, and answers it so.
fn meet(server: &Server, stream: TcpStream, connection: u64) {
    // What is written is complete: waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    let Some(config) = &server.tls else {
        return converse(server, stream, connection);
    };
    let mut first = [0];
    match stream.peek(&mut first) {
        Ok(1) if first == [tls::HANDSHAKE] => {
            if let Ok(session) = rustls::ServerConnection::new(Arc::clone(config)) {
                converse(server, Tls::new(session, stream), connection);
            }
        }
        Ok(1..) => converse(server, stream, connection),
        Ok(0) | Err(_) => {}
    }
}

/// Answers the requests of one connection, in order, until either side is done.
fn converse(server: &Server, mut wire: impl Wire, connection: u64) {
    let mut requests = Requests::default();
    loop {
        let (to, reply) = match requests.next(&mut wire) {
            Ok(Some(request)) => {
                let reply = if request.path.starts_with(FAULT) {
                    let answer = server.faults.answer(&request, connection, &server.url);
                    answer.map(Reply::Fault)
                } else {
                    route(server, &request, connection).map(Reply::Usual)
                };
                (
                    Addressee::from_request(&request),
                    reply.unwrap_or_else(|refusal| Reply::Usual(refusal.into())),
                )
            }
            Err(Failure::Refused(refusal)) => (Addressee::UNKNOWN, Reply::Usual(refusal.into())),
            Ok(None) | Err(Failure::Lost) => return,
        };
        match reply.send(&mut wire, to) {
            Ok(After::Open) => {}
            Ok(After::Close) => return linger(wire),
            Ok(After::Reset) => return reset(wire),
            Ok(After::Gone) | Err(_) => return,
        }
    }
}

/// An answer of either kind.
enum Reply {
    Usual(Response),
    Fault(Answer),
}

impl Reply {
    fn send(self, wire: &mut impl Wire, to: Addressee) -> io::Result<After> {
        match self {
            Reply::Usual(response) => response
                .send(wire, to)
                .map(|()| if to.close { After::Close } else { After::Open }),
            Reply::Fault(answer) => answer.send(wire, to),
        }
    }
}

/// Where each path leads, but those of faults. A path that exists, asked with a method that it does
/// not take, is told which it takes.
fn route(server: &Server, request: &Request, connection: u64) -> Result<Response, Refusal> {
    let runs = &server.runs;
    let path: Vec<&str> = request.path.split('/').skip(1).collect();
    match (&path[..], request.method) {
        ([""], Get | Head) => Ok(Response::text(200, about(&server.url))),
        ([""], _) => Err(Refusal::method("GET, HEAD")),

        (["runs"], Post) => {
            let shape = serde_json::from_slice(&request.body)
                .map_err(|error| Refusal::new(400, format!("not the shape of a run: {error}")))?;
            Response::json(
                201,
                &Opened {
                    id: runs.open(shape)?,
                },
            )
        }
        (["runs"], _) => Err(Refusal::method("POST")),

        (["runs", id], Delete) => {
            runs.close(&*runs.get(id)?);
            Ok(Response::new(204, Arc::default()))
        }
        (["runs", _], _) => Err(Refusal::method("DELETE")),

        (["runs", id, "files"], Get | Head) => {
            let files = runs.get(id)?.files(&server.url);
            Response::json(
                200,
                &files.map_err(|error| Refusal::new(500, format!("{error:#}")))?,
            )
        }
        (["runs", _, "files"], _) => Err(Refusal::method("GET, HEAD")),

        (["runs", id, "stats"], Get | Head) => Response::json(200, &runs.get(id)?.stats(false)),
        (["runs", _, "stats"], _) => Err(Refusal::method("GET, HEAD")),

        (["runs", id, "reset"], Post) => Response::json(200, &runs.get(id)?.stats(true)),
        (["runs", _, "reset"], _) => Err(Refusal::method("POST")),

        (["runs", id, "image", name], Get | Head) => {
            let run = runs.get(id)?;
            let image = run.image(name).ok_or_else(|| not_found(request))?;
            let response = Response::image(image, request);
            Ok(response.for_run(run.enter(connection), run.delay()))
        }
        (["runs", _, "image", _], _) => Err(Refusal::method("GET, HEAD")),

        (["runs", id, "delay", ms], Get | Head) => {
            let run = runs.get(id)?;
            let delay = delay(ms)?;
            let body = delay_body(delay.as_millis() as u64);
            let response = Response::new(200, Arc::new(body));
            Ok(response.for_run(run.enter(connection), delay))
        }
        (["runs", _, "delay", _], _) => Err(Refusal::method("GET, HEAD")),

        (["loads"], Post) => {
            let plan = serde_json::from_slice(&request.body)
                .map_err(|error| Refusal::new(400, format!("not the plan of a load: {error}")))?;
            Response::json(200, &server.loads.run(&plan)?)
        }
        (["loads"], _) => Err(Refusal::method("POST")),

        (["rooms"], Post) => {
            let plan = serde_json::from_slice(&request.body)
                .map_err(|error| Refusal::new(400, format!("not the plan of rooms: {error}")))?;
            Response::json(200, &server.loads.talk(&plan)?)
        }
        (["rooms", id], Post) => Response::json(200, &server.loads.finish(id)?),
        (["rooms", ..], _) => Err(Refusal::method("POST")),

        (["loads", id], Delete) => {
            server.loads.wait_for_end(id)?;
            Ok(Response::new(204, Arc::default()))
        }
        (["loads", _], _) => Err(Refusal::method("DELETE")),

        ([kind], Post) if Kinds::has(kind) => {
            Response::json(201, &server.kinds.open(kind, &request.body)?)
        }
        ([kind], _) if Kinds::has(kind) => Err(Refusal::method("POST")),

        ([kind, id], Post) if Kinds::has(kind) => {
            Response::json(200, &server.kinds.at(kind).counts(id)?)
        }
        ([kind, id], Delete) if Kinds::has(kind) => {
            server.kinds.at(kind).close(id)?;
            Ok(Response::new(204, Arc::default()))
        }
        ([kind, _], _) if Kinds::has(kind) => Err(Refusal::method("POST, DELETE")),

        (["faults"], Get | Head) => Response::json(200, &FAULTS),
        (["faults"], _) => Err(Refusal::method("GET, HEAD")),

        (["faults", token], Get | Head) => Response::json(200, &server.faults.requests(token)),
        (["faults", _], _) => Err(Refusal::method("GET, HEAD")),

        (["tiny", ..], Get | Head) => {
            let mut response = Response::new(200, Arc::clone(&server.tiny));
            response.header("ETag", "\"tiny\"");
            Ok(response)
        }
        (["tiny", ..], _) => Err(Refusal::method("GET, HEAD")),

        _ => Err(not_found(request)),
    }
}

fn not_found(request: &Request) -> Refusal {
    Refusal::new(404, format!("there is no {}", request.path))
}

fn delay(ms: &str) -> Result<Duration, Refusal> {
    ms.parse()
        .ok()
        .filter(|ms| *ms <= MAX_DELAY_MS)
        .map(Duration::from_millis)
        .ok_or_else(|| Refusal::new(400, format!("a delay is 0 to {MAX_DELAY_MS} ms, not {ms}")))
}

fn about(url: &str) -> String {
    let tiny = TINY.len();
    format!(
        "This is the origin of Paces: it serves images to the programs that are measured.

Open a run (every key can be left out, and is then 0):
  curl -d '{{\"images\": 100, \"image_bytes\": 0, \"delay_ms\": 20, \"mbit_per_s\": 100}}' {url}/runs

GET    {url}/runs/ID/files             names, URLs, sizes and digests
GET    {url}/runs/ID/image/0000.jpg    an image
GET    {url}/runs/ID/delay/MS          {DELAY_BODY_BYTES} bytes after MS milliseconds
GET    {url}/runs/ID/stats             what the run has been asked for
POST   {url}/runs/ID/reset             the same, and zeroes it
DELETE {url}/runs/ID                   forgets the run

POST   {url}/loads                     asks a server for files, as a plan says
DELETE {url}/loads/ID                  waits until it has closed the connections
POST   {url}/rooms                     members of chat rooms talk at a server, as a plan says
POST   {url}/rooms/ID                  slow ones read; then it is a load

POST   {url}/responders                answers after the time that it is asked for
POST   {url}/responders/ID             what it was asked, which is then zeroed
DELETE {url}/responders/ID             ends it

POST   {url}/datagram-relays           passes datagrams on, but for some
POST   {url}/datagram-relays/ID        what went through it, which is then zeroed
DELETE {url}/datagram-relays/ID        ends it

POST   {url}/upstreams                 answers what a proxy asks, after a time
POST   {url}/upstreams/ID              what it was asked, which is then zeroed
DELETE {url}/upstreams/ID              ends it

POST   {url}/relays                    passes connections on, cuts them and flips bits
POST   {url}/relays/ID                 what went over it, which is then zeroed
DELETE {url}/relays/ID                 ends it

POST   {url}/hosts                     has ports that are open and ports that are filtered
POST   {url}/hosts/ID                  which, and how often connections were made to them
DELETE {url}/hosts/ID                  ends it

It misbehaves on request. TOKEN and what follows it are yours to choose:
GET    {url}/faults                    the ways to misbehave, by NAME
GET    {url}/fault/NAME/TOKEN/FILE?bytes=100000
GET    {url}/faults/TOKEN              what has been asked with this TOKEN

GET    {url}/tiny/ANYTHING             {tiny} bytes, as cheap as can be
"
    )
}
