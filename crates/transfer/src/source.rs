//! Where a list comes from.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use crate::session::Fatal;

/// Where the list comes from.
#[derive(Debug, Clone)]
pub enum List {
    /// From memory.
    Text(Arc<str>),
    /// From a file.
    File(PathBuf),
    /// From standard input.
    Stdin,
}

/// Opens a list; its name is for errors.
pub(crate) fn open_list(list: List) -> Result<(String, Box<dyn Read + Send>), Fatal> {
    Ok(match list {
        List::Text(text) => ("the list".to_owned(), Box::new(Text(text, 0))),
        List::Stdin => ("standard input".to_owned(), Box::new(io::stdin())),
        List::File(path) => {
            let list = path.display().to_string();
            match File::open(&path) {
                Ok(file) => (list, Box::new(file)),
                Err(source) => return Err(Fatal::List { list, source }),
            }
        }
    })
}

/// Reads a shared text.
struct Text(Arc<str>, usize);

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut rest = &self.0.as_bytes()[self.1..];
        let read = rest.read(buffer)?;
        self.1 += read;
        Ok(read)
    }
}
