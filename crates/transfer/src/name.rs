//! What a file is called: one component, safe on every disk, whatever the URL.

use url::Url;

use crate::Key;

/// The longest name, in bytes: what the common file systems take.
const LONGEST: usize = 255;
/// Room that is left for the ` (sha256 mismatch)` of a file that is kept aside.
const ROOM: usize = 24;

/// Names that Windows keeps for devices, with or without an extension.
const RESERVED: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8",
    "com9", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// The name of a URL's file: its path's last segment, percent-decoded, made
/// safe. What a server says (`Content-Disposition`, a redirect) has no part in it.
pub(crate) fn from_url(url: &Url) -> String {
    let segment = url
        .path_segments()
        .and_then(|mut segments| segments.next_back())
        .unwrap_or_default();
    let decoded = percent_decode(segment);
    safe(&String::from_utf8_lossy(&decoded))
}

/// One component that can neither leave its directory nor hide in it.
pub(crate) fn safe(text: &str) -> String {
    let name: String = text
        .chars()
        .map(|c| match c {
            '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
            // Also those that would turn a line of a terminal around.
            c if c.is_control() || is_format(c) => '_',
            c => c,
        })
        .collect();
    // A leading dot would hide the file, or be `..`; trailing dots and spaces
    // are dropped by Windows, which could make two names one.
    let name = name
        .trim_start_matches(['.', ' '])
        .trim_end_matches(['.', ' ']);
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let name = if name.is_empty() {
        "index".to_owned()
    } else if RESERVED.iter().any(|word| stem.eq_ignore_ascii_case(word)) {
        format!("_{name}")
    } else {
        name.to_owned()
    };
    if name.len() > LONGEST - ROOM {
        with_mark(&name, &mark(Key::from_name(&name)))
    } else {
        name
    }
}

/// The name of a file whose first name another URL has: marked by its own URL,
/// so it is the same on every run.
pub fn distinct(name: &str, key: Key) -> String {
    with_mark(name, &mark(key))
}

/// Where a file goes whose digest is not what the list says.
pub fn aside(name: &str) -> String {
    format!("{name}.sha256-mismatch")
}

fn mark(key: Key) -> String {
    key.to_string()[..8].to_owned()
}

/// `photo.jpg` with `1a2b3c4d` becomes `photo-1a2b3c4d.jpg`, cut to fit.
fn with_mark(name: &str, mark: &str) -> String {
    let (stem, extension) = match name.rsplit_once('.') {
        // Longer than that, it is no extension that would be missed.
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 16 => {
            (stem, format!(".{extension}"))
        }
        _ => (name, String::new()),
    };
    let most = LONGEST - ROOM - 1 - mark.len() - extension.len();
    let stem = &stem[..stem.floor_char_boundary(most)];
    format!("{stem}-{mark}{extension}")
}

fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (
            bytes[at],
            digit(bytes.get(at + 1)),
            digit(bytes.get(at + 2)),
        ) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(url: &str) -> String {
        from_url(&Url::parse(url).expect(url))
    }

    #[test]
    fn a_name_is_one_component() {
        for (url, expected) in [
            ("http://h/a/b.jpg", "b.jpg"),
            ("http://h/a/b.jpg?x=/../y#z", "b.jpg"),
            ("http://h", "index"),
            ("http://h/a/", "index"),
            ("http://h/a/%2e%2e", "index"),
            ("http://h/..%2f..%2fetc%2fpasswd", "_.._etc_passwd"),
            ("http://h/a%20b%c3%a9.txt", "a bé.txt"),
            ("http://h/a%00b%0ac", "a_b_c"),
            ("http://h/nul.txt", "_nul.txt"),
            ("http://h/.bashrc", "bashrc"),
            ("http://h/100%25", "100%"),
            ("http://h/%e2%80%aeexe.txt", "_exe.txt"),
        ] {
            assert_eq!(name(url), expected, "{url}");
        }
    }

    #[test]
    fn a_long_name_is_cut_and_stays_its_own() {
        let long = "x".repeat(300);
        let (a, b) = (safe(&format!("{long}a.jpg")), safe(&format!("{long}b.jpg")));
        assert!(a.len() <= LONGEST - ROOM && a.ends_with(".jpg"), "{a}");
        assert_ne!(a, b);
        assert!(safe(&"é".repeat(200)).len() <= LONGEST - ROOM);
    }

    proptest! {
        #[test]
        fn whatever_the_text_its_name_is_safe(text in ".*", key in any::<u128>()) {
            for name in [safe(&text), distinct(&safe(&text), Key(key)), aside(&safe(&text))] {
                prop_assert!(!name.is_empty() && name.len() <= LONGEST);
                prop_assert!(!name.starts_with('.'));
                prop_assert!(!name.contains(['/', '\\', '\0', '\n']));
                prop_assert_eq!(std::path::Path::new(&name).components().count(), 1);
            }
        }

        #[test]
        fn a_name_is_its_own_safe_name(text in ".*") {
            let once = safe(&text);
            prop_assert_eq!(safe(&once), once);
        }
    }
}
