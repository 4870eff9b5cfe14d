// The aws-sdk-js v3 lane: one step after the other, one JSON line for each on stdout.
// `lane.py` starts the server and hands the endpoint over in the environment.

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import {
  AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CopyObjectCommand, CreateBucketCommand,
  CreateMultipartUploadCommand, DeleteBucketCommand, DeleteObjectCommand, DeleteObjectsCommand, GetObjectCommand,
  HeadObjectCommand, ListObjectsV2Command, ListPartsCommand, PutObjectCommand, S3Client, UploadPartCommand,
  UploadPartCopyCommand, paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const MIB = 1024 * 1024;
const Bucket = process.env.VAULTAIRE_LANE_BUCKET;
const oddKeys = JSON.parse(process.env.VAULTAIRE_LANE_ODD_KEYS);
const s3 = new S3Client({
  endpoint: process.env.VAULTAIRE_LANE_ENDPOINT,
  region: process.env.AWS_REGION,
  forcePathStyle: true,
});

const require = createRequire(import.meta.url);
console.log(JSON.stringify({ version: require("@aws-sdk/client-s3/package.json").version }));
let failed = false;

async function step(column, name, body) {
  const started = performance.now();
  let detail = null;
  try {
    await body();
  } catch (error) {
    failed = true;
    detail = `${error.name}: ${error.message}`;
  }
  const seconds = (performance.now() - started) / 1000;
  console.log(JSON.stringify({ column, step: name, outcome: detail === null ? "pass" : "fail", detail, seconds }));
}

function check(condition, message) {
  if (!condition) throw new Error(message);
}

function same(got, expected, what) {
  const hash = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 16);
  check(
    Buffer.compare(Buffer.from(got), Buffer.from(expected)) === 0,
    `${what}: ${got.length} bytes ${hash(got)}, expected ${expected.length} bytes ${hash(expected)}`,
  );
}

// A chain of hashes: the same bytes for the same seed, and no repetition.
function payload(size, seed = "js") {
  const pieces = [];
  let block = createHash("sha512").update(`vaultaire-${seed}-${size}`).digest();
  for (let made = 0; made < size; made += block.length) {
    pieces.push(block);
    block = createHash("sha512").update(block).digest();
  }
  return Buffer.concat(pieces).subarray(0, size);
}

const big = payload(64 * MIB);

const send = (Command, input) => s3.send(new Command({ Bucket, ...input }));

async function bytes(Key, input = {}) {
  const answer = await send(GetObjectCommand, { Key, ...input });
  return Buffer.from(await answer.Body.transformToByteArray());
}

async function refused(code, call) {
  try {
    await call();
  } catch (error) {
    check(error.name === code, `expected ${code}: ${error.name}: ${error.message}`);
    return;
  }
  throw new Error(`succeeded, expected ${code}`);
}

await step("put", "create a bucket, put buffers, strings and a stream", async () => {
  await send(CreateBucketCommand, {});
  for (const size of [0, 1, 4096]) {
    await send(PutObjectCommand, {
      Key: `plain/${size}`, Body: payload(size), ContentType: "text/lane", Metadata: { colour: "blue" },
    });
  }
  await send(PutObjectCommand, { Key: "text", Body: "grüße" });
  await send(PutObjectCommand, { Key: "stream", Body: Readable.from([payload(300000)]), ContentLength: 300000 });
  for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "SHA1", "SHA256"]) {
    await send(PutObjectCommand, { Key: `sum/${ChecksumAlgorithm}`, Body: payload(999), ChecksumAlgorithm });
  }
});

await step("get", "bytes, metadata and checked checksums come back", async () => {
  for (const size of [0, 1, 4096]) same(await bytes(`plain/${size}`), payload(size), `plain/${size}`);
  same(await bytes("text"), Buffer.from("grüße"), "text");
  same(await bytes("stream"), payload(300000), "stream");
  for (const name of ["CRC32", "CRC32C", "SHA1", "SHA256"]) {
    same(await bytes(`sum/${name}`, { ChecksumMode: "ENABLED" }), payload(999), name);
  }
  const head = await send(HeadObjectCommand, { Key: "plain/4096" });
  check(head.ContentType === "text/lane" && head.Metadata.colour === "blue", JSON.stringify(head));
  check(head.ETag === `"${createHash("md5").update(payload(4096)).digest("hex")}"`, `ETag ${head.ETag}`);
  await refused("NoSuchKey", () => send(GetObjectCommand, { Key: "none" }));
  await refused("NotFound", () => send(HeadObjectCommand, { Key: "none" }));
});

await step("range", "first, middle and last bytes", async () => {
  same(await bytes("plain/4096", { Range: "bytes=0-0" }), payload(4096).subarray(0, 1), "first");
  same(await bytes("plain/4096", { Range: "bytes=100-199" }), payload(4096).subarray(100, 200), "middle");
  same(await bytes("plain/4096", { Range: "bytes=-9" }), payload(4096).subarray(4087), "last");
  await refused("InvalidRange", () => send(GetObjectCommand, { Key: "plain/4096", Range: "bytes=4096-" }));
});

await step("list", "pages, prefixes, delimiter", async () => {
  const keys = ["list/a/1", "list/a/2", "list/b/1", "list/top"];
  for (const Key of keys) await send(PutObjectCommand, { Key, Body: Key });
  const found = [];
  for await (const page of paginateListObjectsV2({ client: s3, pageSize: 3 }, { Bucket, Prefix: "list/" })) {
    found.push(...page.Contents.map((item) => item.Key));
  }
  check(JSON.stringify(found) === JSON.stringify(keys), `listed ${found}`);
  const folded = await send(ListObjectsV2Command, { Prefix: "list/", Delimiter: "/" });
  const prefixes = folded.CommonPrefixes.map((item) => item.Prefix);
  check(JSON.stringify(prefixes) === '["list/a/","list/b/"]', `prefixes ${prefixes}`);
  check(folded.Contents.length === 1, `${folded.Contents.length} keys beside the prefixes`);
});

for (const [name, Key] of Object.entries(oddKeys)) {
  await step("odd keys", name, async () => {
    const body = payload(333, name);
    await send(PutObjectCommand, { Key, Body: body });
    same(await bytes(Key), body, Key);
    const page = await send(ListObjectsV2Command, { Prefix: Key });
    const found = (page.Contents ?? []).map((item) => item.Key);
    check(found.length === 1 && found[0] === Key, `listed ${JSON.stringify(found)}`);
    await send(DeleteObjectCommand, { Key });
  });
}

await step("multipart", "64 MiB by lib-storage from a stream of unknown length", async () => {
  const pieces = Array.from({ length: 64 }, (_, n) => big.subarray(n * MIB, (n + 1) * MIB));
  const upload = new Upload({
    client: s3, partSize: 8 * MIB, queueSize: 4, params: { Bucket, Key: "multi/64", Body: Readable.from(pieces) },
  });
  const done = await upload.done();
  check(done.ETag.endsWith('-8"'), `ETag ${done.ETag} does not count 8 parts`);
  same(await bytes("multi/64"), big, "multi/64");
});

await step("multipart", "parts by hand, part copy, abort", async () => {
  const Key = "multi/hand";
  const { UploadId } = await send(CreateMultipartUploadCommand, { Key });
  const one = await send(UploadPartCommand, { Key, UploadId, PartNumber: 1, Body: payload(5 * MIB) });
  const CopySource = `${Bucket}/multi/64`;
  const copied = { Key, UploadId, PartNumber: 2, CopySource, CopySourceRange: "bytes=10-1000009" };
  const two = await send(UploadPartCopyCommand, copied);
  const Parts = [{ PartNumber: 1, ETag: one.ETag, ChecksumCRC32: one.ChecksumCRC32 },
    { PartNumber: 2, ETag: two.CopyPartResult.ETag, ChecksumCRC32: two.CopyPartResult.ChecksumCRC32 }];
  await send(CompleteMultipartUploadCommand, { Key, UploadId, MultipartUpload: { Parts } });
  const expected = Buffer.concat([payload(5 * MIB), big.subarray(10, 1000010)]);
  same(await bytes(Key), expected, Key);
  const gone = await send(CreateMultipartUploadCommand, { Key });
  await send(AbortMultipartUploadCommand, { Key, UploadId: gone.UploadId });
  await refused("NoSuchUpload", () => send(ListPartsCommand, { Key, UploadId: gone.UploadId }));
});

await step("copy", "copy keeps and replaces metadata", async () => {
  const CopySource = `${Bucket}/plain/4096`;
  await send(CopyObjectCommand, { Key: "copy/a b", CopySource });
  same(await bytes("copy/a b"), payload(4096), "copy");
  const replaced = { Key: "copy/new", CopySource, MetadataDirective: "REPLACE", Metadata: { new: "yes" } };
  await send(CopyObjectCommand, replaced);
  const head = await send(HeadObjectCommand, { Key: "copy/new" });
  check(JSON.stringify(head.Metadata) === '{"new":"yes"}', JSON.stringify(head.Metadata));
});

await step("presign", "PUT and GET by fetch without keys", async () => {
  const Key = "presigned/a b+c";
  const put = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key }), { expiresIn: 60 });
  const answer = await fetch(put, { method: "PUT", body: "presigned by js" });
  check(answer.status === 200, `PUT answered ${answer.status} ${await answer.text()}`);
  const get = await fetch(await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key }), { expiresIn: 60 }));
  const text = await get.text();
  check(get.status === 200 && text === "presigned by js", `GET answered ${get.status} ${text}`);
});

await step("conditional", "If-None-Match and If-Match decide writes", async () => {
  const Key = "cond";
  const { ETag } = await send(PutObjectCommand, { Key, Body: "one", IfNoneMatch: "*" });
  await refused("PreconditionFailed", () => send(PutObjectCommand, { Key, Body: "two", IfNoneMatch: "*" }));
  await send(PutObjectCommand, { Key, Body: "three", IfMatch: ETag });
  await refused("PreconditionFailed", () => send(PutObjectCommand, { Key, Body: "four", IfMatch: ETag }));
  await refused("NoSuchKey", () => send(PutObjectCommand, { Key: "cond/none", Body: "x", IfMatch: ETag }));
  same(await bytes(Key), Buffer.from("three"), Key);
});

await step("delete many", "every key in one request, then the bucket", async () => {
  const page = await send(ListObjectsV2Command, {});
  const Objects = [...page.Contents.map((item) => ({ Key: item.Key })), { Key: "missing" }];
  const answer = await send(DeleteObjectsCommand, { Delete: { Objects } });
  check(answer.Deleted.length === Objects.length && !answer.Errors?.length, JSON.stringify(answer.Errors));
  await send(DeleteBucketCommand, {});
  await refused("NoSuchBucket", () => send(ListObjectsV2Command, {}));
});

process.exit(failed ? 1 : 0);
