//! The admin gRPC surface: `vaultaire.admin.v1` behind a bearer token, with health and reflection beside it.
//! Thin handlers; what a node can do is told by the modules they call.

pub mod admin;
pub mod backends;
pub mod buckets;
pub mod call;
pub mod changes;
pub mod cluster;
pub mod comparing;
pub mod info;
pub mod keys;
pub mod members;
pub mod names;
pub mod operations;
pub mod overview;
pub mod releases;
pub mod status;
pub mod verifying;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ring::digest;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};
use vaultaire_proto::NodeId;
use vaultaire_proto::wire::DESCRIPTORS;
use vaultaire_proto::wire::admin::admin_service_server::AdminServiceServer;
use vaultaire_proto::wire::admin::cluster_service_server::ClusterServiceServer;
use vaultaire_proto::wire::admin::operation_service_server::OperationServiceServer;
use vaultaire_storage::registry::Registry;

use crate::about::About;
use crate::absent::Absent;
use crate::compare::Comparer;
use crate::error::Error;
use crate::grpc::admin::Admin;
use crate::grpc::cluster::Cluster;
use crate::grpc::operations::Operations;
use crate::peer::authority::Authority;
use crate::peer::pool::Pool;
use crate::propose::Proposer;
use crate::raft::group::Groups;
use crate::raft::log::Cut;
use crate::secrets::{Sealer, Secret};
use crate::workers::brake::Brake;

/// What the handlers work with.
#[derive(Debug)]
pub struct Parts {
    pub proposer: Proposer,
    pub registry: Arc<Registry>,
    pub absent: Arc<Absent>,
    pub sealer: Arc<Sealer>,
    pub groups: Arc<Groups>,
    /// None: a node that takes no peers.
    pub authority: Option<Authority>,
    pub node: NodeId,
    /// Whether it has no groups.
    pub gateway: bool,
    pub node_name: String,
    pub data_dir: PathBuf,
    /// The way to other nodes.
    pub pool: Arc<Pool>,
    pub about: Arc<About>,
    pub comparer: Arc<Comparer>,
    /// What the start cut from the journal.
    pub cut: Option<Cut>,
    pub started: Instant,
    pub deletions: buckets::Deletions,
    pub brake: Arc<Brake>,
    pub releases: releases::Releases,
    /// Ends long streams when the node stops.
    pub stop: CancellationToken,
}

/// Serves until the token of `parts` is cancelled, and then until calls under way are answered.
pub async fn serve(listener: TcpListener, parts: Parts, token: Secret) -> Result<(), Error> {
    let engine = |why: String| Error::Engine { what: "admin gRPC", why };
    let stop = parts.stop.clone();
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<AdminServiceServer<Admin>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let parts = Arc::new(parts);
    let admin = AdminServiceServer::new(Admin::new(Arc::clone(&parts)));
    let cluster = ClusterServiceServer::new(Cluster::new(Arc::clone(&parts)));
    let operations = OperationServiceServer::new(Operations::new(parts));
    let bearer = Bearer::new(&token);
    let (same, again) = (bearer.clone(), bearer.clone());
    Server::builder()
        .add_service(health_service)
        .add_service(reflection().build_v1().map_err(|error| engine(error.to_string()))?)
        .add_service(reflection().build_v1alpha().map_err(|error| engine(error.to_string()))?)
        .add_service(InterceptedService::new(admin, move |request| bearer.check(request)))
        .add_service(InterceptedService::new(cluster, move |request| same.check(request)))
        .add_service(InterceptedService::new(operations, move |request| again.check(request)))
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            stop.cancelled_owned(),
        )
        .await
        .map_err(|error| engine(error.to_string()))
}

/// The one token that every admin call must carry.
#[derive(Clone)]
struct Bearer {
    expected: digest::Digest,
}

impl Bearer {
    fn new(token: &Secret) -> Self {
        Self { expected: hash(token.expose()) }
    }

    fn check(&self, request: Request<()>) -> Result<Request<()>, Status> {
        let sent = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = sent.and_then(|value| value.strip_prefix("Bearer "));
        // Hashes are compared: how long that takes tells nothing of the token.
        match token.map(hash) {
            Some(found) if found.as_ref() == self.expected.as_ref() => Ok(request),
            Some(_) => Err(status::wrong_token()),
            None => Err(status::no_token()),
        }
    }
}

fn hash(token: &str) -> digest::Digest {
    digest::digest(&digest::SHA256, token.as_bytes())
}

#[cfg(test)]
mod bearer {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn only_the_token_of_the_data_directory_opens() {
        let bearer = Bearer::new(&Secret::new("right"));
        let with = |value: Option<&'static str>| {
            let mut request = Request::new(());
            if let Some(value) = value {
                request.metadata_mut().insert("authorization", value.parse().unwrap());
            }
            bearer.check(request)
        };
        assert!(with(Some("Bearer right")).is_ok());
        for wrong in
            [None, Some("Bearer wrong"), Some("Bearer "), Some("right"), Some("Basic right")]
        {
            let status = with(wrong).unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unauthenticated, "{wrong:?}");
            assert!(status.message().contains("admin.token"), "{status:?}");
        }
    }
}
