//! What a blob says about itself, as metadata that every S3 keeps: object keys are any Unicode,
//! metadata is ASCII. What does not fit is left out; the catalog has it anyway.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use object_store::{Attribute, AttributeValue};

use crate::backend::Attributes;

const BUCKET: &str = "vaultaire-bucket";
const KEY: &str = "vaultaire-key-base64";
const VERSION: &str = "vaultaire-version";
const SIZE: &str = "vaultaire-size";

/// All user metadata of a blob must stay below 2 KB; a key of 1,024 bytes still fits.
const VALUE_BYTES_MAX: usize = 1400;

/// What is sent with a blob.
pub fn to_metadata(attributes: &Attributes) -> object_store::Attributes {
    let mut metadata = object_store::Attributes::new();
    let mut insert = |name: &'static str, value: String| {
        if !value.is_empty() && value.len() <= VALUE_BYTES_MAX && value.is_ascii() {
            metadata.insert(Attribute::Metadata(name.into()), AttributeValue::from(value));
        }
    };
    insert(BUCKET, attributes.bucket.clone());
    insert(KEY, URL_SAFE_NO_PAD.encode(&attributes.key));
    insert(VERSION, attributes.version.clone());
    insert(SIZE, attributes.size_bytes.map(|size| size.to_string()).unwrap_or_default());
    let content_type = attributes.content_type.as_ref();
    if let Some(text) = content_type.filter(|text| http::HeaderValue::from_str(text).is_ok()) {
        metadata.insert(Attribute::ContentType, AttributeValue::from(text.clone()));
    }
    metadata
}

/// What a blob was sent with. What is missing or was written by others is empty.
pub fn from_metadata(metadata: &object_store::Attributes) -> Attributes {
    let text = |name: &'static str| {
        let value = metadata.get(&Attribute::Metadata(name.into()));
        value.map(|value| value.as_ref().to_owned()).unwrap_or_default()
    };
    let key = URL_SAFE_NO_PAD.decode(text(KEY)).ok();
    Attributes {
        bucket: text(BUCKET),
        key: key.and_then(|key| String::from_utf8(key).ok()).unwrap_or_default(),
        version: text(VERSION),
        size_bytes: text(SIZE).parse().ok(),
        content_type: metadata.get(&Attribute::ContentType).map(|value| value.as_ref().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn attributes_round_trip(key in ".{0,200}", bucket in "[a-z0-9.-]{3,63}", size: Option<u64>) {
            let attributes = Attributes {
                bucket,
                key,
                version: "01".to_owned(),
                size_bytes: size,
                content_type: Some("text/plain".to_owned()),
            };
            let metadata = to_metadata(&attributes);
            for (_name, value) in &metadata {
                prop_assert!(value.is_ascii());
            }
            prop_assert_eq!(from_metadata(&metadata), attributes);
        }
    }

    #[test]
    fn what_no_header_can_hold_is_left_out() {
        let attributes = Attributes {
            version: "x".repeat(VALUE_BYTES_MAX + 1),
            content_type: Some("broken\nheader".to_owned()),
            ..Attributes::default()
        };
        assert!(to_metadata(&attributes).is_empty());
    }
}
