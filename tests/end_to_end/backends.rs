//! The S3 backend over http against real server processes: a node whose bytes live in another node, and an
//! independent implementation. What every backend promises is `storage::conformance`; nothing of it is repeated here.

mod moto;

use std::path::Path;
use std::sync::Arc;

use vaultaire_proto::BackendId;
use vaultaire_storage::backend::Backend;
use vaultaire_storage::backends::identity::Expect;
use vaultaire_storage::backends::s3::{S3, Settings};
use vaultaire_storage::config::{S3Config, SecretSource};
use vaultaire_storage::conformance;
use vaultaire_storage::error::Error;
use vaultaire_tests::client::{Endpoint, REGION, connect};
use vaultaire_tests::server::{Options, Server};

/// A bucket of a server, and where the secret for it may be written.
struct Store<'store> {
    endpoint: Endpoint,
    bucket: &'store str,
    folder: &'store Path,
}

impl Store<'_> {
    fn config(&self, prefix: &str, conditional_put: bool) -> S3Config {
        // An error means that another test was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let secret = self.folder.join("backend.secret");
        std::fs::write(&secret, &self.endpoint.secret_key).expect("the folder is writable");
        S3Config {
            endpoint: self.endpoint.url.clone(),
            region: REGION.to_owned(),
            bucket: self.bucket.to_owned(),
            prefix: prefix.to_owned(),
            access_key: self.endpoint.access_key.clone(),
            secret_key: SecretSource::File(secret),
            path_style: true,
            allow_http: true,
            conditional_put,
        }
    }

    /// The server honours conditions, but not every endpoint does: then keys are looked up first.
    async fn conforms(&self) {
        for conditional_put in [true, false] {
            let config = self.config(&format!("conditional-{conditional_put}"), conditional_put);
            let backend = open(&config, 1).await.expect("a fresh prefix");
            conformance::assert_conforms(Arc::new(backend), "w/conformance").await;
            let renamed = open(&config, 2).await;
            assert!(matches!(renamed, Err(Error::IdentityMismatch { .. })), "{renamed:?}");
            open(&config, 1).await.expect("the same backend").identify().await.expect("its own");
        }
    }

    /// What a killed process leaves is found and given up, page by page, and only under the prefix.
    async fn gives_up_unfinished_uploads(&self) {
        const UPLOADS: usize = 5;
        let client = connect(&self.endpoint);
        let begin = async |key: String| {
            let begun = client.create_multipart_upload().bucket(self.bucket).key(&key).send().await;
            let begun = begun.expect("CreateMultipartUpload");
            let part = client.upload_part().bucket(self.bucket).key(&key).part_number(1);
            let part = part.set_upload_id(begun.upload_id).body(vec![7; 1000].into());
            part.send().await.expect("UploadPart");
        };
        for number in 0..UPLOADS {
            begin(format!("unfinished/w/c/1/1/1/7/{number}")).await;
        }
        begin("unfinished/w/c/1/1/1/77/1".to_owned()).await;
        let backend = open(&self.config("unfinished", true), 1).await.expect("a fresh prefix");
        let aborted =
            backend.abort_unfinished("w/c/1/1/1/7/").await.expect("the uploads are listed");
        assert_eq!(aborted, UPLOADS);
        let listed = client.list_multipart_uploads().bucket(self.bucket).prefix("unfinished/");
        let listed = listed.send().await.expect("ListMultipartUploads");
        let left: Vec<_> = listed.uploads().iter().filter_map(|upload| upload.key()).collect();
        assert_eq!(left, ["unfinished/w/c/1/1/1/77/1"]);
    }
}

async fn open(config: &S3Config, id: u32) -> Result<S3, Error> {
    let settings = Settings {
        id: BackendId(id),
        name: "peer".to_owned(),
        cluster: "c".to_owned(),
        expect: Expect::FreshOrOurs,
    };
    S3::open(settings, config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_is_a_backend() {
    let server = Server::start(Options::default());
    let (endpoint, folder) = (server.endpoint(), server.data_dir());
    let store = Store { endpoint, bucket: server.bucket(), folder };
    store.conforms().await;
    store.gives_up_unfinished_uploads().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_independent_server_is_a_backend() {
    let Some(moto) = moto::Moto::start() else { return };
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let store = Store { endpoint: moto.endpoint(), bucket: "backend", folder: folder.path() };
    let made = connect(&store.endpoint).create_bucket().bucket(store.bucket).send().await;
    made.expect("CreateBucket");
    store.conforms().await;
    store.gives_up_unfinished_uploads().await;
}
