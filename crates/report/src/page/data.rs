//! The comparison within its page, for programs.

use anyhow::Context;
use results::Comparison;
use serde_json::Value;

/// How many digits of a sample are kept here: a hundredth of a percent is less than
/// any two samples differ by, and a page with the whole of them would be too large.
const DIGITS: i32 = 5;

/// The comparison as JSON that may stand within HTML: no text in it ends its
/// element, begins a comment, or turns its surroundings around. It is what
/// `comparison.json` is, with [`DIGITS`] digits of each sample.
///
/// # Errors
///
/// When it cannot be JSON, which only a bug could bring about.
pub(crate) fn embedded(comparison: &Comparison) -> anyhow::Result<String> {
    let mut data = serde_json::to_value(comparison).context("results as JSON")?;
    let cells = data["cells"].as_array_mut().into_iter().flatten();
    for cell in cells {
        // Whatever has samples has them under this name.
        let figures = cell.as_object_mut().into_iter().flatten();
        for (_, figure) in figures {
            let samples = figure.get_mut("samples_ns").and_then(Value::as_array_mut);
            samples.into_iter().flatten().for_each(round);
        }
    }
    let json = data.to_string();
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // Outside of texts, JSON has none of these.
            c if c == '<' || turns_text(c) => safe += &format!("\\u{:04x}", u32::from(c)),
            c => safe.push(c),
        }
    }
    Ok(safe)
}

fn round(sample: &mut Value) {
    let Some(ns) = sample.as_f64().filter(|ns| ns.is_normal()) else {
        return;
    };
    let digits = ns.abs().log10().floor() as i32 + 1;
    let rounded = match DIGITS - digits {
        places @ 0.. => (ns * 10f64.powi(places)).round() / 10f64.powi(places),
        zeros => (ns / 10f64.powi(-zeros)).round() * 10f64.powi(-zeros),
    };
    // An integer is written without a `.0`.
    *sample = if rounded.fract() == 0.0 && rounded.abs() < 2f64.powi(53) {
        Value::from(rounded as i64)
    } else {
        Value::from(rounded)
    };
}

/// Whether a character sets the direction of what follows it, until another one
/// ends that. Those that only have a direction of their own do no harm.
pub(crate) fn turns_text(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_keep_five_digits() {
        for (ns, text) in [
            (1_234_567.891_234, "1234600"),
            (99_999.6, "100000"),
            (31.256_789, "31.257"),
            (0.012_345_678, "0.012346"),
            (1.091_234_5e9, "1091200000"),
            (0.0, "0.0"),
        ] {
            let mut sample = Value::from(ns);
            round(&mut sample);
            assert_eq!(sample.to_string(), text);
        }
    }
}
