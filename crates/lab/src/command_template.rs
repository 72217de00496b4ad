//! Contestants of one's own: any program, by its command line.

use std::collections::BTreeMap;
use std::ffi::OsString;

use runner::inputs;
use suite::setting_text;
use suite::{Invalid, Job};

use crate::case::Case;
use crate::models::Model;

/// One `--contestant NAME=COMMAND`.
#[derive(Debug, Clone)]
pub struct CustomCommand {
    /// What it is called in the tables.
    pub name: String,
    /// The command as it was given.
    pub command: String,
    words: Vec<Word>,
}

/// A word of a command, as a shell would split it.
#[derive(Debug, Clone, PartialEq)]
enum Word {
    /// Becomes a word for each URL.
    Urls,
    /// Stays one word.
    Pieces(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    /// The name in a `{placeholder}`.
    Placeholder(String),
}

/// What placeholders stand for in one run.
#[derive(Debug, Default)]
pub struct Filling {
    /// Every URL, in order.
    pub urls: Vec<String>,
    /// All others, by their names.
    pub values: BTreeMap<String, OsString>,
}

impl std::str::FromStr for CustomCommand {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const LONGEST: usize = 40;
        let refuse = |why: &str| Invalid::new("--contestant", text.escape_debug(), why);
        let (name, command) = text
            .split_once('=')
            .ok_or_else(|| refuse("has to be NAME=COMMAND"))?;
        if name.trim().is_empty() || name.trim() != name || name.chars().count() > LONGEST {
            return Err(refuse(
                "its name has to be 1 to 40 characters, with no space around them",
            ));
        }
        if name.chars().any(char::is_control) {
            return Err(refuse("its name has a control character in it"));
        }
        let split = shlex::split(command).ok_or_else(|| refuse("a quote is not closed"))?;
        if split.is_empty() {
            return Err(refuse("its command names no program"));
        }
        let words = split.iter().map(|text| word(text));
        Ok(Self {
            name: name.to_owned(),
            command: command.to_owned(),
            words: words
                .collect::<Result<_, _>>()
                .map_err(|why| refuse(&why))?,
        })
    }
}

impl CustomCommand {
    /// The command with its placeholders filled in: the program, and its arguments.
    pub fn fill(&self, filling: &Filling) -> Vec<OsString> {
        let mut filled = Vec::new();
        for word in &self.words {
            match word {
                Word::Urls => filled.extend(filling.urls.iter().map(OsString::from)),
                Word::Pieces(pieces) => {
                    let mut text = OsString::new();
                    for piece in pieces {
                        match piece {
                            Piece::Text(piece) => text.push(piece),
                            Piece::Placeholder(name) => {
                                text.push(filling.values.get(name).map_or("".as_ref(), |v| &**v));
                            }
                        }
                    }
                    filled.push(text);
                }
            }
        }
        filled
    }

    /// The names of its placeholders.
    fn placeholders(&self) -> impl Iterator<Item = &str> {
        let names = |word| match word {
            &Word::Urls => vec!["urls"],
            Word::Pieces(pieces) => {
                let names = pieces.iter().filter_map(|piece| match piece {
                    Piece::Placeholder(name) => Some(&**name),
                    Piece::Text(_) => None,
                });
                names.collect()
            }
        };
        self.words.iter().flat_map(names)
    }
}

/// The values of a job's keys. What every run has of its own (URLs, a directory)
/// is not among them.
pub fn keys(job: &Job) -> BTreeMap<String, OsString> {
    let json = job.to_json();
    let keys = json.as_object().into_iter().flatten();
    keys.filter(|(key, value)| !value.is_null() && !["urls", "into"].contains(&&***key))
        .map(|(key, value)| (key.clone(), setting_text(value).into()))
        .collect()
}

/// Refuses contestants of one name, those of a model's, and those with a placeholder
/// that one of the jobs has nothing for.
///
/// # Errors
///
/// [`Invalid`], which names it.
pub fn check(
    outsiders: &[CustomCommand],
    groups: &[Case],
    models: &[Model],
) -> Result<(), Invalid> {
    for (at, outsider) in outsiders.iter().enumerate() {
        let refuse = |why: String| Invalid::new("--contestant", &outsider.name, why);
        if outsiders[..at].iter().any(|one| one.name == outsider.name) {
            return Err(refuse("there are two of that name".to_owned()));
        }
        if models.iter().any(|model| model.name() == outsider.name) {
            return Err(refuse("a model has that name".to_owned()));
        }
        for group in groups {
            let mut known: Vec<String> = keys(&group.full).into_keys().collect();
            known.extend(["into", "threads"].map(str::to_owned));
            if inputs::to_make(&group.full) > 0 {
                known.push("dir".to_owned());
            }
            if group.workload.needs_origin() {
                known.extend(["origin", "urls", "urls_file"].map(str::to_owned));
            }
            let mut placeholders = outsider.placeholders();
            if let Some(unknown) = placeholders.find(|name| !known.iter().any(|one| one == name)) {
                return Err(refuse(format!(
                    "{} has no {{{unknown}}}; it has {{{}}}",
                    group.workload,
                    known.join("}, {")
                )));
            }
        }
    }
    Ok(())
}

/// A word, taken apart. A brace that is not a placeholder's is doubled, as in
/// Rust's own formats.
fn word(text: &str) -> Result<Word, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with("{{") || rest.starts_with("}}") {
            plain.push_str(&rest[..1]);
            rest = &rest[2..];
            continue;
        }
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        match inside {
            Some((name, after)) if !name.is_empty() && name.chars().all(fits) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Placeholder(name.to_owned()));
                rest = after;
            }
            _ => {
                return Err(format!(
                    "in {text}, a brace that is no placeholder's: it has to be doubled"
                ));
            }
        }
    }
    plain.push_str(rest);
    // A word that is empty is a word all the same.
    if !plain.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    let urls = Piece::Placeholder("urls".to_owned());
    match pieces.contains(&urls) {
        true if pieces.len() > 1 => Err(format!("in {text}, {{urls}} has to stand alone")),
        true => Ok(Word::Urls),
        false => Ok(Word::Pieces(pieces)),
    }
}

#[cfg(test)]
mod tests {
    use suite::{Preset, Workload};

    use super::*;
    use crate::{models, workspace};

    fn outsider(text: &str) -> CustomCommand {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_command_is_split_like_a_shell_does_and_filled_in() {
        let curl = outsider(r#"c u=prog --max={limit} 'a b' "" {urls} --out "{into}/x" {{json}}"#);
        assert_eq!(curl.name, "c u");
        let filling = Filling {
            urls: vec!["http://h/ 1".to_owned(), "http://h/2".to_owned()],
            values: [("limit", "7"), ("into", "/a b")]
                .map(|(name, value)| (name.to_owned(), value.into()))
                .into(),
        };
        let right = [
            "prog",
            "--max=7",
            "a b",
            "",
            "http://h/ 1",
            "http://h/2",
            "--out",
            "/a b/x",
            "{json}",
        ];
        assert_eq!(curl.fill(&filling), right);
    }

    #[test]
    fn what_makes_no_contestant_is_refused() {
        for (text, says) in [
            ("curl", "NAME=COMMAND"),
            ("=curl", "1 to 40"),
            (" x=curl", "1 to 40"),
            ("a\u{7}b=curl", "control character"),
            ("x=", "no program"),
            ("x=curl 'a", "quote"),
            ("x=awk '{print $1}'", "doubled"),
            ("x=curl }", "doubled"),
            ("x=curl {}", "doubled"),
            ("x=curl -O{urls}", "stand alone"),
        ] {
            let refused = text.parse::<CustomCommand>().expect_err(text).to_string();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn a_placeholder_is_one_of_the_job() {
        let group = |workload: Workload| Case {
            workload,
            preset: Preset::Heavy,
            variant: None,
            own: None,
            point: None,
            cores: None,
            full: workload.job(Preset::Heavy),
            whole: false,
            divisor: 1,
        };
        let groups = [group(Workload::Download), group(Workload::Fetch)];
        let models = models::models(&workspace::root().expect("a checkout")).expect("models");
        let check =
            |outsiders: &[CustomCommand], groups: &[Case]| check(outsiders, groups, &models);
        let refused = check(&[outsider("tokio=p")], &groups).expect_err("a model's name");
        assert!(
            refused.to_string().contains("a model has that name"),
            "{refused}"
        );
        let both = outsider("x=p {origin} {urls} {urls_file} {into} {threads}");
        assert!(check(std::slice::from_ref(&both), &groups).is_ok());
        let one = [outsider("x=p {limit}")];
        assert!(check(&one, &groups[..1]).is_ok());
        let refused = check(&one, &groups).expect_err("fetch has no limit");
        let refused = refused.to_string();
        assert!(refused.contains("fetch has no {limit}") && refused.contains("{delays_ms}"));
        let refused = check(&[both.clone(), both], &groups).expect_err("two of a name");
        assert!(refused.to_string().contains("two of that name"));
        let files = [group(Workload::Files)];
        assert!(check(&[outsider("x=p {dir}")], &files).is_ok());
        assert!(check(&[outsider("x=p {dir}")], &groups).is_err());
    }
}
