//! Measures the cost of a share without work, compared with a plain request and its reply over the
//! same server. Run it on an idle machine: `cargo bench -p model-cluster --bench round_trip`.
//!
//! Each share is published, pulled, answered and acked. The next one is published when the answer
//! has arrived.

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_lite::StreamExt;
use suite::Result;
use support::{Server, TOKEN, has_server, node, parent};

/// How often each of the three is measured.
const ROUNDS: usize = 7;

/// Round trips per measurement.
const ROUND_TRIPS: u32 = 2_000;

/// The subject of the requests.
const SUBJECT: &str = "round_trip";

/// The size of a request, in bytes: that of a share with its header.
const BYTES: usize = 16;

fn main() -> Result<()> {
    if !has_server() {
        return Ok(());
    }
    let server = Server::start()?;
    let _node = node(&server, "one", &[])?;
    answer_requests(&server)?;
    let mut measured = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        measured[0].push(requests(&server)?);
        measured[1].push(shares(&server, "memory")?);
        measured[2].push(shares(&server, "disk")?);
    }
    let names = ["request and reply", "share in memory", "share on disk"];
    let bare = median(&measured[0]);
    for (name, measured) in names.into_iter().zip(&measured) {
        let (least, most) = (measured.iter().min(), measured.iter().max());
        let (least, most) = least.zip(most).context("no rounds")?;
        let middle = median(measured);
        let times = middle.as_secs_f64() / bare.as_secs_f64();
        println!("{name}: {middle:.0?} [{least:.0?}..{most:.0?}], {times:.2} times the first");
    }
    Ok(())
}

fn median(measured: &[Duration]) -> Duration {
    let mut sorted = measured.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

async fn connect(url: String) -> Result<async_nats::Client> {
    let options = async_nats::ConnectOptions::with_token(TOKEN.to_owned());
    Ok(options.connect(url).await?)
}

/// Answers requests on a separate thread and connection, until the program ends.
fn answer_requests(server: &Server) -> Result<()> {
    let url = server.url();
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || answer_all(url, &ready));
    Ok(is_ready.recv()?)
}

#[tokio::main(flavor = "current_thread")]
async fn answer_all(url: String, ready: &mpsc::Sender<()>) -> Result<()> {
    let client = connect(url).await?;
    let mut requests = client.subscribe(SUBJECT).await?;
    client.flush().await?;
    ready.send(())?;
    while let Some(request) = requests.next().await {
        let reply = request.reply.context("a request without a reply subject")?;
        client.publish(reply, request.payload).await?;
    }
    Ok(())
}

/// The average time of a request and its reply.
#[tokio::main(flavor = "current_thread")]
async fn requests(server: &Server) -> Result<Duration> {
    let client = connect(server.url()).await?;
    let payload = vec![0; BYTES];
    client.request(SUBJECT, payload.clone().into()).await?;
    let began = Instant::now();
    for _ in 0..ROUND_TRIPS {
        client.request(SUBJECT, payload.clone().into()).await?;
    }
    Ok(began.elapsed() / ROUND_TRIPS)
}

/// The average time of a share, with one slot on one node.
fn shares(server: &Server, storage: &str) -> Result<Duration> {
    let units = format!("units={ROUND_TRIPS}");
    let job = [
        "run", "spawn", "--json", "--set", "batch=1", "--set", &units,
    ]
    .map(str::to_owned);
    let ended = parent(server, 1, &job, &["--cluster-storage", storage])?.end()?;
    ensure!(ended.status.success(), "{ended:?}");
    let outcome: serde_json::Value = serde_json::from_str(&ended.stdout)?;
    let elapsed = outcome["elapsed_ns"].as_u64();
    let elapsed = elapsed.with_context(|| format!("no time in {}", ended.stdout))?;
    Ok(Duration::from_nanos(elapsed) / ROUND_TRIPS)
}
