//! What the kernel tells of a program's connections.

use std::fs;
use std::net::TcpStream;

use nix::unistd::Pid;

use crate::check::{Wrong, wrong};

/// The inode of a program's end of a connection, while that is established, by the port that
/// it listens on and that of the client.
fn inode(server: u16, client: u16) -> Option<String> {
    let ends = [format!(":{server:04X}"), format!(":{client:04X}")];
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    table.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let [own, other] = [fields.next(), fields.next()].map(Option::unwrap_or_default);
        // 01 is ESTABLISHED; queues, timers, retries, user and timeout come before the inode.
        let is_it =
            own.ends_with(&ends[0]) && other.ends_with(&ends[1]) && fields.next() == Some("01");
        fields.nth(5).filter(|_| is_it).map(str::to_owned)
    })
}

/// Whether the program has this client's connection open.
pub(crate) fn is_open(server: u16, client: &TcpStream) -> Result<bool, Wrong> {
    Ok(inode(server, port(client)?).is_some())
}

/// A process of this group, other than its leader, that holds this client's connection.
pub(crate) fn child_with(
    group: u32,
    server: u16,
    client: &TcpStream,
) -> Result<Option<Pid>, Wrong> {
    let Some(inode) = inode(server, port(client)?) else {
        return Err(wrong("a connection", "the kernel has none"));
    };
    let socket = format!("socket:[{inode}]");
    let holds = |process: &str| {
        let descriptors = fs::read_dir(format!("/proc/{process}/fd"));
        let mut descriptors = descriptors.into_iter().flatten().flatten();
        descriptors.any(|entry| {
            let target = fs::read_link(entry.path());
            target.is_ok_and(|target| target.as_os_str() == &*socket)
        })
    };
    let processes = fs::read_dir("/proc").map_err(|error| wrong("processes", error))?;
    let names = processes.flatten().map(|entry| entry.file_name());
    let mut pids = names.filter_map(|name| name.to_str()?.parse::<u32>().ok());
    Ok(pids
        .find(|&pid| pid != group && group_of(pid) == Some(group) && holds(&pid.to_string()))
        .map(|pid| Pid::from_raw(pid.cast_signed())))
}

fn group_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may have any characters: state, parent and group follow.
    let (_, after) = stat.rsplit_once(") ")?;
    after.split(' ').nth(2)?.parse().ok()
}

fn port(client: &TcpStream) -> Result<u16, Wrong> {
    let address = client.local_addr();
    address
        .map(|own| own.port())
        .map_err(|error| wrong("an address", error))
}
