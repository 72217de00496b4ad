//! From which size of a share on another machine pays: in *Choose*, as a row of the claims, and on
//! a terminal; and nowhere if no model has nodes.

use report::findings::claims::{self, Answer};
use report::findings::recommendations::recommendations;
use report::{markdown, page, words};
use results::fixture::Builder;
use results::{Comparison, Point, Status};
use serde_json::json;

use crate::comparisons::swept;

use Answer::{CannotBeTold, DoesNotHold, Holds};

const NO_SERVER: &str = "no nats-server (Debian: apt-get install nats-server)";

/// Of each size of a share, how many milliseconds the children and the nodes take: all have two
/// cores together, and a number takes a tenth of a millisecond.
type Times<'a> = &'a [(u64, f64, f64)];

fn with_shares(mut builder: Builder, times: Times) -> Builder {
    for &(share, process, cluster) in times {
        let job = json!({"start": 1000, "end": 9000, "workers": 4, "share": share});
        let times = [("process", process), ("cluster", cluster)];
        builder = builder.job("primes", &format!("heavy share={share}"), job, &times);
        for (model, _) in times {
            builder = builder.with(model, |cell| {
                cell.point = Some(Point {
                    key: "share".to_owned(),
                    value: share.into(),
                });
            });
        }
    }
    builder
}

fn halves(times: Times) -> Comparison {
    swept(with_shares(Builder::new().nodes(4, Some(0.5)), times))
}

/// What is said in all places, which has to be the same.
#[track_caller]
fn said(comparison: &Comparison) -> (Answer, Vec<String>) {
    let claims = claims::claims(comparison);
    let claim = claims.iter().find(|claim| claim.id == "another-machine");
    let claim = claim.expect("nodes took part");
    let choose = recommendations(comparison);
    let kind = choose.kinds.iter().find(|kind| kind.id == "more-machines");
    let kind = kind.expect("nodes took part");
    assert_eq!(kind.machines, claim.measured);
    assert!(!kind.questions.is_empty());
    (claim.answer, claim.measured.clone())
}

#[track_caller]
fn expect(comparison: &Comparison, answer: Answer, says: &str) {
    let (given, sentences) = said(comparison);
    assert_eq!((given, &*sentences[0]), (answer, says), "{sentences:#?}");
}

const SMALL: (u64, f64, f64) = (1, 400.0, 1600.0);

#[test]
fn it_pays_from_some_size_on() {
    let comparison = halves(&[
        SMALL,
        (16, 400.0, 800.0),
        (64, 400.0, 450.0),
        (256, 400.0, 440.0),
    ]);
    let (answer, sentences) = said(&comparison);
    assert_eq!(answer, Holds);
    assert_eq!(
        sentences,
        [
            "Another machine pays from share = 64 (6.40 ms of work) on, and not at share = 16 \
             (1.60 ms of work).",
            "share = 1 (100 µs of work): 4 nodes do 1.00× the work of one (0.98× to 1.02×)",
            "share = 16 (1.60 ms of work): 4 nodes do 2.00× the work of one (1.96× to 2.04×)",
            "share = 64 (6.40 ms of work): 4 nodes do 3.56× the work of one (3.49× to 3.63×)",
            "share = 256 (25.6 ms of work): 4 nodes do 3.64× the work of one (3.56× to 3.71×)",
            "One does what process does here with 2 cores, in proportion to 0.5 cores' time. The \
             nodes shared this machine's cores with their parent and the server, which counts \
             against them; a network's delays for each share are missing.",
        ]
    );
    let page = page::page(&comparison).expect("a page");
    for says in [
        "value=\"more-machines\">More than one machine</option>",
        "<b>Does another machine pay?</b>",
        "id=\"claim-another-machine\"",
        "What one of these does is what process does",
        "4 nodes with 0.5 cores&#39; time each",
    ] {
        assert!(page.contains(says), "no {says} in the page");
    }
    let document = markdown::document(&comparison);
    assert!(document.contains("## More than one machine"), "{document}");
    assert!(document.contains("4 nodes with 0.5 cores' time each"));
    let summaries = words::summaries_with_claims(&comparison);
    assert_eq!(summaries[0].lines, sentences);
}

#[test]
fn what_is_too_close_is_not_told() {
    let large = (256, 400.0, 440.0);
    expect(
        &halves(&[SMALL, (64, 400.0, 500.0), large]),
        Holds,
        "Another machine pays from share = 256 (25.6 ms of work) on, and not at share = 1 (100 µs \
         of work); it cannot be told at share = 64.",
    );
    expect(
        &halves(&[(64, 400.0, 500.0), large]),
        Holds,
        "Another machine pays from share = 256 (25.6 ms of work) on; it cannot be told at share = \
         64.",
    );
    // It pays at one of those below.
    expect(
        &halves(&[(16, 400.0, 440.0), (64, 400.0, 500.0), large]),
        Holds,
        "Another machine pays from share = 256 (25.6 ms of work) on; it cannot be told at share = \
         64.",
    );
    expect(
        &halves(&[SMALL, (64, 400.0, 500.0)]),
        CannotBeTold,
        "Cannot be told: it is too close at share = 64 (6.40 ms of work), the largest share.",
    );
}

#[test]
fn it_pays_nowhere_or_everywhere() {
    expect(
        &halves(&[SMALL, (64, 400.0, 800.0)]),
        DoesNotHold,
        "Up to share = 64 (6.40 ms of work), the largest share, 4 nodes do less than 0.8 of the \
         work of 4 machines, so by this rule another does not pay.",
    );
    // Smaller ones where it pays, or where it cannot be told.
    for smaller in [(16, 400.0, 440.0), (16, 400.0, 500.0)] {
        expect(
            &halves(&[smaller, (64, 400.0, 800.0)]),
            DoesNotHold,
            "At share = 64 (6.40 ms of work), the largest share, 4 nodes do less than 0.8 of the \
             work of 4 machines, so by this rule another does not pay.",
        );
    }
    expect(
        &halves(&[(16, 400.0, 440.0), (64, 400.0, 440.0)]),
        Holds,
        "Another machine pays from share = 16 (1.60 ms of work) on.",
    );
}

/// What a number takes is known best from the largest share. That it is 0 is no size.
#[test]
fn the_order_of_the_sweep_does_not_count() {
    let sizes = [(16, 800.0, 1600.0), (64, 400.0, 450.0)];
    let ascending = said(&halves(&sizes));
    let says = "share = 16 (1.60 ms of work): ";
    assert!(ascending.1[1].starts_with(says), "{ascending:#?}");
    let descending = [sizes[1], sizes[0], (0, 4000.0, 4000.0)];
    assert_eq!(said(&halves(&descending)), ascending);
    expect(
        &halves(&descending[2..]),
        CannotBeTold,
        "Cannot be told: primes.share was not swept.",
    );
}

/// Two nodes with half a core each have one core of two, and take twice the time for that; without
/// a limit they have both.
#[test]
fn the_cores_that_nodes_have_count() {
    for (cores_each, cluster) in [(Some(0.5), 900.0), (None, 450.0), (Some(8.0), 450.0)] {
        let builder = Builder::new().nodes(2, cores_each);
        let comparison = swept(with_shares(builder, &[(64, 400.0, cluster)]));
        let (answer, sentences) = said(&comparison);
        assert_eq!(answer, Holds, "{sentences:#?}");
        let says = "2 nodes do 1.78× the work of one";
        assert!(sentences[1].contains(says), "{sentences:#?}");
    }
}

#[test]
fn without_data_it_cannot_be_told() {
    let times = [("process", 4.0), ("cluster", 8.0)];
    let heavy = |builder: Builder| builder.job("primes", "heavy", json!({}), &times);
    let unswept = swept(heavy(Builder::new().nodes(2, None)));
    let says = "Cannot be told: primes.share was not swept.";
    expect(&unswept, CannotBeTold, says);
    assert!(words::summaries_with_claims(&unswept).is_empty());

    let one = with_shares(Builder::new().nodes(1, None), &[(64, 400.0, 450.0)]);
    expect(
        &swept(one),
        CannotBeTold,
        "Cannot be told: there was a single node.",
    );

    let builder = with_shares(Builder::new().nodes(4, None), &[(64, 400.0, 450.0)]);
    let without = builder.without("cluster", Status::Unsupported, NO_SERVER);
    let comparison = swept(without);
    expect(
        &comparison,
        CannotBeTold,
        "Cannot be told at share = 64 (6.40 ms of work): cluster at primes heavy share=64: \
         unsupported.",
    );
    let page = page::page(&comparison).expect("a page");
    assert!(page.contains(&format!("cluster: unsupported: {NO_SERVER}")));

    // Nothing is said where no model has nodes, though one is known.
    let times = [("process", 4.0), ("tokio", 4.0)];
    let without = Builder::new().job("primes", "heavy", json!({}), &times);
    for comparison in [swept(without.clone()), swept(without.nodes(2, None))] {
        let page = page::page(&comparison).expect("a page");
        for says in ["another-machine", "more-machines"] {
            assert!(!page.contains(says), "{says}");
        }
    }
}
