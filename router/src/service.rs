//! The S3 front as a hyper service: health, gate, s3s, operations, and then every answer completed: its request
//! id, its error XML, its line in the log and its place in the metrics.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use http::header::{CONTENT_TYPE, EXPECT, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri, Version};
use s3s::Body;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service as Signed, S3ServiceBuilder};
use tokio::sync::Semaphore;
use ulid::Ulid;
use vaultaire_proto::{Catalog, Clock};
use vaultaire_storage::registry::Registry;

use crate::auth::{Auth, FOUND, Found, Unseal};
use crate::body::incoming::{self, Rest};
use crate::call::Context;
use crate::config::Settings;
use crate::epochs::Epochs;
use crate::error::Error;
use crate::error::code::Code;
use crate::gate;
use crate::host::BaseDomain;
use crate::limits;
use crate::metrics::Metrics;
use crate::operation::Operation;
use crate::ops::post_object;
use crate::reply::{self, Reply};
use crate::s3::{Front, Unrouted};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// Whether this node can serve.
pub trait Readiness: Send + Sync + std::fmt::Debug {
    /// Why not, in one line.
    fn ready(&self) -> Result<(), String>;
}

/// What the service is made of.
#[derive(Debug)]
pub struct Parts {
    pub catalog: Arc<dyn Catalog>,
    pub registry: Arc<Registry>,
    pub clock: Arc<dyn Clock>,
    pub secrets: Arc<dyn Unseal>,
    pub epochs: Arc<Epochs>,
    pub readiness: Arc<dyn Readiness>,
    pub metrics: Arc<Metrics>,
    pub settings: Settings,
}

/// The S3 front. Cheap to clone.
#[derive(Clone)]
pub struct S3Service(Arc<Inner>);

struct Inner {
    signed: Signed,
    /// For forms, whose signature s3s does not see.
    forms: Auth,
    base: BaseDomain,
    ctx: Arc<Context>,
    readiness: Arc<dyn Readiness>,
    metrics: Arc<Metrics>,
    region: HeaderValue,
}

impl S3Service {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let Parts { catalog, registry, clock, secrets, epochs, readiness, metrics, settings } =
            parts;
        let base = BaseDomain::new(settings.base_domain.as_deref());
        let region = HeaderValue::try_from(catalog.cluster().region.as_str());
        let region = region.unwrap_or_else(|_| HeaderValue::from_static("us-east-1"));
        let forms = Auth::new(catalog.clone(), secrets.clone());
        let auth = Auth::new(catalog.clone(), secrets);
        let half = settings.in_flight_bytes_max.max(limits::IN_FLIGHT_BYTES_MIN) / 2;
        let budget = || Arc::new(Semaphore::new(half.min(Semaphore::MAX_PERMITS)));
        let ctx = Arc::new(Context {
            catalog,
            registry,
            clock,
            epochs,
            settings,
            budget_in: budget(),
            budget_out: budget(),
            xml_budget: Semaphore::new(limits::XML_IN_FLIGHT_BYTES_MAX),
        });
        let mut config = S3Config::default();
        config.presigned_url_max_skew_time_secs = limits::CLOCK_SKEW_SECONDS_MAX;
        let mut builder = S3ServiceBuilder::new(Unrouted);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_auth(auth);
        builder.set_host(base.clone());
        builder.set_route(Front::new(ctx.clone()));
        let signed = builder.build();
        Self(Arc::new(Inner { signed, forms, base, ctx, readiness, metrics, region }))
    }

    /// What all requests share, for tests that take a share of it themselves.
    #[cfg(test)]
    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.0.ctx
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Body>) -> Reply {
        let inner = &*self.0;
        let method = request.method().clone();
        if let Some(name) = gate::health(&method, request.uri(), request.headers(), &inner.base) {
            return inner.health(&method, name);
        }
        let began = Instant::now();
        let _counted = Counted::new(&inner.metrics);
        let id = Ulid::new().to_string();
        let uri = request.uri().clone();
        let (operation, outcome) = inner.serve(request).await;
        let error = outcome.as_ref().err().map(Error::to_string);
        let mut reply = match outcome {
            Ok(reply) => reply,
            Err(error) => error.into_reply(&method, uri.path(), &id, inner.ctx.clock.now()),
        };
        let status = reply.status();
        reply::set(&mut reply, REQUEST_ID, id.as_str());
        if status.is_client_error() || status.is_redirection() {
            reply.headers_mut().insert(BUCKET_REGION, inner.region.clone());
        }
        let elapsed = began.elapsed();
        inner.metrics.answered(operation, status, elapsed);
        log(
            &Line {
                id: &id,
                operation,
                method: &method,
                uri: &uri,
                status,
                error: error.as_deref(),
            },
            elapsed,
        );
        reply
    }
}

impl Inner {
    async fn serve(&self, request: Request<Body>) -> (&'static str, Result<Reply, Error>) {
        let (mut head, body) = request.into_parts();
        let (body, unread) = incoming::guard(body, &self.ctx.budget_in);
        // A client that waits for `100 Continue` has sent nothing, and reading would ask it to.
        let waits = head.headers.contains_key(EXPECT);
        let passed = match gate::pass(&head.method, &head.uri, &mut head.headers, &self.base) {
            Ok(passed) => passed,
            Err(error) => {
                drop(body);
                return (
                    "Refused",
                    Err(close_if_left(error, unread.drain(waits).await, head.version)),
                );
            }
        };
        let (operation, version) = (passed.operation.name(), head.version);
        let found = Arc::new(Found::new(passed.bucket.clone()));
        let outcome = if passed.operation == Operation::PostObject {
            let form = post_object::handle(&self.ctx, &self.forms, passed, &head.headers, body);
            FOUND.scope(found, form).await
        } else {
            let body = gate::chunked::bound(&head.headers, body);
            head.extensions.insert(passed);
            let request = Request::from_parts(head, body);
            FOUND.scope(found, self.signed(request)).await
        };
        match outcome {
            Ok(reply) => (operation, Ok(reply)),
            Err(error) => {
                // s3s wraps what its streams fail with, and only words are left of it.
                let error = unread.cause().unwrap_or(error);
                (operation, Err(close_if_left(error, unread.drain(waits).await, version)))
            }
        }
    }

    async fn signed(&self, request: Request<Body>) -> Result<Reply, Error> {
        match self.signed.call(request).await {
            Ok(response) => complete(response).await,
            Err(error) => {
                let cause = s3s::StdError::from(error);
                tracing::error!(error = %cause, "s3s failed");
                Err(Error::new(Code::InternalError))
            }
        }
    }

    fn health(&self, method: &Method, name: &str) -> Reply {
        let (status, text) = match name {
            "readyz" => match self.readiness.ready() {
                Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
                Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
            },
            _ => (StatusCode::OK, "alive\n".to_owned()),
        };
        let body = if *method == Method::HEAD { Body::empty() } else { Body::from(text) };
        let mut reply = Reply::new(body);
        *reply.status_mut() = status;
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        reply
    }
}

/// What follows an unread body on the connection is no request, and the client should know.
fn close_if_left(error: Error, rest: Rest, version: Version) -> Error {
    match rest {
        Rest::Left if version < Version::HTTP_2 => {
            error.header("connection", HeaderValue::from_static("close"))
        }
        Rest::Left | Rest::Gone => error,
    }
}

/// An operation's error waits in the extensions; s3s's own errors are read back from their XML.
async fn complete(mut response: Reply) -> Result<Reply, Error> {
    if let Some(error) = response.extensions_mut().remove::<Error>() {
        return Err(error);
    }
    if !response.status().is_client_error() && !response.status().is_server_error() {
        return Ok(response);
    }
    let status = response.status();
    let bound = usize::try_from(limits::XML_BODY_BYTES_MAX).unwrap_or(usize::MAX);
    let xml = response.into_body().store_all_limited(bound).await.unwrap_or_default();
    let xml = String::from_utf8_lossy(&xml);
    let code = between(&xml, "Code").unwrap_or_else(|| Code::InternalError.name().to_owned());
    Err(Error::foreign(&code, status, between(&xml, "Message")))
}

/// The text of an element that s3s wrote; its escapes are undone.
fn between(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    quick_xml::escape::unescape(text).ok().map(|text| text.into_owned())
}

struct Counted<'a>(&'a Metrics);

impl<'a> Counted<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.begin();
        Self(metrics)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

struct Line<'a> {
    id: &'a str,
    operation: &'static str,
    method: &'a Method,
    uri: &'a Uri,
    status: StatusCode,
    error: Option<&'a str>,
}

/// One line per request. Queries are left out: they may hold signatures.
fn log(line: &Line<'_>, elapsed: std::time::Duration) {
    let Line { id, operation, method, uri, status, error } = line;
    let (ms, path) = (elapsed.as_secs_f64() * 1000.0, uri.path());
    let status = status.as_u16();
    if status >= 500 {
        tracing::warn!(request_id = id, operation, %method, path, status, error, ms, "request failed");
    } else if status >= 400 {
        tracing::info!(request_id = id, operation, %method, path, status, error, ms, "request refused");
    } else {
        tracing::debug!(request_id = id, operation, %method, path, status, ms, "request");
    }
}

impl hyper::service::Service<Request<hyper::body::Incoming>> for S3Service {
    type Response = Reply;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

    fn call(&self, request: Request<hyper::body::Incoming>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request.map(Body::from)).await) })
    }
}
