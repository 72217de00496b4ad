//! The responder, as its clients see it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use load::{Counts, NEVER, respond, value};

/// A responder in a thread, and the pipes to it.
struct Running {
    commands: Option<io::PipeWriter>,
    printed: BufReader<io::PipeReader>,
    address: String,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Running {
    fn start() -> Self {
        let (commands, command_pipe) = pipe();
        let (printed_pipe, printed) = pipe();
        let thread = thread::spawn(move || respond(16, command_pipe, printed_pipe));
        let mut printed = BufReader::new(printed);
        let mut address = String::new();
        printed.read_line(&mut address).expect("its address");
        Self {
            commands: Some(commands),
            printed,
            address: address.trim_end().to_owned(),
            thread: Some(thread),
        }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).expect("a connection")
    }

    fn counts(&mut self) -> Counts {
        let mut commands = self.commands.as_ref().expect("a pipe");
        // In pieces, as a pipe may have it.
        commands.write_all(b"counts").expect("a command");
        commands.write_all(b"\n").expect("its end");
        let mut line = String::new();
        self.printed.read_line(&mut line).expect("counts");
        let counts: Counts = serde_json::from_str(&line).expect("JSON");
        Counts {
            cpu_ns: 0,
            ..counts
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.commands.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(Ok(())))), "{ended:?}");
    }
}

/// Writer and reader.
fn pipe() -> (io::PipeWriter, io::PipeReader) {
    let (reader, writer) = io::pipe().expect("a pipe");
    (writer, reader)
}

fn ask(mut stream: &TcpStream, number: u64, time: u64) {
    let request = [number.to_le_bytes(), time.to_le_bytes()].concat();
    stream.write_all(&request).expect("a request");
}

fn answer(mut stream: &TcpStream) -> [u64; 2] {
    let mut answer = [[0; 8]; 2];
    for number in &mut answer {
        stream.read_exact(number).expect("an answer");
    }
    answer.map(u64::from_le_bytes)
}

#[test]
fn answers_come_after_their_time_in_its_order() {
    let mut responder = Running::start();
    let stream = responder.connect();
    let asked = Instant::now();
    // In one piece: they come together, however busy the machine is.
    let all = [[1, NEVER], [2, 400_000], [3, 5_000]];
    let bytes: Vec<u8> = all
        .concat()
        .into_iter()
        .flat_map(u64::to_le_bytes)
        .collect();
    (&stream).write_all(&bytes).expect("sent");
    assert_eq!(answer(&stream), [3, value(3)]);
    assert!(asked.elapsed() >= Duration::from_millis(5));
    assert_eq!(answer(&stream), [2, value(2)]);
    assert!(asked.elapsed() >= Duration::from_millis(400));
    drop(stream);
    let right = Counts {
        connections: 1,
        requests: 3,
        most_at_once: 1,
        ..Counts::default()
    };
    assert_eq!(responder.counts(), right);
    assert_eq!(responder.counts(), Counts::default(), "taken already");
}

#[test]
fn the_gate_opens_when_all_have_come() {
    let mut responder = Running::start();
    let gone = responder.connect();
    ask(&gone, 0, 3);
    // Its answer says that the responder has read what came before.
    ask(&gone, 1, 0);
    assert_eq!(answer(&gone), [1, value(1)]);
    drop(gone);
    let streams: Vec<_> = (0..3).map(|_| responder.connect()).collect();
    for stream in &streams[..2] {
        ask(stream, 0, 3);
        ask(stream, 1, 0);
        assert_eq!(answer(stream)[0], 1, "not the gate");
    }
    ask(&streams[2], 0, 3);
    for stream in &streams {
        assert_eq!(answer(stream), [0, value(0)]);
    }
    drop(streams);
    let counts = responder.counts();
    assert_eq!((counts.connections, counts.requests), (4, 3));
}

#[test]
fn what_is_under_way_at_once_is_counted_once_a_connection() {
    let mut responder = Running::start();
    let streams: Vec<_> = (0..3).map(|_| responder.connect()).collect();
    for number in 1..4 {
        for stream in &streams {
            // The one before is given up, and not counted any more.
            ask(stream, number, NEVER);
        }
    }
    // Its answer says that the responder has read what came before. It counts, too.
    let last = responder.connect();
    ask(&last, 1, 0);
    assert_eq!(answer(&last)[0], 1);
    for stream in &streams {
        ask(stream, 9, 0);
        assert_eq!(answer(stream)[0], 9);
    }
    drop((streams, last));
    let counts = responder.counts();
    assert_eq!(
        (counts.connections, counts.requests, counts.most_at_once),
        (4, 13, 4)
    );
}
