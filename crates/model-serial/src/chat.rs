//! Unit: none. Shares: nothing. Ends: at once, unsupported.

use suite::{Result, Unsupported};

pub fn run() -> Result<()> {
    let text = "one connection at a time: a room needs several at once";
    Err(Unsupported(text.to_owned()).into())
}
