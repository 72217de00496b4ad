//! The load generator as a program.

use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use load::{Mode, Plan, RoomsPlan, Talk, Via, ceiling, run};

/// Sends HTTP/1.1 requests in a closed loop, or at a rate that does not wait for answers, and
/// says what each took from when it was due.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Where to send them: HOST:PORT; with --ceiling, nowhere
    #[arg(required_unless_present = "ceiling")]
    server: Option<String>,

    /// What to ask for; can be given again
    #[arg(long, default_value = "/")]
    path: Vec<String>,

    /// Connections that requests go over
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    connections: u32,

    /// Connections that are open, and over which nothing goes
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=20_000))]
    idle: u32,

    /// How many requests
    #[arg(long, default_value_t = 10_000)]
    requests: u64,

    /// How many of them are due in a second [default: a closed loop]
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,

    /// What the times are drawn from, at which they are due
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// How long to wait for an answer, in seconds
    #[arg(long, default_value_t = 10)]
    timeout: u64,

    /// Send them through the proxy that listens here
    #[arg(long, value_name = "ADDRESS:PORT")]
    proxy: Option<SocketAddr>,

    /// Have the proxy open a tunnel for each connection
    #[arg(long, requires = "proxy")]
    connect: bool,

    /// Be the members of this number of chat rooms, and send each other messages
    #[arg(long, conflicts_with_all = ["path", "connections", "idle", "requests", "proxy"])]
    rooms: Option<usize>,

    #[command(flatten)]
    room: Room,

    /// Measure the generator itself, against a server that does next to nothing
    #[arg(long, conflicts_with_all = ["server", "rate", "idle", "path", "proxy"])]
    ceiling: bool,

    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// What each chat room has.
#[derive(clap::Args)]
struct Room {
    /// Members of a room
    #[arg(long, requires = "rooms", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    members: u32,

    /// Those of them that send [default: all that read]
    #[arg(long, requires = "rooms")]
    senders: Option<usize>,

    /// Messages that each of these sends
    #[arg(long, requires = "rooms", default_value_t = 1_000)]
    messages: u64,

    /// Bytes of each message
    #[arg(long, requires = "rooms", default_value_t = 128, value_parser = clap::value_parser!(u32).range(..=65_536))]
    bytes: u32,

    /// Members of a room that read nothing until all others have everything
    #[arg(long, requires = "rooms", default_value_t = 0)]
    slow: usize,

    /// Have them read after a pause without any message to the others: for a server that waits
    /// for them
    #[arg(long, requires = "rooms", value_name = "MS")]
    pause: Option<u64>,

    /// Messages of a room that are on their way at once
    #[arg(long, requires = "rooms", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    window: u64,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.001..=1e7).contains(&rate) {
        true => Ok(rate),
        false => Err("has to be from 0.001 to 10000000".to_owned()),
    }
}

fn main() -> ExitCode {
    match load(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn load(cli: &Cli) -> anyhow::Result<()> {
    if let (Some(server), Some(rooms)) = (&cli.server, cli.rooms) {
        let mut talk = Talk::open(&rooms_plan(cli, server, rooms)?)?;
        talk.send_all()?;
        let (report, _) = talk.finish()?;
        match cli.json {
            true => println!("{}", serde_json::to_string(&report)?),
            false => print!("{report}"),
        }
        return Ok(());
    }
    let report = match &cli.server {
        None => ceiling(cli.connections as usize, cli.requests, &[b'x'; 1024])?,
        Some(server) => run(&plan(cli, server)?)?.0,
    };
    match cli.json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => print!("{report}"),
    }
    Ok(())
}

fn address(server: &str) -> anyhow::Result<SocketAddr> {
    let mut addresses = server
        .to_socket_addrs()
        .with_context(|| format!("{server}: HOST:PORT is wanted"))?;
    let address = addresses.next();
    address.with_context(|| format!("{server} has no address"))
}

fn rooms_plan(cli: &Cli, server: &str, rooms: usize) -> anyhow::Result<RoomsPlan> {
    let room = &cli.room;
    let members = room.members as usize;
    Ok(RoomsPlan {
        address: address(server)?,
        rooms,
        members,
        senders: room.senders.unwrap_or(members.saturating_sub(room.slow)),
        messages: room.messages,
        bytes: room.bytes as usize,
        slow: room.slow,
        pause: room.pause.map(Duration::from_millis),
        window: room.window,
        rate_per_s: cli.rate,
        seed: cli.seed,
        timeout: Duration::from_secs(cli.timeout),
    })
}

fn plan(cli: &Cli, server: &str) -> anyhow::Result<Plan> {
    let address = address(server)?;
    let mode = match cli.connect {
        true => Mode::Connect,
        false => Mode::Forward,
    };
    Ok(Plan {
        address,
        paths: cli.path.iter().map(|path| (path.clone(), None)).collect(),
        connections: cli.connections as usize,
        idle: cli.idle as usize,
        requests: cli.requests,
        rate_per_s: cli.rate,
        seed: cli.seed,
        timeout: Duration::from_secs(cli.timeout),
        via: cli.proxy.map(|proxy| Via { proxy, mode }),
    })
}
