//! Users and their access keys, in the control group. Secrets are sealed before they come here.

use crate::id::UserId;
use crate::response::{Rejection, Response};
use crate::row::{AccessKey, User};
use crate::state::{Context, key, rows};
use crate::tables::Reader;

/// The user of a name.
pub fn by_name(reader: &(impl Reader + ?Sized), name: &str) -> Option<User> {
    let id = reader.get(&key::user_by_name(name))?;
    let id: [u8; 8] = id.as_ref().try_into().ok()?;
    rows::get(reader, &key::user(UserId(u64::from_be_bytes(id))))
}

/// Adds a user; the name is taken once.
pub(crate) fn create(context: &mut Context<'_>, name: &str) -> Response {
    if name.is_empty() {
        return Response::Rejected(Rejection::Malformed);
    }
    if by_name(context.tables, name).is_some() {
        return Response::Rejected(Rejection::AlreadyExists);
    }
    let row =
        User { id: UserId(context.minted_number()), name: name.to_owned(), created: context.now };
    context.tables.put(key::user_by_name(name), row.id.0.to_be_bytes().to_vec());
    rows::put(context.tables, key::user(row.id), &row);
    Response::User(row)
}

/// Adds an access key to a user.
pub(crate) fn create_access_key(
    context: &mut Context<'_>,
    user: UserId,
    access_key: &str,
    sealed_secret: &[u8],
) -> Response {
    if access_key.is_empty() {
        return Response::Rejected(Rejection::Malformed);
    }
    if rows::get::<User>(context.tables, &key::user(user)).is_none() {
        return Response::Rejected(Rejection::NoSuchUser);
    }
    let row_key = key::access_key(access_key);
    if context.tables.get(&row_key).is_some() {
        return Response::Rejected(Rejection::AlreadyExists);
    }
    let row = AccessKey {
        access_key: access_key.to_owned(),
        user,
        sealed_secret: sealed_secret.to_vec(),
        created: context.now,
    };
    rows::put(context.tables, row_key, &row);
    Response::AccessKey(row)
}

/// Revokes an access key: from this entry on no request is authenticated by it.
pub(crate) fn delete_access_key(context: &mut Context<'_>, access_key: &str) -> Response {
    let row_key = key::access_key(access_key);
    if context.tables.get(&row_key).is_none() {
        return Response::Rejected(Rejection::NoSuchAccessKey);
    }
    context.tables.delete(&row_key);
    Response::Done
}
