//! The list: one URL a line, read as it comes.

use std::io::{self, BufRead, Read};

use url::Url;

use crate::{Key, Sha, name};

/// The longest line that is read, in bytes. A longer one is a bad line, and
/// costs no more memory.
const LONGEST: u64 = 64 * 1024;

/// One file that the list asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is, without a fragment.
    pub url: Url,
    /// What the URL, with this name, is known by.
    pub key: Key,
    /// The name to give it. One that the list asks for is made safe, too.
    pub name: String,
    /// What its bytes have to be.
    pub sha256: Option<Sha>,
}

/// A line that asks for nothing that can be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Reads a list line by line.
pub struct Lines<R> {
    input: R,
    line: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`.
    pub fn new(input: R) -> Self {
        Self {
            input,
            line: 0,
            buffer: Vec::new(),
        }
    }

    /// The next entry, or what is wrong with its line. Blank lines and those
    /// that begin with `#` are passed over.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator of results of results is no clearer"
    )]
    pub fn next(&mut self) -> io::Result<Option<Result<Entry, BadLine>>> {
        loop {
            self.buffer.clear();
            let mut line = self.input.by_ref().take(LONGEST);
            if line.read_until(b'\n', &mut self.buffer)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            let bad = |why: String| BadLine {
                line: self.line,
                why,
            };
            if self.buffer.len() as u64 == LONGEST && !self.buffer.ends_with(b"\n") {
                self.input.skip_until(b'\n')?;
                return Ok(Some(Err(bad(format!("longer than {LONGEST} bytes")))));
            }
            let Ok(text) = std::str::from_utf8(&self.buffer) else {
                return Ok(Some(Err(bad("not UTF-8".to_owned()))));
            };
            let text = match self.line {
                1 => text.trim_start_matches('\u{feff}'),
                _ => text,
            };
            let text = text.trim();
            if !text.is_empty() && !text.starts_with('#') {
                return Ok(Some(entry(text).map_err(bad)));
            }
        }
    }
}

impl<R: io::Read> Lines<io::BufReader<R>> {
    /// Whether the next entry is there already, and need not be waited for.
    pub(crate) fn has_line(&self) -> bool {
        let lines = self.input.buffer().split_inclusive(|&byte| byte == b'\n');
        lines
            .filter_map(|line| line.strip_suffix(b"\n"))
            .map(<[u8]>::trim_ascii_start)
            .any(|line| !line.is_empty() && !line.starts_with(b"#"))
    }
}

/// Reads one line: a URL, then a name or `sha256=HEX`, or both, after tabs.
fn entry(text: &str) -> Result<Entry, String> {
    let mut fields = text.split('\t').map(str::trim);
    let url = url(fields.next().unwrap_or_default())?;
    let mut named = None;
    let mut sha256 = None;
    for field in fields.filter(|field| !field.is_empty()) {
        match digest(field)? {
            Some(digest) if sha256.is_some_and(|other| other != digest) => {
                return Err("there are two SHA-256".to_owned());
            }
            Some(digest) => sha256 = Some(digest),
            None if named.is_none() => named = Some(name::safe(field)),
            None => return Err(format!("{field:?} is a second name")),
        }
    }
    let own = name::from_url(&url);
    let name = named.unwrap_or_else(|| own.clone());
    Ok(Entry {
        // Under another name than its own, it is another file.
        key: match name == own {
            true => Key::from_url(url.as_str()),
            false => Key::from_url(&format!("{url}\t{name}")),
        },
        name,
        url,
        sha256,
    })
}

/// Digests that others list, and that are not to be taken for names.
const OTHER_DIGESTS: [&str; 6] = ["md5", "sha1", "sha-1", "sha-256", "sha384", "sha512"];

/// Reads a digest; none if the field is none.
fn digest(field: &str) -> Result<Option<Sha>, String> {
    let Some((kind, hex)) = field.split_once('=') else {
        return Ok(None);
    };
    let kind = kind.to_ascii_lowercase();
    if OTHER_DIGESTS.contains(&kind.as_str()) {
        return Err(format!("{kind} is not supported: sha256= is"));
    }
    if kind != "sha256" {
        return Ok(None);
    }
    let digest = Sha::parse(hex);
    let digest = digest.ok_or_else(|| format!("{hex:?} is no SHA-256: 64 hexadecimal digits"))?;
    Ok(Some(digest))
}

/// A URL as it may be shown: a password stays out of logs.
pub(crate) fn shown(url: &Url) -> String {
    if url.password().is_none() {
        return url.to_string();
    }
    let mut shown = url.clone();
    // It cannot fail where there is a password already.
    let _ = shown.set_password(Some("***"));
    shown.to_string()
}

/// Reads a URL that can be downloaded.
pub(crate) fn url(text: &str) -> Result<Url, String> {
    if text.contains(char::is_whitespace) {
        return Err(format!("{text:?} is no URL: there is a space in it"));
    }
    let mut url = Url::parse(text).map_err(|wrong| format!("{text:?} is no URL: {wrong}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{text:?}: only http and https are understood"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("{text:?} has no host"));
    }
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let url = url("http://me:secret@h/a").expect("a URL");
        assert_eq!(shown(&url), "http://me:***@h/a");
    }

    fn read(list: &str) -> Vec<Result<Entry, BadLine>> {
        let mut lines = Lines::new(list.as_bytes());
        std::iter::from_fn(|| lines.next().expect("memory can be read")).collect()
    }

    #[test]
    fn messy_lists_are_understood() {
        let digest = "ab".repeat(32);
        let list = format!(
            "\u{feff}# images\r\n\r\n  http://h/a.jpg \r\nhttp://h/b.jpg#top\tname.jpg\n\
             https://h/c\tsha256={digest}\nhttp://h/d\tx/../y\tsha256={digest}"
        );
        let entries: Vec<_> = read(&list).into_iter().map(Result::unwrap).collect();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["a.jpg", "name.jpg", "c", "x_.._y"]);
        assert_eq!(entries[1].url.as_str(), "http://h/b.jpg");
        assert_eq!(entries[2].sha256, Sha::parse(&digest));
        assert_eq!(entries[3].sha256, Sha::parse(&digest));
    }

    #[test]
    fn a_bad_line_is_numbered_and_the_rest_goes_on() {
        let long = "x".repeat(100_000);
        let list = format!(
            "http://h/a\nftp://h/x\nhttp://\nno url\nhttp://h/a b\nhttp://h/c\tsha256=12\n\
             http://h/d\te\tf\nhttp://h/{long}\nhttp://h/last\n"
        );
        let read = read(&list);
        let bad: Vec<_> = read.iter().filter_map(|r| r.as_ref().err()).collect();
        let numbers: Vec<_> = bad.iter().map(|bad| bad.line).collect();
        assert_eq!(numbers, [2, 3, 4, 5, 6, 7, 8], "{bad:?}");
        assert_eq!(read.last().unwrap().as_ref().unwrap().name, "last");
    }

    #[test]
    fn a_line_that_cannot_be_read_costs_nothing_but_itself() {
        let long = "x".repeat(LONGEST as usize);
        let mut list = b"http://h/a\r\nhttp://h/\xff\r\n".to_vec();
        for length in [
            LONGEST as usize - 11,
            LONGEST as usize - 10,
            LONGEST as usize - 9,
        ] {
            list.extend(format!("http://h/{}\n", &long[..length]).bytes());
        }
        list.extend("\u{feff}http://h/b\n\u{feff}\n\0\nhttp://h/c".bytes());
        let mut lines = Lines::new(list.as_slice());
        let mut read = Vec::new();
        while let Some(line) = lines.next().expect("memory can be read") {
            read.push(line);
        }
        assert!(lines.buffer.capacity() as u64 <= 2 * LONGEST);
        let good: Vec<_> = read.iter().filter_map(|read| read.as_ref().ok()).collect();
        assert_eq!(good.len(), 4, "{good:?}");
        assert_eq!((good[0].name.as_str(), good[3].name.as_str()), ("a", "c"));
        let bad = read.iter().filter_map(|read| read.as_ref().err());
        let bad: Vec<_> = bad.map(|bad| bad.to_string()).collect();
        assert_eq!(
            bad[..2],
            ["line 2: not UTF-8", "line 5: longer than 65536 bytes"]
        );
        assert_eq!(bad.len(), 5, "{bad:?}");
    }

    /// What a terminal or a pipe has sent so far.
    #[test]
    fn what_is_there_is_told_from_what_would_be_waited_for() {
        for (sent, there) in [
            ("http://h/a\nhttp://h/b\n", true),
            ("http://h/a\nnonsense\n", true),
            ("http://h/a\n# x\n\nhttp://h/b\n", true),
            ("http://h/a\nhttp://h/b", false),
            ("http://h/a\n\n  \r\n# http://h/b\n", false),
            ("http://h/a\n", false),
        ] {
            let mut lines = Lines::new(io::BufReader::new(sent.as_bytes()));
            lines.next().unwrap().unwrap().unwrap();
            assert_eq!(lines.has_line(), there, "{sent:?}");
        }
    }

    #[test]
    fn a_long_list_is_read_in_little_memory() {
        struct Endless(u64);
        impl io::Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                let line = format!("http://h/{}\n", self.0);
                buffer[..line.len()].copy_from_slice(line.as_bytes());
                Ok(line.len())
            }
        }
        let mut lines = Lines::new(io::BufReader::new(Endless(0)));
        for n in 1..=100_000 {
            let entry = lines.next().unwrap().unwrap().unwrap();
            assert_eq!(entry.name, n.to_string());
        }
        assert_eq!(lines.line, 100_000);
        assert!(lines.buffer.capacity() < 1024);
    }
}
