//! What a sweep came to: a curve for each model, and where one overtakes another.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Cell, Status};

/// A job over the values of one of its keys, as the models did it.
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
    /// One for each model.
    pub curves: Vec<Curve>,
    /// Where one curve of times crosses another.
    pub crossovers: Vec<Crossover>,
}

/// One model's figures over the values of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The model.
    pub model: String,
    /// The values that were tried, in the sweep's order.
    pub points: Vec<CurvePoint>,
}

/// One model at one value. The samples are those of the cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// What the swept parameter was.
    pub value: Value,
    /// How it came out.
    pub status: Status,
    /// Why it is not `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The median time of the job, in nanoseconds.
    pub median_ns: Option<f64>,
    /// From here ...
    pub low_ns: Option<f64>,
    /// ... to here is the median's 95 % confidence interval.
    pub high_ns: Option<f64>,
    /// The most memory of the whole process tree, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Time on processors, user and system, of the whole process tree.
    pub cpu_ns: Option<u64>,
}

/// Two values of a sweep between which one model overtakes another: slower at
/// the one, faster at the other.
///
/// Who is faster at a value is what the verdicts say there, and open where they
/// tell no difference or are none. The two values are the nearest to each other at
/// which it is not, so noise gives no crossover, and no place to one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crossover {
    /// Who is faster from then on.
    pub model: String,
    /// Who was until then.
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
}

impl Curve {
    /// The point at a value, if it was tried.
    pub fn at(&self, value: &Value) -> Option<&CurvePoint> {
        self.points.iter().find(|point| point.value == *value)
    }
}
