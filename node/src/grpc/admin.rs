//! The admin service: one thin handler per call, each told in the module of its subject.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use vaultaire_proto::wire::admin::admin_service_server::AdminService;
use vaultaire_proto::wire::admin::{
    CheckBackendRequest, CheckBackendResponse, CreateBucketRequest, CreateBucketResponse,
    CreateKeyRequest, CreateKeyResponse, DeleteBucketRequest, DeleteBucketResponse,
    DeleteKeyRequest, DeleteKeyResponse, GetBucketRequest, GetBucketResponse, GetStatusRequest,
    GetStatusResponse, ListBackendsRequest, ListBackendsResponse, ListBucketsRequest,
    ListBucketsResponse, ListKeysRequest, ListKeysResponse, ListUsersRequest, ListUsersResponse,
    VerifyRequest,
};

use crate::error::Error;
use crate::grpc::verifying::Events;
use crate::grpc::{Parts, backends, buckets, keys, overview, status, verifying};

/// The handlers.
#[derive(Clone, Debug)]
pub struct Admin {
    parts: Arc<Parts>,
}

impl Admin {
    /// Over what the node is made of.
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }
}

/// Every answer leaves here; every change leaves a line in the log.
fn answer<T>(call: &'static str, outcome: Result<T, Error>) -> Result<Response<T>, Status> {
    match outcome {
        Ok(answer) => {
            tracing::debug!(call, "admin call answered");
            Ok(Response::new(answer))
        }
        Err(error) => {
            tracing::info!(call, %error, "admin call refused");
            Err(status::of(&error))
        }
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_status(
        &self,
        _request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        answer("GetStatus", overview::status(&self.parts).await)
    }

    async fn list_buckets(
        &self,
        request: Request<ListBucketsRequest>,
    ) -> Result<Response<ListBucketsResponse>, Status> {
        answer("ListBuckets", buckets::list(&self.parts, request.into_inner()).await)
    }

    async fn get_bucket(
        &self,
        request: Request<GetBucketRequest>,
    ) -> Result<Response<GetBucketResponse>, Status> {
        answer("GetBucket", buckets::get(&self.parts, request.into_inner()).await)
    }

    async fn create_bucket(
        &self,
        request: Request<CreateBucketRequest>,
    ) -> Result<Response<CreateBucketResponse>, Status> {
        answer("CreateBucket", buckets::create(&self.parts, request.into_inner()).await)
    }

    async fn delete_bucket(
        &self,
        request: Request<DeleteBucketRequest>,
    ) -> Result<Response<DeleteBucketResponse>, Status> {
        answer("DeleteBucket", buckets::delete(&self.parts, request.into_inner()).await)
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        answer("ListUsers", keys::list_users(&self.parts, request.into_inner()).await)
    }

    async fn list_keys(
        &self,
        request: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        answer("ListKeys", keys::list(&self.parts, request.into_inner()).await)
    }

    async fn create_key(
        &self,
        request: Request<CreateKeyRequest>,
    ) -> Result<Response<CreateKeyResponse>, Status> {
        answer("CreateKey", keys::create(&self.parts, request.into_inner()).await)
    }

    async fn delete_key(
        &self,
        request: Request<DeleteKeyRequest>,
    ) -> Result<Response<DeleteKeyResponse>, Status> {
        answer("DeleteKey", keys::delete(&self.parts, request.into_inner()).await)
    }

    async fn list_backends(
        &self,
        _request: Request<ListBackendsRequest>,
    ) -> Result<Response<ListBackendsResponse>, Status> {
        answer("ListBackends", backends::list(&self.parts).await)
    }

    async fn check_backend(
        &self,
        request: Request<CheckBackendRequest>,
    ) -> Result<Response<CheckBackendResponse>, Status> {
        answer("CheckBackend", backends::check(&self.parts, request.into_inner()).await)
    }

    type VerifyStream = Events;

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<Events>, Status> {
        verifying::stream(&self.parts, &request.into_inner()).map(Response::new)
    }
}
