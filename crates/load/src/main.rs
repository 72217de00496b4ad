//! The load generator as a program.

use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use load::{Mode, Plan, Via, ceiling, run};

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

    /// Measure the generator itself, against a server that does next to nothing
    #[arg(long, conflicts_with_all = ["server", "rate", "idle", "path", "proxy"])]
    ceiling: bool,

    /// Print one line of JSON
    #[arg(long)]
    json: bool,
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

fn plan(cli: &Cli, server: &str) -> anyhow::Result<Plan> {
    let mut addresses = server
        .to_socket_addrs()
        .with_context(|| format!("{server}: HOST:PORT is wanted"))?;
    let address: SocketAddr = addresses
        .next()
        .with_context(|| format!("{server} has no address"))?;
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
