//! A whole S3 front in this process, and requests to it that read like a manual.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use s3s::Body;
use vaultaire_proto::catalog::local::LocalCatalog;
use vaultaire_proto::row::{AccessKey, BackendState};
use vaultaire_proto::settle::settle_backend;
use vaultaire_proto::{
    BackendId, Catalog, Clock, Command, GroupId, NodeId, Operation, Response, TimeMs,
};
use vaultaire_storage::backends::memory::Memory;
use vaultaire_storage::registry::Registry;

use super::sign::{self, Keys, Scope};
use crate::auth::{Secret, Unseal};
use crate::config::Settings;
use crate::epochs::Epochs;
use crate::metrics::Metrics;
use crate::request_id;
use crate::service::{Parts, Readiness, S3Service};
use crate::targets::Targets;

pub const HOST: &str = "localhost:9000";
pub const BASE_DOMAIN: &str = "s3.example.com";
const SHARDS: u16 = 4;

/// The real time: s3s compares signatures with it.
#[derive(Debug)]
pub struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> TimeMs {
        let ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        TimeMs(u64::try_from(ms).unwrap())
    }
}

/// Secrets sealed by turning every bit.
#[derive(Debug)]
struct Turned;

impl Unseal for Turned {
    fn unseal(&self, row: &AccessKey) -> Option<Secret> {
        let bytes = row.sealed_secret.iter().map(|byte| !byte).collect();
        String::from_utf8(bytes).ok().map(Secret::new)
    }
}

#[derive(Debug)]
struct Ready;

impl Readiness for Ready {
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A front, what it stands on, and two users.
pub struct World {
    pub service: S3Service,
    pub catalog: Arc<LocalCatalog>,
    pub registry: Arc<Registry>,
    pub memory: Arc<Memory>,
    pub epochs: Arc<Epochs>,
    pub ann: Keys,
    pub bob: Keys,
}

impl World {
    pub async fn new() -> Self {
        Self::with_memory(Memory::new(BackendId(1), "memory")).await
    }

    pub async fn with_memory(memory: Memory) -> Self {
        let clock = Arc::new(RealClock);
        let catalog = Arc::new(LocalCatalog::new(SHARDS, clock.clone()));
        let memory = Arc::new(memory);
        let registry = Arc::new(Registry::default());
        registry.insert(memory.clone()).unwrap();
        let epochs = Epochs::new(catalog.clone(), clock.clone(), NodeId(1), 1);
        let settings = Settings {
            base_domain: Some(BASE_DOMAIN.to_owned()),
            ..Settings::new(Arc::new(Targets::of_node(&[BackendId(1)])))
        };
        let service = S3Service::new(Parts {
            catalog: catalog.clone(),
            registry: registry.clone(),
            clock,
            secrets: Arc::new(Turned),
            epochs: epochs.clone(),
            readiness: Arc::new(Ready),
            metrics: Metrics::register(&mut prometheus_client::registry::Registry::default()),
            settings,
        });
        add_backend(&catalog).await;
        let ann = user(&catalog, "ann").await;
        let bob = user(&catalog, "bob").await;
        Self { service, catalog, registry, memory, epochs, ann, bob }
    }

    /// A front with a bucket of Ann's.
    pub async fn with_bucket(bucket: &str) -> Self {
        let world = Self::new().await;
        world.put(&format!("/{bucket}")).send().await.expect(200);
        world
    }

    pub fn ask(&self, method: Method, uri: &str) -> Ask<'_> {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static(HOST));
        Ask {
            world: self,
            method,
            uri: uri.to_owned(),
            headers,
            body: Bytes::new(),
            how: How::Header(self.ann.clone()),
            scope: Scope::default(),
        }
    }

    pub fn get(&self, uri: &str) -> Ask<'_> {
        self.ask(Method::GET, uri)
    }

    pub fn head(&self, uri: &str) -> Ask<'_> {
        self.ask(Method::HEAD, uri)
    }

    pub fn put(&self, uri: &str) -> Ask<'_> {
        self.ask(Method::PUT, uri)
    }

    pub fn post(&self, uri: &str) -> Ask<'_> {
        self.ask(Method::POST, uri)
    }

    pub fn delete(&self, uri: &str) -> Ask<'_> {
        self.ask(Method::DELETE, uri)
    }

    /// Sends what is signed already.
    pub async fn raw(&self, method: Method, uri: &str, headers: HeaderMap, body: Body) -> Told {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().unwrap();
        *request.headers_mut() = headers;
        let (parts, body) = self.service.answer(request).await.into_parts();
        let body = body.collect().await.map(|collected| collected.to_bytes());
        Told {
            status: parts.status,
            headers: parts.headers,
            body: body.map_err(|error| error.to_string()),
        }
    }
}

async fn commit(catalog: &LocalCatalog, operation: Operation) -> Response {
    let request = request_id::fresh();
    let command =
        Command { group: GroupId::CONTROL, request, not_after: TimeMs(u64::MAX), operation };
    catalog.commit(command).await.unwrap()
}

/// Makes backend 1 known to every shard.
async fn add_backend(catalog: &LocalCatalog) {
    let put = Operation::PutBackend {
        node: None,
        name: "memory".to_owned(),
        kind: "memory".to_owned(),
        state: BackendState::Active,
    };
    let Response::Backend(row) = commit(catalog, put).await else { panic!("no backend") };
    assert_eq!(row.id, BackendId(1));
    settle_backend(catalog, row).await.unwrap();
}

async fn user(catalog: &LocalCatalog, name: &str) -> Keys {
    let Response::User(user) =
        commit(catalog, Operation::CreateUser { name: name.to_owned() }).await
    else {
        panic!("no user")
    };
    let keys =
        Keys { access: format!("AK{}", name.to_uppercase()), secret: format!("secret of {name}") };
    let sealed_secret = keys.secret.bytes().map(|byte| !byte).collect();
    let create = Operation::CreateAccessKey {
        user: user.id,
        access_key: keys.access.clone(),
        sealed_secret,
    };
    assert!(matches!(commit(catalog, create).await, Response::AccessKey(_)));
    keys
}

#[derive(Clone)]
enum How {
    Header(Keys),
    Nobody,
}

/// A request being made.
#[derive(Clone)]
pub struct Ask<'a> {
    world: &'a World,
    method: Method,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
    how: How,
    pub scope: Scope,
}

impl Ask<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        self.headers.insert(HeaderName::try_from(name).unwrap(), value);
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn by(mut self, keys: &Keys) -> Self {
        self.how = How::Header(keys.clone());
        self
    }

    pub fn by_nobody(mut self) -> Self {
        self.how = How::Nobody;
        self
    }

    /// With the body's hash signed, and a Content-Length, as boto3 does over http.
    pub async fn send(mut self) -> Told {
        if !self.headers.contains_key("content-length") {
            self.headers.insert("content-length", HeaderValue::from(self.body.len()));
        }
        if !self.headers.contains_key("x-amz-content-sha256") && matches!(self.how, How::Header(_))
        {
            let hash = sign::hex_sha256(&self.body);
            self.headers.insert("x-amz-content-sha256", HeaderValue::try_from(hash).unwrap());
        }
        if let How::Header(keys) = &self.how {
            sign::in_header(keys, &self.scope, &self.method, &self.uri, &mut self.headers);
        }
        self.world.raw(self.method, &self.uri, self.headers, Body::from(self.body)).await
    }

    /// In signed chunks, as restic does.
    pub async fn send_chunks(mut self, chunk: usize) -> Told {
        let How::Header(keys) = self.how.clone() else { panic!("chunks are signed") };
        self = self
            .header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
            .header("content-encoding", "aws-chunked");
        let length = self.body.len().to_string();
        self = self.header("x-amz-decoded-content-length", &length);
        let seed = sign::in_header(&keys, &self.scope, &self.method, &self.uri, &mut self.headers);
        let wire = sign::chunks(&keys, &self.scope, &seed, &self.body, chunk);
        self.headers.insert("content-length", HeaderValue::from(wire.len()));
        self.world.raw(self.method, &self.uri, self.headers, Body::from(wire)).await
    }

    /// In unsigned chunks with a checksum behind them, as SDKs do over TLS: no Content-Length.
    pub async fn send_trailer(mut self, chunk: usize, name: &'static str, value: &str) -> Told {
        let How::Header(keys) = self.how.clone() else { panic!("headers are signed") };
        let length = self.body.len().to_string();
        self = self
            .header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .header("content-encoding", "aws-chunked")
            .header("x-amz-decoded-content-length", &length)
            .header("x-amz-trailer", name);
        sign::in_header(&keys, &self.scope, &self.method, &self.uri, &mut self.headers);
        let wire = sign::unsigned_chunks(&self.body, chunk, (name, value));
        self.world.raw(self.method, &self.uri, self.headers, Body::from(wire)).await
    }
}

/// An answer.
#[derive(Debug)]
pub struct Told {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Result<Bytes, String>,
}

impl Told {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// An error with this code, complete with everything that errors carry.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        let text = self.text();
        assert_eq!(
            (self.status.as_u16(), self.tag("Code").as_deref()),
            (status, Some(code)),
            "{text}"
        );
        for name in ["Message", "Resource", "RequestId"] {
            assert!(
                self.tag(name).is_some_and(|text| !text.is_empty()),
                "{name} is missing: {text}"
            );
        }
        assert_eq!(self.tag("RequestId").as_deref(), Some(self.header("x-amz-request-id")));
        self
    }

    #[track_caller]
    pub fn bytes(&self) -> Bytes {
        self.body.clone().unwrap()
    }

    pub fn text(&self) -> String {
        match &self.body {
            Ok(body) => String::from_utf8_lossy(body).into_owned(),
            Err(error) => format!("broken off: {error}"),
        }
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        match self.headers.get(name) {
            Some(value) => std::str::from_utf8(value.as_bytes()).unwrap(),
            None => panic!("no {name} in {:?}", self.headers),
        }
    }

    /// The first element of this name.
    pub fn tag(&self, name: &str) -> Option<String> {
        self.tags(name).into_iter().next()
    }

    /// Every element of this name.
    pub fn tags(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let pieces = text.split(&open).skip(1);
        let found = pieces.filter_map(|rest| rest.split_once(&close).map(|(inner, _)| inner));
        found.map(|inner| quick_xml::escape::unescape(inner).unwrap().into_owned()).collect()
    }
}
