//! A forward proxy of HTTP/1.1, without sockets, timers or threads: what is asked, whether it
//! is allowed, and which bytes go to whom. Six models proxy with it, and bring the rest.
//!
//! - [`Requests`] is what a client has sent. It gives each [`Request`], or a [`Refusal`] of what
//!   is none.
//! - [`Allowed`] is where a request may go.
//! - [`Responses`] is what an upstream has sent. It gives each [`Response`].
//! - A [`Message`] is what goes on to the other side: a head and a body, piece by piece.
//! - [`Kept`] are connections to upstreams that wait for another request.
//!
//! For one request a proxy does this:
//!
//! 1. It takes a kept connection over which nothing has come since, if the request
//!    [may](Request::may_use_kept) go over one, or opens one; or it answers with a [`Refusal`].
//! 2. For `CONNECT` it answers [`ESTABLISHED`], and then passes on what comes from either side,
//!    first what is left in the client's [`Received`](http_head::Received), until both have
//!    ended.
//! 3. Else it sends the request's message, and passes responses on until the
//!    [final](Response::is_final) one, both at the same time: an upstream may answer before it
//!    has all of a body.
//! 4. If a kept connection ends before a response has begun, the request is sent once more over
//!    a new one: the upstream may have closed it before the request came (RFC 9112, 9.3.1).
//! 5. If the final response is cut, so is the client: only that tells it.

mod allowed;
mod authority;
mod fields;
mod kept;
mod message;
mod refusal;
mod request;
mod response;

pub use allowed::Allowed;
pub use authority::Authority;
pub use kept::Kept;
pub use message::{Broken, Message};
pub use refusal::Refusal;
pub use request::Request;
pub use response::{Response, Responses};

/// What has come from a client, as requests. Take the next one when the body of the one before
/// has been read; after a refusal there is none any more.
pub type Requests = http_head::Heads<request::Partial>;

/// The answer to a `CONNECT` whose connection stands. It has no length: what follows is the
/// tunnel (RFC 9110, 9.3.6).
pub const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
