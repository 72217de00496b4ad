//! Curves as a picture: where its lines and texts go. The page's template draws.
//!
//! Both axes are logarithmic: what is swept mostly doubles, and the models are
//! mostly some times apart. Values that are no numbers stand side by side.

use askama::Template;
pub(crate) use crossings::Crossing;
use serde_json::Value;
use suite::setting_text;

mod crossings;

/// One picture, as SVG within a page that has its style.
#[derive(Debug, Template)]
#[template(path = "chart.html")]
pub(crate) struct Chart {
    /// What to call it within the page.
    pub(crate) id: String,
    /// What it shows.
    pub(crate) title: String,
    /// The same in words.
    pub(crate) description: String,
    /// The values, from left to right.
    pub(crate) across: Vec<Tick>,
    /// Some figures, from bottom to top.
    pub(crate) up: Vec<Tick>,
    /// A line for each series that has any dots.
    pub(crate) lines: Vec<Line>,
    /// Where one line overtakes another.
    pub(crate) crossings: Vec<Crossing>,
}

/// A text at a place on an axis.
#[derive(Debug, PartialEq)]
pub(crate) struct Tick {
    /// Where, in units of the picture.
    pub(crate) at: f64,
    /// What stands there.
    pub(crate) text: String,
}

/// One series, drawn.
#[derive(Debug)]
pub(crate) struct Line {
    /// Its name, at its last dot.
    pub(crate) name: String,
    /// Which of the page's colors it has.
    pub(crate) color: usize,
    /// Which strokes it is drawn with, for readers who see no colors.
    pub(crate) dashes: String,
    /// Dots in a row with nothing missing between them, as `points` of a polyline.
    pub(crate) pieces: Vec<String>,
    /// Each dot, and from where to where its interval goes.
    pub(crate) dots: Vec<Placed>,
    /// Where its name goes.
    pub(crate) name_at: (f64, f64),
}

/// A dot in its place.
#[derive(Debug)]
pub(crate) struct Placed {
    /// From the left.
    pub(crate) x: f64,
    /// From the top.
    pub(crate) y: f64,
    /// The interval's lower end, from the top ...
    pub(crate) low: f64,
    /// ... and its upper one.
    pub(crate) high: f64,
    /// What it says when pointed at.
    pub(crate) title: String,
}

/// What is drawn as one line.
#[derive(Debug)]
pub(crate) struct Series {
    /// Its name.
    pub(crate) name: String,
    /// Which of the page's colors it has.
    pub(crate) color: usize,
    /// Which strokes it is drawn with.
    pub(crate) dashes: String,
    /// One for each value; nothing where there is a gap.
    pub(crate) dots: Vec<Option<Dot>>,
}

/// One figure with its interval.
#[derive(Debug)]
pub(crate) struct Dot {
    /// From here ...
    pub(crate) low: f64,
    /// The figure itself.
    pub(crate) value: f64,
    /// ... to here.
    pub(crate) high: f64,
    /// What it says when pointed at.
    pub(crate) title: String,
}

/// Where the axes end, in units of the picture: left, right, top and bottom.
const LEFT: f64 = 64.0;

const RIGHT: f64 = 400.0;

const TOP: f64 = 12.0;

const BOTTOM: f64 = 232.0;

/// The least way from one name to the next.
const NAME_HEIGHT: f64 = 14.0;

impl Chart {
    /// Of series over `values`, whose figures are round in `unit` and written as
    /// `text`; nothing if they have no dots.
    pub(crate) fn new(
        values: &[Value],
        series: &[Series],
        unit: f64,
        text: fn(f64) -> String,
    ) -> Option<Self> {
        // A logarithm needs more than nothing.
        let drawn = |dot: &&Dot| dot.low > 0.0 && dot.high.is_finite();
        let dots = series
            .iter()
            .flat_map(|series| series.dots.iter().flatten());
        let dots = dots.filter(drawn);
        let least = dots.clone().map(|dot| dot.low).min_by(f64::total_cmp)?;
        let most = dots.map(|dot| dot.high).max_by(f64::total_cmp)?;
        let (least, most) = (least * 0.9, most * 1.1);
        let up = |figure: f64| {
            let part = (figure / least).ln() / (most / least).ln();
            tenth(BOTTOM - part * (BOTTOM - TOP))
        };
        let across = across(values);
        let line = |series: &Series| {
            let mut pieces = vec![String::new()];
            let mut placed = Vec::new();
            for (dot, tick) in series.dots.iter().zip(&across) {
                let Some(dot) = dot.as_ref().filter(drawn) else {
                    pieces.push(String::new());
                    continue;
                };
                let (x, y) = (tick.at, up(dot.value));
                if let Some(piece) = pieces.last_mut() {
                    *piece += &format!("{x},{y} ");
                }
                placed.push(Placed {
                    x,
                    y,
                    low: up(dot.low),
                    high: up(dot.high),
                    title: dot.title.clone(),
                });
            }
            pieces.retain(|piece| !piece.is_empty());
            let last = placed.last()?;
            Some(Line {
                name: series.name.clone(),
                color: series.color,
                dashes: series.dashes.clone(),
                pieces,
                name_at: (last.x + 8.0, last.y),
                dots: placed,
            })
        };
        let mut lines: Vec<Line> = series.iter().filter_map(line).collect();
        spread(&mut lines);
        Some(Self {
            id: String::new(),
            title: String::new(),
            description: String::new(),
            crossings: Vec::new(),
            up: round_figures(least / unit, most / unit)
                .into_iter()
                .map(|figure| figure * unit)
                .map(|figure| Tick {
                    at: up(figure),
                    text: text(figure),
                })
                .collect(),
            across,
            lines,
        })
    }
}

/// The values in their places: of numbers, the logarithm (of one more, as there
/// may be a zero); of words, one after the other.
fn across(values: &[Value]) -> Vec<Tick> {
    let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
    let places: Vec<f64> = match numbers {
        Some(numbers) => numbers.iter().map(|number| number.ln_1p()).collect(),
        None => (0..values.len()).map(|at| at as f64).collect(),
    };
    let first = places.iter().copied().fold(f64::INFINITY, f64::min);
    let last = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // A single value has the whole axis.
    let all = if last > first { last - first } else { 1.0 };
    let tick = |(value, place): (&Value, &f64)| Tick {
        at: tenth(LEFT + 8.0 + (place - first) / all * (RIGHT - LEFT - 8.0)),
        text: setting_text(value),
    };
    values.iter().zip(&places).map(tick).collect()
}

/// Figures to read an axis by: 1, 2 and 5 with any number of zeros, or as few
/// of these as do.
pub(crate) fn round_figures(least: f64, most: f64) -> Vec<f64> {
    const ENOUGH: usize = 6;
    let (first, last) = (least.log10().floor() as i32, most.log10().ceil() as i32);
    let of = |steps: &[f64]| -> Vec<f64> {
        let all =
            (first..=last).flat_map(|zeros| steps.iter().map(move |step| step * 10f64.powi(zeros)));
        all.filter(|figure| (least..=most).contains(figure))
            .collect()
    };
    let (some, few) = (of(&[1.0, 2.0, 5.0]), of(&[1.0]));
    match (some.len(), few.len()) {
        (0 | 1, _) => of(&[1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
        (too_many, 2..) if too_many > ENOUGH => few,
        _ => some,
    }
}

/// Moves names up and down until no two of them meet, and all are in the picture.
fn spread(lines: &mut [Line]) {
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|&one, &other| lines[one].name_at.1.total_cmp(&lines[other].name_at.1));
    let mut free = TOP;
    for &line in &order {
        let at = &mut lines[line].name_at.1;
        *at = at.max(free);
        free = *at + NAME_HEIGHT;
    }
    let mut free = BOTTOM;
    for &line in order.iter().rev() {
        let at = &mut lines[line].name_at.1;
        *at = tenth(at.min(free));
        free = *at - NAME_HEIGHT;
    }
}

/// No more of a unit can be seen than that.
pub(crate) fn tenth(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::format::time;

    fn series(name: &str, values: &[f64]) -> Series {
        let dot = |&value: &f64| {
            value.is_finite().then(|| Dot {
                low: value * 0.9,
                value,
                high: value * 1.1,
                title: format!("{name} <{value}>"),
            })
        };
        Series {
            name: name.to_owned(),
            color: 0,
            dashes: "none".to_owned(),
            dots: values.iter().map(dot).collect(),
        }
    }

    fn numbers(values: &[u64]) -> Vec<Value> {
        values.iter().copied().map(Value::from).collect()
    }

    #[test]
    fn numbers_have_their_distance_and_words_all_the_same() {
        let places = |values: &[Value]| {
            across(values)
                .iter()
                .map(|tick| tick.at)
                .collect::<Vec<_>>()
        };
        let of_numbers = places(&numbers(&[0, 1, 3, 7]));
        assert_eq!((of_numbers[0], of_numbers[3]), (LEFT + 8.0, RIGHT));
        let gaps = |places: &[f64]| (places[1] - places[0]) - (places[2] - places[1]);
        assert!(
            gaps(&of_numbers).abs() < 0.2,
            "one more doubles: {of_numbers:?}"
        );
        assert!(gaps(&places(&numbers(&[1, 10, 11]))) > 50.0);
        let words = ["lock", "atomic", "racy"].map(Value::from);
        assert!(gaps(&places(&words)).abs() < 0.2);
    }

    #[test]
    fn a_gap_breaks_the_line_and_an_end_carries_the_name() {
        let gap = series("thread", &[1e6, f64::NAN, 2e6, 3e6]);
        let ends = series("process", &[1e6, 2e6, f64::NAN, f64::NAN]);
        let none = series("smol", &[f64::NAN; 4]);
        let values = numbers(&[1, 2, 4, 8]);
        let chart = Chart::new(&values, &[gap, ends, none], 1.0, time).expect("there are dots");
        let pieces: Vec<_> = chart.lines.iter().map(|line| line.pieces.len()).collect();
        assert_eq!(pieces, [2, 1]);
        assert_eq!(chart.lines[1].name_at.0, chart.across[1].at + 8.0);
        assert!(Chart::new(&values, &[series("smol", &[f64::NAN; 4])], 1.0, time).is_none());
        assert!(Chart::new(&values, &[series("smol", &[0.0; 4])], 1.0, time).is_none());
    }

    #[test]
    fn names_do_not_meet() {
        let all = ["a", "b", "c", "d", "e", "f"].map(|model| series(model, &[1e6, 1e6]));
        let chart = Chart::new(&numbers(&[1, 2]), &all, 1.0, time).expect("there are dots");
        let mut heights: Vec<_> = chart.lines.iter().map(|line| line.name_at.1).collect();
        heights.sort_by(f64::total_cmp);
        assert!(
            heights
                .windows(2)
                .all(|two| two[1] - two[0] >= NAME_HEIGHT - 0.2)
        );
        assert!(heights[0] >= TOP && heights[5] <= BOTTOM);
    }

    #[test]
    fn an_axis_has_round_figures() {
        assert_eq!(round_figures(0.9, 11.0), [1.0, 2.0, 5.0, 10.0]);
        assert_eq!(round_figures(0.9, 1100.0), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(round_figures(2.1, 3.2), [2.5, 3.0]);
    }

    #[test]
    fn the_picture_is_drawn_and_its_texts_escaped() {
        let values = ["<b>", "&"].map(Value::from);
        let chart = Chart::new(&values, &[series("<i>", &[1e6, 2e6])], 1.0, time);
        let svg = chart.expect("there are dots").render().expect("a template");
        assert!(
            svg.contains("<polyline") && svg.contains("1.00 ms"),
            "{svg}"
        );
        for tag in ["<b>", "<i>", "<2"] {
            assert!(!svg.contains(tag), "{svg}");
        }
    }
}
