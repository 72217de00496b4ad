//! From which size on: which model is first along a sweep, by the verdicts at its values.

use results::{Cell, Sweep};
use serde_json::Value;
use suite::setting_text;

use crate::anchors;
use crate::findings::JobResults;

/// What a sweep says of which model to choose.
#[derive(Debug)]
pub struct SweepSummary {
    /// What is swept.
    pub title: String,
    /// Where it is on the page.
    pub anchor: String,
    /// A sentence for each model.
    pub sentences: Vec<String>,
}

/// Which models are first where. At a value, those of the first rank are, and the
/// others are behind; where there are no verdicts, none is either.
pub(crate) fn summary(sweep: &Sweep, cells: &[Cell], jobs: &[JobResults]) -> SweepSummary {
    let at = |value: &Value| {
        jobs.iter().find(|job| {
            let point = job.cells[0].point.as_ref();
            sweep.has(job.cells[0]) && point.is_some_and(|point| point.value == *value)
        })
    };
    let ranks: Vec<_> = sweep
        .values
        .iter()
        .map(|value| at(value).map_or(Vec::new(), JobResults::ranks))
        .collect();
    let model = |model: &str| {
        let place = |(value, ranks): (&Value, &Vec<(usize, &str)>)| {
            let mut ranks = ranks.iter();
            let (rank, _) = ranks.find(|(_, ranked)| *ranked == model)?;
            Some((setting_text(value), *rank == 1))
        };
        let places = sweep.values.iter().zip(&ranks).filter_map(place);
        sentence(model, &sweep.key, &places.collect::<Vec<_>>())
    };
    let mut sentences: Vec<_> = sweep.models(cells).into_iter().filter_map(model).collect();
    if sentences.is_empty() {
        sentences.push("Cannot be told: there are no verdicts at its values.".to_owned());
    }
    SweepSummary {
        title: format!("{}.{}", sweep.workload, sweep.key),
        anchor: anchors::sweep(&sweep.workload, &sweep.key, sweep.cores),
        sentences,
    }
}

/// Where one model is first, of the values at which it was judged.
fn sentence(model: &str, key: &str, places: &[(String, bool)]) -> Option<String> {
    let (start, was_first) = places.first()?;
    let changes: Vec<_> = (1..places.len())
        .filter(|&at| places[at].1 != places[at - 1].1)
        .collect();
    let words = |first| if first { "first" } else { "behind" };
    Some(match changes[..] {
        [] if places.len() == 1 => {
            format!("{model} is {} at {key} = {start}.", words(*was_first))
        }
        [] => format!(
            "{model} is {} at every value of {key} that was judged.",
            words(*was_first)
        ),
        [at] => format!(
            "{model} is {} up to {key} = {}, and {} from {} on.",
            words(*was_first),
            places[at - 1].0,
            words(!was_first),
            places[at].0
        ),
        _ => {
            let first = places.iter().filter(|(_, first)| *first);
            let first: Vec<_> = first.map(|(value, _)| &**value).collect();
            format!("{model} is first only at {key} = {}.", first.join(", "))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_from_which_size_on() {
        let said = |places: &[(&str, bool)]| {
            let owned = |&(value, first): &(&str, bool)| (value.to_owned(), first);
            let places: Vec<_> = places.iter().map(owned).collect();
            sentence("thread", "units", &places)
        };
        for (places, says) in [
            (&[][..], None),
            (&[("1", true)], Some("thread is first at units = 1.")),
            (
                &[("1", false), ("2", false)],
                Some("thread is behind at every value of units that was judged."),
            ),
            (
                &[("100", true), ("1000", false), ("10000", false)],
                Some("thread is first up to units = 100, and behind from 1000 on."),
            ),
            (
                &[("1", true), ("2", false), ("4", true)],
                Some("thread is first only at units = 1, 4."),
            ),
        ] {
            assert_eq!(said(places).as_deref(), says);
        }
    }
}
