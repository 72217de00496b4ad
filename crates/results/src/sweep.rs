//! What a sweep came to: its values, and where one model overtakes another.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Cell;

/// A job over the values of one of its keys. The figures are those of the cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// What kind of job.
    pub workload: String,
    /// Which of its parameters is swept.
    pub key: String,
    /// The other parameters, the same at every point.
    pub job: Value,
    /// By how much the job was made smaller to fit the time.
    pub divisor: u64,
    /// How many cores the models were kept to; all, if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<usize>,
    /// The values, numbers in their order and words in the one asked for.
    pub values: Vec<Value>,
    /// Where one model overtakes another.
    pub crossovers: Vec<Crossover>,
}

/// Two values of a sweep between which one model overtakes another: slower at
/// the one, faster at the other.
///
/// Which is faster at a value is what the verdicts say there, and open where they
/// tell no difference or are none. The two values are the nearest to each other at
/// which it is not, so noise gives no crossover, and no place to one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crossover {
    /// The model that is faster from then on.
    pub model: String,
    /// The one that was until then.
    pub overtakes: String,
    /// The last value at which the one overtaken is faster ...
    pub after: Value,
    /// ... and the first at which the other is.
    pub before: Value,
}

impl Sweep {
    /// Whether a cell is one of its points.
    pub fn has(&self, cell: &Cell) -> bool {
        let point = cell.point.as_ref();
        (&self.workload, self.cores) == (&cell.workload, cell.cores)
            && point.is_some_and(|point| point.key == self.key)
    }

    /// The models that were tried, in the order of `cells`: those of the comparison.
    pub fn models<'a>(&self, cells: &'a [Cell]) -> Vec<&'a str> {
        let mut models: Vec<&str> = Vec::new();
        for cell in cells.iter().filter(|cell| self.has(cell)) {
            if !models.contains(&&*cell.model) {
                models.push(&cell.model);
            }
        }
        models
    }

    /// A model's cell at a value, if it was tried.
    pub fn cell<'a>(&self, cells: &'a [Cell], model: &str, value: &Value) -> Option<&'a Cell> {
        let is_at = |cell: &&Cell| cell.point.as_ref().is_some_and(|at| at.value == *value);
        let mut points = cells.iter().filter(|cell| self.has(cell)).filter(is_at);
        points.find(|cell| cell.model == model)
    }
}
