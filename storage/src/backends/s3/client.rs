//! The clients of one endpoint: how they are built from a configuration, and how patient they are. What is asked
//! through them is in the files beside this one.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential, S3ConditionalPut};
use object_store::client::HttpClient;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use super::observe::{Connector, observed};
use super::transport;
use crate::config::S3Config;
use crate::error::Error;

/// Requests that may be repeated are repeated this often, and this long at most.
const RETRIES_MAX: usize = 3;
const RETRIES_FOR_MAX: Duration = Duration::from_secs(30);

/// All that speaks to one endpoint, over one pool of connections.
#[derive(Debug)]
pub struct Clients {
    /// For requests that may be repeated.
    pub store: Arc<AmazonS3>,
    /// For conditional writes: a repetition would meet its own success and call it a conflict.
    pub unrepeated: Arc<AmazonS3>,
    /// For requests that the library cannot make.
    pub raw: Raw,
}

/// What a request of our own needs.
#[derive(Debug)]
pub struct Raw {
    /// Connections to the endpoint.
    pub http: HttpClient,
    /// The bucket's address.
    pub bucket_url: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Who signs them.
    pub credential: AwsCredential,
}

impl Clients {
    /// Clients that connect over the network.
    pub fn new(name: &str, config: &S3Config) -> Result<Self, Error> {
        let http = transport::client(config.allow_http)
            .map_err(|error| Error::Config { name: name.to_owned(), reason: error.to_string() })?;
        Self::over(name, config, http)
    }

    /// Clients that send through `http`.
    pub fn over(name: &str, config: &S3Config, http: HttpClient) -> Result<Self, Error> {
        let http = observed(http);
        let secret_key = config.secret_key.read(name)?.reveal().to_owned();
        let key_id = config.access_key.clone();
        let raw = Raw {
            http: http.clone(),
            bucket_url: bucket_url(config),
            region: config.region.clone(),
            credential: AwsCredential { key_id, secret_key, token: None },
        };
        let build = |retries| build(name, config, &raw, retries).map(Arc::new);
        let (store, unrepeated) = (build(RETRIES_MAX)?, build(0)?);
        Ok(Self { store, unrepeated, raw })
    }
}

fn build(name: &str, config: &S3Config, raw: &Raw, retries: usize) -> Result<AmazonS3, Error> {
    let endpoint = if config.path_style { config.endpoint.clone() } else { virtual_host(config) };
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: retries,
        retry_timeout: RETRIES_FOR_MAX,
    };
    AmazonS3Builder::new()
        .with_client_options(ClientOptions::new().with_allow_http(config.allow_http))
        .with_endpoint(endpoint)
        .with_virtual_hosted_style_request(!config.path_style)
        .with_region(&config.region)
        .with_bucket_name(&config.bucket)
        .with_access_key_id(&raw.credential.key_id)
        .with_secret_access_key(&raw.credential.secret_key)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_disable_bulk_delete(true)
        .with_disable_tagging(true)
        .with_retry(retry)
        .with_http_connector(Connector(raw.http.clone()))
        .build()
        .map_err(|error| Error::Config { name: name.to_owned(), reason: error.to_string() })
}

/// `https://endpoint` with the bucket in front of its host.
fn virtual_host(config: &S3Config) -> String {
    match config.endpoint.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{}.{host}", config.bucket),
        None => format!("{}.{}", config.bucket, config.endpoint),
    }
}

fn bucket_url(config: &S3Config) -> String {
    let endpoint = config.endpoint.trim_end_matches('/');
    match config.path_style {
        true => format!("{endpoint}/{}", config.bucket),
        false => virtual_host(config).trim_end_matches('/').to_owned(),
    }
}
