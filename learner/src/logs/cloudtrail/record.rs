//! What matters of an event. Anything of it may be missing, or be of another kind than it should: then it is not known.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Record {
    #[serde(rename = "eventTime", deserialize_with = "text")]
    pub time: Option<String>,
    #[serde(rename = "eventSource", deserialize_with = "text")]
    pub source: Option<String>,
    #[serde(rename = "eventName", deserialize_with = "text")]
    pub name: Option<String>,
    #[serde(rename = "errorCode", deserialize_with = "text")]
    pub error: Option<String>,
    #[serde(rename = "requestParameters", deserialize_with = "or_nothing")]
    pub parameters: Parameters,
    #[serde(rename = "additionalEventData", deserialize_with = "or_nothing")]
    pub additional: Additional,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Parameters {
    #[serde(rename = "bucketName", deserialize_with = "text")]
    pub bucket: Option<String>,
    #[serde(deserialize_with = "text")]
    pub key: Option<String>,
    #[serde(rename = "versionId", deserialize_with = "text")]
    pub version: Option<String>,
    #[serde(rename = "x-amz-copy-source", deserialize_with = "text")]
    pub copied: Option<String>,
    #[serde(rename = "x-amz-copy-source-range", deserialize_with = "text")]
    pub copied_range: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Additional {
    #[serde(rename = "bytesTransferredIn")]
    pub came_in: Count,
    #[serde(rename = "bytesTransferredOut")]
    pub went_out: Count,
}

/// A number of bytes. Older events write it as `28441.0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count(pub Option<u64>);

impl Record {
    /// For messages.
    pub fn shown(&self) -> String {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let parameters = &self.parameters;
        let parts = [&self.time, &self.source, &self.name, &parameters.bucket, &parameters.key];
        parts.map(text).join(" ")
    }
}

/// Holds whatever is a text or a number, and nothing of anything else.
#[derive(Default)]
struct Scalar {
    text: Option<String>,
    count: Option<u64>,
}

struct AnyScalar;

impl<'de> Visitor<'de> for AnyScalar {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar { text: Some(text.to_owned()), count: text.parse().ok() })
    }

    fn visit_u64<E>(self, count: u64) -> Result<Scalar, E> {
        Ok(Scalar { text: None, count: Some(count) })
    }

    fn visit_i64<E>(self, count: i64) -> Result<Scalar, E> {
        Ok(Scalar { text: None, count: u64::try_from(count).ok() })
    }

    /// Whole numbers only; up to 2^53 each of them is written as it is.
    fn visit_f64<E>(self, count: f64) -> Result<Scalar, E> {
        let is_whole = count.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&count);
        Ok(Scalar { text: None, count: is_whole.then_some(count as u64) })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar, E> {
        Ok(Scalar::default())
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::default())
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_any(AnyScalar).map(|scalar| scalar.text)
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyScalar).map(|scalar| Self(scalar.count))
    }
}

/// An object, or nothing where there is `null`.
fn or_nothing<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default).map_err(|error| {
        D::Error::custom(format_args!("in the parameters or the data of an event: {error}"))
    })
}
