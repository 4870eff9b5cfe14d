"""The boto3 lane: the whole of the S3 surface that a Python application uses, through the SDK itself."""

import datetime
import hashlib
import io
import os

import boto3
import boto3.s3.transfer
import botocore.client
import botocore.exceptions

from harness import MIB, ODD_KEYS, REGION, check, payload, same


def run(lane):
    lane.version = boto3.__version__
    os.environ.update(lane.env)
    s3 = client(lane)
    buckets(lane, s3)
    objects(lane, s3)
    listing(lane, s3)
    odd_keys(lane, s3)
    multipart(lane, s3)
    copies(lane, s3)
    deletes(lane, s3)
    presigned(lane, s3)
    conditional_writes(lane, s3)
    conditional_reads(lane, s3)
    errors(lane, s3)
    cleanup(lane, s3)


def client(lane, secret_key=None, **config):
    return boto3.client(
        "s3",
        endpoint_url=lane.endpoint.url,
        region_name=REGION,
        aws_access_key_id=lane.endpoint.access_key,
        aws_secret_access_key=secret_key or lane.endpoint.secret_key,
        verify=lane.endpoint.ca_file or None,
        config=botocore.client.Config(**config) if config else None,
    )


def refused(call, *codes, **arguments):
    """The call must fail with one of these error codes; returns the error."""
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        check(code in codes, f"error {code}, expected {' or '.join(codes)}: {error}")
        return error
    check(False, f"succeeded, expected {' or '.join(codes)}")


def buckets(lane, s3):
    with lane.step("put", "create, head, list and locate a bucket"):
        s3.create_bucket(Bucket=lane.bucket)
        s3.head_bucket(Bucket=lane.bucket)
        names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        check(lane.bucket in names, f"{lane.bucket} is not among {names}")
        location = s3.get_bucket_location(Bucket=lane.bucket)["LocationConstraint"]
        check(location in (None, REGION), f"location {location!r}")


def objects(lane, s3):
    bodies = {f"plain/{size}": payload(size) for size in (0, 1, 4096, 5 * MIB + 1)}
    with lane.step("put", "0 B, 1 B, 4 KiB, 5 MiB + 1 with metadata"):
        for key, body in bodies.items():
            answer = s3.put_object(
                Bucket=lane.bucket, Key=key, Body=body, ContentType="text/x-lane", CacheControl="no-store",
                ContentDisposition="inline", ContentLanguage="de", Metadata={"colour": "blue", "empty-ish": "x"},
            )
            check(answer["ETag"].strip('"') == md5(body), f"ETag {answer['ETag']} of {key} is not the MD5")
    with lane.step("put", "checksums SHA1, SHA256, CRC32 kept and echoed"):
        for name in ("SHA1", "SHA256", "CRC32"):
            put = s3.put_object(Bucket=lane.bucket, Key=f"sum/{name}", Body=b"sum", ChecksumAlgorithm=name)
            got = s3.head_object(Bucket=lane.bucket, Key=f"sum/{name}", ChecksumMode="ENABLED")
            check(put[f"Checksum{name}"] == got[f"Checksum{name}"], f"{name} differs: {put} {got}")
    with lane.step("put", "wrong Content-MD5 is refused and stores nothing"):
        refused(s3.put_object, "BadDigest", "InvalidDigest", Bucket=lane.bucket, Key="bad", Body=b"x",
                ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
        refused(s3.head_object, "404", Bucket=lane.bucket, Key="bad")
    with lane.step("get", "bytes, headers and metadata come back"):
        for key, body in bodies.items():
            got = s3.get_object(Bucket=lane.bucket, Key=key)
            same(got["Body"].read(), body, key)
            head = s3.head_object(Bucket=lane.bucket, Key=key)
            for answer in (got, head):
                check(answer["ContentLength"] == len(body), f"length {answer['ContentLength']} of {key}")
                check(answer["ContentType"] == "text/x-lane", f"type {answer['ContentType']}")
                check(answer["CacheControl"] == "no-store", "Cache-Control is lost")
                check(answer["ContentDisposition"] == "inline", "Content-Disposition is lost")
                check(answer["ContentLanguage"] == "de", "Content-Language is lost")
                check(answer["Metadata"] == {"colour": "blue", "empty-ish": "x"}, f"metadata {answer['Metadata']}")
                check("ContentEncoding" not in answer, f"encoding {answer.get('ContentEncoding')} was not asked for")
    with lane.step("range", "first, middle, suffix, open end, past the end"):
        body = bodies["plain/4096"]
        wanted = {"bytes=0-0": body[:1], "bytes=100-199": body[100:200], "bytes=-50": body[-50:],
                  "bytes=4000-": body[4000:], "bytes=4090-9999": body[4090:]}
        for spec, expected in wanted.items():
            got = s3.get_object(Bucket=lane.bucket, Key="plain/4096", Range=spec)
            same(got["Body"].read(), expected, spec)
            check(got["ResponseMetadata"]["HTTPStatusCode"] == 206, f"{spec} answered without 206")
            check(got["ContentRange"].endswith("/4096"), f"Content-Range {got['ContentRange']}")
        refused(s3.get_object, "InvalidRange", Bucket=lane.bucket, Key="plain/4096", Range="bytes=4096-")


def md5(body):
    return hashlib.md5(body).hexdigest()


def listing(lane, s3):
    keys = sorted([f"list/{a}/{b:02}" for a in ("a", "b", "c") for b in range(8)] + ["list/top1", "list/top2"])
    with lane.step("list", "pages, prefixes, delimiter, start-after, owner, v1"):
        for key in keys:
            s3.put_object(Bucket=lane.bucket, Key=key, Body=key.encode())
        found, pages = [], 0
        for page in s3.get_paginator("list_objects_v2").paginate(
            Bucket=lane.bucket, Prefix="list/", PaginationConfig={"PageSize": 7}
        ):
            pages += 1
            found += [item["Key"] for item in page["Contents"]]
        check(found == keys and pages == 4, f"{pages} pages, {found}")
        folded = s3.list_objects_v2(Bucket=lane.bucket, Prefix="list/", Delimiter="/", FetchOwner=True)
        prefixes = [item["Prefix"] for item in folded["CommonPrefixes"]]
        check(prefixes == ["list/a/", "list/b/", "list/c/"], f"prefixes {prefixes}")
        check([item["Key"] for item in folded["Contents"]] == ["list/top1", "list/top2"], "keys beside the prefixes")
        check(folded["KeyCount"] == 5, f"KeyCount {folded['KeyCount']}")
        check(folded["Contents"][0]["Owner"]["ID"], "no owner")
        later = s3.list_objects_v2(Bucket=lane.bucket, Prefix="list/", StartAfter="list/c/05")["Contents"]
        check([item["Key"] for item in later] == keys[keys.index("list/c/06"):], "start-after")
        old, marker = [], ""
        while True:
            page = s3.list_objects(Bucket=lane.bucket, Prefix="list/", MaxKeys=9, Marker=marker)
            old += [item["Key"] for item in page["Contents"]]
            if not page["IsTruncated"]:
                break
            marker = old[-1]
        check(old == keys, f"v1 listed {old}")
    with lane.step("list", "versions of an unversioned bucket are `null`"):
        page = s3.list_object_versions(Bucket=lane.bucket, Prefix="list/a/")
        check([item["Key"] for item in page["Versions"]] == keys[:8], f"versions {page.get('Versions')}")
        check({item["VersionId"] for item in page["Versions"]} == {"null"}, "version ids")


def odd_keys(lane, s3):
    for name, key in ODD_KEYS.items():
        with lane.step("odd keys", name):
            body = payload(333, name)
            s3.put_object(Bucket=lane.bucket, Key=key, Body=body)
            same(s3.get_object(Bucket=lane.bucket, Key=key)["Body"].read(), body, repr(key))
            page = s3.list_objects_v2(Bucket=lane.bucket, Prefix=key)
            check([item["Key"] for item in page.get("Contents", [])] == [key], f"listed {page.get('Contents')}")
            s3.delete_object(Bucket=lane.bucket, Key=key)
            check(s3.list_objects_v2(Bucket=lane.bucket, Prefix=key)["KeyCount"] == 0, "still listed after delete")


def multipart(lane, s3):
    body = payload(64 * MIB)
    parts = boto3.s3.transfer.TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
    with lane.step("multipart", "64 MiB up and down in 8 MiB parts"):
        s3.upload_fileobj(io.BytesIO(body), lane.bucket, "multi/64", Config=parts)
        sink = io.BytesIO()
        s3.download_fileobj(lane.bucket, "multi/64", sink, Config=parts)
        same(sink.getvalue(), body, "multi/64")
        etag = s3.head_object(Bucket=lane.bucket, Key="multi/64")["ETag"]
        check(etag.endswith('-8"'), f"ETag {etag} does not count 8 parts")
    with lane.step("multipart", "one part by its number"):
        part = s3.get_object(Bucket=lane.bucket, Key="multi/64", PartNumber=3)
        same(part["Body"].read(), body[16 * MIB:24 * MIB], "part 3")
        check(part["PartsCount"] == 8, f"PartsCount {part['PartsCount']}")
    with lane.step("multipart", "list uploads and parts, part copy, abort, small part refused"):
        by_hand(lane, s3, body)


def by_hand(lane, s3, body):
    where = {"Bucket": lane.bucket, "Key": "multi/hand"}
    upload = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    uploads = s3.list_multipart_uploads(Bucket=lane.bucket)["Uploads"]
    check([item["UploadId"] for item in uploads] == [upload["UploadId"]], f"uploads {uploads}")
    one = s3.upload_part(**upload, PartNumber=1, Body=body[:5 * MIB])["ETag"]
    source = {"Bucket": lane.bucket, "Key": "multi/64"}
    two = s3.upload_part_copy(**upload, PartNumber=2, CopySource=source, CopySourceRange=f"bytes=1000-{1000 + MIB - 1}")
    listed = s3.list_parts(**upload)["Parts"]
    check([(part["PartNumber"], part["Size"]) for part in listed] == [(1, 5 * MIB), (2, MIB)], f"parts {listed}")
    done = [{"PartNumber": 1, "ETag": one}, {"PartNumber": 2, "ETag": two["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
    same(s3.get_object(**where)["Body"].read(), body[:5 * MIB] + body[1000:1000 + MIB], "multi/hand")
    small = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    etags = [s3.upload_part(**small, PartNumber=n, Body=b"small")["ETag"] for n in (1, 2)]
    done = [{"PartNumber": n + 1, "ETag": etag} for n, etag in enumerate(etags)]
    refused(s3.complete_multipart_upload, "EntityTooSmall", **small, MultipartUpload={"Parts": done})
    s3.abort_multipart_upload(**small)
    refused(s3.list_parts, "NoSuchUpload", **small)


def copies(lane, s3):
    source = {"Bucket": lane.bucket, "Key": "plain/4096"}
    with lane.step("copy", "metadata kept and replaced, in parts, onto itself refused"):
        s3.copy_object(Bucket=lane.bucket, Key="copy/kept", CopySource=source)
        kept = s3.get_object(Bucket=lane.bucket, Key="copy/kept")
        same(kept["Body"].read(), payload(4096), "copy/kept")
        check(kept["Metadata"]["colour"] == "blue" and kept["ContentType"] == "text/x-lane", "metadata was not kept")
        s3.copy_object(Bucket=lane.bucket, Key="copy/new", CopySource=source, MetadataDirective="REPLACE",
                       Metadata={"new": "yes"}, ContentType="text/new")
        new = s3.head_object(Bucket=lane.bucket, Key="copy/new")
        check(new["Metadata"] == {"new": "yes"} and new["ContentType"] == "text/new", f"metadata {new['Metadata']}")
        parts = boto3.s3.transfer.TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
        s3.copy({"Bucket": lane.bucket, "Key": "multi/64"}, lane.bucket, "copy/64", Config=parts)
        same(s3.get_object(Bucket=lane.bucket, Key="copy/64")["Body"].read(), payload(64 * MIB), "copy/64")
        refused(s3.copy_object, "InvalidRequest", **source, CopySource=source)
        refused(s3.copy_object, "NoSuchKey", Bucket=lane.bucket, Key="x", CopySource=f"{lane.bucket}/none")


def deletes(lane, s3):
    with lane.step("delete many", "1,000 keys in one request, a missing one is no error"):
        keys = [f"many/{n}" for n in range(40)]
        for key in keys:
            s3.put_object(Bucket=lane.bucket, Key=key, Body=b"")
        wanted = keys + [f"many/missing{n}" for n in range(960)]
        answer = s3.delete_objects(Bucket=lane.bucket, Delete={"Objects": [{"Key": key} for key in wanted]})
        check("Errors" not in answer and len(answer["Deleted"]) == 1000, f"{len(answer.get('Deleted', []))} deleted")
        check(s3.list_objects_v2(Bucket=lane.bucket, Prefix="many/")["KeyCount"] == 0, "keys are left")
        quiet = s3.delete_objects(Bucket=lane.bucket, Delete={"Quiet": True, "Objects": [{"Key": "many/0"}]})
        check("Deleted" not in quiet, "quiet was not quiet")


def presigned(lane, s3):
    signer = client(lane, signature_version="s3v4")
    where = {"Bucket": lane.bucket, "Key": "presigned/a b+c"}
    with lane.step("presign", "SigV4 PUT, GET with a response header, HEAD, DELETE"):
        url = signer.generate_presigned_url("put_object", Params=where, ExpiresIn=60)
        status, said, _ = lane.endpoint.fetch(url, "PUT", b"presigned body")
        check(status == 200, f"PUT answered {status} {said[:300]}")
        wanted = {**where, "ResponseContentType": "text/asked"}
        status, got, headers = lane.endpoint.fetch(signer.generate_presigned_url("get_object", Params=wanted))
        check(status == 200, f"GET answered {status} {got[:300]}")
        same(got, b"presigned body", "presigned GET")
        check({key.lower(): value for key, value in headers.items()}["content-type"] == "text/asked", f"{headers}")
        status, _, _ = lane.endpoint.fetch(signer.generate_presigned_url("head_object", Params=where), "HEAD")
        check(status == 200, f"HEAD answered {status}")
        status, _, _ = lane.endpoint.fetch(signer.generate_presigned_url("delete_object", Params=where), "DELETE")
        check(status == 204, f"DELETE answered {status}")
    with lane.step("presign", "a changed signature is refused"):
        url = signer.generate_presigned_url("get_object", Params={"Bucket": lane.bucket, "Key": "plain/1"})
        status, said, _ = lane.endpoint.fetch(url[:-4] + ("0000" if url[-4:] != "0000" else "1111"))
        check(status == 403 and b"SignatureDoesNotMatch" in said, f"{status} {said[:300]}")
    with lane.step("presign", "the default SigV2 URL works, or the refusal names s3v4"):
        url = client(lane).generate_presigned_url("get_object", Params={"Bucket": lane.bucket, "Key": "plain/1"})
        status, said, _ = lane.endpoint.fetch(url)
        works = status == 200 and said == payload(1)
        check(works or (status in (400, 403) and b"s3v4" in said), f"{status} {said[:300]}")


def conditional_writes(lane, s3):
    where = {"Bucket": lane.bucket, "Key": "cond/a"}
    with lane.step("conditional", "If-None-Match: * creates once"):
        s3.put_object(**where, Body=b"one", IfNoneMatch="*")
        refused(s3.put_object, "PreconditionFailed", **where, Body=b"two", IfNoneMatch="*")
        same(s3.get_object(**where)["Body"].read(), b"one", "the first write")
    with lane.step("conditional", "If-Match replaces only what was read"):
        etag = s3.head_object(**where)["ETag"]
        s3.put_object(**where, Body=b"three", IfMatch=etag)
        refused(s3.put_object, "PreconditionFailed", **where, Body=b"four", IfMatch=etag)
        refused(s3.put_object, "NoSuchKey", Bucket=lane.bucket, Key="cond/none", Body=b"x", IfMatch=etag)
        same(s3.get_object(**where)["Body"].read(), b"three", "the matched write")
    with lane.step("conditional", "CompleteMultipartUpload with If-None-Match"):
        upload = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
        etag = s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
        done = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        refused(s3.complete_multipart_upload, "PreconditionFailed", **upload, MultipartUpload=done, IfNoneMatch="*")
        s3.abort_multipart_upload(**upload)


def conditional_reads(lane, s3):
    where = {"Bucket": lane.bucket, "Key": "plain/4096"}
    now = datetime.datetime.now(datetime.timezone.utc)
    with lane.step("conditional", "reads by ETag and by date, copies by source ETag"):
        etag = s3.head_object(**where)["ETag"]
        same(s3.get_object(**where, IfMatch=etag)["Body"].read(), payload(4096), "If-Match")
        refused(s3.get_object, "304", **where, IfNoneMatch=etag)
        refused(s3.get_object, "PreconditionFailed", **where, IfMatch='"0123"')
        refused(s3.get_object, "304", **where, IfModifiedSince=now)
        refused(s3.get_object, "PreconditionFailed", **where, IfUnmodifiedSince=now - datetime.timedelta(days=1))
        target = {"Bucket": lane.bucket, "Key": "cond/copy", "CopySource": where}
        s3.copy_object(**target, CopySourceIfMatch=etag)
        refused(s3.copy_object, "PreconditionFailed", **target, CopySourceIfNoneMatch=etag)


def errors(lane, s3):
    with lane.step("get", "missing keys, buckets and wrong secrets have AWS's codes"):
        refused(s3.get_object, "NoSuchKey", Bucket=lane.bucket, Key="none")
        refused(s3.head_object, "404", Bucket=lane.bucket, Key="none")
        refused(s3.list_objects_v2, "NoSuchBucket", Bucket="lane-no-such-bucket")
        refused(s3.delete_bucket, "BucketNotEmpty", Bucket=lane.bucket)
        wrong = client(lane, secret_key="wrong" * 8)
        error = refused(wrong.get_object, "SignatureDoesNotMatch", Bucket=lane.bucket, Key="plain/1")
        check(error.response["ResponseMetadata"].get("RequestId"), "the error has no request id")


def cleanup(lane, s3):
    with lane.step("delete many", "empty the bucket through its versions and delete it"):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=lane.bucket):
            items = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in page.get("Versions", [])]
            if items:
                answer = s3.delete_objects(Bucket=lane.bucket, Delete={"Objects": items})
                check(not answer.get("Errors"), f"{answer.get('Errors')}")
        s3.delete_bucket(Bucket=lane.bucket)
        refused(s3.head_bucket, "404", Bucket=lane.bucket)
