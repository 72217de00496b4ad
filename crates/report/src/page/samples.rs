//! Every sample of a job, a row a model: where the strokes go. The page's template
//! draws them, in the page's own colors and letters, and with no fonts, scripts or
//! pictures from elsewhere; a plotting library would bring its own.

use std::fmt::Write;

use askama::Template;
use results::{Cell, Models, Time};

use crate::anchors::color;
use crate::chart::{Tick, round_figures, tenth};
use crate::format::time;

/// The samples of one job, as SVG within a page that has its style.
#[derive(Debug, Template)]
#[template(path = "distribution.html")]
pub(crate) struct Distribution {
    /// What to call it within the page.
    pub(crate) id: String,
    /// What it shows.
    pub(crate) title: String,
    /// The same in words.
    pub(crate) description: String,
    /// How high it is.
    pub(crate) height: f64,
    /// What to know about its axis.
    pub(crate) axis: &'static str,
    /// The axis.
    pub(crate) ticks: Vec<Tick>,
    /// The models.
    pub(crate) strips: Vec<Strip>,
}

/// One model's samples, in units of the picture.
#[derive(Debug)]
pub(crate) struct Strip {
    /// The model, short enough for its place.
    pub(crate) name: String,
    /// Which of the page's colors it has.
    pub(crate) color: usize,
    /// Its middle, from the top.
    pub(crate) y: f64,
    /// Its strokes, if it has samples.
    pub(crate) strokes: Option<Strokes>,
    /// What became of it, if it has none.
    pub(crate) status: &'static str,
}

/// Where the samples are, from the left.
#[derive(Debug)]
pub(crate) struct Strokes {
    /// A stroke a sample, as a path.
    pub(crate) samples: String,
    /// From the first quartile ...
    pub(crate) from: f64,
    /// ... this far, to the third.
    pub(crate) wide: f64,
    /// The median.
    pub(crate) median: f64,
    /// From here ...
    pub(crate) low: f64,
    /// ... to here is its 95 % interval.
    pub(crate) high: f64,
}

const LEFT: f64 = 92.0;
const RIGHT: f64 = 376.0;
const ROW: f64 = 26.0;
const TOP: f64 = 4.0;

/// The most letters of a name that have room at the left.
const LONGEST_NAME: usize = 11;

/// From this ratio of the slowest sample to the fastest on, the axis is logarithmic:
/// on a straight one, the fast would all be one stroke.
const WIDE: f64 = 6.0;

impl Distribution {
    /// Of the cells of one job, in the order of its table; nothing without samples.
    pub(crate) fn new(id: &str, job: &str, cells: &[&Cell], models: Models) -> Option<Self> {
        let times = || cells.iter().filter_map(|cell| cell.time.as_ref());
        let scale = Scale::new(times().flat_map(|time| &time.samples_ns))?;
        let strip = |(at, cell): (usize, &&Cell)| Strip {
            name: short(&cell.model),
            color: color(models, &cell.model),
            y: TOP + (at as f64 + 0.5) * ROW,
            strokes: cell.time.as_ref().and_then(|time| scale.strokes(time)),
            status: crate::format::status(cell.status),
        };
        Some(Self {
            id: format!("{id}-samples"),
            title: format!("{job}: every sample's time"),
            description: description(cells),
            height: TOP + cells.len() as f64 * ROW + 24.0,
            axis: scale.about(),
            ticks: scale.ticks(),
            strips: cells.iter().enumerate().map(strip).collect(),
        })
    }
}

/// The medians in words, for readers who do not see the strokes.
fn description(cells: &[&Cell]) -> String {
    let words = |cell: &&Cell| match &cell.time {
        Some(of) => format!(
            "{}: median {}, 95 % interval {} to {}, {} samples.",
            cell.model,
            time(of.median_ns),
            time(of.low_ns),
            time(of.high_ns),
            of.samples_ns.len()
        ),
        None => format!("{}: {}.", cell.model, crate::format::status(cell.status)),
    };
    cells.iter().map(words).collect::<Vec<_>>().join(" ")
}

/// Times on an axis from [`LEFT`] to [`RIGHT`].
struct Scale {
    least: f64,
    most: f64,
    logarithmic: bool,
}

impl Scale {
    /// With room for all of these; nothing if there are none that could be times.
    fn new<'a>(samples: impl Iterator<Item = &'a f64>) -> Option<Self> {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for &sample in samples.filter(|sample| sample.is_finite() && **sample > 0.0) {
            (least, most) = (least.min(sample), most.max(sample));
        }
        if least > most {
            return None;
        }
        let logarithmic = most / least > WIDE;
        // Equal samples have an axis around them.
        let room = if most > least { most - least } else { most };
        let (least, most) = if logarithmic {
            (least / 1.1, most * 1.1)
        } else {
            (least - room * 0.05, most + room * 0.05)
        };
        Some(Self {
            least,
            most,
            logarithmic,
        })
    }

    fn at(&self, ns: f64) -> f64 {
        let part = if self.logarithmic {
            (ns / self.least).ln() / (self.most / self.least).ln()
        } else {
            (ns - self.least) / (self.most - self.least)
        };
        tenth(LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT))
    }

    fn about(&self) -> &'static str {
        if self.logarithmic {
            "logarithmic axis"
        } else {
            "the axis does not begin at 0"
        }
    }

    fn ticks(&self) -> Vec<Tick> {
        let figures = if self.logarithmic {
            round_figures(self.least, self.most)
        } else {
            even_figures(self.least, self.most)
        };
        let tick = |figure: f64| Tick {
            at: self.at(figure),
            text: time(figure),
        };
        let mut ticks: Vec<Tick> = figures.into_iter().map(tick).collect();
        // Three digits may be the same twice, and letters need room.
        ticks.dedup_by(|next, last| next.text == last.text || next.at - last.at < 54.0);
        ticks
    }

    fn strokes(&self, time: &Time) -> Option<Strokes> {
        let mut samples = time.samples_ns.clone();
        samples.sort_by(f64::total_cmp);
        let quartile = |part: f64| {
            let last = samples.len().checked_sub(1)?;
            Some(self.at(samples[(last as f64 * part).round() as usize]))
        };
        let (from, to) = (quartile(0.25)?, quartile(0.75)?);
        let places = samples.iter().map(|&sample| half(self.at(sample)));
        Some(Strokes {
            samples: path(places),
            from,
            wide: tenth(to - from),
            median: self.at(time.median_ns),
            low: self.at(time.low_ns),
            high: self.at(time.high_ns),
        })
    }
}

/// Strokes at these places, which go up: one stroke at each, and each drawn from
/// where the last one ended, as there may be thousands on a page.
fn path(places: impl Iterator<Item = f64>) -> String {
    let mut path = String::new();
    let mut last: Option<f64> = None;
    for place in places {
        // Writing to a string cannot fail.
        let _ = match last {
            None => write!(path, "M{place} 0v16"),
            Some(last) if place > last => write!(path, "m{}-16v16", place - last),
            Some(_) => continue,
        };
        last = Some(place);
    }
    path
}

/// A few figures at equal distances, as round as they can be.
fn even_figures(least: f64, most: f64) -> Vec<f64> {
    const ABOUT: f64 = 5.0;
    let rough = (most - least) / ABOUT;
    let tens = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * tens);
    let step = steps.into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(10.0 * tens);
    let first = (least / step).ceil() as i64;
    let last = (most / step).floor() as i64;
    (first..=last).map(|times| times as f64 * step).collect()
}

/// A name that fits.
pub(crate) fn short(name: &str) -> String {
    match name.chars().count() {
        letters if letters <= LONGEST_NAME => name.to_owned(),
        _ => name.chars().take(LONGEST_NAME - 1).chain(['…']).collect(),
    }
}

/// A stroke is twice as wide.
fn half(place: f64) -> f64 {
    (place * 2.0).round() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_fits_the_samples() {
        let near = Scale::new([19.6e6, 20.3e6].iter()).expect("there are samples");
        assert!(!near.logarithmic);
        assert!(near.at(19.6e6) > LEFT && near.at(20.3e6) < RIGHT);
        let texts: Vec<_> = near.ticks().into_iter().map(|tick| tick.text).collect();
        assert_eq!(texts, ["19.6 ms", "19.8 ms", "20.0 ms", "20.2 ms"]);
        let far = Scale::new([1e6, 1e9].iter()).expect("there are samples");
        assert!(far.logarithmic);
        assert!((far.at(1e6 * 1000f64.sqrt()) - (LEFT + RIGHT) / 2.0).abs() < 0.2);
        let same = Scale::new([5e6, 5e6].iter()).expect("there are samples");
        assert!((same.at(5e6) - (LEFT + RIGHT) / 2.0).abs() < 0.2);
        assert!(Scale::new([f64::NAN, 0.0].iter()).is_none());
    }

    #[test]
    fn samples_in_one_place_are_one_stroke() {
        let scale = Scale::new([1e6, 2e6].iter()).expect("there are samples");
        let time = Time {
            median_ns: 1.5e6,
            low_ns: 1.4e6,
            high_ns: 1.6e6,
            samples_ns: vec![2e6, 1e6, 1e6 + 0.1, 1.5e6],
            rounds: vec![4],
        };
        let strokes = scale.strokes(&time).expect("there are samples");
        assert_eq!(strokes.samples.matches("v16").count(), 3, "{strokes:?}");
        assert_eq!(
            path([92.5, 92.5, 100.0].into_iter()),
            "M92.5 0v16m7.5-16v16"
        );
        assert!(strokes.low < strokes.median && strokes.median < strokes.high);
    }

    #[test]
    fn long_names_are_cut_between_letters() {
        assert_eq!(short("async-std"), "async-std");
        assert_eq!(short("ääääääääääääääää"), "ääääääääää…");
    }
}
