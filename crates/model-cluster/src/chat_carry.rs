//! A client's connection in the parent: data is forwarded between the client and its node.

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chat_room::{Format, HEADER_BYTES, Received};
use http_head::LINGER;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::chat_directory::{Directory, Joined};
use crate::chat_link::{ChatTask, linger, until, until_late};

/// Buffer sizes for each direction, in bytes.
const FROM_CLIENT_BYTES: usize = 4 * 1024;
const TO_CLIENT_BYTES: usize = 16 * 1024;

/// Reads which room a client joins, then forwards data in both directions until either end closes
/// the connection.
pub(crate) async fn carry(
    mut client: TcpStream,
    directory: Arc<Directory>,
    is_closed: watch::Receiver<bool>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let ChatTask {
        settings, patience, ..
    } = directory.task;
    let joining = async {
        let room = timeout(patience, join(&mut client, settings.format)).await??;
        let joined = Joined::new(room, directory.clone());
        let connected = timeout(patience, directory.connect(joined.place)).await??;
        io::Result::Ok((joined, connected))
    };
    let (joined, (assigned, mut node)) = tokio::select! {
        joined = joining => joined?,
        () = until(is_closed) => return Ok(()),
    };
    let passed = tokio::select! {
        passed = pass_both_ways(&mut client, &mut node, patience) => passed,
        () = until_late(assigned.is_gone()) => Err(ErrorKind::ConnectionAborted.into()),
    };
    drop(client);
    // The member's number may be reused only after the node has dropped the member.
    let _ = linger(&mut node).await;
    drop((assigned, joined));
    passed
}

/// Reads which room a client joins. What the client sends after that is forwarded to the node.
async fn join(client: &mut TcpStream, format: Format) -> io::Result<u32> {
    let mut received = Received::new(format);
    if format == Format::Frames {
        let mut frame = [0; HEADER_BYTES];
        client.read_exact(&mut frame).await?;
        received.room()[..HEADER_BYTES].copy_from_slice(&frame);
        received.filled(HEADER_BYTES);
    }
    let room = received.join().ok_or(ErrorKind::InvalidData)?;
    room.map_err(io::Error::other)
}

/// Forwards data until both ends have closed, or until the node has and the client has had some
/// time to close.
async fn pass_both_ways(
    client: &mut TcpStream,
    node: &mut TcpStream,
    patience: Duration,
) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_node, mut to_node) = node.split();
    // No time limit here: with rooms that wait for members, a node may stop reading for long.
    let up = pass(&mut from_client, &mut to_node, FROM_CLIENT_BYTES, None);
    let patience = Some(patience);
    let down = pass(&mut from_node, &mut to_client, TO_CLIENT_BYTES, patience);
    let (mut up, mut down) = (pin!(up), pin!(down));
    tokio::select! {
        passed = &mut up => {
            passed?;
            down.await
        }
        passed = &mut down => {
            passed?;
            timeout(LINGER, up).await?
        }
    }
}

/// Forwards data in one direction, then the end of the stream.
async fn pass(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    bytes: usize,
    patience: Option<Duration>,
) -> io::Result<()> {
    let mut buffer = vec![0; bytes];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let writing = to.write_all(&buffer[..read]);
        match patience {
            Some(patience) => timeout(patience, writing).await??,
            None => writing.await?,
        }
    }
}
