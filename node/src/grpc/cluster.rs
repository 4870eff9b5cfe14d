//! The cluster service: one thin handler per call, told in `members`.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use vaultaire_proto::wire::admin::cluster_service_server::ClusterService;
use vaultaire_proto::wire::admin::{
    CompareReplicasRequest, CompareReplicasResponse, CreateJoinTokenRequest,
    CreateJoinTokenResponse, GetInfoRequest, GetInfoResponse, ListMembersRequest,
    ListMembersResponse, RemoveMemberRequest, RemoveMemberResponse, SetRoleRequest,
    SetRoleResponse, TakeSnapshotRequest, TakeSnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse,
};

use crate::grpc::call::Call;
use crate::grpc::{Parts, comparing, info, members};

/// The handlers.
#[derive(Clone, Debug)]
pub struct Cluster {
    parts: Arc<Parts>,
}

impl Cluster {
    /// Over what the node is made of.
    pub fn new(parts: Arc<Parts>) -> Self {
        Self { parts }
    }
}

#[tonic::async_trait]
impl ClusterService for Cluster {
    async fn list_members(
        &self,
        _request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        Call::question("ListMembers").answer(members::list(&self.parts).await)
    }

    async fn get_info(
        &self,
        _request: Request<GetInfoRequest>,
    ) -> Result<Response<GetInfoResponse>, Status> {
        Call::question("GetInfo").answer(info::info(&self.parts).await)
    }

    async fn compare_replicas(
        &self,
        _request: Request<CompareReplicasRequest>,
    ) -> Result<Response<CompareReplicasResponse>, Status> {
        Call::question("CompareReplicas").answer(comparing::compare(&self.parts).await)
    }

    async fn create_join_token(
        &self,
        request: Request<CreateJoinTokenRequest>,
    ) -> Result<Response<CreateJoinTokenResponse>, Status> {
        let call = Call::change("CreateJoinToken", "a node to come", "");
        call.answer(members::invite(&self.parts, request.into_inner()).await)
    }

    async fn set_role(
        &self,
        request: Request<SetRoleRequest>,
    ) -> Result<Response<SetRoleResponse>, Status> {
        let request = request.into_inner();
        let call = Call::change("SetRole", &request.name, &request.request_id);
        call.answer(members::set_role(&self.parts, request).await)
    }

    async fn remove_member(
        &self,
        request: Request<RemoveMemberRequest>,
    ) -> Result<Response<RemoveMemberResponse>, Status> {
        let request = request.into_inner();
        let call = Call::change("RemoveMember", &request.name, &request.request_id);
        call.answer(members::remove(&self.parts, request).await)
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        let request = request.into_inner();
        let call = Call::change("TransferLeader", &request.name, "");
        call.answer(members::transfer_leader(&self.parts, &request).await)
    }

    async fn take_snapshot(
        &self,
        _request: Request<TakeSnapshotRequest>,
    ) -> Result<Response<TakeSnapshotResponse>, Status> {
        Call::change("TakeSnapshot", "this node", "")
            .answer(members::take_snapshot(&self.parts).await)
    }
}
