//! What all lists share: owners, encoded names, pages. Which keys are on a page is decided in proto.

use s3s::dto;
use vaultaire_proto::catalog::{Item, Page};
use vaultaire_proto::object::Version;
use vaultaire_proto::{Answer, Consistency, Query, UserId};

use crate::attributes::url_encode;
use crate::call::{Call, Context};
use crate::checksum;
use crate::error::Error;
use crate::error::map::unexpected;
use crate::{headers, http_date};

/// How names are written: as they are, or URL-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    /// Reads `encoding-type`.
    pub fn of(call: &Call) -> Result<Self, Error> {
        match call.query.get("encoding-type") {
            None | Some("") => Ok(Self::Plain),
            Some("url") => Ok(Self::Url),
            Some(other) => Err(Error::argument(
                "encoding-type",
                "Invalid Encoding Method specified in Request",
            )
            .detail("ArgumentValue", other)),
        }
    }

    /// A name as this list writes it.
    pub fn name(self, name: &str) -> String {
        match self {
            Self::Plain => name.to_owned(),
            Self::Url => url_encode(name),
        }
    }

    /// The same where it may be absent; S3 leaves empty names out.
    pub fn named(self, name: &str) -> Option<String> {
        (!name.is_empty()).then(|| self.name(name))
    }

    /// The echo in the answer.
    pub fn echo(self) -> Option<dto::EncodingType> {
        match self {
            Self::Plain => None,
            Self::Url => Some(dto::EncodingType::from_static(dto::EncodingType::URL)),
        }
    }
}

/// A query parameter as text, empty where it was not sent.
pub fn text(call: &Call, name: &str) -> String {
    call.query.get(name).unwrap_or_default().to_owned()
}

/// The last name on a page: where the next one goes on.
pub fn last<T>(page: &Page<T>, name: impl Fn(&T) -> &str) -> Option<String> {
    page.items.last().map(|item| match item {
        Item::Entry(entry) => name(entry).to_owned(),
        Item::Prefix(prefix) => prefix.clone(),
    })
}

/// The rolled-up prefixes of a page.
pub fn prefixes<T>(page: &Page<T>, encoding: Encoding) -> Option<Vec<dto::CommonPrefix>> {
    let prefixes = page.items.iter().filter_map(|item| match item {
        Item::Prefix(prefix) => Some(dto::CommonPrefix { prefix: Some(encoding.name(prefix)) }),
        Item::Entry(_) => None,
    });
    let prefixes: Vec<_> = prefixes.collect();
    (!prefixes.is_empty()).then_some(prefixes)
}

/// The entries of a page.
pub fn entries<T>(page: &Page<T>) -> impl Iterator<Item = &T> {
    page.items.iter().filter_map(|item| match item {
        Item::Entry(entry) => Some(entry),
        Item::Prefix(_) => None,
    })
}

/// A user as S3 shows owners: the id in decimal, and the name.
pub async fn owner(ctx: &Context, user: UserId) -> Result<dto::Owner, Error> {
    // Only a name is shown: no right hangs on it, so a stale row will do.
    let name = match ctx.catalog.query(Query::User(user), Consistency::Stale).await? {
        Answer::User(user) => user.map(|user| user.name),
        _ => return Err(unexpected("user")),
    };
    Ok(dto::Owner {
        display_name: Some(name.unwrap_or_else(|| user.to_string())),
        id: Some(user.to_string()),
    })
}

/// An object's line.
pub fn object(
    key: &str,
    version: &Version,
    encoding: Encoding,
    owner: Option<&dto::Owner>,
) -> dto::Object {
    dto::Object {
        checksum_algorithm: version
            .checksum
            .as_ref()
            .map(|sum| vec![dto::ChecksumAlgorithm::from_static(checksum::name(sum.algorithm))]),
        checksum_type: version
            .checksum
            .as_ref()
            .map(|sum| dto::ChecksumType::from_static(checksum::scope_name(sum.scope))),
        e_tag: Some(dto::ETag::Strong(version.etag.to_string())),
        key: Some(encoding.name(key)),
        last_modified: Some(http_date::timestamp(version.modified)),
        owner: owner.cloned(),
        restore_status: None,
        size: i64::try_from(version.size_bytes).ok(),
        storage_class: Some(dto::ObjectStorageClass::from(
            headers::shown_class(&version.attributes.storage_class).to_owned(),
        )),
    }
}

/// A count as S3's XML types have it.
pub fn int(count: usize) -> Option<i32> {
    i32::try_from(count).ok()
}
