//! The AWS SDK for Rust, pointed at one endpoint. It adds no behaviour to the SDK.

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region, SharedHttpClient};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

/// Every lane and test signs for this region.
pub const REGION: &str = "us-east-1";

/// Where requests go, and with which key.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub url: String,
    pub access_key: String,
    pub secret_key: String,
    /// The PEM of the authority that signed the server's certificate, for an `https` endpoint.
    pub ca_pem: Option<Vec<u8>>,
}

/// A client as an application would build it: path style, the SDK's own retries and checksums.
pub fn connect(endpoint: &Endpoint) -> Client {
    let credentials = Credentials::new(
        endpoint.access_key.as_str(),
        endpoint.secret_key.as_str(),
        None,
        None,
        "vaultaire-tests",
    );
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint.url.as_str())
        .credentials_provider(credentials)
        .http_client(http_client(endpoint))
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

fn http_client(endpoint: &Endpoint) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new();
    let Some(ca_pem) = &endpoint.ca_pem else {
        return builder.build_http();
    };
    let trust = TrustStore::empty().with_pem_certificate(ca_pem.clone());
    let context = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .expect("a context with one trusted certificate is valid");
    builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https()
}
