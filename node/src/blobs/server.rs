//! This node's backends for other nodes. Thin: each call finds the backend and passes on.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tonic::{Request, Response, Status, Streaming};
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::wire::v1::blobs_server::Blobs;
use vaultaire_proto::wire::v1::get_blob_part::{Head, Part};
use vaultaire_proto::wire::v1::put_blob_part::Part as PutPart;
use vaultaire_proto::{BackendId, BackendKey};
use vaultaire_storage::backend::{Attributes, Backend, Object};
use vaultaire_storage::error::Error;
use vaultaire_storage::registry::Registry;

use super::CHUNK_BYTES_MAX;
use super::upload::body;
use crate::grpc::status;
use crate::peer::pool::Pool;

/// The backends that are this node's own.
#[derive(Debug)]
pub struct OwnBackends {
    registry: Arc<Registry>,
    pool: Arc<Pool>,
}

impl OwnBackends {
    /// The registry has those of others too; the pool knows whose is whose.
    pub fn new(registry: Arc<Registry>, pool: Arc<Pool>) -> Self {
        Self { registry, pool }
    }

    fn backend(&self, id: u32) -> Result<Arc<dyn Backend>, Status> {
        if !self.pool.owns(BackendId(id)) {
            return Err(status::foreign_backend(id));
        }
        self.registry.get(BackendId(id)).map_err(|error| status::of_blobs(&error))
    }
}

fn key(text: &str) -> Result<BackendKey, Status> {
    BackendKey::parse(text).map_err(|invalid| status::foreign_peer(&invalid.to_string()))
}

fn told<T>(outcome: Result<T, Error>) -> Result<Response<T>, Status> {
    outcome.map(Response::new).map_err(|error| status::of_blobs(&error))
}

type Read = Pin<Box<dyn Stream<Item = Result<wire::GetBlobPart, Status>> + Send>>;

#[async_trait]
impl Blobs for OwnBackends {
    type GetStream = Read;

    async fn put(
        &self,
        request: Request<Streaming<wire::PutBlobPart>>,
    ) -> Result<Response<wire::BlobStored>, Status> {
        let mut parts = request.into_inner();
        let first = parts.message().await?.and_then(|part| part.part);
        let Some(PutPart::Head(head)) = first else {
            return Err(status::foreign_peer("a body begins with its head"));
        };
        let backend = self.backend(head.backend)?;
        let said = head.attributes.unwrap_or_default();
        let attributes = Attributes {
            bucket: said.bucket,
            key: said.key,
            version: said.version,
            size_bytes: said.size_bytes,
            content_type: said.content_type,
        };
        let (key, hint) = (key(&head.key)?, head.size_hint_bytes);
        // Where the caller goes away this future is dropped, and with it what was written.
        let stored = backend.put(&key, &attributes, hint, body(parts)).await;
        told(stored.map(|stored| wire::BlobStored { size_bytes: stored.size_bytes }))
    }

    async fn get(&self, request: Request<wire::GetBlobRequest>) -> Result<Response<Read>, Status> {
        let request = request.into_inner();
        let backend = self.backend(request.backend)?;
        let range = request.start.zip(request.end).map(|(start, end)| start..end);
        let object = backend.get(&key(&request.key)?, range).await;
        told(object.map(parts))
    }

    async fn head(
        &self,
        request: Request<wire::BlobRequest>,
    ) -> Result<Response<wire::BlobStored>, Status> {
        let request = request.into_inner();
        let found = self.backend(request.backend)?.head(&key(&request.key)?).await;
        told(found.map(|info| wire::BlobStored { size_bytes: info.size_bytes }))
    }

    async fn delete(
        &self,
        request: Request<wire::BlobRequest>,
    ) -> Result<Response<wire::BlobDone>, Status> {
        let request = request.into_inner();
        let deleted = self.backend(request.backend)?.delete(&key(&request.key)?).await;
        told(deleted.map(|()| wire::BlobDone {}))
    }

    async fn list(
        &self,
        request: Request<wire::ListBlobsRequest>,
    ) -> Result<Response<wire::ListBlobsResponse>, Status> {
        let request = request.into_inner();
        let after = match request.after.is_empty() {
            true => None,
            false => Some(key(&request.after)?),
        };
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let backend = self.backend(request.backend)?;
        let page = backend.list(&request.prefix, after.as_ref(), limit).await;
        told(page.map(|listed| {
            let blobs = listed.into_iter().map(|blob| wire::list_blobs_response::Listed {
                key: blob.key.as_str().to_owned(),
                size_bytes: blob.size_bytes,
            });
            wire::ListBlobsResponse { blobs: blobs.collect() }
        }))
    }

    async fn copy(
        &self,
        request: Request<wire::CopyBlobRequest>,
    ) -> Result<Response<wire::BlobStored>, Status> {
        let request = request.into_inner();
        let backend = self.backend(request.backend)?;
        let stored = backend.copy(&key(&request.from)?, &key(&request.to)?).await;
        told(stored.map(|stored| wire::BlobStored { size_bytes: stored.size_bytes }))
    }

    async fn abort_unfinished(
        &self,
        request: Request<wire::AbortUnfinishedRequest>,
    ) -> Result<Response<wire::AbortUnfinishedResponse>, Status> {
        let request = request.into_inner();
        let count = self.backend(request.backend)?.abort_unfinished(&request.prefix).await;
        let told_count = |count| u64::try_from(count).unwrap_or(u64::MAX);
        told(count.map(|count| wire::AbortUnfinishedResponse { count: told_count(count) }))
    }

    async fn identify(
        &self,
        request: Request<wire::BackendRequest>,
    ) -> Result<Response<wire::BlobDone>, Status> {
        let identified = self.backend(request.into_inner().backend)?.identify().await;
        told(identified.map(|()| wire::BlobDone {}))
    }

    async fn check(
        &self,
        request: Request<wire::BackendRequest>,
    ) -> Result<Response<wire::BlobDone>, Status> {
        let checked = self.backend(request.into_inner().backend)?.check().await;
        told(checked.map(|()| wire::BlobDone {}))
    }
}

fn parts(object: Object) -> Read {
    let Object { size_bytes, range, stream } = object;
    let head = Head { size_bytes, start: range.start, end: range.end };
    let part = |part| wire::GetBlobPart { part: Some(part) };
    let chunks = stream
        .map_ok(|chunk| stream::iter(split(chunk).map(Ok::<_, Error>)))
        .try_flatten()
        .map_ok(move |chunk| part(Part::Chunk(chunk)))
        .map_err(|error| status::of_blobs(&error));
    stream::once(std::future::ready(Ok(part(Part::Head(head))))).chain(chunks).boxed()
}

fn split(mut chunk: bytes::Bytes) -> impl Iterator<Item = bytes::Bytes> {
    std::iter::from_fn(move || {
        let length = chunk.len().min(CHUNK_BYTES_MAX);
        (length > 0).then(|| chunk.split_to(length))
    })
}
