//! The contestants: models, copies of models, and custom commands.

use std::rc::Rc;

use lab::build::Programs;
use lab::case::Case;
use lab::command_template::CustomCommand;
use lab::executor::Executor;

/// Something that takes part in a comparison.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// Its name: a model's, or one that the user has given.
    pub model: String,
    /// What does its jobs, or why there is nothing.
    pub executor: Result<Rc<dyn Executor>, String>,
    pub(crate) copy: Option<CopyOf>,
}

/// A contestant with the programs of another one.
#[derive(Debug, Clone)]
pub(crate) struct CopyOf {
    /// The model, as its programs call themselves.
    pub(crate) model: String,
    /// What it does where the others do a case; none where it takes no part.
    pub(crate) case: fn(&Case) -> Option<Case>,
}

impl Contestant {
    /// A contestant with an executor, or the reason why it has none.
    pub fn new(model: String, executor: Result<Rc<dyn Executor>, String>) -> Self {
        Self {
            model,
            executor,
            copy: None,
        }
    }

    pub(crate) fn model(name: String, programs: Result<Programs, String>) -> Self {
        let executor = programs.map(|programs| Rc::new(programs) as Rc<dyn Executor>);
        Self::new(name, executor)
    }

    pub(crate) fn custom(command: &CustomCommand) -> Self {
        Self::new(command.name.clone(), Ok(Rc::new(command.clone())))
    }

    /// The model, as its programs call themselves.
    pub(crate) fn original(&self) -> &str {
        self.copy.as_ref().map_or(&self.model, |copy| &copy.model)
    }

    /// What this contestant does where the others do `case`: the same, unless it is a
    /// slowed copy. `None` if it takes no part in that.
    pub(crate) fn case(&self, case: &Case) -> Option<Case> {
        match &self.copy {
            Some(copy) => (copy.case)(case),
            None => Some(case.clone()),
        }
    }
}
