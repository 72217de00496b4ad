//! A host's addresses, and in which order they are connected to (RFC 8305).

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::thread;
use std::time::Duration;

/// The wait before the next address is tried as well: RFC 8305, 8, recommends it.
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Looks a host up, and tells its addresses in the order in which to try them.
///
/// A name is looked up by a thread of its own: the system's resolver blocks, for as
/// long as it likes, and can be told neither to stop nor how long to wait. It may be
/// left behind.
///
/// # Errors
///
/// When there can be no such thread.
pub fn look_up(
    host: &str,
    port: u16,
    tell: impl FnOnce(io::Result<Vec<SocketAddr>>) + Send + 'static,
) -> io::Result<()> {
    if let Ok(address) = host.parse::<IpAddr>() {
        tell(Ok(vec![(address, port).into()]));
        return Ok(());
    }
    let host = host.to_owned();
    let look_up = move || tell((host.as_str(), port).to_socket_addrs().map(in_turn));
    let thread = thread::Builder::new().name("lookup".to_owned());
    thread.spawn(look_up).map(drop)
}

/// The order in which to try addresses: that of the resolver, but one family after
/// the other, so that a family that leads nowhere costs one wait.
fn in_turn(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let addresses: Vec<_> = addresses.into_iter().collect();
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<SocketAddr>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = [one.next(), other.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let read = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let (a, b, c) = ("[::1]:1", "[::2]:1", "[::3]:1");
        let (x, y) = ("1.0.0.1:1", "1.0.0.2:1");
        for (given, ordered) in [
            (&[][..], &[][..]),
            (&[a, b, c, x, y], &[a, x, b, y, c]),
            (&[x, y, a], &[x, a, y]),
            (&[x, y], &[x, y]),
        ] {
            assert_eq!(in_turn(read(given)), read(ordered));
        }
    }
}
