//! Where requests may go.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Authority;

/// Where requests may go: without a list, to this machine itself, and there to every port. A
/// proxy that reached everything would be one for everyone who reaches it.
#[derive(Debug, Clone, Default)]
pub struct Allowed(Vec<Authority>);

impl Allowed {
    /// These, and nothing else; if there are none, this machine itself.
    pub fn only(these: Vec<Authority>) -> Self {
        Self(these)
    }

    /// These; none for this machine itself.
    pub fn list(&self) -> &[Authority] {
        &self.0
    }

    /// Whether a request may go there.
    pub fn allows(&self, to: &Authority) -> bool {
        match self.0.is_empty() {
            true => {
                let is_loopback = to.address().map(|address| address.is_loopback());
                is_loopback.unwrap_or(to.host == "localhost")
            }
            false => self.0.contains(to),
        }
    }
}

impl Authority {
    /// Where this is, if no name service has to be asked: an address, or `localhost` (RFC 6761,
    /// 6.3).
    pub fn known_addresses(&self) -> Option<Vec<SocketAddr>> {
        let addresses = match self.address() {
            Some(address) => vec![address],
            None if self.host == "localhost" => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            None => return None,
        };
        let with_port = |address| SocketAddr::new(address, self.port);
        Some(addresses.into_iter().map(with_port).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_else_is_reached() {
        let authority = |text: &str| text.parse::<Authority>().expect(text);
        let loopback = Allowed::default();
        let listed = Allowed::only(vec![authority("example.org:443")]);
        for (text, by_default, by_list) in [
            ("localhost:1", true, false),
            ("127.0.0.1:1", true, false),
            ("127.9.9.9:1", true, false),
            ("[::1]:1", true, false),
            ("0.0.0.0:1", false, false),
            ("[::]:1", false, false),
            ("[::ffff:127.0.0.1]:1", false, false),
            ("10.0.0.1:1", false, false),
            // `inet_aton` would know them.
            ("127.1:1", false, false),
            ("2130706433:1", false, false),
            ("localhost.example.org:1", false, false),
            ("example.org:443", false, true),
            ("EXAMPLE.org:443", false, true),
            ("example.org:80", false, false),
            ("example.org.:443", false, false),
        ] {
            assert_eq!(loopback.allows(&authority(text)), by_default, "{text}");
            assert_eq!(listed.allows(&authority(text)), by_list, "{text}");
        }
    }
}
