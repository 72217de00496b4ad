//! The fields of a message, and which of them are passed on.

use std::io::Write;

use http_head::{Wrong, field, options};

/// Who this is, in `Via`. It takes the place of a host, which need not be told (RFC 9110,
/// 7.6.3).
const PSEUDONYM: &str = "paces";

/// Fields for one connection, which go no further even if `Connection` does not name them (RFC
/// 9110, 7.6.1; RFC 9112, C.2.2), those of credentials for this proxy (RFC 9110, 11.7), and
/// those about what is not passed on: trailers. Those that are made anew are left out here, too.
const NOT_PASSED_ON: [&[u8]; 13] = [
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"proxy-authorization",
    b"proxy-authenticate",
    b"proxy-authentication-info",
    b"via",
    b"host",
    b"content-length",
];

/// The fields of a message as they came.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    text: Vec<u8>,
    /// Where in it each name ends, and each value.
    ends: Vec<(usize, usize)>,
}

impl Fields {
    /// Takes a field. Gives its name and its value.
    pub(crate) fn take<'a>(&mut self, line: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Wrong> {
        let (name, value) = field(line)?;
        self.text.extend_from_slice(name);
        let name_end = self.text.len();
        self.text.extend_from_slice(value);
        self.ends.push((name_end, self.text.len()));
        Ok((name, value))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let begins = [0].into_iter().chain(self.ends.iter().map(|(_, end)| *end));
        let fields = begins.zip(&self.ends);
        fields.map(|(begin, (name, end))| (&self.text[begin..*name], &self.text[*name..*end]))
    }

    /// What stands in the lists of this name.
    pub(crate) fn options<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let of_name = self.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name));
        of_name.flat_map(|(_, value)| options(value))
    }

    /// Whether `Connection` names this.
    pub(crate) fn connection_names(&self, name: &[u8]) -> bool {
        let mut named = self.options(b"connection");
        named.any(|named| named.eq_ignore_ascii_case(name))
    }

    /// The value of a field that is there once.
    pub(crate) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let mut of_name = self.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name));
        of_name.next().map(|(_, value)| value)
    }

    /// Writes those that go on to the other side, without these.
    pub(crate) fn pass_on(&self, to: &mut Vec<u8>, without: &[&[u8]]) {
        for (name, value) in self.iter() {
            let is = |known: &&[u8]| name.eq_ignore_ascii_case(known);
            if !NOT_PASSED_ON.iter().chain(without).any(is) && !self.connection_names(name) {
                put(to, name, value);
            }
        }
    }

    /// Writes the one `Via`: those that came, and this proxy, which has received the message in
    /// version 1.`minor` (RFC 9110, 7.6.3).
    pub(crate) fn put_via(&self, to: &mut Vec<u8>, minor: u8) {
        to.extend_from_slice(b"Via: ");
        for by in self.options(b"via").filter(|by| !by.is_empty()) {
            to.extend_from_slice(by);
            to.extend_from_slice(b", ");
        }
        // Writing to a vector cannot fail.
        let _ = write!(to, "1.{minor} {PSEUDONYM}\r\n");
    }
}

pub(crate) fn put(to: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    to.extend_from_slice(name);
    to.extend_from_slice(b": ");
    to.extend_from_slice(value);
    to.extend_from_slice(b"\r\n");
}
