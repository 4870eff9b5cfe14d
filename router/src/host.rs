//! Which bucket the `Host` header names, if any. An unknown host means path style: s3s's own parsers
//! would take any host name for a bucket.

use std::borrow::Cow;

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// The domain under which hosts name buckets.
#[derive(Clone, Debug)]
pub struct BaseDomain(Option<String>);

impl BaseDomain {
    /// Ports are ignored on both sides, letters compare without case.
    pub fn new(domain: Option<&str>) -> Self {
        Self(domain.map(|domain| without_port(domain).to_ascii_lowercase()))
    }

    /// The bucket in `bucket.base.domain`.
    pub fn bucket_of<'a>(&self, host: &'a str) -> Option<Cow<'a, str>> {
        let domain = self.0.as_deref()?;
        let host = without_port(host);
        let split = host.len().checked_sub(domain.len())?;
        let (front, tail) = (host.get(..split)?, host.get(split..)?);
        if !tail.eq_ignore_ascii_case(domain) {
            return None;
        }
        let bucket = front.strip_suffix('.').filter(|bucket| !bucket.is_empty())?;
        if bucket.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Some(Cow::Owned(bucket.to_ascii_lowercase()));
        }
        Some(Cow::Borrowed(bucket))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

impl S3Host for BaseDomain {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        Ok(match self.bucket_of(host) {
            Some(bucket) => VirtualHost::new(host).with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_base_domain_names_buckets() {
        let base = BaseDomain::new(Some("S3.Example.com:9000"));
        for (host, bucket) in [
            ("photos.s3.example.com", Some("photos")),
            ("Photos.S3.example.com:443", Some("photos")),
            ("a.b.s3.example.com", Some("a.b")),
            ("s3.example.com", None),
            (".s3.example.com", None),
            ("photoss3.example.com", None),
            ("localhost:9000", None),
            ("other.example.com", None),
            ("", None),
        ] {
            assert_eq!(base.bucket_of(host).as_deref(), bucket, "{host}");
        }
        assert_eq!(BaseDomain::new(None).bucket_of("photos.s3.example.com"), None);
    }
}
