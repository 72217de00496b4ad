//! Nodes that have their own network and files, as on separate machines: each is in a namespace
//! with a link to a bridge, and the server, the parent and the origin are at that bridge.
//!
//! Namespaces have no names here. Each lasts as long as a process in it, which ends with the pipe
//! that it reads; with a namespace the kernel removes its links. So nothing is left of them however
//! a test ends. All links and addresses are inside, with no way out: nothing of the machine's own
//! network is touched, and no address can collide with one of it.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use procfs::process::Process;
use suite::Result;
use tempfile::TempDir;

use super::{Running, Server, command_at, node_at, parent_command, program_at};

/// The addresses of the bridge.
const ADDRESS: &str = "10.77.0.1";
const HARDWARE_ADDRESS: &str = "02:00:0a:4d:00:01";

/// A node's end of its link.
const UPLINK: &str = "uplink";

/// What makes a namespace in which links can be made, for root and, where it is allowed, for other
/// users.
const AS_ROOT: [&str; 2] = ["unshare", "--net"];
const AS_USER: [&str; 4] = ["unshare", "--user", "--map-root-user", "--net"];

/// What makes one for a node, within that. It has its own view of the file systems.
const OF_NODE: [&str; 3] = ["unshare", "--net", "--mount"];

/// Has the directory `$1` look empty there.
const HIDE: &str = "mount -t tmpfs none \"$1\"";

/// A bridge, and a namespace for each node.
pub struct Network {
    bridge: Namespace,
    nodes: Vec<Namespace>,
    /// Where the parent makes files, which no node sees.
    files: TempDir,
}

struct Namespace {
    /// The process that keeps the namespace alive.
    process: Running,
    /// The words that run the rest of a command line in it.
    enter: Vec<String>,
}

impl Network {
    /// Makes a network with this number of nodes. Returns `None`, and prints why, if this machine
    /// does not allow it.
    pub fn of(nodes: usize) -> Result<Option<Self>> {
        let files = tempfile::tempdir()?;
        // What is refused here is refused by the machine: it may not, or has no such links.
        let network = match Self::make(nodes, files) {
            Ok(network) => network,
            Err(why) => {
                // Also where `CI` is set: a container cannot be given rights by its own programs.
                // Not through `eprintln!`, which the test harness would keep to itself.
                let _ = writeln!(io::stderr(), "\n*** SKIPPED: no namespaces: {why:#} ***\n");
                return Ok(None);
            }
        };
        network.configure()?;
        Ok(Some(network))
    }

    /// Namespaces and links.
    fn make(nodes: usize, files: TempDir) -> Result<Self> {
        let make = |way: &[&str]| Namespace::new(&[], way, "true", files.path());
        let bridge = match make(&AS_ROOT) {
            Ok(bridge) => bridge,
            Err(why) => make(&AS_USER).with_context(|| why.to_string())?,
        };
        bridge.ip(&format!(
            "link add name bridge0 address {HARDWARE_ADDRESS} type bridge\n"
        ))?;
        let mut network = Self {
            bridge,
            nodes: Vec::new(),
            files,
        };
        for number in 0..nodes {
            let enter = &network.bridge.enter;
            let node = Namespace::new(enter, &OF_NODE, HIDE, network.files.path())?;
            let (link, pid) = (link(number), node.process.pid());
            network.bridge.ip(&format!(
                "link add name {link} type veth peer name {UPLINK} netns {pid}\n"
            ))?;
            network.nodes.push(node);
        }
        Ok(network)
    }

    /// Addresses, and all links up.
    fn configure(&self) -> Result<()> {
        let mut at_the_bridge = format!(
            "link set dev lo up\n\
             address add {ADDRESS}/24 dev bridge0\n\
             link set dev bridge0 up\n"
        );
        for (number, node) in self.nodes.iter().enumerate() {
            let link = link(number);
            at_the_bridge += &format!("link set dev {link} master bridge0 up\n");
            // A node is to know how to reach the bridge also when its link is down: what it sends
            // is lost then, as behind a router, and not refused.
            node.ip(&format!(
                "link set dev lo up\n\
                 address add 10.77.0.{}/24 dev {UPLINK}\n\
                 link set dev {UPLINK} up\n\
                 neighbour add {ADDRESS} lladdr {HARDWARE_ADDRESS} dev {UPLINK} nud permanent\n",
                number + 2
            ))?;
        }
        self.bridge.ip(&at_the_bridge)
    }

    /// A server at the bridge.
    pub fn server(&self) -> Result<Server> {
        Server::at(&self.bridge.enter, ADDRESS, None)
    }

    /// An origin at the bridge: with its URL.
    pub fn origin(&self) -> Result<(Running, String)> {
        let args = ["origin", "--address", ADDRESS, "--until-stdin-closes"];
        let mut command = program_at(&self.bridge.enter, &args.map(str::to_owned));
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("its output")?;
        let origin = Running(child);
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url)?;
        ensure!(url.starts_with("http://"), "{:?}", origin.end()?);
        Ok((origin, url.trim_end().to_owned()))
    }

    /// A parent at the bridge, of all nodes.
    pub fn parent(&self, server: &Server, job: &[String], more: &[&str]) -> Result<Running> {
        let mut command = parent_command(server, self.nodes.len(), job, more);
        command.env("TMPDIR", self.files.path());
        Ok(Running(command.spawn()?))
    }

    /// The node of this number.
    pub fn node(&self, server: &Server, number: usize) -> Result<Running> {
        let name = format!("node {number}");
        node_at(&self.nodes[number].enter, server, &name, &[])
    }

    /// How many bytes have come to a node over its link.
    pub fn received(&self, number: usize) -> Result<u64> {
        let process = Process::new(self.nodes[number].process.pid())?;
        let status = process.dev_status()?.remove(UPLINK);
        Ok(status.context("no link")?.recv_bytes)
    }

    /// Sets a node's link down, and after a while up again.
    pub fn cut(&self, number: usize, time: Duration) -> Result<()> {
        let link = link(number);
        self.bridge.ip(&format!("link set dev {link} down\n"))?;
        thread::sleep(time);
        self.bridge.ip(&format!("link set dev {link} up\n"))
    }
}

/// The bridge's end of a node's link.
fn link(number: usize) -> String {
    format!("link{number}")
}

impl Namespace {
    /// One that `way` makes, within another that `enter` enters. A shell runs `first` in it, with
    /// `directory` as `$1`.
    fn new(enter: &[String], way: &[&str], first: &str, directory: &Path) -> Result<Self> {
        let mut child = command_at(enter, way[0])
            .args(&way[1..])
            .args(["sh", "-c"])
            // `cat` ends with its standard input, which this process has the other end of.
            .arg(format!("{first} && echo made && exec cat"))
            .arg("sh")
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| way[0].to_owned())?;
        let stdout = child.stdout.take().context("its output")?;
        let process = Running(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line != "made\n" {
            let ended = process.end()?;
            bail!("{}: {}", way.join(" "), ended.stderr.trim());
        }
        // None of these programs has started another, so that this is the one inside.
        let pid = process.pid().to_string();
        let users = ["--user", "--preserve-credentials"].map(str::to_owned);
        let mut words = vec!["nsenter".to_owned(), "--target".to_owned(), pid];
        if way.contains(&"--user") || enter.contains(&users[0]) {
            words.extend(users);
        }
        words.push("--net".to_owned());
        if way.contains(&"--mount") {
            words.push("--mount".to_owned());
        }
        Ok(Self {
            process,
            enter: words,
        })
    }

    /// Has `ip` do what these lines say.
    fn ip(&self, lines: &str) -> Result<()> {
        let mut child = command_at(&self.enter, "ip")
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("ip (Debian: apt-get install iproute2)")?;
        let mut input = child.stdin.take().context("its input")?;
        // Why it does not read all of it is on its standard error.
        let _ = input.write_all(lines.as_bytes());
        drop(input);
        let ended = Running(child).end()?;
        ensure!(
            ended.status.success(),
            "ip -batch: {}: {lines}",
            ended.stderr.trim()
        );
        Ok(())
    }
}
