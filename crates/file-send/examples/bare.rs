//! The least that sending files with a digest at both ends can cost: no protocol, no journal,
//! nothing that could go on after a cut. To be timed against a model's `send`.
//!
//! `cargo run --release -p file-send --example bare -- DIR FILES BYTES STREAMS [ROUNDS]` makes
//! files of that size in DIR, starts a second process that receives, and prints what each round
//! took, in milliseconds. Each stream is a thread at either end. A file is read and hashed, read
//! again and sent; the receiver hashes, writes, syncs, renames, and answers with the digest.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use file_send::PIECE_BYTES;
use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "bare DIR FILES BYTES STREAMS [ROUNDS]";
    match &arguments[..] {
        [receive, directory] if receive == "--receive" => receiver(Path::new(directory)),
        [directory, files, bytes, streams, rest @ ..] => {
            let rounds = rest.first().map_or(Ok(10), |rounds| rounds.parse())?;
            let sizes = (files.parse()?, bytes.parse()?, streams.parse()?);
            sender(Path::new(directory), sizes, rounds)
        }
        _ => Err(usage.into()),
    }
}

fn sender(
    directory: &Path,
    (files, bytes, streams): (u64, usize, usize),
    rounds: usize,
) -> Result<()> {
    let (from, into) = (directory.join("bare-from"), directory.join("bare-into"));
    fs::create_dir_all(&from)?;
    fs::create_dir_all(&into)?;
    for number in 0..files {
        let content: Vec<u8> = (0..bytes)
            .map(|at| ((at as u64 + number).wrapping_mul(0x9e37_79b9) >> 11) as u8)
            .collect();
        fs::write(from.join(number.to_string()), content)?;
    }
    let mut process = Command::new(std::env::current_exe()?)
        .arg("--receive")
        .arg(&into)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(process.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
    let address: SocketAddr = line.trim().parse()?;
    for _ in 0..rounds {
        let next = AtomicU64::new(0);
        let started = Instant::now();
        thread::scope(|scope| {
            let streams: Vec<_> = (0..streams)
                .map(|_| scope.spawn(|| send(address, &from, &next, files)))
                .collect();
            for stream in streams {
                stream.join().expect("a stream does not panic")?;
            }
            Result::Ok(())
        })?;
        println!("{:.1}", started.elapsed().as_secs_f64() * 1e3);
        for number in 0..files {
            fs::remove_file(into.join(number.to_string()))?;
        }
    }
    drop(process.stdin.take());
    process.wait()?;
    fs::remove_dir_all(from)?;
    fs::remove_dir_all(into)?;
    Ok(())
}

/// Sends one file after the other over one connection.
fn send(address: SocketAddr, from: &Path, next: &AtomicU64, files: u64) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let number = next.fetch_add(1, Relaxed);
        if number >= files {
            return Ok(());
        }
        let path = from.join(number.to_string());
        let mut digest = Sha256::new();
        let bytes = pieces(&mut File::open(&path)?, &mut buffer, |piece| {
            digest.update(piece);
            Ok(())
        })?;
        stream.write_all(&number.to_le_bytes())?;
        stream.write_all(&bytes.to_le_bytes())?;
        pieces(&mut File::open(&path)?, &mut buffer, |piece| {
            stream.write_all(piece)
        })?;
        let mut answer = [0; 32];
        stream.read_exact(&mut answer)?;
        if answer[..] != digest.finalize()[..] {
            return Err("the digests differ".into());
        }
    }
}

/// Receives until standard input ends.
fn receiver(into: &Path) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?);
    let into = into.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let into = into.clone();
            thread::spawn(move || {
                if let Err(error) = receive(&stream, &into) {
                    eprintln!("{error}");
                }
            });
        }
    });
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(())
}

fn receive(mut stream: &TcpStream, into: &Path) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; PIECE_BYTES];
    let mut head = [0; 16];
    let directory = File::open(into)?;
    while stream.read_exact(&mut head).is_ok() {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| head[at + byte]));
        let (name, bytes) = (number(0).to_string(), number(8));
        let part = into.join(format!("{name}.part"));
        let mut file = File::create(&part)?;
        let mut digest = Sha256::new();
        pieces(&mut stream.take(bytes), &mut buffer, |piece| {
            digest.update(piece);
            file.write_all(piece)
        })?;
        file.sync_data()?;
        fs::rename(part, into.join(name))?;
        directory.sync_all()?;
        stream.write_all(&digest.finalize())?;
    }
    Ok(())
}

/// Reads to the end, piece by piece; how many bytes.
fn pieces(
    from: &mut impl Read,
    buffer: &mut [u8],
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut bytes = 0;
    loop {
        match from.read(buffer)? {
            0 => return Ok(bytes),
            read => {
                each(&buffer[..read])?;
                bytes += read as u64;
            }
        }
    }
}
