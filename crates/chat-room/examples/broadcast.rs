//! A minimal server of the same protocol with tokio's own `broadcast` channel, to hold the models
//! against: `load ADDRESS:PORT --rooms 4` measures both.
//!
//! A member that lags by more than the channel has gets a gap, as with the policy `drop`. What it
//! has said itself counts for it, too. Nothing is refused or timed out, and it ends with the
//! process.

use std::collections::HashMap;
use std::env;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use chat_room::{HEADER_BYTES, SERVER};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{Receiver, Sender};

/// Messages that a member may lag behind: as in the jobs.
const QUEUE: usize = 128;

/// Written at once.
const PIECE: usize = 64 * 1024;

type Message = (u32, Arc<[u8]>);

/// What leads to the members of each room, and how many have joined.
type Rooms = Arc<Mutex<HashMap<u32, (Sender<Message>, u32)>>>;

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("chatting at {}", listener.local_addr()?);
    let rooms = Rooms::default();
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(stream, rooms.clone()));
    }
}

async fn converse(stream: TcpStream, rooms: Rooms) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    let mut header = [0; HEADER_BYTES];
    from.read_exact(&mut header).await?;
    let room = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let (messages, heard, number) = {
        let mut rooms = rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || (Sender::new(QUEUE), 0);
        let (messages, joined) = rooms.entry(room).or_insert_with(new);
        if messages.receiver_count() == 0 {
            *joined = 0;
        }
        *joined += 1;
        (messages.clone(), messages.subscribe(), *joined - 1)
    };
    to.write_all(&frame(number, u64::from(number) + 1)).await?;
    let writing = tokio::spawn(write(to, heard, number));
    loop {
        if from.read_exact(&mut header).await.is_err() {
            break;
        }
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        let mut message = vec![0; HEADER_BYTES + length as usize];
        message[..HEADER_BYTES].copy_from_slice(&header);
        from.read_exact(&mut message[HEADER_BYTES..]).await?;
        // It fails when no member is left.
        let _ = messages.send((number, message.into()));
    }
    writing.abort();
    // Its receiver is gone then.
    let _ = writing.await;
    Ok(())
}

/// Writes all that there is at once, then waits for more.
async fn write(
    mut to: OwnedWriteHalf,
    mut heard: Receiver<Message>,
    number: u32,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        match heard.recv().await {
            Ok(message) => put(&mut buffer, &message, number),
            Err(RecvError::Lagged(lost)) => buffer.extend_from_slice(&frame(SERVER, lost)),
            Err(RecvError::Closed) => return Ok(()),
        }
        while buffer.len() < PIECE {
            match heard.try_recv() {
                Ok(message) => put(&mut buffer, &message, number),
                Err(TryRecvError::Lagged(lost)) => buffer.extend_from_slice(&frame(SERVER, lost)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        to.write_all(&buffer).await?;
        buffer.clear();
    }
}

fn put(buffer: &mut Vec<u8>, (sender, message): &Message, number: u32) {
    if *sender != number {
        buffer.extend_from_slice(message);
    }
}

/// A frame without a payload.
fn frame(sender: u32, sequence: u64) -> [u8; HEADER_BYTES] {
    let mut frame = [0; HEADER_BYTES];
    frame[4..8].copy_from_slice(&sender.to_be_bytes());
    frame[8..].copy_from_slice(&sequence.to_be_bytes());
    frame
}
