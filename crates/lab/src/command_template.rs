//! Custom commands: any program, by its command line, with placeholders.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::OnceLock;

use results::Python;
use runner::inputs;
use suite::setting_text;
use suite::{Invalid, Job};

use crate::case::Case;
use crate::conditions::Conditions;
use crate::models::Model;
use crate::process::Streams;
use crate::protocol::Ready;

/// One `--contestant NAME=COMMAND`.
#[derive(Debug, Clone)]
pub struct CustomCommand {
    /// What it is called in the tables.
    pub name: String,
    /// The command as it was given, and its conditions.
    pub command: String,
    /// What it is run under.
    pub(crate) conditions: Conditions,
    /// Its words, as a shell would split them, with their placeholders.
    words: Vec<String>,
    placeholders: Vec<String>,
    /// What it says of itself, once it was started for that; none if it does not answer.
    pub(crate) answers: OnceLock<Option<Ready>>,
    /// The interpreter and the model, of one of the [contestants in Python](crate::python).
    pub python: Option<Python>,
}

/// A word that becomes one for each URL.
const URLS: &str = "{urls}";

/// What placeholders stand for in one run.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    /// Every URL, in order.
    pub(crate) urls: Vec<String>,
    /// All others, by their names.
    pub(crate) values: BTreeMap<String, OsString>,
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
        if name.contains('#') {
            return Err(refuse(
                "its name has a # in it, which marks copies of models, as in serial#2",
            ));
        }
        let words = shlex::split(command).ok_or_else(|| refuse("a quote is not closed"))?;
        if words.is_empty() {
            return Err(refuse("its command names no program"));
        }
        let mut placeholders = Vec::new();
        for word in &words {
            let before = placeholders.len();
            let name = |name: &str| {
                placeholders.push(name.to_owned());
                OsString::new()
            };
            replace(word, name).map_err(|why| refuse(&why))?;
            let urls = |name: &String| name == "urls";
            if word != URLS && placeholders[before..].iter().any(urls) {
                return Err(refuse(&format!("in {word}, {URLS} has to stand alone")));
            }
        }
        Ok(Self {
            name: name.to_owned(),
            command: command.to_owned(),
            conditions: Conditions::default(),
            words,
            placeholders,
            answers: OnceLock::new(),
            python: None,
        })
    }
}

impl CustomCommand {
    /// A command of these words, without placeholders.
    pub(crate) fn of_words(name: String, words: Vec<String>, python: Python) -> Self {
        let quoted = shlex::try_join(words.iter().map(String::as_str));
        Self {
            name,
            // Only a NUL cannot be quoted, and no argument has one.
            command: quoted.unwrap_or_else(|_| words.join(" ")),
            conditions: Conditions::default(),
            words: words.iter().map(|word| doubled(word)).collect(),
            placeholders: Vec::new(),
            answers: OnceLock::new(),
            python: Some(python),
        }
    }

    /// The same under these conditions.
    pub fn under(self, conditions: &Conditions) -> Self {
        Self {
            command: self.command + &conditions.words(),
            conditions: conditions.clone(),
            ..self
        }
    }

    /// Whether it may be one that [answers](crate::protocol): what is told how to do one job, or
    /// has an input already, is not.
    pub(crate) fn may_answer(&self) -> bool {
        self.conditions.input.is_none() && self.placeholders.iter().all(|name| name == "threads")
    }

    pub(crate) fn streams(&self) -> Streams<'_> {
        Streams {
            input: self.conditions.input.as_deref(),
            drops_output: true,
        }
    }

    /// The command with its placeholders filled in: the program, and its arguments.
    pub(crate) fn fill(&self, filling: &Filling) -> Vec<OsString> {
        let value = |name: &str| filling.values.get(name).cloned().unwrap_or_default();
        let mut filled = Vec::new();
        for word in &self.words {
            if word == URLS {
                filled.extend(filling.urls.iter().map(OsString::from));
            } else {
                // Its braces were checked when it was parsed.
                filled.push(replace(word, value).unwrap_or_default());
            }
        }
        filled
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

/// Refuses custom commands of one name, those with a model's name, and a placeholder
/// that one of the jobs has nothing for.
pub fn check(commands: &[CustomCommand], cases: &[Case], models: &[Model]) -> Result<(), Invalid> {
    for (at, custom) in commands.iter().enumerate() {
        let refuse = |why: String| Invalid::new("--contestant", &custom.name, why);
        if commands[..at].iter().any(|one| one.name == custom.name) {
            return Err(refuse("there are two of that name".to_owned()));
        }
        if models.iter().any(|model| model.name() == custom.name) {
            return Err(refuse("a model has that name".to_owned()));
        }
        for case in cases {
            let mut known: Vec<String> = keys(&case.full).into_keys().collect();
            known.extend(["into", "threads"].map(str::to_owned));
            if inputs::to_make(&case.full) > 0 {
                known.push("dir".to_owned());
            }
            if case.workload.needs_origin() {
                known.extend(["origin", "urls", "urls_file"].map(str::to_owned));
            }
            let unknown = |name: &&String| !known.contains(*name);
            if let Some(unknown) = custom.placeholders.iter().find(unknown) {
                return Err(refuse(format!(
                    "{} has no {{{unknown}}}; it has {{{}}}",
                    case.workload,
                    known.join("}, {")
                )));
            }
        }
    }
    Ok(())
}

/// A word that stays as it is when its placeholders are replaced.
fn doubled(word: &str) -> String {
    word.replace('{', "{{").replace('}', "}}")
}

/// `word` with each `{name}` replaced by its value. A brace that is not a
/// placeholder's is doubled, as in Rust's own formats.
fn replace(word: &str, mut value: impl FnMut(&str) -> OsString) -> Result<OsString, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let mut replaced = OsString::new();
    let mut rest = word;
    while let Some(at) = rest.find(['{', '}']) {
        replaced.push(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with("{{") || rest.starts_with("}}") {
            replaced.push(&rest[..1]);
            rest = &rest[2..];
            continue;
        }
        let (name, after) = rest
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
            .filter(|(name, _)| !name.is_empty() && name.chars().all(fits))
            .ok_or_else(|| {
                format!("in {word}, a brace that is no placeholder's: it has to be doubled")
            })?;
        replaced.push(value(name));
        rest = after;
    }
    replaced.push(rest);
    Ok(replaced)
}

#[cfg(test)]
mod tests {
    use suite::{Preset, Workload};

    use super::*;
    use crate::{models, workspace};

    fn custom(text: &str) -> CustomCommand {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_command_is_split_like_a_shell_does_and_filled_in() {
        let curl =
            custom(r#"c u=prog --max={limit} 'a b' "" {urls} --out "{into}/x" {{json}} {{urls}}"#);
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
            "{urls}",
        ];
        assert_eq!(curl.fill(&filling), right);
    }

    #[test]
    fn what_makes_no_custom_command_is_refused() {
        for (text, says) in [
            ("curl", "NAME=COMMAND"),
            ("=curl", "1 to 40"),
            (" x=curl", "1 to 40"),
            ("a\u{7}b=curl", "control character"),
            ("serial#2=curl", "copies of models"),
            ("x=", "no program"),
            ("x=curl 'a", "quote"),
            ("x=awk '{print $1}'", "doubled"),
            ("x=curl }", "doubled"),
            ("x=curl {}", "doubled"),
            ("x=curl -O{urls}", "stand alone"),
            ("x=curl {urls} -O{urls}", "stand alone"),
        ] {
            let refused = text.parse::<CustomCommand>().expect_err(text).to_string();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn a_placeholder_is_one_of_the_job() {
        let case = |workload: Workload| Case {
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
        let cases = [case(Workload::Download), case(Workload::Fetch)];
        let models = models::models(&workspace::root().expect("a checkout")).expect("models");
        let check = |commands: &[CustomCommand], cases: &[Case]| check(commands, cases, &models);
        let refused = check(&[custom("tokio=p")], &cases).expect_err("a model's name");
        let refused = refused.to_string();
        assert!(refused.contains("a model has that name"), "{refused}");
        let both = custom("x=p {origin} {urls} {urls_file} {into} {threads}");
        assert!(check(std::slice::from_ref(&both), &cases).is_ok());
        let one = [custom("x=p {limit}")];
        assert!(check(&one, &cases[..1]).is_ok());
        let refused = check(&one, &cases).expect_err("fetch has no limit");
        let refused = refused.to_string();
        assert!(refused.contains("fetch has no {limit}") && refused.contains("{delays_ms}"));
        let refused = check(&[both.clone(), both], &cases).expect_err("two of a name");
        assert!(refused.to_string().contains("two of that name"));
        let files = [case(Workload::Files)];
        assert!(check(&[custom("x=p {dir}")], &files).is_ok());
        assert!(check(&[custom("x=p {dir}")], &cases).is_err());
    }
}
