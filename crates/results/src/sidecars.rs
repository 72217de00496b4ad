//! What lies next to `comparison.json` in `results/NAME/`: the code that was
//! measured, and what it took to make it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Effort, ResultsDir, Sources};

/// All of that, as far as there is any: an older comparison has none.
#[derive(Debug, Clone, Default)]
pub struct Sidecars {
    /// The models' code.
    pub sources: Option<Sources>,
    /// Its size, and how long it takes to build.
    pub effort: Option<Effort>,
}

impl Sidecars {
    /// What is in `directory`.
    ///
    /// # Errors
    ///
    /// When a file is there and cannot be understood.
    pub fn read(directory: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            sources: read(&directory.join(Sources::FILE))?,
            effort: read(&directory.join(Effort::FILE))?,
        })
    }

    /// Writes what there is. What is not, an earlier comparison of the same name
    /// may have left: that goes, as it is not about this one.
    ///
    /// # Errors
    ///
    /// When the disk is full, or the directory has gone.
    pub fn write(&self, directory: &ResultsDir) -> anyhow::Result<()> {
        write(directory, Sources::FILE, self.sources.as_ref())?;
        write(directory, Effort::FILE, self.effort.as_ref())
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let data = serde_json::from_slice(&text);
    data.map(Some)
        .with_context(|| format!("{} is malformed", path.display()))
}

fn write(directory: &ResultsDir, name: &str, data: Option<&impl Serialize>) -> anyhow::Result<()> {
    let Some(data) = data else {
        let path = directory.path().join(name);
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        };
    };
    let mut json = serde_json::to_string(data).with_context(|| format!("{name} as JSON"))?;
    json.push('\n');
    directory.write_text(name, &json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_comparison_left_goes() {
        let temporary = tempfile::tempdir().expect("a directory");
        let directory = ResultsDir::prepare(temporary.path().join("x")).expect("it is writable");
        let sources = Sources {
            revision: "abc".to_owned(),
            files: Vec::new(),
        };
        let sidecars = Sidecars {
            sources: Some(sources.clone()),
            effort: None,
        };
        sidecars.write(&directory).expect("it is writable");
        let read = || Sidecars::read(directory.path());
        assert_eq!(read().expect("it is there").sources, Some(sources));
        Sidecars::default()
            .write(&directory)
            .expect("it is writable");
        assert_eq!(read().expect("there is nothing").sources, None);

        directory.write_text(Effort::FILE, "{").expect("a file");
        let error = format!("{:#}", read().expect_err("it is malformed"));
        assert!(error.contains("effort.json is malformed"), "{error}");
    }
}
