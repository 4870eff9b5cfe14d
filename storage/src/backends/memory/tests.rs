//! Tests of the memory backend and its faults: determinism, and that each fault is what it says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::conformance;
use crate::error::Class;

fn key(name: &str) -> BackendKey {
    BackendKey::parse(name).unwrap()
}

fn memory(faults: Faults) -> Memory {
    Memory::with_faults(BackendId(9), "memory", faults)
}

async fn put(backend: &Memory, name: &str) -> Result<Stored, Error> {
    let body = once(Bytes::from_static(b"some bytes"));
    backend.put(&key(name), &Attributes::default(), Some(10), body).await
}

#[tokio::test]
async fn conforms() {
    let backend = Arc::new(memory(Faults::NONE));
    conformance::assert_conforms(backend, "t").await;
}

#[tokio::test]
async fn keeps_attributes() {
    let backend = memory(Faults::NONE);
    let attributes =
        Attributes { bucket: "b".to_owned(), key: "k".to_owned(), ..Attributes::default() };
    backend.put(&key("a"), &attributes, None, once(Bytes::new())).await.unwrap();
    backend.copy(&key("a"), &key("b")).await.unwrap();
    assert_eq!(backend.attributes(&key("b")), Some(attributes));
}

/// What each of many operations ended with.
async fn history(seed: u64) -> Vec<String> {
    let chance = 120;
    let faults = Faults {
        seed,
        error_before: chance,
        timeout_after: chance,
        slow: chance,
        corrupt_read: chance,
        missing: chance,
        zombie: chance,
        ..Faults::NONE
    };
    let backend = memory(faults);
    let mut history = Vec::new();
    for number in 0..60 {
        let name = format!("k/{}", number % 20);
        history.push(format!("{:?}", put(&backend, &name).await.map_err(|error| error.class())));
        history.push(match backend.get(&key(&name), None).await {
            Ok(object) => format!("{:?}", object.collect(10).await.unwrap()),
            Err(error) => format!("{:?}", error.class()),
        });
    }
    history.push(format!("{:?}", backend.list("", None, 100).await.map_err(|error| error.class())));
    history
}

#[tokio::test(start_paused = true)]
async fn a_seed_decides_everything() {
    for seed in 0..8 {
        let first = history(seed).await;
        assert_eq!(first, history(seed).await, "seed {seed}");
        assert_ne!(first, history(seed + 1).await, "seeds {seed} and {}", seed + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn every_fault_occurs_and_none_without_a_chance() {
    let all: Vec<String> = history(3).await;
    let seen = |what: &str| all.iter().any(|line| line.contains(what));
    assert!(
        seen("Transient") && seen("Unknown") && seen("Missing") && seen("some bytes"),
        "{all:?}"
    );
    assert!(
        all.iter().any(|line| line.starts_with("b\"") && !line.contains("some bytes")),
        "a corrupt read"
    );
    let backend = memory(Faults { seed: 3, ..Faults::NONE });
    for number in 0..1000 {
        put(&backend, &format!("k/{number}")).await.unwrap();
    }
}

#[tokio::test]
async fn an_error_before_has_no_effect() {
    let backend = memory(Faults { error_before: 1000, ..Faults::NONE });
    assert_eq!(put(&backend, "a").await.unwrap_err().class(), Class::Transient);
    assert!(backend.state.lock().blobs.is_empty());
}

#[tokio::test]
async fn a_timeout_after_has_its_effect() {
    let backend = memory(Faults { timeout_after: 1000, ..Faults::NONE });
    assert_eq!(put(&backend, "a").await.unwrap_err().class(), Class::Unknown);
    assert_eq!(backend.head(&key("a")).await.unwrap().size_bytes, 10);
    assert_eq!(backend.delete(&key("a")).await.unwrap_err().class(), Class::Unknown);
    assert!(backend.head(&key("a")).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_zombie_lands_late() {
    let backend = memory(Faults { zombie: 1000, zombie_after_operations: 3, ..Faults::NONE });
    assert_eq!(put(&backend, "a").await.unwrap_err().class(), Class::Unknown);
    assert!(backend.head(&key("a")).await.unwrap_err().is_not_found());
    assert!(backend.list("", None, 10).await.unwrap().is_empty());
    assert_eq!(
        backend.head(&key("a")).await.unwrap().size_bytes,
        10,
        "the third operation after it"
    );
}

#[tokio::test(start_paused = true)]
async fn slowness_takes_its_time_and_nothing_else() {
    let backend = memory(Faults { slow: 1000, slow_for: Duration::from_secs(7), ..Faults::NONE });
    let before = tokio::time::Instant::now();
    put(&backend, "a").await.unwrap();
    assert_eq!(before.elapsed(), Duration::from_secs(7));
}

#[tokio::test]
async fn a_corrupt_read_differs_in_one_bit() {
    let backend = memory(Faults { corrupt_read: 1000, seed: 5, ..Faults::NONE });
    put(&backend, "a").await.unwrap();
    let read = backend.get(&key("a"), None).await.unwrap().collect(10).await.unwrap();
    let differing: u32 = read.iter().zip(b"some bytes").map(|(a, b)| (a ^ b).count_ones()).sum();
    assert_eq!(differing, 1);
}
