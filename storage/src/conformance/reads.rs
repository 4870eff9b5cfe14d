//! Checks of what a backend says about blobs: reading, ranges, listings, and what is not there.

use bytes::Bytes;

use super::{Broken, Trial, ensure, pattern};
use crate::error::Error;

/// Around every size at which a backend changes its way of writing or reading.
const SIZES: [usize; 8] = [
    1,
    4096,
    65_536,
    65_537,
    1024 * 1024,
    1024 * 1024 + 1,
    5 * 1024 * 1024 + 1,
    9 * 1024 * 1024 + 3,
];

pub(super) async fn round_trips(trial: &Trial) -> Result<(), Broken> {
    for size in SIZES {
        let key = trial.key(&format!("size-{size}"))?;
        let bytes = pattern(size);
        let stored = trial.put(&key, &bytes).await?;
        ensure(stored.size_bytes == size as u64, || {
            format!("stored {} of {size}", stored.size_bytes)
        })?;
        ensure(trial.read(&key).await? == bytes, || format!("{size} bytes came back changed"))?;
        let info = trial.backend.head(&key).await?;
        ensure(info.size_bytes == size as u64, || {
            format!("head says {} of {size}", info.size_bytes)
        })?;
    }
    Ok(())
}

pub(super) async fn empty_blob(trial: &Trial) -> Result<(), Broken> {
    let key = trial.key("empty")?;
    trial.put(&key, &Bytes::new()).await?;
    ensure(trial.read(&key).await?.is_empty(), || "bytes in an empty blob".to_owned())?;
    ensure(trial.backend.head(&key).await?.size_bytes == 0, || "head of an empty blob".to_owned())?;
    let listed = trial.backend.list(key.as_str(), None, 10).await?;
    ensure(listed.len() == 1 && listed.iter().all(|row| row.size_bytes == 0), || {
        format!("{listed:?}")
    })?;
    let range = trial.read_range(&key, 0, 1).await;
    ensure(matches!(range, Err(Error::RangeNotSatisfiable { .. })), || {
        format!("a range of nothing: {range:?}")
    })
}

pub(super) async fn ranges(trial: &Trial) -> Result<(), Broken> {
    let key = trial.key("ranged")?;
    let size = 1024 * 1024 + 7;
    let bytes = pattern(size);
    trial.put(&key, &bytes).await?;
    let last = size as u64;
    let within = [
        (0, 1),
        (0, last),
        (last - 1, last),
        (1, 70_000),
        (65_536, 131_072),
        (last - 3, last + 100),
    ];
    for (start, end) in within.into_iter().chain([(5, u64::MAX)]) {
        let object = trial.backend.get(&key, Some(start..end)).await?;
        let cut = start..end.min(last);
        ensure(object.size_bytes == last, || {
            format!("the whole size of {start}..{end}: {}", object.size_bytes)
        })?;
        ensure(object.range == cut, || format!("{start}..{end} was cut to {:?}", object.range))?;
        let part = object.collect(last).await?;
        let expected = bytes.slice(start as usize..cut.end as usize);
        ensure(part == expected, || {
            format!("{start}..{end} came back as {} other bytes", part.len())
        })?;
    }
    for (start, end) in [(last, last + 1), (last + 5, u64::MAX), (3, 3)] {
        let read = trial.read_range(&key, start, end).await;
        let refused = matches!(read, Err(Error::RangeNotSatisfiable { size_bytes, .. }) if size_bytes == last);
        ensure(refused, || format!("{start}..{end} of {last}: {read:?}"))?;
    }
    Ok(())
}

pub(super) async fn missing(trial: &Trial) -> Result<(), Broken> {
    let key = trial.key("never/written")?;
    let get = trial.read(&key).await;
    ensure(matches!(get, Err(Error::NotFound { .. })), || format!("get: {get:?}"))?;
    let range = trial.read_range(&key, 0, 10).await;
    ensure(matches!(range, Err(Error::NotFound { .. })), || format!("ranged get: {range:?}"))?;
    let head = trial.backend.head(&key).await;
    ensure(matches!(head, Err(Error::NotFound { .. })), || format!("head: {head:?}"))?;
    let copy = trial.backend.copy(&key, &trial.key("target")?).await;
    ensure(matches!(copy, Err(Error::NotFound { .. })), || format!("copy: {copy:?}"))?;
    trial.ensure_absent(&trial.key("target")?).await?;
    trial.ensure_absent(&key).await
}

pub(super) async fn listing(trial: &Trial) -> Result<(), Broken> {
    let names = ["a", "a-b/1", "a.b/1", "a/1", "a/10", "a/2", "a0/1", "ab", "b/c/d/1", "b/c/d/2"];
    for name in names {
        trial.put(&trial.key(name)?, &pattern(name.len())).await?;
    }
    let prefix = format!("{}/", trial.prefix);
    for limit in [1, 3, 100] {
        let mut keys = Vec::new();
        loop {
            let page = trial.backend.list(&prefix, keys.last(), limit).await?;
            ensure(page.len() <= limit, || format!("a page of {} for {limit}", page.len()))?;
            if page.is_empty() {
                break;
            }
            for row in page {
                let name_bytes = (row.key.as_str().len() - prefix.len()) as u64;
                ensure(row.size_bytes == name_bytes, || {
                    format!("{} has {} bytes", row.key, row.size_bytes)
                })?;
                keys.push(row.key);
            }
            ensure(keys.len() <= names.len(), || {
                format!("pages of {limit} repeat keys: {keys:?}")
            })?;
        }
        let found: Vec<&str> =
            keys.iter().filter_map(|key| key.as_str().strip_prefix(&prefix)).collect();
        ensure(found == names, || format!("pages of {limit} gave {found:?}"))?;
    }
    Ok(())
}

pub(super) async fn listing_prefixes(trial: &Trial) -> Result<(), Broken> {
    for name in ["7/1", "7/2", "77/1", "8/1", "7"] {
        trial.put(&trial.key(name)?, &pattern(1)).await?;
    }
    let expectations: [(&str, &[&str]); 5] = [
        ("7/", &["7/1", "7/2"]),
        ("7", &["7", "7/1", "7/2", "77/1"]),
        ("77/", &["77/1"]),
        ("7/1", &["7/1"]),
        ("9", &[]),
    ];
    for (prefix, expected) in expectations {
        let page = trial.backend.list(&format!("{}/{prefix}", trial.prefix), None, 100).await?;
        let base = format!("{}/", trial.prefix);
        let found: Vec<&str> =
            page.iter().filter_map(|row| row.key.as_str().strip_prefix(&base)).collect();
        ensure(found == expected, || format!("prefix {prefix} gave {found:?}"))?;
    }
    let after = trial.key("7/1")?;
    let page = trial.backend.list(&format!("{}/7", trial.prefix), Some(&after), 1).await?;
    let second = trial.key("7/2")?;
    ensure(page.len() == 1 && page.iter().all(|row| row.key == second), || {
        format!("after 7/1: {page:?}")
    })
}
