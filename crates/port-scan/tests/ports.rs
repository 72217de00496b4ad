//! Sets of ports, as text and as numbers.

use std::collections::BTreeSet;

use port_scan::Ports;
use proptest::prelude::*;

#[test]
fn text_is_read_and_written() {
    for (text, written, len) in [
        ("", "", 0),
        ("80", "80", 1),
        ("1-65535", "1-65535", 65_535),
        ("22,80,8000-8100", "22,80,8000-8100", 103),
        ("80,22", "22,80", 2),
        ("1-3,2-5,5", "1-5", 5),
        ("7,8,9", "7-9", 3),
        ("65535,65534", "65534-65535", 2),
        ("0080", "80", 1),
    ] {
        let ports: Ports = text.parse().expect(text);
        assert_eq!(ports.to_string(), written);
        assert_eq!((ports.len(), ports.is_empty()), (len, len == 0), "{text}");
    }
}

#[test]
fn what_is_no_port_is_named() {
    for (text, named) in [
        ("0", "0"),
        ("65536", "65536"),
        ("80,http", "http"),
        ("80,", ""),
        ("9-8", "9-8"),
        ("1-", "1-"),
        ("-1", "-1"),
        ("+1", "+1"),
        ("1-2-3", "1-2-3"),
        (" 80", " 80"),
        ("0-9", "0-9"),
    ] {
        let refused = text.parse::<Ports>().expect_err(text).to_string();
        assert!(
            refused.starts_with(&format!("{named:?} is no port")),
            "{refused}"
        );
        assert!(refused.contains("1 to 65535"), "{refused}");
    }
}

proptest! {
    #[test]
    fn it_is_a_set(
        some in prop::collection::vec(1..=u16::MAX, 0..80),
        others in prop::collection::vec(1..300u16, 0..80),
    ) {
        let set: BTreeSet<u16> = some.iter().chain(&others).copied().collect();
        let ports: Ports = some.iter().chain(&others).copied().collect();
        prop_assert!(ports.iter().eq(set.iter().copied()));
        prop_assert_eq!(ports.len(), set.len());
        prop_assert_eq!(&ports.to_string().parse::<Ports>().expect("its own text"), &ports);
        for port in 1..=400 {
            prop_assert_eq!(ports.contains(port), set.contains(&port));
        }
        let others: Ports = others.into_iter().collect();
        let left = ports.without(&others);
        prop_assert!(left.iter().all(|port| set.contains(&port) && !others.contains(port)));
        prop_assert_eq!(left.len() + others.len(), set.len());
    }
}
