//! What the system says about its TCP sockets: `/proc/net/tcp` and `/proc/net/tcp6`.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SYN_SENT: u8 = 0x02;
const LISTEN: u8 = 0x0a;

/// One socket.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    state: u8,
}

/// The ports that are open at all addresses of this machine, in any order.
///
/// # Errors
///
/// When the system does not tell.
pub(crate) fn open_everywhere() -> io::Result<Vec<u16>> {
    let everywhere = |socket: &Socket| socket.state == LISTEN && socket.local.ip().is_unspecified();
    let port = |socket: Socket| socket.local.port();
    Ok(all()?.into_iter().filter(everywhere).map(port).collect())
}

/// Whether a socket is bound to this address, at any port.
pub(crate) fn is_in_use(address: Ipv4Addr) -> io::Result<bool> {
    let address = IpAddr::from(address);
    Ok(all()?.iter().any(|socket| socket.local.ip() == address))
}

/// The connections to this address that wait for an answer: from where, and to which port.
///
/// The system lists sockets piece by piece, while they come and go: of one that was there when it
/// began, and of another that was there when it ended, both may be told. Those that are in two
/// lists, one taken after the other, were there at once.
///
/// # Errors
///
/// When the system does not tell.
pub fn waiting_for(address: IpAddr) -> io::Result<HashSet<[SocketAddr; 2]>> {
    let waits = |socket: &Socket| socket.state == SYN_SENT && socket.remote.ip() == address;
    let ends = |socket: Socket| [socket.local, socket.remote];
    Ok(all()?.into_iter().filter(waits).map(ends).collect())
}

fn all() -> io::Result<Vec<Socket>> {
    let mut text = fs::read_to_string("/proc/net/tcp")?;
    // Not there on a machine without IPv6.
    text += &fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    Ok(text.lines().filter_map(socket).collect())
}

/// A line like `0: 0100007F:1F90 00000000:0000 0A ...`. None for the headings.
fn socket(line: &str) -> Option<Socket> {
    let mut words = line.split_whitespace().skip(1);
    Some(Socket {
        local: address(words.next()?)?,
        remote: address(words.next()?)?,
        state: u8::from_str_radix(words.next()?, 16).ok()?,
    })
}

/// An address as words of 32 bits in the machine's order, each in hexadecimal.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip = if ip.len() == 8 {
        IpAddr::from(Ipv4Addr::from(word(0)?))
    } else {
        let words = [word(0)?, word(8)?, word(16)?, word(24)?];
        let bytes: [u8; 16] = words.concat().try_into().ok()?;
        Ipv6Addr::from(bytes).to_canonical()
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_are_read() {
        let line = "   1: 09034D7F:4E21 0100007F:E712 01 00000000:00000000 00:00000000 0 0";
        let right = Socket {
            local: "127.77.3.9:20001".parse().expect("an address"),
            remote: "127.0.0.1:59154".parse().expect("an address"),
            state: 1,
        };
        assert_eq!(socket(line), Some(right));
        let line = " 0: 00000000000000000000000000000000:0016 \
                    0000000000000000FFFF00000100007F:0001 0A 0";
        let read = socket(line).expect("a socket");
        assert!(read.local.ip().is_unspecified());
        assert_eq!(read.remote.to_string(), "127.0.0.1:1");
        for other in ["", "  sl  local_address rem_address   st", "0: 1:2 3:4 5"] {
            assert_eq!(socket(other), None);
        }
    }

    #[test]
    fn a_listener_is_seen_where_it_listens() {
        let one = TcpListener::bind("127.1.9.9:0").expect("an address of this machine");
        let all = TcpListener::bind("0.0.0.0:0").expect("all of them");
        let six = TcpListener::bind("[::]:0");
        let port = |listener: &TcpListener| listener.local_addr().expect("its address").port();
        let open = open_everywhere().expect("sockets");
        assert!(open.contains(&port(&all)));
        // Another program may have opened it everywhere by now, but not before.
        assert!(is_in_use(Ipv4Addr::new(127, 1, 9, 9)).expect("sockets"));
        if let Ok(six) = six {
            assert!(open.contains(&port(&six)));
        }
        assert_ne!(port(&one), 0);
    }
}
