//! Every server of files against every kind of request, and of client.
//!
//! - A [`case`] is bytes and the answers that are right, or a function where the time or the
//!   process counts; [`cases`] has all of them, in the order of the table.
//! - [`run`](run::run) starts a server of its own for each case and each model. After the case
//!   one more request has to be answered, and the server has to end well.
//! - [`table`] shows how they came out.

pub mod case;
pub mod cases;
mod client;
mod clients;
pub mod run;
mod server;
pub mod table;
