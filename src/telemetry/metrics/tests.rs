//! What is counted and set is what is shown.

use std::time::Duration;

use super::counters::{MESSAGES, PROTOCOLS, REASONS};
use super::*;
use crate::outcome::{DropReason, Message, Note, Outcome, Protocol, Verdict};

fn outcome(protocol: Protocol, message: Message, verdict: Verdict) -> Outcome {
    Outcome { protocol, message, verdict }
}

/// Returns the series of `metrics` whose line begins with `name`.
fn series(metrics: &Metrics, name: &str) -> Vec<String> {
    metrics.render().lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}

#[test]
fn every_verdict_is_counted_in_its_place() {
    let metrics = Metrics::new().unwrap();
    let blue = metrics.network("blue");
    for verdict in [
        Verdict::Replied(Message::Offer),
        Verdict::Replied(Message::Offer),
        Verdict::Dropped(DropReason::BadOption),
    ] {
        blue.count(&outcome(Protocol::Dhcpv4, Message::Discover, verdict));
    }
    for (protocol, message, note) in [
        (Protocol::Arp, Message::Rarp, Note::Arrived),
        (Protocol::Nd, Message::RouterAdvertisement, Note::ForeignServer),
        (Protocol::Dhcpv4, Message::Release, Note::Released),
    ] {
        blue.count(&outcome(protocol, message, Verdict::Noted(note)));
    }
    assert_eq!(
        series(&metrics, "leasehold_requests_total"),
        [
            r#"leasehold_requests_total{network="blue",protocol="dhcpv4",message="discover"} 3"#,
            r#"leasehold_requests_total{network="blue",protocol="dhcpv4",message="release"} 1"#,
            r#"leasehold_requests_total{network="blue",protocol="nd",message="router-advertisement"} 1"#,
            r#"leasehold_requests_total{network="blue",protocol="arp",message="rarp"} 1"#,
        ]
    );
    assert_eq!(
        series(&metrics, "leasehold_replies_total"),
        [r#"leasehold_replies_total{network="blue",protocol="dhcpv4",message="offer"} 2"#]
    );
    assert_eq!(
        series(&metrics, "leasehold_drops_total"),
        [r#"leasehold_drops_total{network="blue",protocol="dhcpv4",reason="bad-option"} 1"#]
    );
    assert_eq!(
        series(&metrics, "leasehold_arrivals_total"),
        [r#"leasehold_arrivals_total{network="blue"} 1"#]
    );
    assert_eq!(
        series(&metrics, "leasehold_foreign_servers_total"),
        [r#"leasehold_foreign_servers_total{network="blue",protocol="nd"} 1"#]
    );
}

#[test]
fn every_label_of_the_closed_sets_has_its_cell() {
    let metrics = Metrics::new().unwrap();
    let blue = metrics.network("blue");
    for protocol in Protocol::ALL {
        for message in Message::ALL {
            blue.count(&outcome(*protocol, *message, Verdict::Replied(*message)));
        }
        for reason in DropReason::ALL {
            blue.count(&Outcome::dropped(*protocol, Message::Unknown, *reason));
        }
    }
    let count = |name| series(&metrics, name).len();
    assert_eq!(count("leasehold_requests_total"), PROTOCOLS * MESSAGES);
    assert_eq!(count("leasehold_replies_total"), PROTOCOLS * MESSAGES);
    assert_eq!(count("leasehold_drops_total"), PROTOCOLS * REASONS);
}

#[test]
fn a_network_keeps_its_counters_until_a_reload_removes_it() {
    let metrics = Metrics::new().unwrap();
    let dropped = Outcome::dropped(Protocol::Other, Message::Unknown, DropReason::NotForUs);
    for name in ["", "blue", "red"] {
        metrics.network(name).count(&dropped);
    }
    metrics.network("blue").count(&dropped);
    let drops = |metrics: &Metrics| series(metrics, "leasehold_drops_total").join("\n");
    assert!(drops(&metrics).contains(r#"network="blue",protocol="other",reason="not-for-us"} 2"#));

    let late = metrics.network("red");
    metrics.retain_networks(|name| name == "blue");
    late.count(&dropped);
    let left = drops(&metrics);
    assert!(left.contains(r#"network="blue""#) && left.contains(r#"network="""#), "{left}");
    assert!(!left.contains("red"), "{left}");
    // Configured again, it starts anew.
    metrics.network("red").count(&dropped);
    assert!(drops(&metrics).contains(r#"network="red",protocol="other",reason="not-for-us"} 1"#));
}

#[test]
fn reply_duration_falls_into_its_bucket() {
    let metrics = Metrics::new().unwrap();
    metrics.network("blue").reply_took(Protocol::Dhcpv6, Duration::from_micros(40));
    let lines = series(&metrics, r#"leasehold_reply_duration_seconds_bucket{protocol="dhcpv6""#);
    assert!(lines[1].ends_with(r#"le="0.000025"} 0"#), "{lines:?}");
    assert!(lines[2].ends_with(r#"le="0.00005"} 1"#), "{lines:?}");
}

#[test]
fn gauges_show_the_last_snapshot_only() {
    let metrics = Metrics::new().unwrap();
    let port =
        |network: &str, state, count| PortCount { network: network.to_owned(), state, count };
    metrics.set_ports(vec![port("blue", "serving", 3), port("", "unidentified", 1)]);
    metrics.set_ports(vec![port("blue", "serving", 2)]);
    metrics.set_networks(vec![NetworkCounts {
        network: "blue".to_owned(),
        conflicts: 0,
        ipv4: Some(FamilyCounts { leases: 2, free: 248, total: 250 }),
        ipv6: None,
        prefixes: Some(FamilyCounts { leases: 1, free: 14, total: 15 }),
    }]);
    metrics.set_sources(vec![SourceState { source: "ovsdb".to_owned(), up: false }]);
    assert_eq!(
        series(&metrics, "leasehold_ports"),
        [r#"leasehold_ports{network="blue",state="serving"} 2"#]
    );
    assert_eq!(
        series(&metrics, "leasehold_addresses_"),
        [
            r#"leasehold_addresses_free{network="blue",family="ipv4"} 248"#,
            r#"leasehold_addresses_total{network="blue",family="ipv4"} 250"#,
        ]
    );
    assert_eq!(
        series(&metrics, "leasehold_prefixes_"),
        [
            r#"leasehold_prefixes_delegated{network="blue"} 1"#,
            r#"leasehold_prefixes_free{network="blue"} 14"#,
            r#"leasehold_prefixes_total{network="blue"} 15"#,
        ]
    );
    assert_eq!(
        series(&metrics, "leasehold_leases"),
        [r#"leasehold_leases{network="blue",family="ipv4"} 2"#]
    );
    assert_eq!(
        series(&metrics, "leasehold_address_conflicts"),
        [r#"leasehold_address_conflicts{network="blue"} 0"#]
    );
    assert_eq!(
        series(&metrics, "leasehold_source_up"),
        [r#"leasehold_source_up{source="ovsdb"} 0"#]
    );
}

#[test]
fn a_refused_reload_keeps_the_time_of_the_last_good_one() {
    let metrics = Metrics::new().unwrap();
    assert_eq!(series(&metrics, "leasehold_config_"), Vec::<String>::new());
    metrics.config_loaded(Wall(1_000));
    metrics.config_refused();
    assert_eq!(
        series(&metrics, "leasehold_config_"),
        [
            "leasehold_config_last_reload_success_timestamp_seconds 1000",
            "leasehold_config_last_reload_successful 0",
        ]
    );
    metrics.config_loaded(Wall(2_000));
    assert_eq!(
        series(&metrics, "leasehold_config_"),
        [
            "leasehold_config_last_reload_success_timestamp_seconds 2000",
            "leasehold_config_last_reload_successful 1",
        ]
    );
}

#[test]
fn the_store_is_up_as_its_last_operation_says() {
    let metrics = Metrics::new().unwrap();
    let store = metrics.store("embedded");
    store.record(StoreOperation::Load, Duration::from_millis(3), &Ok::<(), ()>(()));
    store.record(StoreOperation::Write, Duration::from_millis(3), &Err::<(), ()>(()));
    assert_eq!(
        series(&metrics, "leasehold_store_up"),
        [r#"leasehold_store_up{backend="embedded"} 0"#]
    );
    let counts = series(&metrics, "leasehold_store_operation_duration_seconds_count");
    assert!(counts.iter().all(|line| line.ends_with(" 1")) && counts.len() == 2, "{counts:?}");
    store.record(StoreOperation::Write, Duration::from_millis(3), &Ok::<(), ()>(()));
    assert_eq!(
        series(&metrics, "leasehold_store_up"),
        [r#"leasehold_store_up{backend="embedded"} 1"#]
    );
}

#[test]
fn every_family_has_help_and_type_and_comes_once() {
    let metrics = Metrics::new().unwrap();
    metrics.network("blue").count(&outcome(
        Protocol::Arp,
        Message::ArpRequest,
        Verdict::Noted(Note::Arrived),
    ));
    let text = metrics.render();
    let families: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let mut once = families.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(families, once);
    assert!(families.contains(&"leasehold_log_lines_dropped_total counter"), "{text}");
    assert!(families.contains(&"leasehold_build_info gauge"), "{text}");
    assert_eq!(text.matches("# HELP ").count(), families.len());
}
