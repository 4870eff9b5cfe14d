//! What runs: the settings of the S3 front. What a file may say is node's configuration.

use std::sync::Arc;

use crate::limits;
use crate::targets::Targets;

/// Settings of the S3 front.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where new objects go.
    pub targets: Arc<Targets>,
    /// With `Some("s3.example.com")`, `bucket.s3.example.com` names a bucket. Path style always works.
    pub base_domain: Option<String>,
    /// How many body bytes of all requests together may be in memory.
    pub in_flight_bytes_max: usize,
}

impl Settings {
    /// Path style only, default bounds.
    pub fn new(targets: Arc<Targets>) -> Self {
        Self { targets, base_domain: None, in_flight_bytes_max: limits::IN_FLIGHT_BYTES_MAX }
    }
}
