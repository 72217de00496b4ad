//! What the tables of servers and of proxies have in common.
//!
//! - A [`case`] has a section, and a test that runs a program and tells what was wrong.
//! - The tests speak over raw connections (`peer`), and read strictly what comes (`message`,
//!   `expect`).
//! - [`run`](run::run) runs every case with every model, and [`table`] shows how they came out.

pub mod case;
pub(crate) mod expect;
pub(crate) mod message;
pub(crate) mod peer;
pub mod run;
pub(crate) mod server;
pub(crate) mod sockets;
pub mod table;
pub(crate) mod timed;
