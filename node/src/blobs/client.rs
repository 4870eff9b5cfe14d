//! Another node's backend, as this node sees it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::wire::v1::blobs_client::BlobsClient;
use vaultaire_proto::wire::v1::get_blob_part::Part;
use vaultaire_proto::{BackendId, BackendKey, NodeId};
use vaultaire_storage::backend::{
    Attributes, AttributesKept, Backend, ByteStream, Capabilities, Info, Kind, LIST_PAGE_MAX,
    Listed, Object, Stored, WriteOnce,
};
use vaultaire_storage::error::Error;

use super::faults::{Asked, Effect};
use super::upload::{Progress, parts};
use crate::peer::MESSAGE_BYTES_MAX;
use crate::peer::pool::{Lane, Pool};

/// How long a call without a body may take, and the first answer to a read.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A copy reads and writes a whole blob on the other node.
const COPY_MAX: Duration = Duration::from_secs(600);

/// A peer that neither takes nor gives anything for this long is given up. Bodies have no other limit.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// A backend on another node's disk.
#[derive(Debug)]
pub struct PeerBackend {
    id: BackendId,
    name: String,
    kind: Kind,
    node: NodeId,
    pool: Arc<Pool>,
}

impl PeerBackend {
    /// Its name says whose it is.
    pub fn new(id: BackendId, name: &str, kind: Kind, node: NodeId, pool: Arc<Pool>) -> Self {
        Self { id, name: shown_name(name, node), kind, node, pool }
    }

    fn asked(&self, operation: &'static str, key: Option<&BackendKey>) -> Asked {
        let (backend, name) = (self.id, self.name.clone());
        Asked { backend, name, operation, key: key.cloned() }
    }

    fn client(&self, asked: &Asked) -> Result<BlobsClient<Channel>, Error> {
        let channel = self.pool.channel(self.node, Lane::Bulk);
        let channel = channel.map_err(|error| asked.silent(Effect::Nothing, error.to_string()))?;
        Ok(BlobsClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    fn request<T>(&self, deadline: Option<Duration>, message: T) -> tonic::Request<T> {
        self.pool.request(self.node, deadline, message)
    }

    fn blob(&self, key: &BackendKey) -> tonic::Request<wire::BlobRequest> {
        let (backend, key) = (self.id.0, key.as_str().to_owned());
        self.request(Some(ANSWER_MAX), wire::BlobRequest { backend, key })
    }

    fn whole(&self) -> tonic::Request<wire::BackendRequest> {
        self.request(Some(ANSWER_MAX), wire::BackendRequest { backend: self.id.0 })
    }
}

/// How a backend of another node is called on this one.
pub fn shown_name(name: &str, node: NodeId) -> String {
    format!("{name}@{node}")
}

fn answered<T>(
    asked: &Asked,
    effect: Effect,
    answer: Result<Response<T>, Status>,
) -> Result<T, Error> {
    answer.map(Response::into_inner).map_err(|status| asked.error(effect, &status))
}

#[async_trait]
impl Backend for PeerBackend {
    fn id(&self) -> BackendId {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    /// Those of its kind, which the other node need not be asked for.
    fn capabilities(&self) -> Capabilities {
        let (write_once, attributes) = match self.kind {
            Kind::Disk => (WriteOnce::Atomic, AttributesKept::No),
            Kind::Memory => (WriteOnce::Atomic, AttributesKept::Yes),
            // Of no node; so the least that may be relied on.
            Kind::S3 => (WriteOnce::Checked, AttributesKept::No),
        };
        Capabilities { write_once, attributes }
    }

    async fn put(
        &self,
        key: &BackendKey,
        attributes: &Attributes,
        size_hint: Option<u64>,
        body: ByteStream,
    ) -> Result<Stored, Error> {
        let asked = self.asked("write", Some(key));
        let mut client = self.client(&asked)?;
        let head = wire::put_blob_part::Head {
            backend: self.id.0,
            key: key.as_str().to_owned(),
            attributes: Some(wire::BlobAttributes {
                bucket: attributes.bucket.clone(),
                key: attributes.key.clone(),
                version: attributes.version.clone(),
                size_bytes: attributes.size_bytes,
                content_type: attributes.content_type.clone(),
            }),
            size_hint_bytes: size_hint,
        };
        let progress = Progress::default();
        let parts = parts(head, body, &progress);
        // Without its end a body is not kept.
        let effect = || match progress.is_complete() {
            true => Effect::Maybe,
            false => Effect::Nothing,
        };
        let answer = tokio::select! {
            answer = client.put(self.request(None, parts)) => answered(&asked, effect(), answer),
            () = progress.stalled(IDLE_MAX) => Err(asked.silent(effect(), "it does not go on")),
        };
        // Where the body failed, that is why there is no blob.
        match (progress.failed(), answer) {
            (Some(error), _) => Err(error),
            (None, answer) => answer.map(|stored| Stored { size_bytes: stored.size_bytes }),
        }
    }

    async fn get(&self, key: &BackendKey, range: Option<Range<u64>>) -> Result<Object, Error> {
        let asked = self.asked("read", Some(key));
        let mut client = self.client(&asked)?;
        let (start, end) = range.map(|range| (range.start, range.end)).unzip();
        let message =
            wire::GetBlobRequest { backend: self.id.0, key: key.as_str().to_owned(), start, end };
        let opening = async {
            let answer = client.get(self.request(None, message)).await;
            let mut parts = answered(&asked, Effect::Nothing, answer)?;
            let first = next(&asked, &mut parts).await?;
            Ok::<_, Error>((first, parts))
        };
        let opened = timeout(ANSWER_MAX, opening).await;
        let (first, parts) = opened
            .unwrap_or_else(|_| Err(asked.silent(Effect::Nothing, "it did not answer in time")))?;
        let Some(Part::Head(head)) = first else {
            return Err(asked.silent(Effect::Nothing, "it did not answer with a head"));
        };
        let range = head.start..head.end;
        Ok(Object { size_bytes: head.size_bytes, range, stream: chunks(asked, parts) })
    }

    async fn head(&self, key: &BackendKey) -> Result<Info, Error> {
        let asked = self.asked("look at", Some(key));
        let answer = self.client(&asked)?.head(self.blob(key)).await;
        let found = answered(&asked, Effect::Nothing, answer)?;
        Ok(Info { size_bytes: found.size_bytes })
    }

    async fn delete(&self, key: &BackendKey) -> Result<(), Error> {
        let asked = self.asked("delete", Some(key));
        // Deleting can be repeated, so that nothing depends on whether a lost one took effect.
        let answer = self.client(&asked)?.delete(self.blob(key)).await;
        answered(&asked, Effect::Nothing, answer).map(|_| ())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&BackendKey>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        let asked = self.asked("list", None);
        let message = wire::ListBlobsRequest {
            backend: self.id.0,
            prefix: prefix.to_owned(),
            after: after.map(|key| key.as_str().to_owned()).unwrap_or_default(),
            limit: u32::try_from(limit.min(LIST_PAGE_MAX)).unwrap_or(u32::MAX),
        };
        let answer = self.client(&asked)?.list(self.request(Some(ANSWER_MAX), message)).await;
        let page = answered(&asked, Effect::Nothing, answer)?;
        let listed = page.blobs.into_iter().map(|blob| {
            let key = BackendKey::parse(&blob.key)
                .map_err(|invalid| asked.silent(Effect::Nothing, invalid.to_string()))?;
            Ok(Listed { key, size_bytes: blob.size_bytes })
        });
        listed.collect()
    }

    async fn copy(&self, from: &BackendKey, to: &BackendKey) -> Result<Stored, Error> {
        let asked = self.asked("copy", Some(from));
        let message = wire::CopyBlobRequest {
            backend: self.id.0,
            from: from.as_str().to_owned(),
            to: to.as_str().to_owned(),
        };
        let answer = self.client(&asked)?.copy(self.request(Some(COPY_MAX), message)).await;
        match answered(&asked, Effect::Maybe, answer) {
            Ok(stored) => Ok(Stored { size_bytes: stored.size_bytes }),
            // These two speak of the key that was to be written.
            Err(Error::OutcomeUnknown { backend, operation, source, .. }) => {
                Err(Error::OutcomeUnknown { backend, operation, key: to.clone(), source })
            }
            Err(Error::AlreadyExists { backend, .. }) => {
                Err(Error::AlreadyExists { backend, key: to.clone() })
            }
            Err(error) => Err(error),
        }
    }

    async fn abort_unfinished(&self, prefix: &str) -> Result<usize, Error> {
        let asked = self.asked("give up uploads", None);
        let message =
            wire::AbortUnfinishedRequest { backend: self.id.0, prefix: prefix.to_owned() };
        let request = self.request(Some(ANSWER_MAX), message);
        let answer = self.client(&asked)?.abort_unfinished(request).await;
        let count = answered(&asked, Effect::Nothing, answer)?.count;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    async fn identify(&self) -> Result<(), Error> {
        let asked = self.asked("identify", None);
        let answer = self.client(&asked)?.identify(self.whole()).await;
        answered(&asked, Effect::Nothing, answer).map(|_| ())
    }

    async fn check(&self) -> Result<(), Error> {
        let asked = self.asked("check", None);
        let answer = self.client(&asked)?.check(self.whole()).await;
        answered(&asked, Effect::Nothing, answer).map(|_| ())
    }
}

async fn next(
    asked: &Asked,
    parts: &mut Streaming<wire::GetBlobPart>,
) -> Result<Option<Part>, Error> {
    match timeout(IDLE_MAX, parts.message()).await {
        Ok(Ok(part)) => Ok(part.and_then(|part| part.part)),
        Ok(Err(status)) => Err(asked.error(Effect::Nothing, &status)),
        Err(_) => Err(asked.silent(Effect::Nothing, "it does not go on")),
    }
}

/// The chunks of a read; an error is the last.
fn chunks(asked: Asked, parts: Streaming<wire::GetBlobPart>) -> ByteStream {
    let state = Some((asked, parts));
    stream::unfold(state, |state| async move {
        let (asked, mut parts) = state?;
        match next(&asked, &mut parts).await {
            Ok(Some(Part::Chunk(chunk))) => Some((Ok::<Bytes, Error>(chunk), Some((asked, parts)))),
            Ok(Some(Part::Head(_))) => {
                Some((Err(asked.silent(Effect::Nothing, "it began anew")), None))
            }
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use vaultaire_proto::ClusterId;

    use super::*;

    #[test]
    fn a_peers_backend_can_what_its_kind_can() {
        let (id, here, there) = (BackendId(7), NodeId(1), NodeId(2));
        let seen = |kind| {
            let pool = Arc::new(Pool::new(ClusterId([1; 16]), here, None));
            PeerBackend::new(id, "hot", kind, there, pool)
        };
        assert_eq!(seen(Kind::Disk).capabilities().attributes, AttributesKept::No);
        let memory = vaultaire_storage::backends::memory::Memory::new(id, "hot");
        assert_eq!(seen(Kind::Memory).capabilities(), memory.capabilities());
        assert_eq!(seen(Kind::Disk).name(), "hot@2");
    }
}
