//! PostObject: a browser's form, authenticated by the signed policy in it. The file is streamed as the body of
//! a PUT is, and only after the policy has allowed all that the form asks for.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::{ETAG, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{StatusCode, Uri};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::{Body, StdError, dto};
use vaultaire_proto::response::Put;

use crate::auth::Auth;
use crate::body::xml;
use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::boxed;
use crate::form::policy::Policy;
use crate::form::{Fields, File, Form, signature};
use crate::gate::{self, Passed};
use crate::markup::Markup;
use crate::ops::{put_object, put_object_tagging};
use crate::reply::{self, Reply};
use crate::{access, attributes, headers, limits};

/// Fields that are headers of a PUT under the same name.
const HEADERS: &[&str] = &[
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];
/// Fields that carry the signature.
const SIGNATURE: &[&str] =
    &["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"];

/// Answers PostObject. s3s has no part in it: it would buffer the form before it knows who sends it.
pub async fn handle(
    ctx: &Context,
    auth: &Auth,
    passed: Passed,
    headers: &HeaderMap,
    body: Body,
) -> Result<Reply, Error> {
    let mut form = Form::open(headers, body)?;
    let (mut fields, file) = form.fields().await?;
    let text = fields.get("policy").ok_or_else(|| {
        Error::with(Code::AccessDenied, "Access Denied: the form needs a signed policy.")
    })?;
    let (identity, row) = signature::verify(auth, &fields, text).await?;
    let policy = Policy::parse(text)?;
    let key = key(&mut fields, &file)?;
    let bucket_name = passed.bucket.as_ref().ok_or_else(|| Error::new(Code::InvalidBucketName))?;
    let length = policy.check(&fields, bucket_name.as_str(), ctx.clock.now())?;
    let mut call = Call {
        operation: passed.operation,
        bucket: passed.bucket,
        key: Some(gate::object_key(&key)?),
        query: passed.query,
        headers: asked(&fields)?,
        body: streamed(form, length),
        trailers: None,
        identity,
        row,
    };
    let bucket = access::bucket(ctx, &mut call).await?;
    let put = put_object::put(ctx, &mut call, &bucket).await?;
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let place = format!("http://{host}/{}/{}", bucket.name, attributes::url_encode(&key));
    let mut answer = describe(&fields, &bucket.name.to_string(), &key, &put, place)?;
    put_object::describe_put(&mut answer, &put);
    Ok(answer)
}

/// The key, with `${filename}` replaced by what the browser calls the file.
fn key(fields: &mut Fields, file: &File) -> Result<String, Error> {
    let key = fields.get("key").filter(|key| !key.is_empty()).ok_or_else(|| {
        Error::with(
            Code::InvalidArgument,
            "Bucket POST must contain a field named 'key'. If it is specified, please check the order of the fields.",
        )
        .detail("ArgumentName", "key")
    })?;
    let key = key.replace("${filename}", &file.name);
    fields.set("key", key.clone());
    Ok(key)
}

/// The headers of the PUT that the form stands for. What this server does not do is refused as there.
fn asked(fields: &Fields) -> Result<HeaderMap, Error> {
    let (mut kept, mut checked) = (HeaderMap::new(), HeaderMap::new());
    for (name, value) in fields.iter() {
        let name = if name == "acl" { "x-amz-acl" } else { name };
        let amz = name.starts_with("x-amz-") && !SIGNATURE.contains(&name);
        if !amz && !HEADERS.contains(&name) {
            continue;
        }
        let pair = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()));
        let (Ok(header), Ok(value)) = pair else {
            return Err(Error::with(
                Code::InvalidArgument,
                format!("The field {name} cannot be a header."),
            ));
        };
        let prefixes = ["x-amz-meta-", "x-amz-checksum-"];
        let object = ["x-amz-storage-class", "x-amz-website-redirect-location"].contains(&name)
            || prefixes.iter().any(|prefix| name.starts_with(prefix));
        if object || !amz {
            kept.insert(header.clone(), value.clone());
        }
        checked.insert(header, value);
    }
    gate::headers::check(&checked)?;
    if let Some(tagging) = fields.get("tagging") {
        let tagging: dto::Tagging = xml::parse(tagging.as_bytes())?;
        let pairs: Vec<String> = put_object_tagging::tags(tagging)?
            .iter()
            .map(|(key, value)| {
                format!("{}={}", attributes::url_encode(key), attributes::url_encode(value))
            })
            .collect();
        if let Ok(value) = HeaderValue::try_from(pairs.join("&")) {
            kept.insert(HeaderName::from_static("x-amz-tagging"), value);
        }
    }
    Ok(kept)
}

/// The file as a body, which fails where the file is shorter or longer than the policy allows.
fn streamed(form: Form, length: Option<(u64, u64)>) -> Body {
    let (least, most) = length.unwrap_or((0, limits::PUT_BYTES_MAX));
    let frames = bounded(form.file(), least, most).map(|chunk| chunk.map(Frame::data));
    Body::http_body(StreamBody::new(frames))
}

fn bounded(
    file: impl Stream<Item = Result<Bytes, StdError>> + Send,
    least: u64,
    most: u64,
) -> impl Stream<Item = Result<Bytes, StdError>> + Send {
    let start = (Some(Box::pin(file)), 0_u64);
    futures::stream::try_unfold(start, move |(file, seen_bytes)| async move {
        let Some(mut file) = file else { return Ok(None) };
        match file.next().await {
            Some(chunk) => {
                let chunk = chunk?;
                let seen_bytes = seen_bytes.saturating_add(chunk.len() as u64);
                if seen_bytes > most {
                    return Err(outside(Code::EntityTooLarge, "exceeds the maximum", most));
                }
                Ok(Some((chunk, (Some(file), seen_bytes))))
            }
            None if seen_bytes < least => {
                Err(outside(Code::EntityTooSmall, "is smaller than the minimum", least))
            }
            None => Ok(None),
        }
    })
}

fn outside(code: Code, how: &str, bound: u64) -> StdError {
    boxed(Error::with(code, format!("Your proposed upload {how} of the policy, {bound} bytes.")))
}

/// 204, or what the form asks for: another status, or a redirection.
fn describe(
    fields: &Fields,
    bucket: &str,
    key: &str,
    put: &Put,
    place: String,
) -> Result<Reply, Error> {
    let redirect = fields.get("success_action_redirect").or_else(|| fields.get("redirect"));
    if let Some(address) = redirect.and_then(web_address) {
        let join = if address.contains('?') { '&' } else { '?' };
        let key = attributes::url_encode(key);
        let mut answer = reply::empty(StatusCode::SEE_OTHER);
        let address = format!("{address}{join}bucket={bucket}&key={key}&etag=%22{}%22", put.etag);
        reply::set(&mut answer, LOCATION, address);
        return Ok(answer);
    }
    let mut answer = match fields.get("success_action_status") {
        Some("200") => reply::empty(StatusCode::OK),
        Some("201") => {
            let mut xml = Markup::new();
            xml.open("PostResponse").element("Location", &place).element("Bucket", bucket);
            xml.element("Key", key).element("ETag", &format!("\"{}\"", put.etag));
            xml.close("PostResponse");
            let mut answer = reply::raw_xml(xml.finish());
            *answer.status_mut() = StatusCode::CREATED;
            answer
        }
        Some(_) | None => reply::empty(StatusCode::NO_CONTENT),
    };
    reply::set(&mut answer, LOCATION, place);
    answer.headers_mut().insert(ETAG, headers::etag(put.etag));
    Ok(answer)
}

fn web_address(text: &str) -> Option<&str> {
    let scheme = text.parse::<Uri>().ok()?;
    matches!(scheme.scheme_str(), Some("http" | "https")).then_some(text)
}
