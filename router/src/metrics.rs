//! What Prometheus sees of the S3 front: requests by operation and status, and how long they took to
//! the first byte of the answer.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    operation: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

/// The metrics of the S3 front.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<Labels, Counter>,
    seconds: Family<OperationLabel, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
}

impl Metrics {
    /// Adds them to a registry.
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        // 0.1 ms to 26 s.
        let buckets: fn() -> Histogram = || Histogram::new(exponential_buckets(0.0001, 2.0, 19));
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(buckets),
            in_flight: Gauge::default(),
        };
        let s3 = registry.sub_registry_with_prefix("vaultaire_s3");
        s3.register(
            "requests",
            "S3 requests answered, by operation and status",
            metrics.requests.clone(),
        );
        s3.register_with_unit(
            "request_duration",
            "Time from the end of a request's headers to the beginning of its answer",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        s3.register("requests_in_flight", "S3 requests being answered", metrics.in_flight.clone());
        Arc::new(metrics)
    }

    /// A request came in.
    pub(crate) fn begin(&self) {
        self.in_flight.inc();
    }

    /// A request went away, answered or not.
    pub(crate) fn end(&self) {
        self.in_flight.dec();
    }

    /// A request was answered.
    pub(crate) fn answered(&self, operation: &'static str, status: StatusCode, elapsed: Duration) {
        self.requests.get_or_create(&Labels { operation, status: status.as_u16() }).inc();
        self.seconds.get_or_create(&OperationLabel { operation }).observe(elapsed.as_secs_f64());
    }
}
