//! HTTP/1.1 for a server of files, without sockets, timers or files of its own: what a
//! request asks for, and what is answered. The models bring the rest.

mod answer;
mod head;
mod path;
mod refusal;
mod request;

pub use answer::Answer;
pub use refusal::Refusal;
pub use request::Request;
