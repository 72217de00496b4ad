//! Who takes part.

use std::borrow::Cow;
use std::rc::Rc;

use lab::build::Programs;
use lab::case::Case;
use lab::command_template::CustomCommand;
use lab::executor::Executor;

use crate::self_check;

/// Who takes part.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// Its name: a model's, or one that the user has given.
    pub model: String,
    /// What does its jobs, or why there is nothing.
    pub executor: Result<Rc<dyn Executor>, String>,
    /// Whose copy it is, if it is one.
    pub copy: Option<CopyOf>,
}

/// What a contestant is that has another one's programs.
#[derive(Debug, Clone)]
pub struct CopyOf {
    /// The model, as its programs call themselves.
    pub model: String,
    /// Whether it is given more to do: see [`self_check::slowed`].
    pub slowed: bool,
}

impl Contestant {
    /// A model, by its programs or why there are none.
    pub fn model(name: String, programs: Result<Programs, String>) -> Self {
        Self {
            model: name,
            executor: programs.map(|programs| Rc::new(programs) as Rc<dyn Executor>),
            copy: None,
        }
    }

    /// A command of the user's own.
    pub fn custom(command: &CustomCommand) -> Self {
        Self {
            model: command.name.clone(),
            executor: Ok(Rc::new(command.clone())),
            copy: None,
        }
    }

    /// The model, as its programs call themselves.
    pub fn original(&self) -> &str {
        self.copy.as_ref().map_or(&self.model, |copy| &copy.model)
    }

    /// What this contestant does where the others do `case`: the same, unless it
    /// is a slowed copy. `None` if it takes no part in that.
    pub fn case<'a>(&self, case: &'a Case) -> Option<Cow<'a, Case>> {
        match &self.copy {
            Some(CopyOf { slowed: true, .. }) => self_check::slowed(case).map(Cow::Owned),
            _ => Some(Cow::Borrowed(case)),
        }
    }
}
