//! Chats that lose a node, a node's connection to the server, or the server: what members get.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::ChildStdout;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chat_room::HEADER_BYTES;
use procfs::process::{FDTarget, Process};
use rustix::process::Signal;
use suite::Result;
use support::{
    PROGRAM, Running, Server, children, has_server, node, parent, program, signal, wait_until,
};

/// How long a member waits for a message.
const PATIENCE: Duration = Duration::from_secs(40);

/// What each of two members says to the other, and how much of that one has heard when its node is
/// cut off, for so long.
const MESSAGES: u64 = 20_000;
const HEARD: u64 = 1_000;
const CUT: Duration = Duration::from_secs(3);

/// A test that ends, and needs a server.
fn with_server(test: fn(&'static str) -> Result<()>) -> Result<()> {
    match has_server() {
        true => harness::with_timeout(test, PROGRAM),
        false => Ok(()),
    }
}

#[test]
fn a_node_of_a_chat_is_killed() -> Result<()> {
    with_server(|_| {
        let chat = Chat::own()?;
        let members = chat.join(4)?;
        all_hear_all(&members, 0)?;
        let nodes = children(chat.parent.pid(), "--own")?;
        let node = *nodes.first().context("a node")?;
        signal(node, Signal::KILL)?;
        wait_until("its members are cut", || {
            let cut: Vec<_> = members.iter().map(Member::is_cut).collect::<Result<_>>()?;
            Ok((cut.iter().filter(|is_cut| **is_cut).count() == 2).then_some(()))
        })?;
        let mut left = Vec::new();
        for member in members {
            if !member.is_cut()? {
                left.push(member);
            }
        }
        all_hear_all(&left, 1)?;
        wait_until("another node serves", || {
            let nodes = children(chat.parent.pid(), "--own")?;
            let others = nodes.into_iter().filter(|&other| other != node);
            let serving = others.filter(|&node| sockets(node) >= SERVING);
            Ok((serving.count() == 2).then_some(()))
        })?;
        left.extend(chat.join(4)?);
        all_hear_all(&left, 2)?;
        let stderr = chat.end(left)?;
        ensure!(stderr.contains("is gone: "), "{stderr}");
        Ok(())
    })
}

/// The sockets of a node that serves: its connection to the server, where it listens, and its
/// connection to the parent.
const SERVING: usize = 3;

/// How many sockets a process has open, as far as it is there.
fn sockets(pid: i32) -> usize {
    let descriptors = Process::new(pid).and_then(|process| process.fd());
    let targets = descriptors.into_iter().flatten().flatten();
    targets
        .filter(|descriptor| matches!(descriptor.target, FDTarget::Socket(_)))
        .count()
}

#[test]
fn a_node_of_a_chat_is_cut_off_from_the_server() -> Result<()> {
    with_server(|_| {
        let server = Server::start()?;
        let relay = Relay::to(server.port)?;
        let _near = node(&server, "near", &[])?;
        let far = ["node", "--name", "far", "--server", &relay.url()].map(str::to_owned);
        let _far = Running(program(&far).spawn()?);
        let chat = Chat::of(parent(&server, 2, &arguments(), &["--policy", "wait"])?)?;
        // One on each node.
        let members = chat.join(2)?;
        let heard = AtomicU64::new(0);
        thread::scope(|scope| {
            let talking: Vec<_> = [(0, 1), (1, 0)]
                .into_iter()
                .flat_map(|(own, other)| {
                    let (own, other) = (&members[own], &members[other]);
                    let heard = &heard;
                    [
                        scope.spawn(move || own.say_all()),
                        scope.spawn(move || own.hear_all(other.number, heard)),
                    ]
                })
                .collect();
            wait_until("members talk", || {
                Ok((heard.load(SeqCst) >= HEARD).then_some(()))
            })?;
            relay.lose_for(CUT);
            let by_then = heard.load(SeqCst);
            for talked in talking {
                talked.join().expect("no panic")?;
            }
            ensure!(by_then < 2 * MESSAGES, "it was all over before");
            ensure!(heard.load(SeqCst) == 2 * MESSAGES, "{heard:?}");
            anyhow::Ok(())
        })?;
        chat.end(members)?;
        Ok(())
    })
}

#[test]
fn a_chat_whose_server_forgets_what_was_said_fails() -> Result<()> {
    with_server(|_| {
        let chat = Chat::own()?;
        let members = chat.join(2)?;
        all_hear_all(&members, 0)?;
        for server in children(chat.parent.pid(), "nats-server")? {
            signal(server, Signal::KILL)?;
        }
        let ended = chat.parent.end()?;
        ensure!(ended.status.code() == Some(1), "{ended:?}");
        let says = "the NATS server has lost what was said";
        ensure!(ended.stderr.contains(says), "{ended:?}");
        Ok(())
    })
}

fn arguments() -> Vec<String> {
    ["chat", "--listen", "127.0.0.1:0"]
        .map(str::to_owned)
        .to_vec()
}

/// A chat that is served, with one room.
struct Chat {
    parent: Running,
    address: String,
    /// Open as long as the parent may print something.
    _stdout: BufReader<ChildStdout>,
}

impl Chat {
    /// With a server and two nodes of its own.
    fn own() -> Result<Self> {
        let mut command = program(&arguments());
        Self::of(Running(command.args(["--nodes", "2"]).spawn()?))
    }

    fn of(mut parent: Running) -> Result<Self> {
        let stdout = parent.0.stdout.take().context("its output")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let address = line.trim_end().strip_prefix("chatting at ");
        let Some(address) = address.map(str::to_owned) else {
            bail!("it does not serve: {:?}", parent.end()?);
        };
        Ok(Self {
            parent,
            address,
            _stdout: stdout,
        })
    }

    /// So many more members.
    fn join(&self, members: usize) -> Result<Vec<Member>> {
        (0..members).map(|_| Member::join(&self.address)).collect()
    }

    /// Ends it as Ctrl-C does, and its members with it: what it has printed about that.
    fn end(self, members: Vec<Member>) -> Result<String> {
        self.parent.signal(Signal::INT)?;
        for member in &members {
            ensure!(member.hear()?.is_none(), "there is something after the end");
        }
        drop(members);
        let ended = self.parent.end()?;
        ensure!(ended.status.success(), "{ended:?}");
        Ok(ended.stderr)
    }
}

/// A member of room 0. Its messages are sequences alone.
struct Member {
    stream: TcpStream,
    number: u32,
}

impl Member {
    fn join(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut member = Self { stream, number: 0 };
        member.say(0)?;
        let joined = member.hear().context("joining")?;
        (member.number, _) = joined.context("the end before joining")?;
        Ok(member)
    }

    fn say(&self, sequence: u64) -> Result<()> {
        let mut frame = [0; HEADER_BYTES];
        frame[4..8].copy_from_slice(&self.number.to_be_bytes());
        frame[8..].copy_from_slice(&sequence.to_be_bytes());
        Ok((&self.stream).write_all(&frame)?)
    }

    /// Who says what next; none at the end.
    fn hear(&self) -> Result<Option<(u32, u64)>> {
        let (mut length, mut sender, mut sequence) = ([0; 4], [0; 4], [0; 8]);
        let mut stream = &self.stream;
        match stream.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        stream.read_exact(&mut sender)?;
        stream.read_exact(&mut sequence)?;
        ensure!(length == [0; 4], "a payload of {length:?}");
        Ok(Some((
            u32::from_be_bytes(sender),
            u64::from_be_bytes(sequence),
        )))
    }

    fn say_all(&self) -> Result<()> {
        (0..MESSAGES).try_for_each(|sequence| self.say(sequence))
    }

    /// All that another says has to come once, and in order.
    fn hear_all(&self, other: u32, heard: &AtomicU64) -> Result<()> {
        for sequence in 0..MESSAGES {
            let came = self.hear()?;
            ensure!(came == Some((other, sequence)), "{came:?}, not {sequence}");
            heard.fetch_add(1, SeqCst);
        }
        Ok(())
    }

    /// Whether its connection has been closed. Nothing else is to come.
    fn is_cut(&self) -> Result<bool> {
        self.stream.set_nonblocking(true)?;
        let came = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        match came {
            Ok(bytes) => Ok(bytes == 0),
            Err(error) => Ok(error.kind() != ErrorKind::WouldBlock),
        }
    }
}

/// Each says this, and hears it from each other.
fn all_hear_all(members: &[Member], sequence: u64) -> Result<()> {
    for member in members {
        member.say(sequence)?;
    }
    let numbers: BTreeSet<_> = members.iter().map(|member| member.number).collect();
    ensure!(numbers.len() == members.len(), "two have the same number");
    for member in members {
        let mut missing = numbers.clone();
        missing.remove(&member.number);
        while !missing.is_empty() {
            let came = member.hear()?;
            let (sender, what) = came.context("a member is cut")?;
            ensure!(what == sequence, "{what} of {sender}, not {sequence}");
            ensure!(missing.remove(&sender), "{sender} is heard twice");
        }
    }
    Ok(())
}

/// Stands between a node and the server, and can lose what goes through.
struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    loses: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Relay {
    fn to(server: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let relayed = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if !relayed.loses.load(SeqCst) {
                    // Who connects will try again.
                    let _ = relayed.relay(&client, server);
                }
            }
        });
        Ok(Self { port, shared })
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Nothing goes through for some time; then connections have to be made anew.
    fn lose_for(&self, time: Duration) {
        self.shared.loses.store(true, SeqCst);
        thread::sleep(time);
        let open = self.shared.open.lock();
        for stream in open.unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It may be closed by now.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.shared.loses.store(false, SeqCst);
    }
}

impl Shared {
    fn relay(self: &Arc<Self>, client: &TcpStream, server: u16) -> std::io::Result<()> {
        let server = TcpStream::connect(("localhost", server))?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for (from, to) in [(client, &server), (&server, client)] {
            from.set_nodelay(true)?;
            open.push(from.try_clone()?);
            let (from, to, shared) = (from.try_clone()?, to.try_clone()?, self.clone());
            thread::spawn(move || shared.pass(&from, &to));
        }
        Ok(())
    }

    fn pass(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if !self.loses.load(SeqCst) && to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}
