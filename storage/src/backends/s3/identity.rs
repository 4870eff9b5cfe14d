//! How a bucket keeps a backend's identity: an object beside the blobs, which no listing shows and no delete removes.
//! What an identity is, and why, is `backends/identity.rs`.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use tracing::warn;
use vaultaire_proto::BackendKey;

use super::S3;
use super::observe::watch;
use super::upload;
use crate::backend::{Attributes, Kind, once};
use crate::backends::identity::{Expect, NAME, Place};
use crate::error::{Class, Error};

/// No identity is larger.
const IDENTITY_BYTES_MAX: u64 = 64 * 1024;

static KEY: LazyLock<BackendKey> =
    LazyLock::new(|| BackendKey::parse(NAME).expect("the name is a valid key"));

/// Proves that the prefix is this backend, and makes a fresh one this backend where that is allowed.
pub async fn establish(s3: &S3, expect: Expect) -> Result<(), Error> {
    match verify(s3).await {
        Err(Error::IdentityMissing { .. }) => {}
        // A node starts while an endpoint that it has used before is down. Nothing is written there until it is proved,
        // and nothing is swept.
        Err(error) if expect == Expect::Ours && error.class() == Class::Transient => {
            warn!(backend = %s3.id, name = s3.name, %error, "opened unproved: the endpoint does not answer");
            return Ok(());
        }
        settled => return settled,
    }
    match expect {
        Expect::Ours => {
            let reason = "the cluster has used this backend before";
            return Err(s3.identity.missing(&place(s3), reason));
        }
        Expect::FreshOrOurs if !is_fresh(s3).await? => {
            return Err(s3.identity.missing(&place(s3), "there are objects under it"));
        }
        Expect::FreshOrOurs => {}
    }
    let text = Bytes::from(s3.identity.to_text());
    let size = text.len() as u64;
    match upload::put(s3, &KEY, &Attributes::default(), Some(size), once(text)).await {
        // Another was first, or nobody knows: what is there now tells. Where the endpoint ignores conditions, the last
        // writer wins, and the other one notices before its first sweep.
        Ok(_) | Err(Error::AlreadyExists { .. } | Error::OutcomeUnknown { .. }) => verify(s3).await,
        Err(error) => Err(error),
    }
}

/// Proves that the prefix is this backend now. What was proved holds until an answer says otherwise.
pub async fn verify(s3: &S3) -> Result<(), Error> {
    let outcome = look(s3).await;
    match outcome.as_ref().map_err(Error::class) {
        Ok(()) => s3.is_proved.store(true, Ordering::Relaxed),
        Err(Class::Operator | Class::Corrupt) => s3.is_proved.store(false, Ordering::Relaxed),
        Err(
            Class::Missing | Class::Conflict | Class::Request | Class::Transient | Class::Unknown,
        ) => {}
    }
    outcome
}

async fn look(s3: &S3) -> Result<(), Error> {
    match s3.read(&KEY, None).await {
        Ok((_attributes, object)) => {
            let text = object.collect(IDENTITY_BYTES_MAX).await?;
            s3.identity.verify(&text, &place(s3))
        }
        Err(Error::NotFound { .. }) => {
            Err(s3.identity.missing(&place(s3), "the backend is to have one"))
        }
        Err(error) => Err(error),
    }
}

/// Proves it unless that was done since the backend was opened.
pub async fn ensure_proved(s3: &S3) -> Result<(), Error> {
    match s3.is_proved.load(Ordering::Relaxed) {
        true => Ok(()),
        false => verify(s3).await,
    }
}

/// Whether a key is the one that is not a blob's.
pub fn is_reserved(key: &BackendKey) -> bool {
    *key == *KEY
}

/// Not even what others put there may be under the prefix: a sweep of ours would never touch it, but a second cluster
/// without an identity yet would look the same.
async fn is_fresh(s3: &S3) -> Result<bool, Error> {
    let options = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
    let page = watch(s3.clients.store.list_paginated(Some(&s3.full("")), options)).await;
    let page = page.map_err(|failure| s3.of_all("list").classify(failure))?;
    Ok(page.result.objects.is_empty())
}

fn place(s3: &S3) -> Place {
    Place { name: format!("backend {} at {}", s3.name, s3.address), kind: Kind::S3 }
}
