//! What makes a repeated request the same request (design: exactly once per request id), and the
//! digest of its inputs, which tells a repetition from another request under the same id.

use sha2::{Digest, Sha256};
use ulid::Ulid;
use vaultaire_proto::RequestId;
use vaultaire_proto::command::{Condition, Match};
use vaultaire_proto::object::{Attributes, Checksum};

use crate::call::Call;
use crate::checksum;

/// SDKs keep this header over the retries of one call.
const INVOCATION: &str = "amz-sdk-invocation-id";

/// Of a request. Without an invocation id every arrival is a request of its own.
pub fn of(call: &Call) -> RequestId {
    of_item(call, 0, "")
}

/// Of one item of a batch.
pub fn of_item(call: &Call, ordinal: u32, item: &str) -> RequestId {
    let Some(invocation) = call.headers.get(INVOCATION) else {
        return fresh();
    };
    let mut fields = Fields::default();
    fields.text(&call.identity.access_key);
    fields.text(call.operation.name());
    fields.text(call.bucket.as_ref().map_or("", |name| name.as_str()));
    fields.text(call.key.as_ref().map_or("", |key| key.as_str()));
    for name in ["versionId", "uploadId", "partNumber"] {
        fields.text(call.query.get(name).unwrap_or(""));
    }
    fields.number(u64::from(ordinal));
    fields.text(item);
    fields.bytes(invocation.as_bytes());
    RequestId(fields.digest())
}

/// An id that no other request has.
pub fn fresh() -> RequestId {
    RequestId(Ulid::new().to_bytes())
}

/// Hashes fields so that no two different lists of fields are the same bytes.
#[derive(Default)]
pub struct Fields(Sha256);

impl Fields {
    /// Adds bytes, with their length before them.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    /// Adds text.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    /// Adds what a client says about an object beside its bytes.
    pub fn attributes(&mut self, attributes: &Attributes) {
        let headers = &attributes.headers;
        for value in [
            &headers.content_type,
            &headers.content_encoding,
            &headers.content_language,
            &headers.content_disposition,
            &headers.cache_control,
            &headers.expires,
            &headers.website_redirect,
        ] {
            self.number(u64::from(value.is_some()));
            self.text(value.as_deref().unwrap_or_default());
        }
        for pairs in [&attributes.user_metadata, &attributes.tags] {
            self.number(pairs.len() as u64);
            for (name, value) in pairs {
                self.text(name);
                self.text(value);
            }
        }
        self.text(&attributes.storage_class);
    }

    /// Adds a checksum.
    pub fn checksum(&mut self, checksum: Option<&Checksum>) {
        match checksum {
            None => self.number(0),
            Some(checksum) => {
                self.text(checksum::name(checksum.algorithm));
                self.text(checksum::scope_name(checksum.scope));
                self.bytes(&checksum.value);
            }
        }
    }

    /// Adds a condition.
    pub fn condition(&mut self, condition: &Condition) {
        for side in [&condition.if_match, &condition.if_none_match] {
            match side {
                None => self.number(0),
                Some(Match::Any) => self.number(1),
                Some(Match::Never) => self.number(2),
                Some(Match::ETag(etag)) => {
                    self.number(3);
                    self.text(&etag.to_string());
                }
            }
        }
        self.number(condition.if_modified_at.map_or(u64::MAX, |time| time.0));
        self.number(condition.if_size_bytes.unwrap_or(u64::MAX));
    }

    /// The first half of the hash.
    pub fn digest(self) -> [u8; 16] {
        let hash = self.0.finalize();
        let mut digest = [0; 16];
        digest.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        digest
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use http::{HeaderMap, HeaderValue};
    use s3s::Body;
    use vaultaire_proto::{BucketName, ObjectKey, UserId};

    use super::*;
    use crate::auth::Identity;
    use crate::operation::Operation;
    use crate::query::Query;

    fn call(invocation: Option<&'static str>, key: &str, query: &str) -> Call {
        let mut headers = HeaderMap::new();
        if let Some(invocation) = invocation {
            headers.insert(INVOCATION, HeaderValue::from_static(invocation));
        }
        Call {
            operation: Operation::PutObject,
            bucket: Some(BucketName::parse("photos").unwrap()),
            key: Some(ObjectKey::parse(key).unwrap()),
            query: Query::parse(query).unwrap(),
            headers,
            body: Body::empty(),
            trailers: None,
            identity: Identity { access_key: "AK".to_owned(), user: UserId(1) },
            row: None,
        }
    }

    #[test]
    fn retries_share_an_id_and_nothing_else_does() {
        let id = of(&call(Some("i1"), "k", ""));
        assert_eq!(id, of(&call(Some("i1"), "k", "")));
        assert_ne!(id, of(&call(Some("i2"), "k", "")));
        assert_ne!(id, of(&call(Some("i1"), "l", "")));
        assert_ne!(id, of(&call(Some("i1"), "k", "partNumber=1")));
        assert_ne!(id, of_item(&call(Some("i1"), "k", ""), 1, ""));
        assert_ne!(id, of_item(&call(Some("i1"), "k", ""), 0, "x"));
        assert_ne!(of(&call(None, "k", "")), of(&call(None, "k", "")));
    }

    #[test]
    fn fields_do_not_run_together() {
        let digest = |one: &str, two: &str| {
            let mut fields = Fields::default();
            fields.text(one);
            fields.text(two);
            fields.digest()
        };
        assert_ne!(digest("ab", "c"), digest("a", "bc"));
    }
}
