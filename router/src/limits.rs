//! Every bound of the S3 front, named. Limits that S3 publishes carry its numbers; the others say why.

use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// One PUT, part or copy source at most: S3's 5 GiB.
pub const PUT_BYTES_MAX: u64 = 5 * GIB;
/// The largest XML body: a CompleteMultipartUpload of 10,000 parts with checksums is under 2 MiB.
pub const XML_BODY_BYTES_MAX: u64 = 4 * MIB;
/// All headers of one request; S3 allows 8 KiB, and proxies add some.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;
/// The fields of a form before its file: S3's 20 KB.
pub const FORM_FIELDS_BYTES_MAX: usize = 20 * 1024;
/// How many headers one request may have.
pub const HEADERS_MAX: usize = 200;
/// User metadata of one object, names and values: S3's 2 KB.
pub const USER_METADATA_BYTES_MAX: usize = 2 * 1024;
/// The body bytes of all requests that may be in memory at once, unless configured: half of it for those that come
/// in, half for those that go out, so that clients who read slowly cannot keep others from writing.
pub const IN_FLIGHT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// A smaller budget than this could not hold one chunk of one body.
pub const IN_FLIGHT_BYTES_MIN: usize = 4 * 1024 * 1024;
/// How long a chunk waits for its share of that before the request is told to slow down.
pub const IN_FLIGHT_PATIENCE: Duration = Duration::from_secs(30);
/// XML bodies, which are kept whole while they are read, that may be in memory at once.
pub const XML_IN_FLIGHT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long an XML body waits for its share of that before the request is told to slow down.
pub const XML_PATIENCE: Duration = Duration::from_secs(5);
/// How long an XML body may take as a whole: unlike a stream it holds its share all the while.
pub const XML_BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// What is read of a body that nobody wants, so that its sender gets to read why.
pub const UNWANTED_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long that may take.
pub const UNWANTED_BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// One chunk of a signed aws-chunked body: its signature is known only when all of it is here, and s3s keeps it
/// until then. Clients send 64 or 128 KiB.
pub const SIGNED_CHUNK_BYTES_MAX: u64 = MIB;
/// Unsigned chunks are cut into pieces of at most this, so that none is collected whole.
pub const UNSIGNED_CHUNK_BYTES: usize = 256 * 1024;
/// One line of aws-chunked framing.
pub const CHUNK_LINE_BYTES_MAX: usize = 512;
/// Objects up to this size are read whole before the answer begins: one segment, and a clean error if they are damaged.
pub const SMALL_READ_BYTES: u64 = 256 * KIB;
/// Keys per DeleteObjects: S3's 1,000.
pub const DELETE_KEYS_MAX: usize = 1000;
/// How many keys of one DeleteObjects are decided at once.
pub const DELETE_CONCURRENCY: usize = 64;
/// Keys, uploads and parts per page of a list: S3's 1,000.
pub const LIST_PAGE_MAX: usize = 1000;
/// Pages of uploads that one DeleteBucket aborts.
pub const DELETE_BUCKET_PAGES_MAX: usize = 1000;
/// Buckets per page of ListBuckets: S3's 10,000.
pub const LIST_BUCKETS_MAX: usize = 10_000;
/// Part numbers run from 1 to this.
pub const PART_NUMBER_MAX: u16 = 10_000;
/// Tags per object, and the length of their keys and values.
pub const TAGS_MAX: usize = 10;
pub const TAG_KEY_CHARS_MAX: usize = 128;
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// A presigned URL is good for a week at most.
pub const PRESIGN_SECONDS_MAX: i64 = 7 * 24 * 60 * 60;
/// How far a client's clock may be off.
pub const CLOCK_SKEW_SECONDS_MAX: u32 = 15 * 60;

/// How often a GET looks the placement up again when a copy is gone.
pub const RESOLVE_ATTEMPTS_MAX: usize = 3;
/// How often a command is repeated because the bucket's configuration changed meanwhile.
pub const STALE_CONFIG_ATTEMPTS_MAX: usize = 5;
/// A command may take effect until this long after it was proposed first. Longer than any election or slow disk, so that
/// a command is not lost to them; answers of repeated requests are remembered for far longer.
pub const COMMIT_NOT_AFTER: Duration = Duration::from_secs(10 * 60);
/// How long a command is repeated while its outcome is unknown: less than `COMMIT_NOT_AFTER`.
pub const COMMIT_PATIENCE: Duration = Duration::from_secs(45);
/// How long a command, of which nothing can have happened yet, waits for a leader.
pub const NO_LEADER_PATIENCE: Duration = Duration::from_secs(5);
/// The first and the longest pause between repetitions.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(10);
pub const BACKOFF_MAX: Duration = Duration::from_millis(500);
/// What `Retry-After` says, in seconds.
pub const RETRY_AFTER_SECONDS: u32 = 1;

/// Connections per listener.
pub const CONNECTIONS_MAX: usize = 10_000;
/// From the first byte of a request to the end of its headers, and between requests.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// A TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A body that brings no byte for this long is given up: an idle timeout, never a total one.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// A client that takes no byte of its answer for this long is cut.
pub const WRITE_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a stopping server waits for requests in flight.
pub const DRAIN_MAX: Duration = Duration::from_secs(30);
/// The pause after an accept failed: out of file descriptors, most likely.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An epoch takes no new uploads after this long, or this many of them.
pub const EPOCH_AGE_MAX: Duration = Duration::from_secs(10 * 60);
pub const EPOCH_PUTS_MAX: u64 = 100_000;
/// A retired epoch is closed by then, whatever is in flight.
pub const EPOCH_HELD_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Retired epochs kept per shard; more means that closing them keeps failing.
pub const EPOCHS_RETIRED_MAX: usize = 1024;
/// Secrets kept unsealed in memory.
pub const SECRETS_CACHED_MAX: usize = 4096;
