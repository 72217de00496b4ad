//! `list`: what there is to run.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Map, Value};
use suite::{Preset, Workload};

use crate::cli::ListArgs;

#[derive(Serialize)]
struct Entry {
    workload: &'static str,
    about: &'static str,
    /// A job a preset: its keys are those that `--set` takes.
    presets: Map<String, Value>,
}

/// Prints every workload with its presets and keys.
pub(crate) fn list(args: &ListArgs) -> anyhow::Result<()> {
    let entries: Vec<Entry> = Workload::ALL.iter().copied().map(Entry::new).collect();
    let text = if args.json {
        format!("{}\n", serde_json::to_string(&entries)?)
    } else {
        entries.iter().map(Entry::table).collect()
    };
    crate::print(&text)
}

impl Entry {
    fn new(workload: Workload) -> Self {
        let job = |preset: Preset| (preset.name().to_owned(), workload.job(preset).to_json());
        Self {
            workload: workload.name(),
            about: workload.about(),
            presets: Preset::ALL.into_iter().map(job).collect(),
        }
    }

    /// A line a key, a column a preset.
    fn table(&self) -> String {
        let mut table = format!("{}: {}\n", self.workload, self.about);
        let mut line = |key: &str, values: Vec<String>| {
            // Writing to a string does not fail.
            let _ = write!(table, "    {key:<13}");
            for value in values {
                let _ = write!(table, " {value:>20}");
            }
            table.push('\n');
        };
        line("", self.presets.keys().cloned().collect());
        let first = self.presets.values().next().and_then(Value::as_object);
        for key in first.into_iter().flat_map(Map::keys) {
            line(
                key,
                self.presets.values().map(|job| cell(&job[key])).collect(),
            );
        }
        table.push('\n');
        table
    }
}

/// A value as `--set` would take it, or the beginning of a long one.
fn cell(value: &Value) -> String {
    const SHOWN: usize = 3;
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => "-".to_owned(),
        Value::Array(list) => {
            let shown: Vec<_> = list.iter().take(SHOWN).map(Value::to_string).collect();
            match list.len() {
                0..=SHOWN => shown.join(","),
                all => format!("{},... ({all})", shown.join(",")),
            }
        }
        other => other.to_string(),
    }
}
