//! The admin service: one thin handler per call, each told in the module of its subject.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use vaultaire_proto::wire::admin::admin_service_server::AdminService;
use vaultaire_proto::wire::admin::{
    ChangeBackendRequest, ChangeBackendResponse, CheckBackendRequest, CheckBackendResponse,
    CreateBucketRequest, CreateBucketResponse, CreateKeyRequest, CreateKeyResponse,
    DeleteBucketRequest, DeleteBucketResponse, DeleteKeyRequest, DeleteKeyResponse,
    GetBucketRequest, GetBucketResponse, GetStatusRequest, GetStatusResponse, ListBackendsRequest,
    ListBackendsResponse, ListBucketsRequest, ListBucketsResponse, ListKeysRequest,
    ListKeysResponse, ListLossesRequest, ListUsersRequest, ListUsersResponse,
    ReleaseBackendRequest, ReleaseBackendResponse, SetBucketCopiesRequest, SetBucketCopiesResponse,
    VerifyRequest,
};

use crate::grpc::call::Call;
use crate::grpc::changes::Losses;
use crate::grpc::verifying::Events;
use crate::grpc::{Parts, backends, buckets, changes, keys, overview, releases, verifying};

/// The handlers.
#[derive(Clone, Debug)]
pub struct Admin {
    parts: Arc<Parts>,
}

impl Admin {
    /// Over what the node is made of.
    pub fn new(parts: Arc<Parts>) -> Self {
        Self { parts }
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_status(
        &self,
        _request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        Call::question("GetStatus").answer(overview::status(&self.parts).await)
    }

    async fn list_buckets(
        &self,
        request: Request<ListBucketsRequest>,
    ) -> Result<Response<ListBucketsResponse>, Status> {
        Call::question("ListBuckets").answer(buckets::list(&self.parts, request.into_inner()).await)
    }

    async fn get_bucket(
        &self,
        request: Request<GetBucketRequest>,
    ) -> Result<Response<GetBucketResponse>, Status> {
        Call::question("GetBucket").answer(buckets::get(&self.parts, request.into_inner()).await)
    }

    async fn create_bucket(
        &self,
        request: Request<CreateBucketRequest>,
    ) -> Result<Response<CreateBucketResponse>, Status> {
        let request = request.into_inner();
        let call = Call::change("CreateBucket", &request.name, &request.request_id);
        call.answer(buckets::create(&self.parts, request).await)
    }

    async fn set_bucket_copies(
        &self,
        request: Request<SetBucketCopiesRequest>,
    ) -> Result<Response<SetBucketCopiesResponse>, Status> {
        let request = request.into_inner();
        let call = match request.validate_only {
            true => Call::question("SetBucketCopies"),
            false => Call::change("SetBucketCopies", &request.name, &request.request_id),
        };
        call.answer(buckets::set_copies(&self.parts, request).await)
    }

    async fn delete_bucket(
        &self,
        request: Request<DeleteBucketRequest>,
    ) -> Result<Response<DeleteBucketResponse>, Status> {
        let request = request.into_inner();
        let call = Call::change("DeleteBucket", &request.name, &request.request_id);
        call.answer(buckets::delete(&self.parts, request).await)
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        Call::question("ListUsers")
            .answer(keys::list_users(&self.parts, request.into_inner()).await)
    }

    async fn list_keys(
        &self,
        request: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        Call::question("ListKeys").answer(keys::list(&self.parts, request.into_inner()).await)
    }

    async fn create_key(
        &self,
        request: Request<CreateKeyRequest>,
    ) -> Result<Response<CreateKeyResponse>, Status> {
        let request = request.into_inner();
        let call = Call::change("CreateKey", &request.user, &request.request_id);
        call.answer(keys::create(&self.parts, request).await)
    }

    async fn delete_key(
        &self,
        request: Request<DeleteKeyRequest>,
    ) -> Result<Response<DeleteKeyResponse>, Status> {
        let request = request.into_inner();
        let call = Call::change("DeleteKey", &request.name, &request.request_id);
        call.answer(keys::delete(&self.parts, request).await)
    }

    async fn list_backends(
        &self,
        _request: Request<ListBackendsRequest>,
    ) -> Result<Response<ListBackendsResponse>, Status> {
        Call::question("ListBackends").answer(backends::list(&self.parts).await)
    }

    async fn check_backend(
        &self,
        request: Request<CheckBackendRequest>,
    ) -> Result<Response<CheckBackendResponse>, Status> {
        Call::question("CheckBackend")
            .answer(backends::check(&self.parts, request.into_inner()).await)
    }

    async fn release_backend(
        &self,
        request: Request<ReleaseBackendRequest>,
    ) -> Result<Response<ReleaseBackendResponse>, Status> {
        let request = request.into_inner();
        let call = match request.validate_only {
            true => Call::question("ReleaseBackend"),
            false => Call::change("ReleaseBackend", &request.name, &request.request_id),
        };
        call.answer(releases::release(&self.parts, &request))
    }

    async fn change_backend(
        &self,
        request: Request<ChangeBackendRequest>,
    ) -> Result<Response<ChangeBackendResponse>, Status> {
        let request = request.into_inner();
        let call = match request.validate_only {
            true => Call::question("ChangeBackend"),
            false => Call::change("ChangeBackend", &request.name, &request.request_id),
        };
        call.answer(changes::change(&self.parts, &request).await)
    }

    type ListLossesStream = Losses;

    async fn list_losses(
        &self,
        request: Request<ListLossesRequest>,
    ) -> Result<Response<Losses>, Status> {
        Call::question("ListLosses")
            .answer(changes::losses(&self.parts, &request.into_inner()).await)
    }

    type VerifyStream = Events;

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<Events>, Status> {
        Call::question("Verify").answer(verifying::stream(&self.parts, &request.into_inner()))
    }
}
