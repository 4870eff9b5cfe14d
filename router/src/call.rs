//! One authenticated request as the operations see it, and what all requests share.

use std::sync::Arc;

use http::HeaderMap;
use s3s::{Body, TrailingHeaders};
use tokio::sync::Semaphore;
use vaultaire_proto::row::Bucket;
use vaultaire_proto::{BucketName, Catalog, Clock, GroupId, ObjectKey};
use vaultaire_storage::registry::Registry;

use crate::auth::Identity;
use crate::config::Settings;
use crate::epochs::Epochs;
use crate::error::Error;
use crate::error::code::Code;
use crate::operation::Operation;
use crate::query::Query;

/// What all requests share.
#[derive(Debug)]
pub struct Context {
    pub catalog: Arc<dyn Catalog>,
    pub registry: Arc<Registry>,
    pub clock: Arc<dyn Clock>,
    pub epochs: Arc<Epochs>,
    pub settings: Settings,
    /// Body bytes in memory on their way in, of all requests.
    pub budget_in: Arc<Semaphore>,
    /// The same on their way out, which slow readers may hold for long.
    pub budget_out: Arc<Semaphore>,
    /// Bytes of XML bodies, which are kept whole: apart, since they wait for the budget of chunks.
    pub xml_budget: Semaphore,
}

impl Context {
    /// The shard that owns an object.
    pub fn shard(&self, bucket: &Bucket, key: &ObjectKey) -> GroupId {
        vaultaire_proto::command::shard_of(bucket.id, key, self.catalog.cluster().shards)
    }
}

/// One request.
#[derive(Debug)]
pub struct Call {
    pub operation: Operation,
    pub bucket: Option<BucketName>,
    pub key: Option<ObjectKey>,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Body,
    /// Filled when the body has been read to its end.
    pub trailers: Option<TrailingHeaders>,
    pub identity: Identity,
    /// The bucket's row, read while the signature was checked.
    pub row: Option<Bucket>,
}

impl Call {
    /// The bucket named; the gate lets no operation on buckets through without.
    pub fn bucket_name(&self) -> Result<&BucketName, Error> {
        self.bucket.as_ref().ok_or_else(|| Error::new(Code::InvalidBucketName))
    }

    /// The key named; the gate lets no operation on objects through without.
    pub fn object_key(&self) -> Result<&ObjectKey, Error> {
        self.key.as_ref().ok_or_else(|| Error::new(Code::InvalidURI))
    }

    /// A header as text. What is not visible ASCII is a text that means nothing: never the same as no header, or a
    /// range that cannot be read would be the whole.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"))
    }

    /// A number in the query, at most `max` (larger ones are cut).
    pub fn count(&self, name: &'static str, max: usize) -> Result<usize, Error> {
        match self.query.get(name) {
            None | Some("") => Ok(max),
            Some(text) => match text.parse::<u64>() {
                Ok(count) if i32::try_from(count).is_ok() => {
                    Ok(usize::try_from(count).map_or(max, |count| count.min(max)))
                }
                _ => Err(Error::argument(name, "must be an integer between 0 and 2147483647")
                    .detail("ArgumentValue", text)),
            },
        }
    }

    /// Takes the body out.
    pub fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }
}
