//! Writing metrics, one family at a time. Knows nothing of: which there are.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use proxy::Histogram;

/// What is written on at one scrape.
#[derive(Debug)]
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

impl<'a> Page<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// A number that goes up and down.
    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue + Copy,
    ) -> fmt::Result {
        self.begin(name, help, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A number that only grows. `_total` is added to its name.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        count(&mut self.begin(name, help, MetricType::Counter)?, value)
    }

    /// The same, told apart by labels.
    pub(super) fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, MetricType::Counter)?;
        values.into_iter().try_for_each(|(labels, value)| count(&mut family.encode_family(&labels)?, value))
    }

    /// How long something takes.
    pub(super) fn histogram(&mut self, name: &str, help: &str, taken: &Histogram) -> fmt::Result {
        spread(&mut self.begin(name, help, MetricType::Histogram)?, taken)
    }

    /// The same, told apart by labels.
    pub(super) fn histograms<'h, L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        all: impl IntoIterator<Item = (L, &'h Histogram)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, MetricType::Histogram)?;
        all.into_iter().try_for_each(|(labels, taken)| spread(&mut family.encode_family(&labels)?, taken))
    }

    /// What does not change while the process runs. `_info` is added to its name.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: impl EncodeLabelSet + Copy) -> fmt::Result {
        self.begin(name, help, MetricType::Info)?.encode_info(&labels)
    }

    fn begin<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }
}

fn count(encoder: &mut MetricEncoder<'_>, value: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

fn spread(encoder: &mut MetricEncoder<'_>, taken: &Histogram) -> fmt::Result {
    let beyond = std::iter::once(f64::INFINITY);
    let bounds = taken.bounds_ns.iter().map(|bound| seconds(*bound)).chain(beyond);
    let buckets: Vec<_> = bounds.zip(taken.counts.iter().copied()).collect();
    encoder.encode_histogram::<NoLabelSet>(seconds(taken.sum_ns), taken.count(), &buckets, None)
}

fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}
