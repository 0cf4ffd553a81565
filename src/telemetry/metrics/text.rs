//! Families and series in the prometheus crate's types.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Begins a family of counters.
pub(super) fn counter(name: &str, help: &str) -> MetricFamily {
    family(name, help, MetricType::COUNTER)
}

/// Begins a family of gauges.
pub(super) fn gauge(name: &str, help: &str) -> MetricFamily {
    family(name, help, MetricType::GAUGE)
}

/// Adds a series to a family.
pub(super) fn push(family: &mut MetricFamily, labels: &[(&str, &str)], value: f64) {
    let labels = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    let mut metric = Metric::from_label(labels.collect());
    if family.get_field_type() == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    family.mut_metric().push(metric);
}

/// Converts to the format's only number type; above 2^53 the nearest one.
#[expect(clippy::cast_precision_loss, reason = "the text format has no other number")]
pub(super) fn to_f64(count: u128) -> f64 {
    count as f64
}

fn family(name: &str, help: &str, kind: MetricType) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family
}
