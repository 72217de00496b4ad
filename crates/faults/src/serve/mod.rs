//! Every server of files against every kind of request, and of client.
//!
//! - A test (`case`) is bytes and the answers that are right, or a function where the time or
//!   the process counts (`clients`); [`cases`] has all of them, in the order of the table.
//! - It has a server of its own (`site`). After it one more request has to be answered, and
//!   the server has to end well (`run`).

mod case;
pub mod cases;
mod clients;
mod run;
mod site;
