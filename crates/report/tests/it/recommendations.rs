//! Which model for which work: rankings follow the data, and say where these do not
//! answer.

use crate::comparisons::{swept, unknown};
use report::findings::recommendations::{Ranking, Recommendations, recommendations};
use report::page;
use results::Status;
use results::fixture::Builder;
use serde_json::json;

fn ranking<'a>(choose: &'a Recommendations, kind: &str, scale: &str, by: &str) -> &'a Ranking {
    let kind = choose.kinds.iter().find(|known| known.id == kind);
    let mut questions = kind.expect("the kind").questions.iter();
    let question = questions.find(|question| question.scale.starts_with(scale));
    let mut rankings = question.expect("the scale").rankings.iter();
    rankings
        .find(|ranking| ranking.by == by)
        .expect("the figure")
}

fn ranks(ranking: &Ranking) -> Vec<(Option<usize>, &str)> {
    let places = ranking.places.iter();
    places.map(|place| (place.rank, &*place.model)).collect()
}

#[test]
fn verdicts_rank_by_time_and_ties_share() {
    let times = [
        ("serial", 9.0),
        ("thread", 2.0),
        ("tokio", 2.0),
        ("smol", 3.0),
    ];
    let images = json!({"images": 100});
    let builder = Builder::new().job("download", "article", images, &times);
    let choose = recommendations(&swept(builder));
    let by_time = ranking(&choose, "download", "download article: images=100", "time");
    assert_eq!(
        by_time.answer,
        "thread or tokio: fastest, and no difference between them. Next is smol, with 1.50× of that."
    );
    let expected = [
        (Some(1), "thread"),
        (Some(1), "tokio"),
        (Some(3), "smol"),
        (Some(4), "serial"),
    ];
    assert_eq!(ranks(by_time), expected);
}

#[test]
fn what_an_interval_leaves_open_cannot_be_told() {
    let times = [("thread", 2.0), ("tokio", 2.1), ("smol", 3.0)];
    let builder = Builder::new().job("echo", "heavy", json!({}), &times);
    let answer = |one: &str, other: &str| {
        let mut comparison = builder.clone().build();
        unknown(&mut comparison, one, other);
        let choose = recommendations(&comparison);
        let by_time = ranking(&choose, "connections", "echo heavy", "time");
        (by_time.answer.clone(), choose.pairs[0].summary.clone())
    };
    let (first, pair) = answer("thread", "tokio");
    assert_eq!(
        first,
        "Cannot be told: thread or tokio. None is shown to be faster than these. Next is smol, \
         with 1.50× of that."
    );
    assert!(
        pair.ends_with("0 show no difference, and 1 cannot be told"),
        "{pair}"
    );
    let (first, _) = answer("tokio", "smol");
    assert_eq!(first, "thread: fastest. Next is tokio, with 1.05× of that.");
}

#[test]
fn without_verdicts_there_is_an_order_and_no_rank() {
    let times = [("thread", 2.0), ("tokio", 1.0)];
    let builder = Builder::new().job_in_rounds("primes", "heavy", json!({}), &times, 1);
    let choose = recommendations(&swept(builder));
    let by_time = ranking(&choose, "cpu", "primes heavy", "time");
    assert!(
        by_time.answer.starts_with("Cannot be told"),
        "{}",
        by_time.answer
    );
    assert!(by_time.answer.contains("takes 5 rounds and this had 1"));
    assert_eq!(ranks(by_time), [(None, "tokio"), (None, "thread")]);
}

#[test]
fn memory_ranks_by_a_tenth_and_names_what_is_missing() {
    let times = [
        ("thread", 1.0),
        ("tokio", 1.0),
        ("smol", 1.0),
        ("process", 1.0),
    ];
    let builder = Builder::new()
        .job("echo", "heavy", json!({"connections": 1000}), &times)
        .without(
            "process",
            Status::Unsupported,
            "at most 256 <b>children</b>",
        )
        .with("thread", |cell| {
            cell.resources.peak_memory_bytes = Some(2_000_000)
        })
        .with("tokio", |cell| {
            cell.resources.peak_memory_bytes = Some(1_000_000)
        })
        .with("smol", |cell| {
            cell.resources.peak_memory_bytes = Some(1_090_000)
        });
    let comparison = swept(builder);
    let choose = recommendations(&comparison);
    let by_memory = ranking(&choose, "connections", "echo heavy", "memory");
    let expected = [(Some(1), "tokio"), (Some(1), "smol"), (Some(3), "thread")];
    assert_eq!(ranks(by_memory), expected);
    assert_eq!(choose.kinds.len(), 1, "only what was measured is asked");
    let missing = &choose.kinds[0].questions[0].missing;
    assert_eq!(
        *missing,
        ["process: unsupported: at most 256 <b>children</b>"]
    );
    let page = page::page(&comparison).expect("a page");
    assert!(!page.contains("<b>children"), "reasons are escaped");
}

#[test]
fn a_unit_costs_what_its_ring_and_its_sleepers_tell() {
    let times = [("process", 2.0), ("tokio", 1.0)];
    let builder = Builder::new()
        .job("sleepers", "article", json!({"units": 100}), &times)
        .job(
            "ping-pong",
            "article",
            json!({"units": 2, "passes": 10}),
            &times,
        )
        .job(
            "ping-pong",
            "heavy",
            json!({"units": 102, "passes": 1000}),
            &times,
        )
        .with("process", |cell| {
            cell.resources.peak_memory_bytes = Some(101 << 20);
            cell.resources.peak_with_kernel_bytes = Some(152 << 20);
        })
        .with("process", |cell| cell.start_ns = Some(150_000_000));
    let choose = recommendations(&swept(builder));
    let units: Vec<_> = choose.units.iter().map(|unit| &*unit.model).collect();
    assert_eq!(units, ["process", "tokio"]);
    let process = &choose.units[0];
    assert_eq!(process.memory, "1.00 MiB");
    assert_eq!(process.with_kernel, "1.50 MiB");
    assert_eq!(process.between, "2 and 102 of ping-pong");
    assert_eq!((&*process.pass, &*process.start), ("2.00 µs", "150 ms"));
}

#[test]
fn a_custom_command_is_not_ranked() {
    let builder = Builder::new()
        .job(
            "fetch",
            "heavy",
            json!({}),
            &[("curl", 1.0), ("tokio", 2.0), ("thread", 3.0)],
        )
        .with("curl", |cell| cell.command = Some("curl {urls}".to_owned()));
    let choose = recommendations(&swept(builder));
    let by_time = ranking(&choose, "requests", "fetch heavy", "time");
    assert_eq!(ranks(by_time), [(Some(1), "tokio"), (Some(2), "thread")]);
}

#[test]
fn a_sweep_says_from_which_size_on() {
    let builder = Builder::new().sweep(
        "sleepers",
        "units",
        &[
            (100, &[("thread", 1.0), ("tokio", 1.0), ("smol", 2.0)]),
            (1000, &[("thread", 5.0), ("tokio", 2.0), ("smol", 2.0)]),
            (10_000, &[("thread", 90.0), ("tokio", 9.0), ("smol", 8.0)]),
        ],
    );
    let choose = recommendations(&swept(builder));
    let waiting = choose.kinds.iter().find(|kind| kind.id == "waiting");
    let curve = &waiting.expect("the kind").sweeps[0];
    assert_eq!(curve.anchor, "sweep-sleepers.units");
    assert_eq!(
        curve.sentences,
        [
            "thread is first up to units = 100, and behind from 1000 on.",
            "tokio is first up to units = 1000, and behind from 10000 on.",
            "smol is behind up to units = 100, and first from 1000 on.",
        ]
    );
}

#[test]
fn two_models_are_held_against_each_other_and_said_what_they_share() {
    let job = json!({});
    let builder = Builder::new()
        .job(
            "primes",
            "heavy",
            job.clone(),
            &[("async-std", 1.0), ("smol", 1.0)],
        )
        .job(
            "pipeline",
            "heavy",
            job.clone(),
            &[("async-std", 1.0), ("smol", 3.0)],
        )
        .job("echo", "heavy", job, &[("async-std", 3.0), ("smol", 2.0)]);
    let choose = recommendations(&swept(builder));
    let [pair] = &choose.pairs[..] else {
        panic!("{:?}", choose.pairs);
    };
    assert!(pair.summary.contains(
        "of 3 jobs, async-std is faster in 1, smol in 1; 1 show no difference, and 0 cannot"
    ));
    assert!(pair.made_of.contains("They share one engine"));
    assert_eq!(
        pair.differences,
        [
            "pipeline heavy: async-std is 3.00× as fast",
            "echo heavy: smol is 1.50× as fast",
        ]
    );
}

/// Every way within the page leads somewhere.
#[test]
fn every_link_within_the_page_has_its_end() {
    let builder = Builder::new()
        .job(
            "primes",
            "heavy",
            json!({"start": 1}),
            &[("thread", 1.0), ("tokio", 2.0)],
        )
        .job(
            "counter",
            "heavy-racy",
            json!({"guard": "racy"}),
            &[("thread", 1.0), ("smol", 1.0)],
        )
        .sweep(
            "counter",
            "workers",
            &[
                (1, &[("thread", 1.0), ("tokio", 2.0)]),
                (2, &[("thread", 2.0), ("tokio", 1.0)]),
            ],
        );
    let page = page::page(&swept(builder)).expect("a page");
    let links: Vec<_> = page.split("href=\"#").skip(1).collect();
    assert!(links.len() > 10, "{}", links.len());
    for link in links {
        let anchor = link.split('"').next().expect("it ends");
        let end = format!("id=\"{anchor}\"");
        assert!(page.contains(&end), "nothing has {end}");
    }
}
