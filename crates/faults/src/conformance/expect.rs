//! Answers that are right.

use crate::check::{Wrong, wrong};
use crate::conformance::message::Head;
use crate::conformance::peer::Peer;

/// An answer that is right.
#[derive(Debug, Clone)]
pub(crate) struct Expect {
    status: u16,
    /// Whether it answers HEAD, and has no body whatever it says.
    head_only: bool,
    /// Fields, with a value that they have, or none if they must not be there.
    fields: Vec<(&'static str, Option<String>)>,
    body: Option<String>,
    after: After,
}

/// What becomes of the connection after an answer, in every model. One that does one thing
/// after the other may close it after any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Kept,
    Closed,
    Either,
}

/// An answer with this status, after which the connection is kept.
pub(crate) fn answer(status: u16) -> Expect {
    Expect {
        status,
        head_only: false,
        fields: Vec::new(),
        body: None,
        after: After::Kept,
    }
}

impl Expect {
    /// With this body, and its length in the head.
    pub(crate) fn body(self, body: &str) -> Self {
        self.content(body).field("content-length", body.len())
    }

    /// With this body, however its end is told.
    pub(crate) fn content(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    pub(crate) fn field(mut self, name: &'static str, value: impl ToString) -> Self {
        self.fields.push((name, Some(value.to_string())));
        self
    }

    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.fields.push((name, None));
        self
    }

    pub(crate) fn for_head(mut self) -> Self {
        self.head_only = true;
        self
    }

    /// The connection is closed after it.
    pub(crate) fn closes(mut self) -> Self {
        self.after = After::Closed;
        self
    }

    /// The connection may be closed after it.
    pub(crate) fn may_close(mut self) -> Self {
        self.after = After::Either;
        self
    }

    /// Reads the next answer, which has to be this one. If its head says that the connection
    /// is closed, it then is.
    pub(crate) fn read(&self, client: &mut Peer, serial: bool) -> Result<Head, Wrong> {
        let head = client.head()?;
        if head.status != self.status {
            return Err(wrong(self.status, format!("{head:?}")));
        }
        let body = match self.head_only {
            true => Vec::new(),
            false => client.body(&head)?,
        };
        self.check(&head, &body)?;
        match (self.after, head.closes()) {
            (After::Closed, false) => {
                return Err(wrong("Connection: close", "the head does not say so"));
            }
            (After::Kept, true) if !serial => {
                return Err(wrong("a connection that is kept", "Connection: close"));
            }
            (_, true) => client.closed()?,
            (_, false) => {}
        }
        Ok(head)
    }

    fn check(&self, head: &Head, body: &[u8]) -> Result<(), Wrong> {
        // An origin server has a clock, and so has a proxy (RFC 9110, 6.6.1).
        if head.status >= 200 && head.field("date").is_none() {
            return Err(wrong("Date", "the head has none"));
        }
        if let Some(name) = head.fields.repeated() {
            return Err(wrong(format!("one {name}"), format!("{head:?}")));
        }
        for (name, value) in &self.fields {
            if head.field(name) != value.as_deref() {
                let value = value.as_deref().unwrap_or("nothing");
                return Err(wrong(format!("{name}: {value}"), format!("{head:?}")));
            }
        }
        match &self.body {
            Some(right) if !self.head_only && right.as_bytes() != body => {
                Err(wrong(right, String::from_utf8_lossy(body)))
            }
            _ => Ok(()),
        }
    }
}
