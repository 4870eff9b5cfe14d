//! The steps of the lane: what an application does with the SDK, compared byte for byte.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;

use crate::Lane;
use crate::report::{Outcome, Report, check, said};
use crate::writes;

pub const MIB: usize = 1024 * 1024;

pub async fn run(lane: &Lane, report: &mut Report) {
    report.step("put", "create a bucket, put with metadata and each checksum", put(lane)).await;
    report.step("get", "bytes and metadata come back", get(lane)).await;
    report.step("range", "first, middle and last bytes", range(lane)).await;
    report.step("list", "pages, prefixes, delimiter", list(lane)).await;
    for (name, key) in &lane.odd_keys {
        report.step("odd keys", name, odd_key(lane, key)).await;
    }
    report.step("multipart", "64 MiB in 8 MiB parts", writes::multipart(lane)).await;
    report.step("copy", "copy_object keeps bytes and metadata", writes::copy(lane)).await;
    report.step("presign", "PUT and GET by a client without keys", writes::presign(lane)).await;
    report
        .step("conditional", "If-None-Match and If-Match decide writes", writes::conditional(lane))
        .await;
    report.step("own job", "8 racing creates of one key: one wins", writes::race(lane)).await;
    report
        .step("delete many", "every key in one request, then the bucket", writes::delete_many(lane))
        .await;
}

/// Bytes that do not repeat soon: a multiplicative generator with a fixed seed.
pub fn payload(size_bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size_bytes + 8);
    while bytes.len() < size_bytes {
        state = state.wrapping_mul(0xda94_2042_e4dd_58b5);
        bytes.extend_from_slice(&(state >> 17).to_le_bytes());
    }
    bytes.truncate(size_bytes);
    bytes
}

pub async fn put_bytes(lane: &Lane, key: &str, body: Vec<u8>) -> Outcome {
    let request =
        lane.client.put_object().bucket(&lane.bucket).key(key).body(ByteStream::from(body));
    request.send().await.map(drop).map_err(said)
}

pub async fn get_bytes(lane: &Lane, key: &str, range: Option<&str>) -> Result<Vec<u8>, String> {
    let request =
        lane.client.get_object().bucket(&lane.bucket).key(key).set_range(range.map(str::to_owned));
    let answer = request.send().await.map_err(said)?;
    Ok(answer.body.collect().await.map_err(said)?.to_vec())
}

pub fn same(got: &[u8], expected: &[u8], what: &str) -> Outcome {
    check(got == expected, || {
        let at = got.iter().zip(expected).position(|(a, b)| a != b);
        format!(
            "{what}: {} bytes, expected {}, first difference at {at:?}",
            got.len(),
            expected.len()
        )
    })
}

/// The call must fail with this error code.
pub fn refused<T, E>(result: Result<T, SdkError<E>>, code: &str) -> Outcome
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match result {
        Ok(_) => Err(format!("succeeded, expected {code}")),
        Err(error) => {
            check(error.code() == Some(code), || format!("expected {code}: {}", said(error)))
        }
    }
}

async fn put(lane: &Lane) -> Outcome {
    lane.client.create_bucket().bucket(&lane.bucket).send().await.map_err(said)?;
    for size in [0, 1, 4096, 3 * MIB] {
        let request = lane.client.put_object().bucket(&lane.bucket).key(format!("plain/{size}"));
        let body = ByteStream::from(payload(size, 1));
        request
            .body(body)
            .content_type("text/lane")
            .metadata("colour", "blue")
            .send()
            .await
            .map_err(said)?;
    }
    use ChecksumAlgorithm as Algorithm;
    for algorithm in [
        Algorithm::Crc32,
        Algorithm::Crc32C,
        Algorithm::Crc64Nvme,
        Algorithm::Sha1,
        Algorithm::Sha256,
    ] {
        let request = lane.client.put_object().bucket(&lane.bucket).key(format!("sum/{algorithm}"));
        let body = ByteStream::from(payload(4096, 2));
        request.body(body).checksum_algorithm(algorithm).send().await.map_err(said)?;
    }
    Ok(())
}

async fn get(lane: &Lane) -> Outcome {
    for size in [0, 1, 4096, 3 * MIB] {
        same(&get_bytes(lane, &format!("plain/{size}"), None).await?, &payload(size, 1), "plain")?;
    }
    for algorithm in ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"] {
        // The SDK asks for the checksum and verifies it while it reads.
        same(
            &get_bytes(lane, &format!("sum/{algorithm}"), None).await?,
            &payload(4096, 2),
            algorithm,
        )?;
    }
    let head = lane
        .client
        .head_object()
        .bucket(&lane.bucket)
        .key("plain/4096")
        .send()
        .await
        .map_err(said)?;
    check(head.content_type() == Some("text/lane"), || format!("type {:?}", head.content_type()))?;
    let colour = head.metadata().and_then(|metadata| metadata.get("colour"));
    check(colour.is_some_and(|value| value == "blue"), || {
        format!("metadata {:?}", head.metadata())
    })?;
    let missing = lane.client.get_object().bucket(&lane.bucket).key("none").send().await;
    refused(missing, "NoSuchKey")
}

async fn range(lane: &Lane) -> Outcome {
    let body = payload(4096, 1);
    same(&get_bytes(lane, "plain/4096", Some("bytes=0-0")).await?, &body[..1], "first")?;
    same(&get_bytes(lane, "plain/4096", Some("bytes=100-199")).await?, &body[100..200], "middle")?;
    same(&get_bytes(lane, "plain/4096", Some("bytes=-9")).await?, &body[4087..], "last")?;
    let past = lane
        .client
        .get_object()
        .bucket(&lane.bucket)
        .key("plain/4096")
        .range("bytes=5000-")
        .send()
        .await;
    refused(past, "InvalidRange")
}

async fn list(lane: &Lane) -> Outcome {
    let mut keys: Vec<String> = Vec::new();
    for folder in ["a", "b"] {
        keys.extend((0..6).map(|n| format!("list/{folder}/{n}")));
    }
    keys.push("list/top".to_owned());
    for key in &keys {
        put_bytes(lane, key, key.clone().into_bytes()).await?;
    }
    let request = lane.client.list_objects_v2().bucket(&lane.bucket).prefix("list/");
    let mut pages = request.clone().into_paginator().page_size(5).send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(said)?;
        found.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
    }
    check(found == keys, || format!("listed {found:?}"))?;
    let folded = request.delimiter("/").send().await.map_err(said)?;
    let prefixes: Vec<_> =
        folded.common_prefixes().iter().filter_map(|prefix| prefix.prefix()).collect();
    check(prefixes == ["list/a/", "list/b/"], || format!("prefixes {prefixes:?}"))?;
    check(folded.contents().len() == 1, || {
        format!("{} keys beside the prefixes", folded.contents().len())
    })
}

async fn odd_key(lane: &Lane, key: &str) -> Outcome {
    let body = payload(333, key.len() as u64);
    put_bytes(lane, key, body.clone()).await?;
    same(&get_bytes(lane, key, None).await?, &body, key)?;
    let page = lane
        .client
        .list_objects_v2()
        .bucket(&lane.bucket)
        .prefix(key)
        .send()
        .await
        .map_err(said)?;
    let found: Vec<_> = page.contents().iter().filter_map(|object| object.key()).collect();
    check(found == [key], || format!("listed {found:?}"))?;
    lane.client.delete_object().bucket(&lane.bucket).key(key).send().await.map(drop).map_err(said)
}
