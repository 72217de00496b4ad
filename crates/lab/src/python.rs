//! The contestants in Python: which interpreters there are, and what each of them runs of
//! `xtask/contestants/python`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use results::{Interpreter, Python, PythonModel};
use serde::Deserialize;
use suite::Invalid;

use crate::command_template::CustomCommand;
use crate::error::{Interrupted, last_words};
use crate::interrupt::Interrupt;
use crate::process::{self, Limits};
use crate::progress::Progress;
use crate::python_packages;

/// The programs, relative to the workspace.
const PROGRAMS: &str = "xtask/contestants/python";

/// Where their bytecode goes.
const CACHE: &str = "target/python/bytecode";

/// The oldest Python that runs them.
const OLDEST: [u32; 2] = [3, 8];

/// How long an interpreter may take to describe itself.
const LONGEST: Duration = Duration::from_secs(20);

/// Has an interpreter describe itself.
const DESCRIBE: &str = r#"
import importlib.util, json, sys
import concurrent.futures
print(json.dumps({
    "version": sys.version_info[:3],
    "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
    "interpreters": hasattr(concurrent.futures, "InterpreterPoolExecutor"),
    "environments": all(map(importlib.util.find_spec, ["venv", "ensurepip"])),
    "path": sys.executable,
}))
"#;

/// An interpreter as it describes itself.
#[derive(Debug, Deserialize)]
struct Described {
    version: [u32; 3],
    gil: bool,
    /// Whether it has a pool of sub-interpreters.
    interpreters: bool,
    /// Whether it can make virtual environments with pip.
    environments: bool,
    path: PathBuf,
}

/// An interpreter that there is.
#[derive(Debug)]
struct Found {
    described: Described,
    /// What is in its contestants' names: `3.11`, or `3.14t` without the GIL.
    name: String,
    /// The same with aiohttp, or why there is none.
    with_aiohttp: Result<PathBuf, String>,
}

/// The interpreters that contestants in Python are run by.
#[derive(Debug, Default)]
pub struct Interpreters(Vec<Found>);

impl Interpreters {
    /// The interpreters at these paths; without any, the `python3` on `PATH`.
    ///
    /// # Errors
    ///
    /// When one is not there, is no Python, is too old, or is named twice; or when a signal came.
    pub fn find(paths: &[PathBuf], interrupt: &Interrupt) -> anyhow::Result<Self> {
        let mut found: Vec<Found> = Vec::new();
        if paths.is_empty() {
            let described = describe("--python", Path::new("python3"), interrupt)?;
            found.push(Found::new(described));
        }
        for path in paths {
            let described = describe("--python-at", path, interrupt)?;
            if found.iter().any(|one| one.described.path == described.path) {
                let why = "is an interpreter that was named before";
                return Err(Invalid::new("--python-at", path.display(), why).into());
            }
            found.push(Found::new(described));
        }
        name_apart(&mut found);
        Ok(Self(found))
    }

    /// Their contestants, one for each model that the interpreter has.
    ///
    /// # Errors
    ///
    /// When a path is no text, which a command line has to be.
    pub fn contestants(&self, root: &Path) -> Result<Vec<CustomCommand>, Invalid> {
        let mut commands = Vec::new();
        for found in &self.0 {
            for model in found.models() {
                commands.push(found.contestant(root, model)?);
            }
        }
        Ok(commands)
    }

    /// Gives each an environment below `target` that has aiohttp, if it can be had. Returns why
    /// it cannot.
    ///
    /// # Errors
    ///
    /// When a signal came.
    pub fn add_aiohttp(
        &mut self,
        root: &Path,
        target: &Path,
        interrupt: &Interrupt,
        progress: &Progress,
    ) -> Result<Vec<String>, Interrupted> {
        let requirements = root.join(PROGRAMS).join("requirements.txt");
        let mut notes = Vec::new();
        for found in &mut self.0 {
            let why = found.described.has_no_aiohttp();
            found.with_aiohttp = match why {
                Some(why) => Err(why),
                None => {
                    let python = &found.described.path;
                    let version = found.described.version();
                    progress.stage(&format!("looking for aiohttp for Python {version}"));
                    python_packages::environment(python, &version, &requirements, target, interrupt)
                        .map_err(|error| format!("{error:#}"))
                }
            };
            if interrupt.came() {
                return Err(Interrupted);
            }
            if let Err(why) = &found.with_aiohttp {
                notes.push(format!("py-asyncio {} has no aiohttp: {why}", found.name));
            }
        }
        Ok(notes)
    }
}

/// Has the interpreter of `option` describe itself.
fn describe(option: &str, path: &Path, interrupt: &Interrupt) -> anyhow::Result<Described> {
    let refuse = |why: String| Invalid::new(option, path.display(), why);
    let mut command = Command::new(path);
    // Not what lies in the current directory.
    command.args(["-I", "-c", DESCRIBE]);
    let limits = Limits {
        timeout: LONGEST,
        interrupt: interrupt.clone(),
    };
    let done = process::run(&mut command, &limits, None);
    if interrupt.came() {
        return Err(Interrupted.into());
    }
    let done = done.map_err(|error| refuse(format!("{error:#}")))?;
    let [major, minor] = OLDEST;
    let needed = format!("has to be Python {major}.{minor} or later");
    let described: Described = match serde_json::from_str(&done.stdout) {
        Ok(described) if done.status.success() => described,
        _ => {
            let said = last_words(&done.stderr);
            return Err(refuse(format!("{needed}; it said: {said:?}")).into());
        }
    };
    if described.version[..2] < OLDEST[..] {
        let version = described.version();
        return Err(refuse(format!("{needed}, and is {version}")).into());
    }
    if described.path.as_os_str().is_empty() {
        let path = path.to_owned();
        return Ok(Described { path, ..described });
    }
    Ok(described)
}

/// Makes the names different: by the whole version where the first two numbers are the same, and
/// by a number where that is, too.
fn name_apart(found: &mut [Found]) {
    let short: Vec<String> = found.iter().map(|one| one.name.clone()).collect();
    let whole: Vec<String> = found.iter().map(|one| one.described.whole()).collect();
    let times = |names: &[String], name: &String| names.iter().filter(|one| *one == name).count();
    for (at, one) in found.iter_mut().enumerate() {
        one.name = match (times(&short, &short[at]), times(&whole[..at], &whole[at])) {
            (1, _) => short[at].clone(),
            (_, 0) => whole[at].clone(),
            (_, before) => format!("{} ({})", whole[at], before + 1),
        };
    }
}

impl Described {
    fn version(&self) -> String {
        let [major, minor, patch] = self.version;
        format!("{major}.{minor}.{patch}")
    }

    /// The version, and whether it is without the GIL.
    fn whole(&self) -> String {
        self.version() + self.suffix()
    }

    /// What a version without the GIL ends in.
    fn suffix(&self) -> &'static str {
        if self.gil { "" } else { "t" }
    }

    /// Why it cannot be given aiohttp, if so.
    fn has_no_aiohttp(&self) -> Option<String> {
        if self.version < [3, 10, 0] {
            let version = self.version();
            return Some(format!(
                "that needs Python 3.10 or later, and this is {version}"
            ));
        }
        (!self.environments).then(|| {
            "its modules venv or ensurepip are missing, which Debian has in the package \
             python3-venv"
                .to_owned()
        })
    }
}

impl Found {
    fn new(described: Described) -> Self {
        let [major, minor, _] = described.version;
        Self {
            name: format!("{major}.{minor}{}", described.suffix()),
            with_aiohttp: Err("it was not looked for".to_owned()),
            described,
        }
    }

    fn models(&self) -> Vec<PythonModel> {
        let mut models = vec![
            PythonModel::Thread,
            PythonModel::Process,
            PythonModel::Asyncio,
        ];
        if self.described.interpreters {
            models.push(PythonModel::Interpreters);
        }
        models
    }

    fn contestant(&self, root: &Path, model: PythonModel) -> Result<CustomCommand, Invalid> {
        let (name, program) = match model {
            PythonModel::Thread => ("py-thread", "thread.py"),
            PythonModel::Process => ("py-process", "process.py"),
            PythonModel::Asyncio => ("py-asyncio", "aio.py"),
            PythonModel::Interpreters => ("py-interpreters", "interpreter.py"),
        };
        let program = root.join(PROGRAMS).join(program);
        let mut python = &self.described.path;
        let mut more = Vec::new();
        if model == PythonModel::Asyncio {
            match &self.with_aiohttp {
                Ok(with_aiohttp) => python = with_aiohttp,
                Err(why) => more = vec!["--no-aiohttp".to_owned(), why.clone()],
            }
        }
        let text = |path: &Path| match path.to_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(Invalid::new("--python", path.display(), "has to be UTF-8")),
        };
        // Compiled once, as a user's programs are, but not into the sources' directory.
        let cache = format!("pycache_prefix={}", text(&root.join(CACHE))?);
        let mut words = vec![text(python)?, "-X".to_owned(), cache, text(&program)?];
        words.append(&mut more);
        let python = Python {
            model,
            interpreter: Interpreter {
                version: self.described.version(),
                gil: self.described.gil,
                path: text(&self.described.path)?,
            },
        };
        let name = format!("{name} {}", self.name);
        let mut command = CustomCommand::of_words(name, words, python);
        // Results are read in other places: there, paths from the checkout's root say more.
        let here = format!("{}/", text(root)?);
        command.command = command.command.replace(&here, "");
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(version: [u32; 3], gil: bool) -> Found {
        Found::new(Described {
            version,
            gil,
            interpreters: version >= [3, 14, 0],
            environments: true,
            path: PathBuf::from("/a b/{py}"),
        })
    }

    #[test]
    fn contestants_have_names_of_their_own() {
        let mut all = [
            found([3, 11, 7], true),
            found([3, 13, 0], true),
            found([3, 13, 0], false),
            found([3, 12, 1], true),
            found([3, 12, 2], true),
            found([3, 12, 1], true),
        ];
        name_apart(&mut all);
        let names: Vec<_> = all.iter().map(|one| &*one.name).collect();
        let right = ["3.11", "3.13", "3.13t", "3.12.1", "3.12.2", "3.12.1 (2)"];
        assert_eq!(names, right);
    }

    #[test]
    fn a_contestants_command_has_its_paths_as_they_are() {
        let all = Interpreters(vec![found([3, 14, 0], false)]);
        let commands = all.contestants(Path::new("/r")).expect("they are text");
        let names: Vec<_> = commands.iter().map(|command| &*command.name).collect();
        let right = [
            "py-thread 3.14t",
            "py-process 3.14t",
            "py-asyncio 3.14t",
            "py-interpreters 3.14t",
        ];
        assert_eq!(names, right);
        assert!(names.iter().all(|name| name.len() <= 40));
        let words = commands[2].fill(&Default::default());
        let program = "/r/xtask/contestants/python/aio.py";
        let right = [
            "/a b/{py}",
            "-X",
            "pycache_prefix=/r/target/python/bytecode",
            program,
            "--no-aiohttp",
            "it was not looked for",
        ];
        assert_eq!(words, right);
        let split = shlex::split(&commands[2].command).expect("it is quoted");
        let shown = right.map(|word| word.replace("/r/", ""));
        assert_eq!(split, shown);
        assert_eq!(split[3], "xtask/contestants/python/aio.py");
    }
}
