//! In which order a host's addresses are connected to (RFC 8305).

use std::net::SocketAddr;
use std::time::Duration;

/// The wait before the next address is tried as well: RFC 8305, 8, recommends it.
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The order in which to try addresses: that of the resolver, but one family after
/// the other, so that a family that leads nowhere costs one wait.
pub fn in_turn(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
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
