//! What an upstream responds, and what of it goes to the client.

use std::io::Write;
use std::time::SystemTime;

use http_head::{Framing, Head, Heads, Length, Received, StatusLine};
use httpdate::HttpDate;

use crate::fields::Fields;
use crate::refusal::end;
use crate::{Message, Refusal, Request};

/// Room for a whole response with a small body, which most are: one read gets it.
const SMALL_RESPONSE: usize = 4 * 1024;

/// What has come from an upstream, as responses.
#[derive(Debug, Default)]
pub struct Responses {
    heads: Heads<Partial>,
    /// Whether a byte of a response to the last request has come.
    has_begun: bool,
}

/// A response to be passed on.
#[derive(Debug)]
pub struct Response {
    /// What is sent to the client.
    pub message: Message,
    is_final: bool,
    keeps_client: bool,
    keeps_upstream: bool,
}

impl Responses {
    /// Begins with another request, which has been or will be sent over this connection.
    pub fn begin(&mut self) {
        self.has_begun = false;
    }

    /// Where to read to next. Call [`next`](Self::next) before, until it gives none.
    pub fn room(&mut self) -> &mut [u8] {
        self.heads.received().room_for(SMALL_RESPONSE)
    }

    /// This number of bytes has been read to there.
    pub fn filled(&mut self, bytes: usize) {
        self.has_begun |= bytes > 0;
        self.heads.filled(bytes);
    }

    /// What has come of the response's body.
    pub fn received(&mut self) -> &mut Received {
        self.heads.received()
    }

    /// Whether a part of a response has come. If not, a request that [may use a kept
    /// connection](Request::may_use_kept) may be sent once more.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The next response to this request; none, until more has come. `all_sent` is whether the
    /// request has been sent whole: if not, both connections are closed after the response, as
    /// the rest of the body could be taken for a request.
    ///
    /// # Errors
    ///
    /// [`Refusal::BadGateway`] for what is none.
    pub fn next(&mut self, request: &Request, all_sent: bool) -> Option<Result<Response, Refusal>> {
        let next = self.heads.next()?;
        let response = next.and_then(|head| head.response(request, all_sent));
        // Whatever is wrong with it, it is the upstream's fault, not the client's.
        Some(response.map_err(|_| Refusal::BadGateway))
    }

    /// Whether the connection may be kept for another request, when a response has been passed
    /// on. Bytes that nothing has asked for could be taken for the answer to what is asked next.
    pub fn may_be_kept(&mut self, response: &Response) -> bool {
        response.keeps_upstream && response.message.is_whole() && self.received().is_empty()
    }
}

impl Response {
    /// Whether no other follows: it is no 1xx.
    pub fn is_final(&self) -> bool {
        self.is_final
    }

    /// Whether the client's connection is to be kept.
    pub fn keeps_client(&self) -> bool {
        self.keeps_client
    }
}

/// A response of which some lines were read; or all of them.
#[derive(Debug)]
struct Partial {
    minor: u8,
    status: u16,
    reason: Vec<u8>,
    framing: Framing,
    fields: Fields,
}

impl Head for Partial {
    type Whole = Self;
    type Refusal = Refusal;

    fn begin(line: &[u8]) -> Result<Self, Refusal> {
        let line = StatusLine::read(line)?;
        Ok(Self {
            minor: line.minor,
            status: line.status,
            reason: line.reason.to_vec(),
            framing: Framing::default(),
            fields: Fields::default(),
        })
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let (name, value) = self.fields.take(line)?;
        self.framing.field(name, value)?;
        Ok(())
    }

    fn whole(self) -> Result<Self, Refusal> {
        Ok(self)
    }

    fn is_last(_: &Self) -> bool {
        false
    }
}

impl Partial {
    fn response(self, request: &Request, all_sent: bool) -> Result<Response, Refusal> {
        // `Upgrade` was not passed on, so nothing can have been agreed to.
        if self.status == 101 {
            return Err(Refusal::BadGateway);
        }
        let told = self.framing.of_response(self.minor)?;
        let is_final = self.status >= 200;
        // Neither 1xx nor 204 has a length (RFC 9110, 8.6): a body may follow all the same.
        let is_dubious = (!is_final || self.status == 204) && told != Length::UntilEnd;
        let has_body = is_final && !request.is_head() && ![204, 304].contains(&self.status);
        let length = match has_body {
            true => told,
            false => Length::Bytes(0),
        };
        // HTTP/1.0 knows no interim responses (RFC 9110, 15.2) and no chunks.
        let is_old = request.minor() == 0;
        if !is_final && is_old {
            return Ok(Response {
                message: Message::new(Vec::new(), Length::Bytes(0), false),
                is_final,
                keeps_client: true,
                keeps_upstream: !is_dubious,
            });
        }
        let chunked = !is_old && matches!(length, Length::Chunked | Length::UntilEnd);
        let has_known_end = chunked || matches!(length, Length::Bytes(_));
        let keeps_client = !is_final || request.wants_connection() && all_sent && has_known_end;
        let says_close = self.fields.connection_names(b"close");
        let keeps_upstream =
            all_sent && self.minor > 0 && !says_close && !is_dubious && length != Length::UntilEnd;
        let mut head = Vec::with_capacity(1024);
        self.put_head(&mut head, is_final, chunked);
        match is_final {
            true => end(&mut head, keeps_client),
            false => head.extend_from_slice(b"\r\n"),
        }
        Ok(Response {
            message: Message::new(head, length, chunked),
            is_final,
            keeps_client,
            keeps_upstream,
        })
    }

    /// The head without its end.
    fn put_head(&self, head: &mut Vec<u8>, is_final: bool, chunked: bool) {
        // Writing to a vector cannot fail.
        let _ = write!(head, "HTTP/1.1 {} ", self.status);
        head.extend_from_slice(&self.reason);
        head.extend_from_slice(b"\r\n");
        self.fields.pass_on(head, &[]);
        // A recipient with a clock adds it (RFC 9110, 6.6.1).
        if is_final && self.fields.get(b"date").is_none() {
            let _ = write!(head, "Date: {}\r\n", HttpDate::from(SystemTime::now()));
        }
        // A 1xx or 204 has no length (RFC 9110, 8.6); in answer to HEAD and in a 304 it is that
        // of the body which is not there.
        let has_length = is_final && self.status != 204;
        match self.framing.content_length() {
            Some(bytes) if has_length => {
                let _ = write!(head, "Content-Length: {bytes}\r\n");
            }
            _ if chunked => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            _ => {}
        }
        self.fields.put_via(head, self.minor);
    }
}
