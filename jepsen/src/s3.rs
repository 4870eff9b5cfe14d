//! The nodes of a cluster as clients reach them: each call is one request over S3, and its end says whether it happened,
//! did not, or may have. What to call is in `workload::script`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::Client;
use aws_sdk_s3::client::customize::CustomizableOperation;
use aws_sdk_s3::config::Intercept;
use aws_sdk_s3::error::{BoxError, DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use crate::client::{self, Retries, bare};
use crate::history::Condition;
use crate::operation::{Answer, Ask, Body, Bytes, Call, End, Listed, Seen, Version, Written};
use crate::process::Ready;
use crate::workload::payload;
use crate::workload::run::Store;

/// More pages than any listing of a run has.
const PAGES_MAX: usize = 10_000;

/// Where the server names the log position of a version.
const POSITION: &str = "x-vaultaire-version";

/// Clients of all nodes.
#[derive(Debug)]
pub struct S3 {
    seed: u64,
    /// For each node one client that retries and one that does not.
    nodes: Vec<[Client; 2]>,
    /// Both kinds take turns: retries hide errors, and their absence hides their bugs.
    retries: AtomicBool,
}

type Failed<E> = SdkError<E, HttpResponse>;

impl S3 {
    pub fn new(seed: u64, nodes: &[Ready], connections: &SharedHttpClient) -> Self {
        let both = |ready| {
            [Retries::On, Retries::Off]
                .map(|retries| client::connect(ready, retries, connections.clone()))
        };
        Self { seed, nodes: nodes.iter().map(both).collect(), retries: AtomicBool::new(false) }
    }
}

impl Store for S3 {
    fn nodes(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    async fn ask(&self, node: u32, call: &Call) -> End {
        let both = &self.nodes[usize::try_from(node).unwrap_or(0)];
        let [retrying, plain] = both;
        let is_single = !self.retries.fetch_xor(true, Ordering::Relaxed);
        let client = if is_single { plain } else { retrying };
        let request = Request { client, is_single, call, seed: self.seed };
        match &call.ask {
            Ask::Put { body, condition } => request.put(body, condition).await,
            Ask::Get => request.get().await,
            Ask::Head => request.head().await,
            Ask::Delete { etag } => request.delete(etag.as_deref()).await,
            Ask::List { delimiter, page_keys } => {
                request.list(delimiter.as_deref(), *page_keys).await
            }
            Ask::StartUpload => request.start_upload().await,
            Ask::Part { upload, part, body } => request.part(upload, *part, body).await,
            Ask::Complete { upload, parts, .. } => request.complete(upload, parts).await,
            Ask::Abort { upload } => request.abort(upload).await,
            Ask::ListVersions => request.list_versions().await,
        }
    }
}

/// One call on its way to one node.
struct Request<'a> {
    client: &'a Client,
    /// Whether it is sent once at most.
    is_single: bool,
    call: &'a Call,
    seed: u64,
}

impl Request<'_> {
    /// How a request ended that was not answered well. Where no connection was made it was never sent; of a request that was
    /// sent before, and again, that says nothing.
    fn failure<E: ProvideErrorMetadata + std::error::Error + 'static>(
        &self,
        error: &Failed<E>,
    ) -> End {
        match failure(error) {
            End::Info(why) if self.is_single && is_refused(error) => unanswered(why),
            end => end,
        }
    }

    async fn put(&self, body: &Body, condition: &Condition) -> End {
        let bytes = payload::bytes(self.seed, body.number);
        let request = self.client.put_object().bucket(&self.call.bucket).key(&self.call.key);
        let request = request.body(ByteStream::from(bytes));
        let request = match condition {
            Condition::None => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Etag(etag) => request.if_match(quoted(etag)),
        };
        let position = Position::default();
        match position.watch(request.customize()).send().await {
            Ok(answer) => End::Ok(Answer::Done(Written {
                etag: answer.e_tag().map(bare),
                position: position.take(),
                version: answer.version_id().map(str::to_owned),
            })),
            Err(error) => self.failure(&error),
        }
    }

    async fn get(&self) -> End {
        let request = self.client.get_object().bucket(&self.call.bucket).key(&self.call.key);
        let position = Position::default();
        let answer = match position.watch(request.customize()).send().await {
            Ok(answer) => answer,
            Err(error) => return missing_or(&error),
        };
        let etag = answer.e_tag().map(bare).unwrap_or_default();
        match answer.body.collect().await {
            Ok(body) => End::Ok(Answer::Found(Seen {
                etag,
                bytes: payload::recognise(self.seed, &body.into_bytes()),
                position: position.take(),
            })),
            Err(error) => unanswered(format!("the body ended early: {error}")),
        }
    }

    async fn head(&self) -> End {
        let request = self.client.head_object().bucket(&self.call.bucket).key(&self.call.key);
        let position = Position::default();
        match position.watch(request.customize()).send().await {
            Ok(answer) => End::Ok(Answer::Found(Seen {
                etag: answer.e_tag().map(bare).unwrap_or_default(),
                bytes: Bytes::NotRead,
                position: position.take(),
            })),
            Err(error) => missing_or(&error),
        }
    }

    async fn delete(&self, etag: Option<&str>) -> End {
        let request = self.client.delete_object().bucket(&self.call.bucket).key(&self.call.key);
        match request.set_if_match(etag.map(quoted)).send().await {
            // A delete marker is a version, and its id a position.
            Ok(answer) => {
                let version = answer.version_id().map(str::to_owned);
                End::Ok(Answer::Done(Written { etag: None, position: version.clone(), version }))
            }
            Err(error) => self.failure(&error),
        }
    }

    async fn list(&self, delimiter: Option<&str>, page_keys: u32) -> End {
        let (mut keys, mut prefixes, mut token) = (Vec::new(), Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let request = self.client.list_objects_v2().bucket(&self.call.bucket);
            let request =
                request.prefix(&self.call.key).set_delimiter(delimiter.map(str::to_owned));
            let request = request.max_keys(i32::try_from(page_keys).unwrap_or(i32::MAX));
            let page = match request.set_continuation_token(token.take()).send().await {
                Ok(page) => page,
                Err(error) => return read_failure(&error),
            };
            keys.extend(page.contents().iter().map(|object| Listed {
                key: object.key().unwrap_or_default().to_owned(),
                etag: object.e_tag().map(bare).unwrap_or_default(),
            }));
            let common = page.common_prefixes().iter();
            prefixes.extend(common.filter_map(|common| common.prefix().map(str::to_owned)));
            token = page.next_continuation_token;
            if token.is_none() {
                return End::Ok(Answer::Listed { keys, prefixes });
            }
        }
        unanswered(format!("the listing had more than {PAGES_MAX} pages"))
    }

    async fn list_versions(&self) -> End {
        let (mut versions, mut next) = (Vec::new(), (None, None));
        for _ in 0..PAGES_MAX {
            let request = self.client.list_object_versions().bucket(&self.call.bucket);
            let request = request.prefix(&self.call.key).set_key_marker(next.0.take());
            let page = match request.set_version_id_marker(next.1.take()).send().await {
                Ok(page) => page,
                Err(error) => return read_failure(&error),
            };
            versions.extend(merged(&page));
            if page.is_truncated() != Some(true) {
                return End::Ok(Answer::Versions(versions));
            }
            next = (page.next_key_marker, page.next_version_id_marker);
        }
        unanswered(format!("the listing had more than {PAGES_MAX} pages"))
    }

    async fn start_upload(&self) -> End {
        let request = self.client.create_multipart_upload().bucket(&self.call.bucket);
        match request.key(&self.call.key).send().await {
            Ok(answer) => {
                let upload = answer.upload_id().unwrap_or_default().to_owned();
                End::Ok(Answer::Started { upload })
            }
            Err(error) => self.failure(&error),
        }
    }

    async fn part(&self, upload: &str, part: u32, body: &Body) -> End {
        let request = self.client.upload_part().bucket(&self.call.bucket).key(&self.call.key);
        let request = request.upload_id(upload).part_number(i32::try_from(part).unwrap_or(1));
        let bytes = payload::bytes(self.seed, body.number);
        match request.body(ByteStream::from(bytes)).send().await {
            Ok(_) => End::Ok(Answer::Done(Written::default())),
            Err(error) => self.failure(&error),
        }
    }

    async fn complete(&self, upload: &str, parts: &[String]) -> End {
        let parts = (1..).zip(parts).map(|(number, etag)| {
            CompletedPart::builder().part_number(number).e_tag(quoted(etag)).build()
        });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let request = self.client.complete_multipart_upload().bucket(&self.call.bucket);
        let request = request.key(&self.call.key).upload_id(upload).multipart_upload(parts);
        let position = Position::default();
        match position.watch(request.customize()).send().await {
            Ok(answer) => End::Ok(Answer::Done(Written {
                etag: answer.e_tag().map(bare),
                position: position.take(),
                version: answer.version_id().map(str::to_owned),
            })),
            Err(error) => self.failure(&error),
        }
    }

    async fn abort(&self, upload: &str) -> End {
        let request = self.client.abort_multipart_upload().bucket(&self.call.bucket);
        match request.key(&self.call.key).upload_id(upload).send().await {
            Ok(_) => End::Ok(Answer::Done(Written::default())),
            Err(error) => self.failure(&error),
        }
    }
}

/// Versions and delete markers come apart. Each list keeps the order that it has, so that a wrong one shows.
fn merged(page: &ListObjectVersionsOutput) -> Vec<Version> {
    let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let objects = page.versions().iter().map(|one| Version {
        key: owned(one.key()),
        version: owned(one.version_id()),
        etag: Some(one.e_tag().map(bare).unwrap_or_default()),
        latest: one.is_latest() == Some(true),
    });
    let mut markers = page
        .delete_markers()
        .iter()
        .map(|one| Version {
            key: owned(one.key()),
            version: owned(one.version_id()),
            etag: None,
            latest: one.is_latest() == Some(true),
        })
        .peekable();
    let mut all = Vec::new();
    for object in objects {
        let comes_first = |marker: &Version| {
            marker.key < object.key || (marker.key == object.key && marker.version > object.version)
        };
        while let Some(marker) = markers.next_if(comes_first) {
            all.push(marker);
        }
        all.push(object);
    }
    all.extend(markers);
    all
}

/// Remembers the log position that an answer names.
#[derive(Clone, Debug, Default)]
struct Position {
    told: Arc<Mutex<Option<String>>>,
}

impl Position {
    fn watch<T, E, B>(
        &self,
        request: CustomizableOperation<T, E, B>,
    ) -> CustomizableOperation<T, E, B> {
        request.interceptor(self.clone())
    }

    fn take(&self) -> Option<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Intercept for Position {
    fn name(&self) -> &'static str {
        "Position"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let position = context.response().headers().get(POSITION).map(str::to_owned);
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = position;
        Ok(())
    }
}

fn quoted(etag: impl AsRef<str>) -> String {
    format!("\"{}\"", etag.as_ref())
}

/// A read that was not answered did nothing, whatever happened to it.
fn unanswered(why: String) -> End {
    End::Fail { status: 0, code: why }
}

fn read_failure<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &Failed<E>) -> End {
    match failure(error) {
        End::Info(why) => unanswered(why),
        other => other,
    }
}

fn missing_or<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &Failed<E>) -> End {
    match read_failure(error) {
        // A bucket that is gone is no missing key. HEAD has no body to say a code in.
        End::Fail { status: 404, code } if code != "NoSuchBucket" => End::Ok(Answer::Missing),
        other => other,
    }
}

/// Whether nobody listened: connecting alone fails so.
fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| {
        let cause = cause.downcast_ref::<std::io::Error>();
        cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionRefused)
    })
}

fn failure<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &Failed<E>) -> End {
    let SdkError::ServiceError(answer) = error else {
        return End::Info(DisplayErrorContext(error).to_string());
    };
    let status = answer.raw().status().as_u16();
    let code = answer.err().code().unwrap_or_default();
    if status >= 500 || status == 429 || code == "RequestTimeout" {
        return End::Info(format!("{status} {code}"));
    }
    End::Fail { status, code: code.to_owned() }
}
