//! Comparisons that more than one test looks at.

use results::fixture::MODELS;
use results::fixture::{Builder, cell, scattered};
use results::{Cell, Comparison, Completion, Point, ServerBound, Status, Verdict};
use serde_json::json;
use suite::Workload;

/// A name that would run, or break out of, whatever forgets to escape it.
pub const HOSTILE: &str = "<script>hacked=1</script>\"'&`<!--${hacked=1}";

/// A name that is written from right to left, and turns around what follows.
pub const RIGHT_TO_LEFT: &str = "\u{202e}מודל\u{202e} shout";

/// A name that is longer than any column.
pub const ENDLESS: &str = "an-endless-name-an-endless-name-an-endless-name-an-endless-name-\
    an-endless-name-an-endless-name-an-endless-name-an-endless-name";

/// A reason from outside.
pub const REASON: &str = "</p><img src=x onerror=hacked=1> it crashed";

/// Makes the interval of these two so wide that it tells nothing.
pub fn unknown(comparison: &mut Comparison, one: &str, other: &str) {
    let pairs = comparison.verdicts.iter_mut().flat_map(|of| &mut of.pairs);
    for pair in pairs {
        if [&*pair.model, &*pair.other] == [one, other] {
            (pair.judged.low, pair.judged.high) = (0.2, 5.0);
            pair.judged.verdict = Verdict::CannotTell;
        }
    }
}

/// The comparison with its sweeps.
pub fn swept(builder: Builder) -> Comparison {
    let mut comparison = builder.build();
    comparison.sweeps = analysis::crossovers::sweeps(&comparison.cells, &comparison.verdicts);
    comparison
}

fn without(workload: &str, label: &str, model: &str, status: Status) -> Cell {
    Cell {
        status,
        reason: Some(REASON.to_owned()),
        ..cell(workload, label, model)
    }
}

fn at_point(cell: Cell, key: &str, value: u64) -> Cell {
    Cell {
        point: Some(Point {
            key: key.to_owned(),
            value: value.into(),
        }),
        ..cell
    }
}

/// Ties, a drift, failures, what is unsupported, custom commands with names of
/// their own choice, both presets, and a sweep with a crossover and an end.
pub fn everything() -> Comparison {
    use Status::{Failed, Unsupported, WrongAnswer};
    let timed = |workload: &str, label: &str, model: &str, ms: f64| Cell {
        job: json!({"workers": 4, "into": "/a place/<b>"}),
        ..scattered(workload, label, model, ms * 1e6, (5, 0.0))
    };
    let mut cells = vec![
        timed("primes", "article", "serial", 1.2),
        timed("primes", "article", "tokio", 1.9),
        timed("primes", "heavy", "serial", 40.0),
        timed("primes", "heavy", "thread", 20.0),
        scattered("primes", "heavy", "process", 21.5e6, (5, 0.06)),
        timed("primes", "heavy", "tokio", 20.1),
        timed("primes", "heavy", "async-std", 20.9),
        timed("primes", "heavy", "smol", 900.0),
        timed("download", "heavy", "serial", 84.0),
        Cell {
            completion: Some(Completion {
                items: 100,
                runs: 5,
                p50_ns: 1_000_000,
                p90_ns: 2_000_000,
                p99_ns: 3_000_000,
                max_ns: 4_000_000,
            }),
            ..timed("download", "heavy", "thread", 30.0)
        },
        without("download", "heavy", "process", Failed),
        without("download", "heavy", "tokio", WrongAnswer),
        timed("download", "heavy", "async-std", 46.0),
        Cell {
            origin_bound: true,
            origin_bound_by: Some(ServerBound::Link),
            ..timed("download", "heavy", "smol", 42.0)
        },
    ];
    let commands = [(HOSTILE, 50.0), (RIGHT_TO_LEFT, 60.0), (ENDLESS, 70.0)];
    cells.extend(commands.map(|(name, ms)| Cell {
        command: Some(format!("{name} {{urls}}")),
        ..timed("download", "heavy", name, ms)
    }));
    cells.extend([
        without("sleepers", "heavy", "serial", Unsupported),
        timed("sleepers", "heavy", "thread", 1090.0),
        without("sleepers", "heavy", "process", Unsupported),
        timed("sleepers", "heavy", "tokio", 510.0),
    ]);
    for (units, thread, tokio) in [(10, 1.0, 2.0), (100, 2.0, 2.4), (1000, 9.0, 3.0)] {
        let label = format!("heavy-units={units}");
        let process = if units < 100 {
            timed("sleepers", &label, "process", 4.0)
        } else {
            without("sleepers", &label, "process", Unsupported)
        };
        let points = [
            timed("sleepers", &label, "thread", thread),
            timed("sleepers", &label, "tokio", tokio),
            process,
        ];
        cells.extend(points.map(|point| Cell {
            job: json!({"units": units, "wait_ms": 1}),
            ..at_point(point, "units", units)
        }));
    }
    let builder = Builder::new().models(&MODELS).cells(cells);
    let mut comparison = swept(builder.of_run(|comparison| {
        comparison.run.interrupted = true;
        comparison.run.notes = vec![REASON.to_owned()];
        comparison.host.cpu = HOSTILE.to_owned();
        comparison.host.os = "<i>".to_owned();
        let version = ("tokio".to_owned(), HOSTILE.to_owned());
        comparison.versions = [version].into();
    }));
    let mut verdicts = comparison.verdicts.iter_mut();
    let primes = verdicts.find(|of| (&*of.workload, &*of.label) == ("primes", "heavy"));
    primes.expect("it was timed").drifting = vec!["process".to_owned()];
    comparison
}

/// As many cells and samples as an hour is enough for, and no two alike.
pub fn thorough() -> Comparison {
    const ROUNDS: (usize, f64) = (20, 0.001);
    let mut cells = Vec::new();
    for &workload in Workload::ALL {
        for (at, label) in ["article", "heavy"].into_iter().enumerate() {
            for (place, model) in MODELS.into_iter().enumerate() {
                let base = 1.234_567e6 * (at + 1) as f64 * (place + 3) as f64;
                cells.push(scattered(workload.name(), label, model, base, ROUNDS));
            }
        }
    }
    for (workload, key) in [
        ("counter", "workers"),
        ("primes", "workers"),
        ("download", "limit"),
        ("sleepers", "units"),
    ] {
        for value in [1, 2, 4, 8, 16, 32, 64] {
            let label = format!("heavy-{key}={value}");
            cells.extend(MODELS.into_iter().enumerate().map(|(place, model)| {
                let base = 1.234_567e6 * value as f64 * (place + 3) as f64;
                let point = scattered(workload, &label, model, base, ROUNDS);
                at_point(point, key, value)
            }));
        }
    }
    swept(Builder::new().models(&MODELS).cells(cells))
}
