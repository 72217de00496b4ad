//! Chats that lose a node, a node's connection to the server, or the server: what members get.

#[path = "support/relay.rs"]
mod relay;
mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::ChildStdout;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chat_room::HEADER_BYTES;
use procfs::process::{FDTarget, Process};
use relay::Relay;
use rustix::process::Signal;
use suite::Result;
use support::{
    PROGRAM, Running, Server, children, has_server, node, parent, program, signal, wait_until,
};

/// How long a member waits for a message.
const PATIENCE: Duration = Duration::from_secs(40);

/// The number of messages of each of two members, how many have been received when the node is cut
/// off, and for how long it is cut off.
const MESSAGES: u64 = 20_000;
const HEARD: u64 = 1_000;
const CUT: Duration = Duration::from_secs(3);

/// The number of messages of each member while a node is stopped: more than the stream holds.
const FLOOD: u64 = 1_000;

/// Runs a test with a timeout, if there is a server program.
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
        let mut left = left_of(members, 2)?;
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

/// Waits until `cut` of the members are cut, and returns the others.
fn left_of(members: Vec<Member>, cut: usize) -> Result<Vec<Member>> {
    wait_until("members are cut", || {
        let are_cut: Vec<_> = members.iter().map(Member::is_cut).collect::<Result<_>>()?;
        Ok((are_cut.iter().filter(|is_cut| **is_cut).count() == cut).then_some(()))
    })?;
    let mut left = Vec::new();
    for member in members {
        if !member.is_cut()? {
            left.push(member);
        }
    }
    Ok(left)
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
        all_is_heard_though(&members, || {
            relay.lose_for(CUT);
            Ok(())
        })?;
        chat.end(members)?;
        Ok(())
    })
}

/// Two members talk, and something happens in the middle: they hear everything all the same.
fn all_is_heard_though(members: &[Member], happens: impl FnOnce() -> Result<()>) -> Result<()> {
    let [one, other] = members else {
        bail!("they are not two");
    };
    let (heard, has_happened) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let talking: Vec<_> = [(one, other), (other, one)]
            .into_iter()
            .flat_map(|(own, other)| {
                let (heard, has_happened) = (&heard, &has_happened);
                [
                    scope.spawn(move || own.say_all(has_happened)),
                    scope.spawn(move || own.hear_all(other.number, heard)),
                ]
            })
            .collect();
        wait_until("members talk", || {
            Ok((heard.load(SeqCst) >= HEARD).then_some(()))
        })?;
        let happened = happens();
        has_happened.store(true, SeqCst);
        for talked in talking {
            talked.join().expect("no panic")?;
        }
        ensure!(heard.load(SeqCst) == 2 * MESSAGES, "{heard:?}");
        happened
    })
}

#[test]
fn a_node_of_a_chat_is_stopped_and_then_continued() -> Result<()> {
    with_server(|_| {
        let server = Server::start()?;
        let mut stops = node(&server, "stops", &[])?;
        let mut stays = node(&server, "stays", &[])?;
        let chat = Chat::of(parent(&server, 2, &arguments(), &["--policy", "wait"])?)?;
        let members = chat.join(4)?;
        all_hear_all(&members, 0)?;
        stops.signal(Signal::STOP)?;
        // The stream keeps it for the stopped node, and gets full.
        for member in &members {
            (1..=FLOOD).try_for_each(|sequence| member.say(sequence))?;
        }
        let mut left = left_of(members, 2)?;
        for (own, other) in [(0, 1), (1, 0)] {
            for sequence in 1..=FLOOD {
                let came = left[own].hear()?;
                let right = Some((left[other].number, sequence));
                ensure!(came == right, "{came:?}, not {right:?}");
            }
        }
        // Its members have said something too, which it finds now.
        stops.signal(Signal::CONT)?;
        let printed = stops.0.stderr.take().context("what it prints")?;
        let mut printed = BufReader::new(printed).lines();
        let is_cut = |line: &std::io::Result<String>| {
            let line = line.as_ref().map(String::as_str);
            line.is_ok_and(|line| line.contains("its members of the chat are cut"))
        };
        printed
            .find(is_cut)
            .context("it goes on as if nothing was")??;
        wait_until("it serves again", || {
            Ok((sockets(stops.pid()) >= SERVING).then_some(()))
        })?;
        // The node with the fewest members is the one that was stopped.
        left.extend(chat.join(2)?);
        all_hear_all(&left, FLOOD + 1)?;
        stays.kill()?;
        let new = left_of(left, 2)?;
        all_hear_all(&new, FLOOD + 2)?;
        let stderr = chat.end(new)?;
        ensure!(stderr.contains("no sign of life"), "{stderr}");
        Ok(())
    })
}

#[test]
fn a_chat_goes_on_when_its_server_is_restarted_on_its_store() -> Result<()> {
    with_server(|_| {
        let mut server = Server::start()?;
        let _one = node(&server, "one", &[])?;
        let _other = node(&server, "other", &[])?;
        let more = ["--policy", "wait", "--cluster-storage", "disk"];
        let chat = Chat::of(parent(&server, 2, &arguments(), &more)?)?;
        let members = chat.join(2)?;
        all_is_heard_though(&members, || server.restart())?;
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

    /// Connects this number of new members.
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

    /// Reads the next message: its sender and its sequence; `None` at the end.
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

    /// Says the second half when it has happened.
    fn say_all(&self, has_happened: &AtomicBool) -> Result<()> {
        (0..MESSAGES / 2).try_for_each(|sequence| self.say(sequence))?;
        wait_until("it happens", || Ok(has_happened.load(SeqCst).then_some(())))?;
        (MESSAGES / 2..MESSAGES).try_for_each(|sequence| self.say(sequence))
    }

    /// Checks that everything the other says arrives once, and in order.
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

/// Each member sends this, and receives it from each other member.
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
