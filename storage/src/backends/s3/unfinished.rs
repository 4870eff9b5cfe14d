//! Uploads in parts that nobody completed or aborted, as a killed process leaves them: their parts cost money and no
//! listing of blobs shows them. The client library cannot list them, so this request is signed and read here.

use http::{Method, StatusCode};
use object_store::aws::AwsAuthorizer;
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tracing::{info, warn};

use super::S3;
use super::observe::{Failure, watch};
use crate::error::Error;

/// How many uploads one page lists, and how many pages one call reads: what is left is found by the next sweep.
const PAGE: usize = 1000;
const PAGES_MAX: usize = 100;

/// What a signature leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One page of ListMultipartUploads.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: String,
    #[serde(default)]
    next_upload_id_marker: String,
    #[serde(default, rename = "Upload")]
    uploads: Vec<Upload>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
}

/// Aborts every upload of a key that begins with `prefix`; answers how many that were.
pub async fn abort(s3: &S3, prefix: &str) -> Result<usize, Error> {
    let prefix = s3.full(prefix);
    let mut aborted = 0;
    let mut after = (String::new(), String::new());
    for _page in 0..PAGES_MAX {
        let page = match watch(list(s3, &prefix, &after)).await {
            Ok(page) => page,
            Err(failure) if is_unknown_operation(&failure) => {
                warn!(backend = %s3.id, "the endpoint cannot list unfinished uploads: let its own rules expire them");
                return Ok(aborted);
            }
            Err(failure) => return Err(s3.of_all("list unfinished uploads of").classify(failure)),
        };
        for upload in page.uploads.iter().filter(|upload| upload.key.starts_with(&prefix)) {
            abort_one(s3, upload).await?;
            aborted += 1;
        }
        if !page.is_truncated {
            break;
        }
        after = (page.next_key_marker, page.next_upload_id_marker);
    }
    if aborted > 0 {
        info!(backend = %s3.id, prefix, aborted, "aborted uploads that nobody would have completed");
    }
    Ok(aborted)
}

async fn abort_one(s3: &S3, upload: &Upload) -> Result<(), Error> {
    let path = Path::parse(&upload.key).map_err(|error| Error::Corrupt {
        subject: format!("the list of unfinished uploads of backend {}", s3.id),
        reason: error.to_string(),
    })?;
    let id = upload.upload_id.clone();
    match watch(s3.clients.store.abort_multipart(&path, &id)).await {
        Ok(()) => Ok(()),
        // Completed or aborted since it was listed.
        Err(failure) if failure.seen.status == Some(404) => Ok(()),
        Err(failure) => Err(s3.of_all("abort unfinished uploads of").classify(failure)),
    }
}

async fn list(s3: &S3, prefix: &str, after: &(String, String)) -> object_store::Result<Page> {
    let raw = &s3.clients.raw;
    let mut query = format!("uploads=&max-uploads={PAGE}");
    for (name, value) in
        [("prefix", prefix), ("key-marker", &after.0), ("upload-id-marker", &after.1)]
    {
        if !value.is_empty() {
            query.push_str(&format!("&{name}={}", utf8_percent_encode(value, ENCODED)));
        }
    }
    let mut request: HttpRequest = http::Request::builder()
        .method(Method::GET)
        .uri(format!("{}?{query}", raw.bucket_url))
        .body(HttpRequestBody::empty())
        .map_err(generic)?;
    AwsAuthorizer::new(&raw.credential, "s3", &raw.region).try_authorize(&mut request, None)?;
    let response = raw.http.execute(request).await.map_err(generic)?;
    if response.status() != StatusCode::OK {
        return Err(generic(format!("status {}", response.status())));
    }
    let document = response.into_body().bytes().await.map_err(generic)?;
    quick_xml::de::from_reader(document.as_ref()).map_err(generic)
}

fn generic(error: impl Into<crate::error::Source>) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: error.into() }
}

/// Not every store knows the operation, and a sweep must not fail for ever for that.
fn is_unknown_operation(failure: &Failure) -> bool {
    matches!(failure.seen.status, Some(405 | 501))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn pages_are_read_as_stores_write_them() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket>
            <KeyMarker></KeyMarker><UploadIdMarker/><NextKeyMarker>w/2</NextKeyMarker>
            <NextUploadIdMarker>two</NextUploadIdMarker><MaxUploads>2</MaxUploads><IsTruncated>true</IsTruncated>
            <Upload><Key>w/1</Key><UploadId>one</UploadId><Initiator><ID>x</ID></Initiator></Upload>
            <CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>
            <Upload><Key>w/a&amp;b</Key><UploadId>two</UploadId></Upload></ListMultipartUploadsResult>"#;
        let page: Page = quick_xml::de::from_str(text).unwrap();
        let upload = |key: &str, id: &str| Upload { key: key.to_owned(), upload_id: id.to_owned() };
        assert_eq!(page.uploads, [upload("w/1", "one"), upload("w/a&b", "two")]);
        assert!(page.is_truncated);
        assert_eq!(
            (page.next_key_marker.as_str(), page.next_upload_id_marker.as_str()),
            ("w/2", "two")
        );
        let empty = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";
        assert_eq!(quick_xml::de::from_str::<Page>(empty).unwrap(), Page::default());
    }
}
