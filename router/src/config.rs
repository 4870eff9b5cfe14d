//! What runs: the settings of the S3 front. What a file may say is node's configuration.

use vaultaire_proto::BackendId;

use crate::limits;

/// Settings of the S3 front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where new objects go: the first of these that takes writes.
    pub write_backends: Vec<BackendId>,
    /// With `Some("s3.example.com")`, `bucket.s3.example.com` names a bucket. Path style always works.
    pub base_domain: Option<String>,
    /// How many body bytes of all requests together may be in memory.
    pub in_flight_bytes_max: usize,
}

impl Settings {
    /// Path style only, default bounds.
    pub fn new(write_backends: Vec<BackendId>) -> Self {
        Self { write_backends, base_domain: None, in_flight_bytes_max: limits::IN_FLIGHT_BYTES_MAX }
    }
}
