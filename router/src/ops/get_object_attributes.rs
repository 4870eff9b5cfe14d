//! GetObjectAttributes: what is asked for of ETag, checksum, parts, class and size.

use http::header::LAST_MODIFIED;
use vaultaire_proto::object::{Body, Checksum, ChecksumAlgorithm, Part, Version};
use vaultaire_proto::row::Versioning;

use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::code::Code;
use crate::lookup::{self, Manifest};
use crate::markup::Markup;
use crate::reply::{self, Reply};
use crate::{access, checksum, headers, http_date, limits};

const KNOWN: &[&str] = &["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

/// Answers GetObjectAttributes.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let wanted = wanted(&call)?;
    let selector = lookup::selector(call.query.get("versionId"))?;
    let version =
        lookup::version(ctx, &bucket, call.object_key()?, selector, Manifest::Include).await?;
    let asks = |name: &str| wanted.iter().any(|one| one == name);
    let mut xml = Markup::new();
    xml.open_root("GetObjectAttributesResponse");
    if asks("ETag") {
        xml.element("ETag", &version.etag.to_string());
    }
    if asks("Checksum")
        && let Some(sum) = &version.checksum
    {
        xml.open("Checksum")
            .element(&element(sum.algorithm), &checksum::encode(sum, version.etag.parts));
        xml.element("ChecksumType", checksum::scope_name(sum.scope)).close("Checksum");
    }
    if asks("ObjectParts")
        && let Body::Parts(parts) = &version.body
    {
        write_parts(&mut xml, &call, &version, parts)?;
    }
    if asks("StorageClass") {
        xml.element("StorageClass", headers::shown_class(&version.attributes.storage_class));
    }
    if asks("ObjectSize") {
        xml.element("ObjectSize", &version.size_bytes.to_string());
    }
    xml.close("GetObjectAttributesResponse");
    let mut answer = reply::raw_xml(xml.finish());
    answer.headers_mut().insert(LAST_MODIFIED, http_date::header(version.modified));
    if bucket.versioning != Versioning::Off {
        reply::set(&mut answer, headers::VERSION_ID, headers::version_text(&version));
    }
    Ok(answer)
}

fn wanted(call: &Call) -> Result<Vec<String>, Error> {
    let values = call.headers.get_all("x-amz-object-attributes").iter();
    let names = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    let names: Vec<String> =
        names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(Error::argument("x-amz-object-attributes", "must name at least one attribute"));
    }
    match names.iter().find(|name| !KNOWN.contains(&name.as_str())) {
        Some(_) => Err(Error::with(Code::InvalidArgument, "Invalid attribute name specified.")),
        None => Ok(names),
    }
}

fn element(algorithm: ChecksumAlgorithm) -> String {
    format!("Checksum{}", checksum::name(algorithm))
}

fn number(call: &Call, name: &'static str, otherwise: usize) -> Result<usize, Error> {
    match call.header(name) {
        None => Ok(otherwise),
        Some(text) => text.parse().map_err(|_| Error::argument(name, "must be a number")),
    }
}

fn write_parts(
    xml: &mut Markup,
    call: &Call,
    version: &Version,
    parts: &[Part],
) -> Result<(), Error> {
    let limit = number(call, "x-amz-max-parts", limits::LIST_PAGE_MAX)?.min(limits::LIST_PAGE_MAX);
    let marker = number(call, "x-amz-part-number-marker", 0)?;
    let rest: Vec<&Part> = parts.iter().filter(|part| usize::from(part.number) > marker).collect();
    let page = rest.get(..limit.min(rest.len())).unwrap_or_default();
    let truncated = page.len() < rest.len();
    xml.open("ObjectParts").element("PartsCount", &parts.len().to_string());
    xml.element("PartNumberMarker", &marker.to_string());
    if let Some(last) = page.last().filter(|_| truncated) {
        xml.element("NextPartNumberMarker", &last.number.to_string());
    }
    xml.element("MaxParts", &limit.to_string())
        .element("IsTruncated", if truncated { "true" } else { "false" });
    for part in page {
        write_part(xml, version.checksum.as_ref(), part);
    }
    xml.close("ObjectParts");
    Ok(())
}

/// A part of an upload that chose no checksum has none of its own.
fn write_part(xml: &mut Markup, whole: Option<&Checksum>, part: &Part) {
    xml.open("Part").element("PartNumber", &part.number.to_string());
    if let (Some(whole), Some(value)) = (whole, &part.checksum) {
        xml.element(&element(whole.algorithm), &checksum::encode_part(value));
    }
    xml.element("Size", &part.blob.size_bytes.to_string()).close("Part");
}
