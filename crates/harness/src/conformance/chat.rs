//! Chat rooms: `chat`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chat_room::{Format, HEADER_BYTES, MOST_BYTES, Policy, Settings};
use suite::chat::Service;
use suite::generator::PATIENCE;
use suite::{Model, Result, Unsupported, Workload};

use super::support::{
    FORKED, job, open_connections, right_but_for_serial, silent_for_serial, start,
};

/// One member, one that sends and many, several rooms, messages of all lengths, the least queue,
/// and a rate.
pub fn chat_shapes<M: Model>(program: &'static str) -> Result<()> {
    all_right::<M>(
        program,
        &[
            "members=3 messages=40",
            "members=1",
            "members=2 bytes=0 messages=300",
            "rooms=5 members=4 queue=1",
            "members=6 senders=1 messages=200 queue=3",
            "members=4 bytes=65536 messages=20",
            "rooms=2 members=20 messages=50",
            "rooms=2 members=4 messages=20 rate=1000",
        ],
    )
}

/// Members that read nothing until the end, under each policy: what goes through is more than
/// the kernel holds for them, and at last more than the server may.
pub fn chat_slow_members<M: Model>(program: &'static str) -> Result<()> {
    all_right::<M>(
        program,
        &[
            "members=4 slow=1 bytes=4096 messages=100 policy=wait",
            "members=4 slow=2 bytes=4096 messages=200 policy=drop",
            "members=4 slow=2 bytes=4096 messages=200 policy=disconnect",
            "rooms=2 members=3 slow=1 messages=20 policy=drop",
            "rooms=2 members=3 slow=1 messages=20 policy=disconnect",
            "members=3 slow=1 bytes=65536 messages=600 queue=16 policy=drop",
        ],
    )
}

fn all_right<M: Model>(program: &str, shapes: &[&str]) -> Result<()> {
    for shape in shapes {
        let job = job(Workload::Chat, shape)?;
        right_but_for_serial::<M>(program, &job).with_context(|| (*shape).to_owned())?;
    }
    Ok(())
}

/// Clients that leave in the middle, say nothing, or send what is no message: the others go on,
/// and those that break the protocol or take too long are cut.
pub fn chat_survives_what_clients_do<M: Model>(program: &'static str) -> Result<()> {
    // Longer than any good client here takes.
    let patience = Duration::from_secs(3);
    chatting::<M>(program, Policy::Drop, patience, |server| {
        let (mut says, mut hears) = (server.join(0)?, server.join(0)?);
        ensure!(
            (says.number, hears.number) == (0, 1),
            "the first two numbers"
        );
        let mut sequence = 0;
        let mut after = |what: &str| {
            let said = says.say(sequence, what.as_bytes());
            said.with_context(|| format!("after {what}"))?;
            let heard = hears.hear().with_context(|| format!("after {what}"))?;
            let right = Some((0, sequence, what.as_bytes().to_vec()));
            ensure!(heard == right, "after {what}: {heard:?}");
            sequence += 1;
            anyhow::Ok(())
        };
        let mut silent = server.connect()?;
        drop(server.connect()?);
        after("one that hung up at once")?;
        let mut half = server.connect()?;
        half.write_all(&[0; HEADER_BYTES / 2])?;
        drop(half);
        after("half a frame")?;

        for (what, frame) in [
            ("garbage", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
            ("a first frame with a payload", frame(0, 0, b"hello")),
        ] {
            let mut client = server.connect()?;
            client.write_all(&frame)?;
            is_closed(&mut client).context(what)?;
            after(what)?;
        }
        let too_long = frame(2, 0, &vec![0; MOST_BYTES + 1]);
        let mut long = server.join(0)?;
        ensure!(long.number == 2, "the third number");
        // The server need not read all of it.
        let _ = long.stream.write_all(&too_long);
        is_closed(&mut long.stream).context("a frame that is too long")?;
        after("a frame that is too long")?;
        let mut other = server.join(0)?;
        other
            .stream
            .write_all(&frame(0, 7, b"in the name of another"))?;
        is_closed(&mut other.stream).context("a message in the name of another")?;
        after("a message in the name of another")?;

        let mut leaves = server.join(0)?;
        after("one that joined")?;
        let heard = leaves.hear()?;
        ensure!(heard.is_some(), "one that joined hears nothing");
        leaves
            .stream
            .write_all(&frame(leaves.number, 0, b"half of it")[..HEADER_BYTES + 4])?;
        leaves.stream.shutdown(Shutdown::Write)?;
        is_closed(&mut leaves.stream).context("one that left in the middle of a message")?;
        after("one that left in the middle of a message")?;
        let resets = server.join(0)?;
        after("one that is about to break off")?;
        drop(resets); // with bytes that are not read: a reset
        after("one that broke off")?;

        is_closed(&mut silent).context("one that says nothing")
    })
}

/// When the end begins, members get what was said before, whether or not the client of one reads.
pub fn chat_ends_in_the_middle<M: Model>(program: &'static str) -> Result<()> {
    for policy in Policy::ALL {
        chatting::<M>(program, policy, PATIENCE, |server| {
            let (mut says, mut hears) = (server.join(7)?, server.join(7)?);
            // Too much for the log and the kernel, of a member that never reads: one that waits,
            // does so in the middle.
            let mut talks = server.join(8)?;
            let never_reads = server.join(8)?;
            let long = frame(talks.number, 0, &[1; MOST_BYTES]);
            talks.stream.set_nonblocking(true)?;
            for _ in 0..200 {
                match talks.stream.write(&long) {
                    Ok(written) if written == long.len() => {}
                    // The server reads no more, or is about to: half a frame is the end of it.
                    Ok(_) => break,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error).context("talking to one that never reads"),
                }
            }
            // In one piece: what is read with the first is said before the end.
            let three: Vec<_> = (0..3)
                .flat_map(|at| frame(says.number, at, b"before"))
                .collect();
            says.stream.write_all(&three)?;
            let first = hears.hear()?;
            ensure!(first.is_some(), "nothing was said before the end");
            server.service.listening.close();
            for at in 1..3 {
                let heard = hears.hear().context("at the end")?;
                let right = Some((says.number, at, b"before".to_vec()));
                ensure!(heard == right, "at the end: {heard:?}");
            }
            ensure!(hears.hear()?.is_none(), "there is something after the end");
            is_closed(&mut says.stream).context("the one that spoke")?;
            drop(never_reads);
            Ok(())
        })?;
    }
    Ok(())
}

/// After its end it has no connection or unit any more.
pub fn chat_leaves_nothing<M: Model>(program: &'static str) -> Result<()> {
    chatting::<M>(program, Policy::Wait, PATIENCE, |server| {
        let waiting = server.connect()?;
        let (mut says, mut hears) = (server.join(3)?, server.join(3)?);
        says.say(0, b"hello")?;
        ensure!(hears.hear()?.is_some(), "nothing is heard");
        // Both are there when the end begins.
        server.service.listening.close();
        is_closed(&mut hears.stream)?;
        drop((waiting, says));
        Ok(())
    })
}

/// A server while it serves, to its clients.
struct Running<'a> {
    service: &'a Service,
}

/// A member of a room.
struct Client {
    stream: TcpStream,
    number: u32,
}

impl Running<'_> {
    fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.service.listening.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    fn join(&self, room: u32) -> Result<Client> {
        let mut stream = self.connect()?;
        stream.write_all(&frame(room, 0, &[]))?;
        let mut client = Client { stream, number: 0 };
        let joined = client.hear().context("joining after others")?;
        let joined = joined.context("the end after joining")?;
        ensure!(joined.2.is_empty(), "a payload: {joined:?}");
        client.number = joined.0;
        Ok(client)
    }
}

impl Client {
    fn say(&mut self, sequence: u64, payload: &[u8]) -> io::Result<()> {
        self.stream
            .write_all(&frame(self.number, sequence, payload))
    }

    /// The next frame; none at the end.
    fn hear(&mut self) -> Result<Option<(u32, u64, Vec<u8>)>> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read.context("the next frame")?,
        }
        let (mut sender, mut sequence) = ([0; 4], [0; 8]);
        self.stream.read_exact(&mut sender)?;
        self.stream.read_exact(&mut sequence)?;
        let mut payload = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut payload)?;
        Ok(Some((
            u32::from_be_bytes(sender),
            u64::from_be_bytes(sequence),
            payload,
        )))
    }
}

/// A frame as it is sent.
fn frame(sender: u32, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let parts = [
        &length.to_be_bytes()[..],
        &sender.to_be_bytes(),
        &sequence.to_be_bytes(),
        payload,
    ];
    parts.concat()
}

/// The server has to close this connection, whatever it has sent before.
fn is_closed(stream: &mut TcpStream) -> Result<()> {
    match stream.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            Err(error).context("it is not closed")
        }
        _ => Ok(()),
    }
}

/// Has a model serve rooms while `act` is their members; and looks at what is left.
fn chatting<M: Model>(
    program: &str,
    policy: Policy,
    patience: Duration,
    act: impl FnOnce(&Running<'_>) -> Result<()> + Send,
) -> Result<()> {
    let connections = 12;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
    let settings = Settings {
        format: Format::Frames,
        policy,
        queue: 16,
    };
    let service = Arc::new(Service::new(listener, settings, connections, patience)?);
    let job = job(Workload::Chat, &format!("members={connections}"))?;
    let model = start::<M>(program, &job)?;
    if silent_for_serial(program, &job) {
        return match model.serve_chat(&service) {
            Err(error) if error.is::<Unsupported>() => Ok(()),
            served => bail!("it should have refused, and not {served:?}"),
        };
    }
    let (served, acted) = thread::scope(|scope| {
        let acting = scope.spawn(|| {
            let acted = act(&Running { service: &service });
            service.listening.close();
            acted
        });
        let served = model.serve_chat(&service);
        drop(service.listening.listener()); // if it failed before: its clients would wait
        (served, acting.join())
    });
    let acted = acted.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    served.context("the server")?;
    acted?;
    let units = Arc::strong_count(&service) - 1;
    ensure!(units == 0, "{units} of its units have the service still");
    let address = service.listening.address();
    drop(service);
    are_closed(address)?;
    drop(model);
    Ok(())
}

/// The server has no connection any more.
fn are_closed(address: SocketAddr) -> Result<()> {
    let until = Instant::now() + FORKED;
    loop {
        let left = open_connections(address);
        if left.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < until, "left open: {left:?}");
        thread::yield_now();
    }
}
