//! One S3 client: every call ends as an `Outcome` that says whether it happened, did not, or may have.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region, ResponseChecksumValidation};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::history::{Condition, Entry, Outcome, Seen};
use crate::process::Ready;

/// Long enough for the slowest lawful answer, short enough that a hung request shows.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
const OPERATION_MAX: Duration = Duration::from_secs(30);

/// Tries of a client that retries: enough to reach past a restart.
const ATTEMPTS: u32 = 6;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);

/// More pages than any listing of a run has.
const PAGES_MAX: usize = 10_000;

/// Whether the SDK repeats a request by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    On,
    Off,
}

/// A client of one bucket.
#[derive(Clone, Debug)]
pub struct Client {
    s3: aws_sdk_s3::Client,
    bucket: String,
}

/// The connections, which clients of several lives share.
pub fn connections() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

/// The SDK's client of one endpoint.
pub fn connect(
    ready: &Ready,
    retries: Retries,
    connections: SharedHttpClient,
) -> aws_sdk_s3::Client {
    let retry = match retries {
        Retries::On => {
            RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(BACKOFF_FIRST)
        }
        Retries::Off => RetryConfig::disabled(),
    };
    let timeout = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_MAX)
        .operation_timeout(OPERATION_MAX)
        .build();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(&ready.s3_url)
        .force_path_style(true)
        .credentials_provider(Credentials::from_keys(&ready.access_key, &ready.secret_key, None))
        .http_client(connections)
        .retry_config(retry)
        .timeout_config(timeout)
        // The checker compares the bytes itself and wants to see wrong ones.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

impl Client {
    pub fn new(ready: &Ready, retries: Retries, connections: SharedHttpClient) -> Self {
        Self { s3: connect(ready, retries, connections), bucket: ready.bucket.clone() }
    }

    pub async fn put(&self, key: &str, body: Bytes, condition: &Condition) -> Outcome {
        let request =
            self.s3.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(body));
        let request = match condition {
            Condition::None => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Etag(etag) => request.if_match(format!("\"{etag}\"")),
        };
        match request.send().await {
            Ok(answer) => Outcome::Done { etag: answer.e_tag().map(bare) },
            Err(error) => failure(&error),
        }
    }

    /// A multipart upload. Until Complete is sent, failing means that the object was not written.
    pub async fn put_parts(&self, key: &str, parts: &[Bytes]) -> Outcome {
        let created = self.s3.create_multipart_upload().bucket(&self.bucket).key(key).send().await;
        let upload = match created {
            Ok(answer) => answer.upload_id().unwrap_or_default().to_owned(),
            Err(error) => return not_written(failure(&error)),
        };
        let mut completed = CompletedMultipartUpload::builder();
        for (number, part) in (1..).zip(parts) {
            let request = self.s3.upload_part().bucket(&self.bucket).key(key).upload_id(&upload);
            match request.part_number(number).body(ByteStream::from(part.clone())).send().await {
                Ok(answer) => {
                    let part = CompletedPart::builder().part_number(number);
                    completed = completed.parts(part.set_e_tag(answer.e_tag).build());
                }
                Err(error) => return not_written(failure(&error)),
            }
        }
        let request = self.s3.complete_multipart_upload().bucket(&self.bucket).key(key);
        let request = request.upload_id(&upload).multipart_upload(completed.build());
        match request.send().await {
            Ok(answer) => Outcome::Done { etag: answer.e_tag().map(bare) },
            Err(error) => failure(&error),
        }
    }

    pub async fn delete(&self, key: &str) -> Outcome {
        match self.s3.delete_object().bucket(&self.bucket).key(key).send().await {
            Ok(_) => Outcome::Done { etag: None },
            Err(error) => failure(&error),
        }
    }

    pub async fn get(&self, key: &str) -> Outcome {
        let answer = match self.s3.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(answer) => answer,
            Err(error) => return missing_or(&error),
        };
        let etag = answer.e_tag().map(bare).unwrap_or_default();
        match answer.body.collect().await {
            Ok(body) => {
                let body = body.into_bytes();
                let sha256 = Some(hex::encode(Sha256::digest(&body)));
                let size_bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
                Outcome::Found(Seen { size_bytes, etag, sha256 })
            }
            Err(error) => Outcome::Unknown { why: format!("the body ended early: {error}") },
        }
    }

    pub async fn head(&self, key: &str) -> Outcome {
        match self.s3.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(answer) => Outcome::Found(Seen {
                size_bytes: answer
                    .content_length()
                    .and_then(|size| size.try_into().ok())
                    .unwrap_or(0),
                etag: answer.e_tag().map(bare).unwrap_or_default(),
                sha256: None,
            }),
            Err(error) => missing_or(&error),
        }
    }

    /// All keys below a prefix, in pages of at most `page_keys`.
    pub async fn list(&self, prefix: &str, page_keys: i32) -> Outcome {
        let mut entries = Vec::new();
        let mut token = None;
        for _ in 0..PAGES_MAX {
            let request = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix);
            let request = request.max_keys(page_keys).set_continuation_token(token.take());
            let page = match request.send().await {
                Ok(page) => page,
                Err(error) => return failure(&error),
            };
            entries.extend(page.contents().iter().map(|object| Entry {
                key: object.key().unwrap_or_default().to_owned(),
                size_bytes: object.size().and_then(|size| size.try_into().ok()).unwrap_or(0),
                etag: object.e_tag().map(bare).unwrap_or_default(),
            }));
            token = page.next_continuation_token;
            if token.is_none() {
                return Outcome::Listed(entries);
            }
        }
        Outcome::Unknown { why: format!("the listing had more than {PAGES_MAX} pages") }
    }

    /// Aborts every upload that was left open; says how many there were.
    pub async fn abort_uploads(&self) -> Result<usize, String> {
        let mut aborted = 0;
        for _ in 0..PAGES_MAX {
            let listed = self.s3.list_multipart_uploads().bucket(&self.bucket).send().await;
            let page = listed.map_err(|error| DisplayErrorContext(error).to_string())?;
            if page.uploads().is_empty() {
                return Ok(aborted);
            }
            for upload in page.uploads() {
                let request = self.s3.abort_multipart_upload().bucket(&self.bucket);
                let request = request.set_key(upload.key.clone());
                let sent = request.set_upload_id(upload.upload_id.clone()).send().await;
                sent.map_err(|error| DisplayErrorContext(error).to_string())?;
                aborted += 1;
            }
        }
        Err(format!("uploads were still open after {PAGES_MAX} pages"))
    }
}

/// An entity tag without its quotes.
pub fn bare(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

/// A part or the start of an upload failed, so Complete was never sent.
fn not_written(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Unknown { why } => Outcome::NotSent { why },
        other => other,
    }
}

fn missing_or<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: &SdkError<E, HttpResponse>,
) -> Outcome {
    match failure(error) {
        // A bucket that is gone is no missing key.
        Outcome::Refused { status: 404, code } if code != "NoSuchBucket" => Outcome::Missing,
        other => other,
    }
}

fn failure<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: &SdkError<E, HttpResponse>,
) -> Outcome {
    let unknown = || Outcome::Unknown { why: DisplayErrorContext(error).to_string() };
    let SdkError::ServiceError(answer) = error else {
        return unknown();
    };
    let status = answer.raw().status().as_u16();
    let code = answer.err().code().unwrap_or_default();
    if status >= 500 || status == 429 || code == "RequestTimeout" {
        return Outcome::Unknown { why: format!("{status} {code}") };
    }
    Outcome::Refused { status, code: code.to_owned() }
}
