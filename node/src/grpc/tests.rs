//! A whole node in this process, asked over its admin port as any gRPC client would.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use tokio_stream::StreamExt;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ListServiceResponse, ServerReflectionRequest};
use vaultaire_proto::wire::admin;
use vaultaire_proto::wire::admin::admin_service_client::AdminServiceClient;
use vaultaire_storage::config::{BackendConfig, MemoryConfig};

use crate::cli::client::Client;
use crate::discovery;
use crate::identity::DataDir;
use crate::node::Node;
use crate::settings::{First, Garbage, NamedBackend, Repair, Settings, Takes, Tls};

struct Running {
    node: Node,
    url: String,
    folder: tempfile::TempDir,
}

impl Running {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = Settings {
            data_dir: folder.path().to_owned(),
            node_name: "test".to_owned(),
            region: "us-east-1".to_owned(),
            zone: String::new(),
            s3_addr: any,
            admin_addr: any,
            http_addr: any,
            peer: None,
            base_domain: None,
            tls: Tls::Off,
            repair: Repair::default(),
            garbage: Garbage::default(),
            snapshot_bytes_per_second: crate::settings::SNAPSHOT_BYTES_PER_SECOND,
            write_to: Vec::new(),
            backends: vec![NamedBackend {
                name: "memory".to_owned(),
                config: BackendConfig::Memory(MemoryConfig {}),
                takes: Takes::NewObjects,
            }],
            first: First::default(),
        };
        let data_dir = DataDir::lock(folder.path()).unwrap();
        let node = Node::start(data_dir, settings).await.unwrap();
        let url = node.announcement().admin_url.clone();
        Self { node, url, folder }
    }

    async fn channel(&self) -> Channel {
        Channel::from_shared(self.url.clone()).unwrap().connect().await.unwrap()
    }

    async fn client(&self) -> Client {
        let token = discovery::find(self.folder.path()).unwrap().unwrap().token;
        crate::cli::client::with_token(self.channel().await, &token).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_need_no_token_and_everything_else_does() {
    let running = Running::start().await;
    let channel = running.channel().await;
    let health = HealthClient::new(channel.clone())
        .check(HealthCheckRequest { service: "vaultaire.admin.v1.AdminService".to_owned() })
        .await
        .unwrap();
    assert_eq!(health.into_inner().status, 1, "SERVING");
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(channel.clone())
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(ListServiceResponse { service })) = answer
    else {
        panic!("no list of services");
    };
    assert!(service.iter().any(|one| one.name == "vaultaire.admin.v1.AdminService"), "{service:?}");
    let mut nobody = AdminServiceClient::new(channel);
    let refused = nobody.get_status(admin::GetStatusRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    running.client().await.get_status(admin::GetStatusRequest {}).await.unwrap();
    running.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_call_has_one_effect() {
    let running = Running::start().await;
    let mut client = running.client().await;
    let key =
        admin::CreateKeyRequest { user: "users/alice".to_owned(), request_id: "7f".to_owned() };
    let first = client.create_key(key.clone()).await.unwrap().into_inner();
    assert_eq!(first.secret_key.len(), 40);
    let again = client.create_key(key).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists, "the secret is shown once: {again:?}");
    let create = admin::CreateBucketRequest {
        name: "buckets/photos".to_owned(),
        owner: "users/alice".to_owned(),
        request_id: "80".to_owned(),
        ..admin::CreateBucketRequest::default()
    };
    let made = client.create_bucket(create.clone()).await.unwrap().into_inner();
    let repeated = client.create_bucket(create.clone()).await.unwrap().into_inner();
    assert_eq!(repeated.bucket, made.bucket);
    let other = admin::CreateBucketRequest { request_id: "81".to_owned(), ..create };
    assert_eq!(client.create_bucket(other).await.unwrap_err().code(), Code::AlreadyExists);
    let keys = client.list_keys(admin::ListKeysRequest::default()).await.unwrap().into_inner().keys;
    assert_eq!(keys.len(), 1);
    running.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_deletion_is_done_and_takes_no_other_bucket() {
    let running = Running::start().await;
    let mut client = running.client().await;
    let key = admin::CreateKeyRequest { user: "users/alice".to_owned(), request_id: String::new() };
    client.create_key(key).await.unwrap();
    let create = admin::CreateBucketRequest {
        name: "buckets/photos".to_owned(),
        owner: "users/alice".to_owned(),
        ..admin::CreateBucketRequest::default()
    };
    client.create_bucket(create.clone()).await.unwrap();
    let delete = admin::DeleteBucketRequest {
        name: "buckets/photos".to_owned(),
        request_id: "7f".to_owned(),
    };
    for _ in 0..3 {
        client.delete_bucket(delete.clone()).await.unwrap();
    }
    let other = admin::DeleteBucketRequest { request_id: "80".to_owned(), ..delete.clone() };
    assert_eq!(client.delete_bucket(other).await.unwrap_err().code(), Code::NotFound);
    client.create_bucket(create).await.unwrap();
    client.delete_bucket(delete).await.unwrap();
    let get = admin::GetBucketRequest { name: "buckets/photos".to_owned() };
    client.get_bucket(get).await.expect("the new bucket of that name is another one");
    running.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_and_every_refusal_has_an_id() {
    let running = Running::start().await;
    let mut client = running.client().await;
    let status = client.get_status(admin::GetStatusRequest {}).await.unwrap();
    let verify = client.verify(admin::VerifyRequest::default()).await.unwrap();
    let absent = admin::GetBucketRequest { name: "buckets/absent".to_owned() };
    let refused = client.get_bucket(absent).await.unwrap_err();
    let nowhere = admin::VerifyRequest { backend: "backends/x".to_owned(), checksums: false };
    let unverified = client.verify(nowhere).await.unwrap_err();
    assert_eq!(unverified.code(), Code::NotFound);
    let ids: std::collections::BTreeSet<String> =
        [status.metadata(), verify.metadata(), refused.metadata(), unverified.metadata()]
            .map(|metadata| metadata.get("x-request-id").unwrap().to_str().unwrap().to_owned())
            .into();
    assert_eq!(ids.len(), 4, "{ids:?}");
    running.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_is_released_for_an_hour_and_by_a_repeated_call_not_for_longer() {
    let running = Running::start().await;
    let mut client = running.client().await;
    let release = admin::ReleaseBackendRequest {
        name: "backends/memory".to_owned(),
        validate_only: true,
        request_id: "7f".to_owned(),
    };
    let shown = async |client: &mut Client| {
        let list = client.list_backends(admin::ListBackendsRequest::default()).await.unwrap();
        let status = client.get_status(admin::GetStatusRequest {}).await.unwrap();
        let (list, status) = (list.into_inner().backends, status.into_inner().backends);
        assert_eq!(list[0].released_until_ms.is_some(), status[0].released_until_ms.is_some());
        assert_eq!(list[0].held_deletions, None);
        list[0].released_until_ms
    };
    client.release_backend(release.clone()).await.unwrap();
    assert_eq!(shown(&mut client).await, None, "validated only");
    let release = admin::ReleaseBackendRequest { validate_only: false, ..release };
    let first = client.release_backend(release.clone()).await.unwrap().into_inner();
    assert!(shown(&mut client).await.is_some());
    let again = client.release_backend(release.clone()).await.unwrap().into_inner();
    assert_eq!(again, first);
    for (name, code) in [("backends/tape", Code::NotFound), ("memory", Code::InvalidArgument)] {
        for validate_only in [true, false] {
            let wrong = admin::ReleaseBackendRequest {
                name: name.to_owned(),
                validate_only,
                ..release.clone()
            };
            let refused = client.release_backend(wrong).await.unwrap_err();
            assert_eq!(refused.code(), code, "{refused:?}");
        }
    }
    let mut nobody = AdminServiceClient::new(running.channel().await);
    let refused = nobody.release_backend(release).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    running.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_gaps() {
    let running = Running::start().await;
    let mut client = running.client().await;
    for name in ["c", "a", "b"] {
        let user = format!("users/{name}");
        let request = admin::CreateKeyRequest { user, request_id: String::new() };
        client.create_key(request).await.unwrap();
        let create = admin::CreateBucketRequest {
            name: format!("buckets/bucket-{name}"),
            owner: format!("users/{name}"),
            ..admin::CreateBucketRequest::default()
        };
        client.create_bucket(create).await.unwrap();
    }
    let mut request =
        admin::ListBucketsRequest { page_size: 1, ..admin::ListBucketsRequest::default() };
    let mut names = Vec::new();
    loop {
        let page = client.list_buckets(request.clone()).await.unwrap().into_inner();
        assert!(page.buckets.len() <= 1);
        names.extend(page.buckets.into_iter().map(|bucket| bucket.name));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(names, ["buckets/bucket-a", "buckets/bucket-b", "buckets/bucket-c"]);
    let bad = admin::ListUsersRequest { page_size: 0, page_token: "?".to_owned() };
    assert_eq!(client.list_users(bad).await.unwrap_err().code(), Code::InvalidArgument);
    running.node.stop().await.unwrap();
}
