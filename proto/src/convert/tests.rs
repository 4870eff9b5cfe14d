//! What every codec must keep: what was written is read back, any bytes are answered without a panic,
//! a newer format is told from damage, and small stays small. Old bytes are in `golden.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod golden;
mod refusals;
mod samples;

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::test_runner::{Config, TestRunner};

use super::{DecodeError, FORMAT, Stored, arbitrary};
use crate::object::{Body, Version};

/// How far into a long encoding every truncation is tried.
const TRUNCATIONS_MAX: usize = 600;

/// Every property, over values and over bytes.
fn hold<T: Stored + PartialEq + Debug>(values: impl Strategy<Value = T>) {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let noise = (values, any::<(usize, u8)>());
    let outcome = runner.run(&noise, |(value, (at, byte))| {
        let bytes = value.encode();
        assert_eq!(T::decode(&bytes).unwrap(), value, "read back");
        assert_eq!(T::decode(&bytes).unwrap().encode(), bytes, "one value has one encoding");

        for end in 0..bytes.len().min(TRUNCATIONS_MAX) {
            is_total::<T>(&bytes[..end]);
        }
        let mut damaged = bytes.clone();
        let position = at % damaged.len();
        damaged[position] = byte;
        is_total::<T>(&damaged);

        let mut newer = bytes;
        newer[0] = FORMAT + 1;
        assert!(matches!(T::decode(&newer), Err(DecodeError::Newer { found: 2, .. })));
        newer[0] = 0;
        assert!(matches!(T::decode(&newer), Err(DecodeError::Malformed { .. })));
        Ok(())
    });
    outcome.unwrap();

    let bytes = vec(any::<u8>(), 0..200);
    let outcome = runner.run(&bytes, |mut bytes| {
        is_total::<T>(&bytes);
        // Past the format byte most noise is tried in vain, so give it that byte too.
        bytes.insert(0, FORMAT);
        is_total::<T>(&bytes);
        Ok(())
    });
    outcome.unwrap();
}

/// Decoding answers; and what it accepts is a value that can be written and read again.
fn is_total<T: Stored + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(value) = T::decode(bytes) {
        assert_eq!(T::decode(&value.encode()).unwrap(), value, "accepted from damaged bytes");
    }
}

macro_rules! codecs {
    ($($test:ident: $values:expr),* $(,)?) => { $(
        #[test]
        fn $test() {
            hold($values);
        }
    )* };
}

codecs! {
    entries: arbitrary::command::entry(),
    commands: arbitrary::command::command(),
    operations: arbitrary::command::operation(),
    responses: arbitrary::row::response(),
    lists_of_responses: vec(arbitrary::row::response(), 0..6),
    versions: arbitrary::version(),
    version_entries: arbitrary::version_entry(),
    delete_markers: arbitrary::delete_marker(),
    manifests: arbitrary::manifest(),
    buckets: arbitrary::row::bucket(),
    shard_buckets: arbitrary::row::shard_bucket(),
    backends: arbitrary::row::backend(),
    shard_backends: arbitrary::row::shard_backend(),
    users: arbitrary::row::user(),
    access_keys: arbitrary::row::access_key(),
    nodes: arbitrary::row::node(),
    join_tokens: arbitrary::row::join_token(),
    clusters: arbitrary::row::cluster(),
    settings: arbitrary::settings(),
    epochs: arbitrary::row::epoch(),
    blob_rows: arbitrary::row::blob_row(),
    uploads: arbitrary::row::upload(),
    upload_parts: arbitrary::row::upload_part(),
    answered: arbitrary::row::answered(),
    completed: arbitrary::row::completed(),
    queries: arbitrary::query::query(),
    answers: arbitrary::query::answer(),
}

/// The log and 10^9 rows are sized by this: design counts on rows of 250 to 450 bytes, keys included.
#[test]
fn a_usual_put_is_small() {
    let put = samples::entry(samples::put_version());
    let length = put.encode().len();
    assert!(length < 300, "a log entry with one PutVersion takes {length} bytes");

    let row = Version { body: Body::Whole(samples::blob()), ..samples::version() };
    let length = row.encode().len();
    assert!(length < 250, "a version row takes {length} bytes");
}
