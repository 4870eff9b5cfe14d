//! The S3 backend over http against a real server process: a node whose bytes live in another node.
//! What every backend promises is `storage::conformance`; nothing of it is repeated here.

use std::sync::Arc;

use vaultaire_proto::BackendId;
use vaultaire_storage::backends::s3::S3;
use vaultaire_storage::config::{S3Config, SecretSource};
use vaultaire_storage::conformance;
use vaultaire_tests::client::REGION;
use vaultaire_tests::server::{Options, Server};

/// The server honours conditions, but not every endpoint does: then keys are looked up first.
#[tokio::test(flavor = "multi_thread")]
async fn an_s3_endpoint_is_a_backend_with_and_without_conditional_writes() {
    // An error means that another test was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = Server::start(Options::default());
    let endpoint = server.endpoint();
    let secret = server.data_dir().join("backend.secret");
    std::fs::write(&secret, &endpoint.secret_key).expect("the data directory is writable");
    for conditional_put in [true, false] {
        let config = S3Config {
            endpoint: endpoint.url.clone(),
            region: REGION.to_owned(),
            bucket: server.bucket().to_owned(),
            prefix: format!("conditional-{conditional_put}"),
            access_key: endpoint.access_key.clone(),
            secret_key: SecretSource::File(secret.clone()),
            path_style: true,
            allow_http: true,
            conditional_put,
        };
        let backend = S3::new(BackendId(1), "peer".to_owned(), &config).expect("a sound config");
        conformance::assert_conforms(Arc::new(backend), "w/conformance").await;
    }
}
