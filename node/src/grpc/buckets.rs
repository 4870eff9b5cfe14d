//! Buckets over the admin API: the same commands as S3's, in the name of a user whom the caller names.

use std::collections::VecDeque;

use parking_lot::Mutex;
use vaultaire_proto::row::{Bucket, BucketPhase, Copies, Spread, Versioning};
use vaultaire_proto::settle::settle_bucket;
use vaultaire_proto::wire::admin;
use vaultaire_proto::{
    BucketId, BucketName, Consistency, GroupId, Operation, Rejection, RequestId, Response, UserId,
};

use crate::ask;
use crate::error::Error;
use crate::grpc::{Parts, names};
use crate::propose::{accepted, rejected, request_id};

/// The most buckets one page holds: each costs a question per shard.
const PAGE_MAX: usize = 100;

/// How many deletions are remembered for those who repeat them.
const DELETIONS_MAX: usize = 1024;

pub async fn list(
    parts: &Parts,
    request: admin::ListBucketsRequest,
) -> Result<admin::ListBucketsResponse, Error> {
    let limit = page_size(request.page_size, PAGE_MAX);
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(BucketName::parse(token).map_err(|_| bad_token())?),
    };
    let catalog = parts.proposer.catalog();
    let fresh = Consistency::Linearizable;
    let rows = ask::buckets(catalog, fresh, after, request.prefix, limit).await?;
    let next_page_token = match rows.last() {
        Some(last) if rows.len() >= limit => last.name.to_string(),
        Some(_) | None => String::new(),
    };
    let mut buckets = Vec::new();
    for row in rows {
        if row.phase != BucketPhase::Deleted {
            buckets.push(shown(parts, row).await?);
        }
    }
    Ok(admin::ListBucketsResponse { buckets, next_page_token })
}

pub async fn get(
    parts: &Parts,
    request: admin::GetBucketRequest,
) -> Result<admin::GetBucketResponse, Error> {
    let row = find(parts, &request.name).await?;
    Ok(admin::GetBucketResponse { bucket: Some(shown(parts, row).await?) })
}

pub async fn create(
    parts: &Parts,
    request: admin::CreateBucketRequest,
) -> Result<admin::CreateBucketResponse, Error> {
    let name = names::new_bucket(&request.name)?;
    let owner = names::user(&request.owner)?;
    let catalog = parts.proposer.catalog();
    let Some(owner) = ask::user_by_name(catalog, owner).await? else {
        return Err(rejected(&request.owner, Rejection::NoSuchUser));
    };
    let region = match request.region.as_str() {
        "" => catalog.cluster().region.clone(),
        region => region.to_owned(),
    };
    let subject = format!("bucket {name}");
    let id = request_id("CreateBucket", &request.name, &request.request_id);
    let operation = Operation::CreateBucket { name, owner: owner.id, region };
    let response = parts.proposer.commit_as(id, GroupId::CONTROL, operation).await?;
    let row = bucket_in(accepted(&subject, response)?)?;
    // A bucket that is not settled may not be changed again.
    let mut row = settle_bucket(catalog, row).await?;
    if let Some(versioning) = asked_versioning(request.versioning) {
        let operation = Operation::SetVersioning { bucket: row.id, versioning };
        let response = parts.proposer.commit_accepted(&subject, GroupId::CONTROL, operation);
        row = settle_bucket(catalog, bucket_in(response.await?)?).await?;
    }
    Ok(admin::CreateBucketResponse { bucket: Some(shown(parts, row).await?) })
}

/// Versioning that a new bucket does not have anyway.
fn asked_versioning(asked: i32) -> Option<Versioning> {
    match admin::Versioning::try_from(asked) {
        Ok(admin::Versioning::Enabled) => Some(Versioning::Enabled),
        Ok(admin::Versioning::Suspended) => Some(Versioning::Suspended),
        Ok(admin::Versioning::Off | admin::Versioning::Unspecified) | Err(_) => None,
    }
}

/// Every PUT that begins from now on has so many copies.
pub async fn set_copies(
    parts: &Parts,
    request: admin::SetBucketCopiesRequest,
) -> Result<admin::SetBucketCopiesResponse, Error> {
    let row = find(parts, &request.name).await?;
    let spread = match request.spread() {
        admin::Spread::Node | admin::Spread::Unspecified => Spread::Node,
        admin::Spread::Zone => Spread::Zone,
        admin::Spread::Region => Spread::Region,
    };
    if request.copies > Copies::COUNT_MAX {
        let most = Copies::COUNT_MAX;
        return Err(Error::Usage(format!("an object has {most} copies at most")));
    }
    let copies = (request.copies > 0).then_some(Copies { count: request.copies, spread });
    let row = match request.validate_only {
        true => row,
        false => {
            let subject = format!("bucket {}", row.name);
            let id = request_id("SetBucketCopies", &request.name, &request.request_id);
            let operation = Operation::SetCopies { bucket: row.id, copies };
            let response = parts.proposer.commit_as(id, GroupId::CONTROL, operation).await?;
            bucket_in(accepted(&subject, response)?)?
        }
    };
    Ok(admin::SetBucketCopiesResponse { bucket: Some(shown(parts, row).await?) })
}

pub async fn delete(
    parts: &Parts,
    request: admin::DeleteBucketRequest,
) -> Result<admin::DeleteBucketResponse, Error> {
    let id = request_id("DeleteBucket", &request.name, &request.request_id);
    let row = match parts.deletions.bucket(id) {
        Some(bucket) => find_again(parts, &request.name, bucket).await?,
        None => find(parts, &request.name).await?,
    };
    if row.phase == BucketPhase::Deleted {
        return Ok(admin::DeleteBucketResponse {});
    }
    if !request.request_id.is_empty() {
        parts.deletions.remember(id, row.id);
    }
    let subject = format!("bucket {}", row.name);
    let operation = Operation::DeleteBucket { bucket: row.id };
    let response = parts.proposer.commit_as(id, GroupId::CONTROL, operation).await?;
    let deleting = bucket_in(accepted(&subject, response)?)?;
    let settled = settle_bucket(parts.proposer.catalog(), deleting).await?;
    match settled.phase {
        BucketPhase::Deleted => Ok(admin::DeleteBucketResponse {}),
        BucketPhase::Open => Err(rejected(&subject, Rejection::BucketNotEmpty)),
        BucketPhase::Deleting => Err(rejected(&subject, Rejection::OperationAborted)),
    }
}

/// Which bucket each of the latest requests meant. A deleted bucket is not found by its name, and another may have that
/// name by now: without this a repeated request would be told that there is none, or take the other. It is forgotten with
/// the process; a repetition after a restart learns that there is no such bucket.
#[derive(Debug, Default)]
pub struct Deletions(Mutex<VecDeque<(RequestId, BucketId)>>);

impl Deletions {
    fn bucket(&self, request: RequestId) -> Option<BucketId> {
        let latest = self.0.lock();
        latest.iter().find(|(id, _)| *id == request).map(|(_, bucket)| *bucket)
    }

    fn remember(&self, request: RequestId, bucket: BucketId) {
        let mut latest = self.0.lock();
        latest.retain(|(id, _)| *id != request);
        if latest.len() >= DELETIONS_MAX {
            latest.pop_front();
        }
        latest.push_back((request, bucket));
    }
}

async fn find_again(parts: &Parts, name: &str, id: BucketId) -> Result<Bucket, Error> {
    let found = ask::bucket_by_id(parts.proposer.catalog(), Consistency::Linearizable, id).await?;
    found.ok_or_else(|| rejected(name, Rejection::NoSuchBucket))
}

async fn find(parts: &Parts, name: &str) -> Result<Bucket, Error> {
    let own = names::bucket(name)?;
    let subject = format!("bucket {own}");
    let found = ask::bucket(parts.proposer.catalog(), Consistency::Linearizable, own).await?;
    match found {
        Some(row) if row.phase != BucketPhase::Deleted => Ok(row),
        Some(_) | None => Err(rejected(&subject, Rejection::NoSuchBucket)),
    }
}

fn bucket_in(response: Response) -> Result<Bucket, Error> {
    let Response::Bucket(row) = response else {
        return Err(Error::UnexpectedAnswer { question: "a bucket command" });
    };
    Ok(row)
}

/// A row with what all shards hold of it.
async fn shown(parts: &Parts, row: Bucket) -> Result<admin::Bucket, Error> {
    let catalog = parts.proposer.catalog();
    let held = parts
        .proposer
        .shards()
        .map(|shard| ask::shard_bucket(catalog, Consistency::Stale, shard, row.id));
    let (mut objects, mut size_bytes) = (0_u64, 0_u64);
    for held in futures::future::try_join_all(held).await?.into_iter().flatten() {
        objects = objects.saturating_add(held.objects);
        size_bytes = size_bytes.saturating_add(held.size_bytes);
    }
    let copies = row.copies.unwrap_or_default();
    Ok(admin::Bucket {
        name: format!("{}{}", names::BUCKETS, row.name),
        bucket_id: row.id.0,
        owner: owner(parts, row.owner).await?,
        region: row.region,
        created_ms: row.created.0,
        versioning: versioning(row.versioning).into(),
        state: state(row.phase).into(),
        objects,
        size_bytes,
        copies: copies.count,
        spread: match copies.spread {
            Spread::Node => admin::Spread::Node,
            Spread::Zone => admin::Spread::Zone,
            Spread::Region => admin::Spread::Region,
        }
        .into(),
    })
}

/// `users/alice`; a user who is gone keeps the number.
pub async fn owner(parts: &Parts, id: UserId) -> Result<String, Error> {
    let found = ask::user(parts.proposer.catalog(), Consistency::Stale, id).await?;
    let name = found.map_or_else(|| id.to_string(), |user| user.name);
    Ok(format!("{}{name}", names::USERS))
}

fn versioning(versioning: Versioning) -> admin::Versioning {
    match versioning {
        Versioning::Off => admin::Versioning::Off,
        Versioning::Enabled => admin::Versioning::Enabled,
        Versioning::Suspended => admin::Versioning::Suspended,
    }
}

fn state(phase: BucketPhase) -> admin::BucketState {
    match phase {
        BucketPhase::Open => admin::BucketState::Open,
        BucketPhase::Deleting => admin::BucketState::Deleting,
        BucketPhase::Deleted => admin::BucketState::Unspecified,
    }
}

/// How many rows a page has: what was asked for, within the server's bound.
pub fn page_size(asked: u32, most: usize) -> usize {
    match usize::try_from(asked) {
        Ok(0) | Err(_) => most,
        Ok(asked) => asked.min(most),
    }
}

/// A page token that this server did not make.
pub fn bad_token() -> Error {
    Error::Usage(
        "the page token is not one that this server gave out; start from the first page".to_owned(),
    )
}
