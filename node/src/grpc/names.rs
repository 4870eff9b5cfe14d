//! Resource names of the admin API: a collection, a slash, and the thing's own name.

use vaultaire_proto::BucketName;

use crate::error::Error;
use crate::propose::rejected;
use vaultaire_proto::Rejection;

pub const BUCKETS: &str = "buckets/";
pub const USERS: &str = "users/";
pub const KEYS: &str = "keys/";
pub const BACKENDS: &str = "backends/";
pub const NODES: &str = "nodes/";
pub const GROUPS: &str = "groups/";
pub const OPERATIONS: &str = "operations/";

/// The longest name of a user, in bytes.
const USER_LEN_MAX: usize = 64;

/// The thing's own name.
pub fn within<'name>(collection: &str, name: &'name str) -> Result<&'name str, Error> {
    match name.strip_prefix(collection) {
        Some(own) if !own.is_empty() => Ok(own),
        Some(_) | None => Err(Error::Usage(format!("`{name}` must be `{collection}` and a name"))),
    }
}

/// A bucket that may not exist yet: the name must be one that S3 allows.
pub fn new_bucket(name: &str) -> Result<BucketName, Error> {
    BucketName::parse(within(BUCKETS, name)?).map_err(|invalid| Error::Usage(invalid.to_string()))
}

/// A bucket that should exist: a name that no bucket can have is simply not found.
pub fn bucket(name: &str) -> Result<BucketName, Error> {
    let own = within(BUCKETS, name)?;
    BucketName::parse(own).map_err(|_| rejected(&format!("bucket {own}"), Rejection::NoSuchBucket))
}

/// A user's name: short, and no part of a path or a shell line.
pub fn user(name: &str) -> Result<&str, Error> {
    let own = within(USERS, name)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
    if own.len() > USER_LEN_MAX || !own.bytes().all(plain) {
        let rule = "may hold letters, digits and . _ - @ + only, 64 at most";
        return Err(Error::Usage(format!("user name `{own}` {rule}")));
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_or_refused_with_the_rule() {
        assert_eq!(user("users/alice").ok(), Some("alice"));
        for bad in ["alice", "users/", "users/a b", "users/a/b", "keys/alice"] {
            assert!(matches!(user(bad), Err(Error::Usage(_))), "{bad}");
        }
        assert!(matches!(new_bucket("buckets/A"), Err(Error::Usage(_))));
        assert!(matches!(bucket("buckets/A"), Err(Error::Rejected { .. })));
        assert!(bucket("buckets/photos").is_ok());
    }
}
