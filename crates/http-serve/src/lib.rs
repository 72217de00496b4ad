//! HTTP/1.1 for a server of files, without sockets, timers or threads: which requests have
//! come, and which bytes answer them. It opens and reads the files. Six models serve with it,
//! and bring the rest.
//!
//! - [`Requests`] is what has come over a connection. It gives each [`Request`], or a
//!   [`Refusal`] of what is none.
//! - [`Site`] is the directory that is served. It gives the [`Answer`].
//! - An [`Answer`] is written piece by piece, with one piece in memory.
//!
//! A blocking server of one connection:
//!
//! ```
//! use std::io::{self, Read, Write};
//!
//! use http_serve::{Answer, Refusal, Requests, Site};
//!
//! fn serve(site: &Site, mut connection: impl Read + Write) -> io::Result<()> {
//!     let mut requests = Requests::default();
//!     loop {
//!         while let Some(next) = requests.next() {
//!             let mut answer = match next {
//!                 Ok(request) => match site.answer_cached(&request) {
//!                     Some(answer) => answer,
//!                     None => site.answer(&request), // a server of tasks does this elsewhere
//!                 },
//!                 Err(refusal) => Answer::refusal(refusal, None),
//!             };
//!             connection.write_all(answer.bytes())?;
//!             // On an error the connection is cut: the client is promised more.
//!             while answer.next_piece()? {
//!                 connection.write_all(answer.bytes())?;
//!             }
//!             if !answer.keeps_connection() {
//!                 // A socket: shut down for writing, then read for `LINGER`.
//!                 return Ok(());
//!             }
//!         }
//!         match connection.read(requests.room()) {
//!             Ok(0) => return Ok(()), // the client has sent all, and has all answers
//!             Ok(bytes) => requests.filled(bytes),
//!             Err(error) if error.kind() == io::ErrorKind::TimedOut && requests.has_begun() => {
//!                 let answer = Answer::refusal(Refusal::Timeout, None);
//!                 return connection.write_all(answer.bytes());
//!             }
//!             Err(error) => return Err(error),
//!         }
//!     }
//! }
//! # struct Both<'a>(&'a [u8], Vec<u8>);
//! # impl Read for Both<'_> {
//! #     fn read(&mut self, room: &mut [u8]) -> io::Result<usize> { self.0.read(room) }
//! # }
//! # impl Write for Both<'_> {
//! #     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> { self.1.write(bytes) }
//! #     fn flush(&mut self) -> io::Result<()> { Ok(()) }
//! # }
//! # let directory = tempfile::tempdir()?;
//! # std::fs::write(directory.path().join("a.txt"), "content")?;
//! # let site = Site::open(directory.path())?;
//! # let mut both = Both(b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", Vec::new());
//! # serve(&site, &mut both)?;
//! # let written = String::from_utf8_lossy(&both.1);
//! # assert!(written.contains("\r\n\r\ncontentHTTP/1.1 400 Bad Request\r\n"), "{written}");
//! # assert!(written.ends_with("Connection: close\r\n\r\n"), "{written}");
//! # Ok::<(), io::Error>(())
//! ```
//!
//! A request that has a body is answered, its body is not read, and the connection is closed.

mod answer;
mod conditions;
mod path;
mod refusal;
mod request;
mod site;

pub use answer::Answer;
pub use refusal::Refusal;
pub use request::Request;
pub use site::Site;

/// What has come over one connection, as requests. After a refusal, and after a request that
/// lets the connection be closed, there is none any more: what follows is to be read and
/// dropped for a second or so, or the kernel would reset the connection, and the client could lose
/// the answer (RFC 9112, 9.6). If the rest of one that [has begun](http_head::Heads::has_begun)
/// does not come in time, that is to be answered with [`Refusal::Timeout`]; without one, the
/// connection is closed without an answer.
pub type Requests = http_head::Heads<request::Partial>;
