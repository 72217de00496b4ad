//! Every proxy between every kind of client and of server.
//!
//! - A test is a function that has both sides: it sends as a client does, reads
//!   strictly what comes to an upstream, answers, and reads what the client gets. [`cases`]
//!   has all of them, in the order of the table.
//! - Each has a proxy of its own. After it one more request has to be answered, and
//!   the proxy has to end well.

pub mod cases;
mod run;
mod upstream;
