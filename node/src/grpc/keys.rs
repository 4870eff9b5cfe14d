//! Users and access keys over the admin API. A secret leaves the node once, when its key is made.

use ring::digest;
use vaultaire_proto::row::{AccessKey, User};
use vaultaire_proto::wire::admin;
use vaultaire_proto::{Consistency, GroupId, Operation, Rejection, RequestId, Response, UserId};

use crate::ask;
use crate::error::Error;
use crate::grpc::buckets::{bad_token, owner, page_size};
use crate::grpc::{Parts, names};
use crate::propose::{Proposer, accepted, rejected, request_id};
use crate::secrets::{Credentials, Sealer};

const PAGE_MAX: usize = 1000;

pub async fn list_users(
    parts: &Parts,
    request: admin::ListUsersRequest,
) -> Result<admin::ListUsersResponse, Error> {
    let limit = page_size(request.page_size, PAGE_MAX);
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(UserId(token.parse().map_err(|_| bad_token())?)),
    };
    let catalog = parts.proposer.catalog();
    let rows = ask::users(catalog, Consistency::Linearizable, after, limit).await?;
    let next_page_token = match rows.last() {
        Some(last) if rows.len() >= limit => last.id.to_string(),
        Some(_) | None => String::new(),
    };
    let shown = |user: User| admin::User {
        name: format!("{}{}", names::USERS, user.name),
        user_id: user.id.0,
        created_ms: user.created.0,
    };
    Ok(admin::ListUsersResponse { users: rows.into_iter().map(shown).collect(), next_page_token })
}

pub async fn list(
    parts: &Parts,
    request: admin::ListKeysRequest,
) -> Result<admin::ListKeysResponse, Error> {
    let limit = page_size(request.page_size, PAGE_MAX);
    let after = (!request.page_token.is_empty()).then_some(request.page_token);
    let catalog = parts.proposer.catalog();
    let user = match request.user.as_str() {
        "" => None,
        name => match ask::user_by_name(catalog, names::user(name)?).await? {
            Some(user) => Some(user.id),
            None => return Err(rejected(name, Rejection::NoSuchUser)),
        },
    };
    let rows = ask::access_keys(catalog, Consistency::Linearizable, user, after, limit).await?;
    let next_page_token = match rows.last() {
        Some(last) if rows.len() >= limit => last.access_key.clone(),
        Some(_) | None => String::new(),
    };
    let mut keys = Vec::new();
    for row in rows {
        let user = owner(parts, row.user).await?;
        keys.push(shown(row, user));
    }
    Ok(admin::ListKeysResponse { keys, next_page_token })
}

pub async fn create(
    parts: &Parts,
    request: admin::CreateKeyRequest,
) -> Result<admin::CreateKeyResponse, Error> {
    let name = names::user(&request.user)?;
    let user = ensure_user(&parts.proposer, name).await?;
    let id = request_id("CreateKey", &request.user, &request.request_id);
    let mut credentials = Credentials::generate();
    if !request.request_id.is_empty() {
        // A repeated call asks for the same access key, and is told that it exists.
        credentials.access_key = Credentials::access_key_from(digest_of(&id).as_ref());
    }
    let row = create_key(&parts.proposer, &parts.sealer, user.id, &credentials).await?;
    let key = shown(row, format!("{}{}", names::USERS, user.name));
    let secret_key = credentials.secret_key.expose().to_owned();
    Ok(admin::CreateKeyResponse { key: Some(key), secret_key })
}

pub async fn delete(
    parts: &Parts,
    request: admin::DeleteKeyRequest,
) -> Result<admin::DeleteKeyResponse, Error> {
    let access_key = names::within(names::KEYS, &request.name)?.to_owned();
    let subject = format!("access key {access_key}");
    let id = request_id("DeleteKey", &request.name, &request.request_id);
    let operation = Operation::DeleteAccessKey { access_key };
    let response = parts.proposer.commit_as(id, GroupId::CONTROL, operation).await?;
    accepted(&subject, response)?;
    Ok(admin::DeleteKeyResponse {})
}

/// The user of a name, made where there is none.
pub async fn ensure_user(proposer: &Proposer, name: &str) -> Result<User, Error> {
    let operation = Operation::CreateUser { name: name.to_owned() };
    let found = match proposer.commit(GroupId::CONTROL, operation).await? {
        Response::User(user) => Some(user),
        Response::Rejected(Rejection::AlreadyExists) => {
            ask::user_by_name(proposer.catalog(), name).await?
        }
        other => {
            accepted(&format!("user {name}"), other)?;
            None
        }
    };
    found.ok_or(Error::UnexpectedAnswer { question: "create user" })
}

/// Commits an access key whose secret only this node's key file opens.
pub async fn create_key(
    proposer: &Proposer,
    sealer: &Sealer,
    user: UserId,
    credentials: &Credentials,
) -> Result<AccessKey, Error> {
    let Credentials { access_key, secret_key } = credentials;
    let subject = format!("access key {access_key}");
    let operation = Operation::CreateAccessKey {
        user,
        access_key: access_key.clone(),
        sealed_secret: sealer.seal(access_key, secret_key),
    };
    let response = proposer.commit_accepted(&subject, GroupId::CONTROL, operation).await?;
    let Response::AccessKey(row) = response else {
        return Err(Error::UnexpectedAnswer { question: "create access key" });
    };
    Ok(row)
}

fn digest_of(id: &RequestId) -> digest::Digest {
    digest::digest(&digest::SHA256, &id.0)
}

fn shown(row: AccessKey, user: String) -> admin::Key {
    admin::Key {
        name: format!("{}{}", names::KEYS, row.access_key),
        access_key: row.access_key,
        user,
        user_id: row.user.0,
        created_ms: row.created.0,
    }
}
