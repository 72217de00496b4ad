//! Whether a download has left what it should have.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;
use sha2::{Digest, Sha256};
use suite::{Result, WrongAnswer, download};

/// Every file is there, whole, under its name, and nothing else is.
///
/// `right` is what the manifest says; of a list of URLs, where it is empty, only
/// the outcome says what the bytes are. `fresh` says that nothing was in the
/// directory before.
pub(crate) fn downloaded(
    directory: &Path,
    right: &[origin::File],
    fresh: bool,
    outcome: &download::Outcome,
) -> Result<()> {
    let mut sum = 0;
    for file in right {
        sum += verify_file(&directory.join(&file.name), file)?;
    }
    if right.is_empty() {
        sum = outcome.bytes;
    }
    if fresh {
        let (files, bytes) = holds(directory)?;
        if files != outcome.files {
            let (got, right) = (format!("with {files} files"), outcome.files.to_string());
            return Err(wrong_file(directory, &got, &right).into());
        }
        if outcome.before > 0 {
            return Err(WrongAnswer {
                what: "before",
                got: outcome.before.to_string(),
                expected: "0".to_owned(),
            }
            .into());
        }
        sum = bytes;
    }
    if sum != outcome.bytes {
        return Err(WrongAnswer {
            what: "bytes",
            got: outcome.bytes.to_string(),
            expected: format!("{sum}, the size of all files,"),
        }
        .into());
    }
    Ok(())
}

/// How many files there are in a directory, and their bytes. The state that
/// a download keeps there must hold no part of a file any more.
///
/// # Errors
///
/// [`WrongAnswer`] if it does; or when something cannot be looked at.
pub fn holds(directory: &Path) -> Result<(u64, u64)> {
    let named = |path: &Path| path.display().to_string();
    let state = directory.join(transfer::STATE);
    if let Ok(entries) = fs::read_dir(&state) {
        for entry in entries {
            let path = entry.with_context(|| named(&state))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "part")
            {
                return Err(wrong_file(&path, "left behind", "a complete file alone").into());
            }
        }
    }
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(directory).with_context(|| named(directory))? {
        let entry = entry.with_context(|| named(directory))?;
        if entry.file_name() != transfer::STATE {
            let metadata = entry.metadata().with_context(|| named(&entry.path()))?;
            files += 1;
            bytes += metadata.len();
        }
    }
    Ok((files, bytes))
}

/// The bytes of a file that is there, with the content it should have.
pub(crate) fn verify_file(path: &Path, right: &origin::File) -> Result<u64> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(wrong_file(path, "missing", "a complete file").into());
        }
        opened => opened.with_context(|| format!("{}", path.display()))?,
    };
    let (bytes, sha256) = digest(file).with_context(|| format!("{}", path.display()))?;
    if (bytes, &sha256) != (right.bytes, &right.sha256) {
        let content = |bytes, sha256| format!("with {bytes} bytes of SHA-256 {sha256}");
        let got = content(bytes, &sha256);
        return Err(wrong_file(path, &got, &content(right.bytes, &right.sha256)).into());
    }
    Ok(bytes)
}

fn wrong_file(path: &Path, got: &str, right: &str) -> WrongAnswer {
    WrongAnswer {
        what: "files",
        got: format!("{} {got}", path.display()),
        expected: right.to_owned(),
    }
}

/// The SHA-256 of these bytes, as `origin::File` has it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Size and SHA-256, a piece at a time: files can be large.
fn digest(mut file: File) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
    Ok((bytes, hex(&hasher.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_content_is_known_by_its_digest() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("0000.jpg");
        fs::write(&path, "abc").expect("a file");
        let mut right = origin::File {
            url: "http://localhost/0000.jpg".to_owned(),
            name: "0000.jpg".to_owned(),
            bytes: 3,
            // FIPS 180-2, appendix B.1
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
        };
        assert_eq!(verify_file(&path, &right).expect("the content"), 3);
        right.sha256 = right.sha256.replace('b', "c");
        let error = verify_file(&path, &right).expect_err("another content");
        assert!(
            error.to_string().contains("0000.jpg with 3 bytes"),
            "{error:#}"
        );
    }
}
