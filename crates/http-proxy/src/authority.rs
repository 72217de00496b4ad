//! A host and a port.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::Refusal;

/// Where a request goes: a host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    /// A name in lower case, or an address; one of IPv6 without its brackets.
    pub host: String,
    /// Not 0.
    pub port: u16,
}

impl Authority {
    /// Reads `HOST:PORT`, or `HOST` where there is a usual port.
    ///
    /// # Errors
    ///
    /// [`Refusal::BadRequest`] for what is none. Of a name, only letters, digits, `-`, `_` and
    /// `.` are known: what others mean depends on who looks it up.
    pub(crate) fn read(text: &[u8], usual: Option<u16>) -> Result<Self, Refusal> {
        let bad = Refusal::BadRequest;
        let text = str::from_utf8(text).map_err(|_| bad)?;
        let (host, port) = match text.strip_prefix('[') {
            Some(literal) => {
                let (address, rest) = literal.split_once(']').ok_or(bad)?;
                let address: Ipv6Addr = address.parse().map_err(|_| bad)?;
                let port = match rest {
                    "" => None,
                    rest => Some(rest.strip_prefix(':').ok_or(bad)?),
                };
                (address.to_string(), port)
            }
            None => {
                let (host, port) = match text.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (text, None),
                };
                let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                if host.is_empty() || !host.bytes().all(is_of_name) {
                    return Err(bad);
                }
                (host.to_ascii_lowercase(), port)
            }
        };
        let port = match port {
            None | Some("") => usual.ok_or(bad)?,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                port.parse().map_err(|_| bad)?
            }
            Some(_) => return Err(bad),
        };
        match port {
            0 => Err(bad),
            port => Ok(Self { host, port }),
        }
    }

    /// The address, if the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Authority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = Self::read(text.as_bytes(), None);
        read.map_err(|_| format!("{text:?} is no HOST:PORT, such as example.org:443 or [::1]:80"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_host_or_port_is_refused() {
        for (text, right) in [
            ("Example.org:80", Some("example.org:80")),
            ("example.org", Some("example.org:80")),
            ("example.org:", Some("example.org:80")),
            ("[0::1]:8080", Some("[::1]:8080")),
            ("[::1]", Some("[::1]:80")),
            ("127.0.0.1:65535", Some("127.0.0.1:65535")),
            ("a:65536", None),
            ("a:0", None),
            ("a:+1", None),
            ("a:1:2", None),
            ("::1", None),
            ("[::1", None),
            ("[::1]80", None),
            ("[a]:80", None),
            ("", None),
            (":80", None),
            ("a@b:80", None),
            ("a%62:80", None),
            ("ä:80", None),
        ] {
            let read = Authority::read(text.as_bytes(), Some(80)).ok();
            assert_eq!(
                read.map(|read| read.to_string()).as_deref(),
                right,
                "{text}"
            );
        }
        assert!("a".parse::<Authority>().is_err(), "no usual port");
    }
}
