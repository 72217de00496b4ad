//! Figures as people read them: three digits that matter, and a unit.

use results::Status;
pub(crate) use results::percent;
use serde_json::Value;
use suite::setting_text;

/// What a figure that is missing reads.
pub const NONE: &str = "-";

/// A time: `1.23 µs`, `45.6 ms`, `2.00 s`.
pub fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// An amount of memory: `512 KiB`, `6.58 MiB`.
pub fn memory(bytes: u64) -> String {
    let kib = bytes as f64 / 1024.0;
    let (value, unit) = match kib {
        kib if kib < 1024.0 => (kib, "KiB"),
        kib if kib < 1024.0 * 1024.0 => (kib / 1024.0, "MiB"),
        kib => (kib / (1024.0 * 1024.0), "GiB"),
    };
    format!("{} {unit}", three_digits(value))
}

/// How many times as much: `0.52×`, `12.3×`.
pub(crate) fn ratio(ratio: f64) -> String {
    format!("{}×", three_digits(ratio))
}

/// A number of things: `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A bare number: `0.52`, `12.3`, `917`.
pub(crate) fn three_digits(value: f64) -> String {
    let decimals = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A cell's status in words.
pub(crate) fn status(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::WrongAnswer => "wrong answer",
        Status::Failed => "failed",
        Status::Unsupported => "unsupported",
    }
}

/// `1 core`, `2 cores`.
pub(crate) fn counted(number: usize, what: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {what}{end}")
}

/// What it means that models are kept to some cores.
pub(crate) fn kept_to(number: usize) -> String {
    format!(
        "kept to {}, with one worker thread a core",
        counted(number, "core")
    )
}

/// Parameters as `--set` takes them; long lists in short.
pub(crate) fn parameters(job: &Value) -> String {
    const LONGEST: usize = 40;
    let keys = job.as_object().into_iter().flatten();
    let known = keys.filter(|(_, value)| !value.is_null() && !setting_text(value).is_empty());
    let shown = known.map(|(key, value)| match value {
        Value::Array(list) if setting_text(value).len() > LONGEST => {
            format!("{key}=({} values)", list.len())
        }
        _ => format!("{key}={}", setting_text(value)),
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        for (ns, text) in [
            (0.0, "0.00 ns"),
            (31.25, "31.2 ns"),
            (1234.0, "1.23 µs"),
            (9_996.0, "10.0 µs"),
            (45_600_000.0, "45.6 ms"),
            (2e9, "2.00 s"),
            (144e9, "144 s"),
        ] {
            assert_eq!(time(ns), text);
        }
        assert_eq!(memory(6_900_000), "6.58 MiB");
        assert_eq!(memory(1024), "1.00 KiB");
        assert_eq!(ratio(0.519), "0.52×");
        assert_eq!(percent(0.0123), "1.2 %");
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
    }
}
