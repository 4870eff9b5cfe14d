//! The steps that build objects from parts, copies, promises and conditions, and the end of the bucket.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};

use crate::Lane;
use crate::report::{Outcome, check, said};
use crate::steps::{MIB, get_bytes, payload, refused, same};

const PART_BYTES: usize = 8 * MIB;

pub async fn multipart(lane: &Lane) -> Outcome {
    let body = payload(64 * MIB, 3);
    let key = "multi/64";
    let started = lane
        .client
        .create_multipart_upload()
        .bucket(&lane.bucket)
        .key(key)
        .send()
        .await
        .map_err(said)?;
    let id = started.upload_id().ok_or("no upload id")?;
    let mut done = CompletedMultipartUpload::builder();
    for (number, part) in (1_i32..).zip(body.chunks(PART_BYTES)) {
        let request = lane
            .client
            .upload_part()
            .bucket(&lane.bucket)
            .key(key)
            .upload_id(id)
            .part_number(number);
        let answer = request.body(ByteStream::from(part.to_vec())).send().await.map_err(said)?;
        let mut completed = CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag);
        completed = completed.set_checksum_crc32(answer.checksum_crc32);
        done = done.parts(completed.build());
    }
    let request =
        lane.client.complete_multipart_upload().bucket(&lane.bucket).key(key).upload_id(id);
    let answer = request.multipart_upload(done.build()).send().await.map_err(said)?;
    let etag = answer.e_tag().unwrap_or_default();
    check(etag.trim_matches('"').ends_with("-8"), || {
        format!("ETag {etag} does not count 8 parts")
    })?;
    same(&get_bytes(lane, key, None).await?, &body, key)?;
    let gone = lane.client.list_parts().bucket(&lane.bucket).key(key).upload_id(id).send().await;
    refused(gone, "NoSuchUpload")
}

pub async fn copy(lane: &Lane) -> Outcome {
    let source = format!("{}/plain/4096", lane.bucket);
    let request =
        lane.client.copy_object().bucket(&lane.bucket).key("copy/a b").copy_source(source);
    request.send().await.map_err(said)?;
    same(&get_bytes(lane, "copy/a b", None).await?, &payload(4096, 1), "copy")?;
    let head = lane
        .client
        .head_object()
        .bucket(&lane.bucket)
        .key("copy/a b")
        .send()
        .await
        .map_err(said)?;
    check(head.content_type() == Some("text/lane"), || format!("type {:?}", head.content_type()))
}

pub async fn presign(lane: &Lane) -> Outcome {
    let expiry = PresigningConfig::expires_in(Duration::from_secs(60)).map_err(said)?;
    let put = lane
        .client
        .put_object()
        .bucket(&lane.bucket)
        .key("presigned/a b")
        .presigned(expiry.clone());
    let put = put.await.map_err(said)?;
    let (status, text) = plain(lane, "PUT", put.uri(), b"presigned by rust").await?;
    check(status == "200", || format!("PUT answered {status} {text}"))?;
    let get = lane.client.get_object().bucket(&lane.bucket).key("presigned/a b").presigned(expiry);
    let get = get.await.map_err(said)?;
    let (status, text) = plain(lane, "GET", get.uri(), b"").await?;
    check(status == "200" && text == "presigned by rust", || {
        format!("GET answered {status} {text}")
    })
}

/// A request by Python's standard library, which knows nothing of S3: (status, body).
async fn plain(
    lane: &Lane,
    method: &str,
    url: &str,
    body: &[u8],
) -> Result<(String, String), String> {
    const SCRIPT: &str = "import sys, harness as h\n\
        e = h.Endpoint(sys.argv[1], '', '', sys.argv[2] or None)\n\
        status, body, _ = e.fetch(sys.argv[4], sys.argv[3], sys.argv[5].encode() or None)\n\
        print(status); print(body.decode(), end='')";
    let ca_file = std::env::var("VAULTAIRE_LANE_CA_FILE").unwrap_or_default();
    let python = std::env::var("VAULTAIRE_LANE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let body = String::from_utf8_lossy(body).into_owned();
    let done = tokio::process::Command::new(python)
        .args(["-c", SCRIPT, &lane.endpoint.url, &ca_file, method, url, &body])
        .env("PYTHONPATH", std::env::var("VAULTAIRE_LANE_FOLDER").unwrap_or_default())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .await
        .map_err(said)?;
    check(done.status.success(), || String::from_utf8_lossy(&done.stderr).into_owned())?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    text.split_once('\n').map(|(status, body)| (status.to_owned(), body.to_owned())).ok_or(text)
}

pub async fn conditional(lane: &Lane) -> Outcome {
    let put = || lane.client.put_object().bucket(&lane.bucket).key("cond");
    put().body(ByteStream::from_static(b"one")).if_none_match("*").send().await.map_err(said)?;
    refused(
        put().body(ByteStream::from_static(b"two")).if_none_match("*").send().await,
        "PreconditionFailed",
    )?;
    let head =
        lane.client.head_object().bucket(&lane.bucket).key("cond").send().await.map_err(said)?;
    let etag = head.e_tag().unwrap_or_default().to_owned();
    put().body(ByteStream::from_static(b"three")).if_match(&etag).send().await.map_err(said)?;
    refused(
        put().body(ByteStream::from_static(b"four")).if_match(&etag).send().await,
        "PreconditionFailed",
    )?;
    let missing = lane.client.put_object().bucket(&lane.bucket).key("cond/none");
    refused(missing.body(ByteStream::from_static(b"x")).if_match(&etag).send().await, "NoSuchKey")?;
    same(&get_bytes(lane, "cond", None).await?, b"three", "cond")
}

pub async fn race(lane: &Lane) -> Outcome {
    const RACERS: usize = 8;
    let racers = (0..RACERS).map(|n| {
        let body = ByteStream::from(payload(1000, n as u64));
        lane.client
            .put_object()
            .bucket(&lane.bucket)
            .key("race")
            .body(body)
            .if_none_match("*")
            .send()
    });
    let results = futures::future::join_all(racers).await;
    let winners: Vec<usize> = (0..RACERS).filter(|n| results[*n].is_ok()).collect();
    check(winners.len() == 1, || format!("{} creates of one key succeeded", winners.len()))?;
    same(
        &get_bytes(lane, "race", None).await?,
        &payload(1000, winners[0] as u64),
        "the winner's bytes",
    )
}

pub async fn delete_many(lane: &Lane) -> Outcome {
    let page = lane.client.list_objects_v2().bucket(&lane.bucket).send().await.map_err(said)?;
    let keys = page.contents().iter().filter_map(|object| object.key());
    let objects: Vec<ObjectIdentifier> = keys
        .map(|key| ObjectIdentifier::builder().key(key).build())
        .collect::<Result<_, _>>()
        .map_err(said)?;
    let count = objects.len();
    let delete = Delete::builder().set_objects(Some(objects)).build().map_err(said)?;
    let answer = lane
        .client
        .delete_objects()
        .bucket(&lane.bucket)
        .delete(delete)
        .send()
        .await
        .map_err(said)?;
    check(answer.deleted().len() == count && answer.errors().is_empty(), || {
        format!("{:?}", answer.errors())
    })?;
    lane.client.delete_bucket().bucket(&lane.bucket).send().await.map_err(said)?;
    let gone = lane.client.list_objects_v2().bucket(&lane.bucket).send().await;
    refused(gone, "NoSuchBucket")
}
