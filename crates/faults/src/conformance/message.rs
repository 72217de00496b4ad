//! The heads of requests and of answers, read strictly.

use crate::check::{Wrong, wrong};

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
}

/// Fields in their order, names in lower case.
#[derive(Debug)]
pub(crate) struct Fields(Vec<(String, String)>);

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After this number of bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    ToEnd,
}

impl Head {
    /// A head without its empty line.
    pub(crate) fn parse(head: &str) -> Option<Self> {
        let (line, fields) = split(head);
        let (status, _reason) = line.strip_prefix("HTTP/1.1 ")?.split_once(' ')?;
        let status = match status.len() {
            3 => status.parse().ok()?,
            _ => return None,
        };
        let fields = Fields::parse(fields)?;
        Some(Self { status, fields })
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

    /// How its body is delimited. One that ends with the connection has to say so.
    pub(crate) fn framing(&self) -> Result<Framing, Wrong> {
        let framing = match self.status {
            100..200 | 204 | 304 => Some(Framing::Length(0)),
            _ => self.fields.framing()?,
        };
        match framing {
            Some(framing) => Ok(framing),
            None if self.closes() => Ok(Framing::ToEnd),
            None => Err(wrong("Content-Length", format!("{self:?}"))),
        }
    }

    /// Whether the connection is closed after it.
    pub(crate) fn closes(&self) -> bool {
        self.fields.lists("connection", "close")
    }
}

/// The first line of a head, and the others.
pub(crate) fn split(head: &str) -> (&str, &str) {
    head.split_once("\r\n").unwrap_or((head, ""))
}

impl Fields {
    pub(crate) fn parse(lines: &str) -> Option<Self> {
        let mut fields = Vec::new();
        for line in lines.split("\r\n").filter(|_| !lines.is_empty()) {
            let (name, value) = line.split_once(':')?;
            let is_token =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_token) || value.contains(['\r', '\n']) {
                return None;
            }
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some(Self(fields))
    }

    /// The first with this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// All with this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let such = self.0.iter().filter(|(known, _)| known == name);
        such.map(|(_, value)| &**value).collect()
    }

    /// Whether a field has this in its list.
    pub(crate) fn lists(&self, name: &str, option: &str) -> bool {
        let mut options = self.all(name).into_iter().flat_map(|all| all.split(','));
        options.any(|known| known.trim().eq_ignore_ascii_case(option))
    }

    /// A name that is there twice. Of what an answer has here, only cookies may be.
    pub(crate) fn repeated(&self) -> Option<&str> {
        let mut names = self.0.iter().map(|(name, _)| &**name);
        names.find(|&name| name != "set-cookie" && self.all(name).len() > 1)
    }

    /// What they say of a body's end; none, if they say nothing. What two recipients could
    /// read differently is wrong.
    pub(crate) fn framing(&self) -> Result<Option<Framing>, Wrong> {
        let (lengths, codings) = (self.all("content-length"), self.all("transfer-encoding"));
        match (&lengths[..], &codings[..]) {
            ([], []) => Ok(None),
            ([], ["chunked"]) => Ok(Some(Framing::Chunked)),
            ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                let length = length.parse().map_err(|error| wrong("a length", error))?;
                Ok(Some(Framing::Length(length)))
            }
            _ => Err(wrong("one length, or chunked", format!("{self:?}"))),
        }
    }
}
