//! What every task has at the child's side.

use http_ureq::Client;

use crate::shm::Memory;

pub(crate) struct WorkerContext {
    pub(crate) memory: Memory,
    /// It keeps the one connection that a child can use.
    pub(crate) client: Client,
    /// This child's place among the children.
    pub(crate) unit: usize,
    /// This process's number.
    pub(crate) pid: u32,
}
