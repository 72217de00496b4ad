//! Where in a chart one line overtakes another.

use results::Crossover;
use serde_json::Value;
use suite::setting_text;

use super::{Chart, Placed, tenth};

/// A crossover, drawn.
#[derive(Debug, PartialEq)]
pub(crate) struct Crossing {
    /// From the left.
    pub(crate) x: f64,
    /// From the top.
    pub(crate) y: f64,
    /// Which of the crossovers it is, counted from one.
    pub(crate) number: usize,
}

impl Chart {
    /// Marks crossovers where the two lines meet. Between two words there is no
    /// such place: those stay unmarked.
    pub(crate) fn mark(&mut self, crossovers: &[Crossover]) {
        let crossovers = crossovers.iter().enumerate();
        let crossings = crossovers.filter_map(|(at, crossover)| {
            let (x, y) = self.meeting(crossover)?;
            let number = at + 1;
            Some(Crossing { x, y, number })
        });
        self.crossings = crossings.collect();
    }

    fn meeting(&self, crossover: &Crossover) -> Option<(f64, f64)> {
        let (after, before) = (&crossover.after, &crossover.before);
        if !after.is_number() || !before.is_number() {
            return None;
        }
        let (from, to) = (self.place(after)?, self.place(before)?);
        let within = |dot: &&Placed| (from..=to).contains(&dot.x);
        let dots = |name: &str| {
            let line = self.lines.iter().find(|line| line.name == name)?;
            Some(line.dots.iter().filter(within).collect::<Vec<_>>())
        };
        let (model, other) = (dots(&crossover.model)?, dots(&crossover.overtakes)?);
        let both: Vec<(&Placed, &Placed)> = model
            .into_iter()
            .filter_map(|dot| Some((dot, *other.iter().find(|same| same.x == dot.x)?)))
            .collect();
        // The medians may cross more than once within the values that the verdicts
        // leave open: the first time has to do.
        both.windows(2).find_map(|two| meeting(two[0], two[1]))
    }

    fn place(&self, value: &Value) -> Option<f64> {
        let text = setting_text(value);
        let tick = self.across.iter().find(|tick| tick.text == text)?;
        Some(tick.at)
    }
}

/// Where two straight lines meet: each pair is the two lines' dots at one value.
fn meeting(start: (&Placed, &Placed), end: (&Placed, &Placed)) -> Option<(f64, f64)> {
    // Above is slower: y counts from the top.
    let (gap, last) = (start.1.y - start.0.y, end.1.y - end.0.y);
    if gap.signum() == last.signum() && gap != 0.0 {
        return None;
    }
    let part = match gap - last {
        0.0 => 0.0,
        closed => gap / closed,
    };
    let between = |from: f64, to: f64| tenth(from + part * (to - from));
    Some((between(start.0.x, end.0.x), between(start.0.y, end.0.y)))
}

#[cfg(test)]
mod tests {
    use super::super::{Dot, Series};
    use super::*;
    use crate::format::time;

    fn series(name: &str, values: [f64; 3]) -> Series {
        let dot = |value: f64| {
            Some(Dot {
                low: value,
                value,
                high: value,
                title: String::new(),
            })
        };
        Series {
            name: name.to_owned(),
            color: 0,
            dashes: "none".to_owned(),
            dots: values.map(dot).into(),
        }
    }

    fn crossover(values: &[Value; 3]) -> Crossover {
        Crossover {
            model: "tokio".to_owned(),
            overtakes: "thread".to_owned(),
            after: values[0].clone(),
            before: values[2].clone(),
        }
    }

    #[test]
    fn a_crossing_is_where_the_lines_meet() {
        let lines = [
            series("thread", [1e6, 2e6, 8e6]),
            series("tokio", [3e6, 3e6, 3e6]),
        ];
        let numbers = [1, 3, 7].map(Value::from);
        let mut chart = Chart::new(&numbers, &lines, 1.0, time).expect("there are dots");
        chart.mark(&[crossover(&numbers)]);
        let [crossing] = &chart.crossings[..] else {
            panic!("{:?}", chart.crossings);
        };
        let (second, third) = (chart.across[1].at, chart.across[2].at);
        assert!(second < crossing.x && crossing.x < third, "{crossing:?}");
        assert_eq!((crossing.y, crossing.number), (chart.lines[1].dots[0].y, 1));

        let words = ["lock", "atomic", "racy"].map(Value::from);
        let mut chart = Chart::new(&words, &lines, 1.0, time).expect("there are dots");
        chart.mark(&[crossover(&words)]);
        assert!(chart.crossings.is_empty());
    }
}
