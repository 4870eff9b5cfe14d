//! Reading when copies fail: another copy goes on where the first stopped, and damage is never delivered whole.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use tokio::sync::Semaphore;
use vaultaire_proto::catalog::local::LocalCatalog;
use vaultaire_proto::time::ManualClock;
use vaultaire_proto::{BackendId, BlobKey, Catalog, EpochId, GroupId, NodeId, TimeMs};
use vaultaire_storage::backend::{Attributes, Backend, once};
use vaultaire_storage::backends::memory::Memory;
use vaultaire_storage::registry::Registry;

use super::*;
use crate::config::Settings;
use crate::epochs::Epochs;
use crate::test_support::odd::Odd;

struct World {
    ctx: Arc<Context>,
    bytes: Bytes,
    blob: Blob,
}

/// One blob on each of the given backends, with these bytes there.
async fn world(backends: Vec<(Arc<dyn Backend>, Bytes)>, bytes: Bytes) -> World {
    let clock = Arc::new(ManualClock::new(TimeMs(0)));
    let catalog = Arc::new(LocalCatalog::new(1, clock.clone()));
    let key =
        BlobKey { generation: 1, shard: GroupId(1), node: NodeId(1), epoch: EpochId(1), seq: 1 };
    let registry = Arc::new(Registry::default());
    let mut copies = Vec::new();
    for (backend, stored) in backends {
        let at = key.backend_key(catalog.cluster().cluster);
        backend.put(&at, &Attributes::default(), None, once(stored)).await.unwrap();
        copies.push(Location { backend: backend.id(), key });
        registry.insert(backend).unwrap();
    }
    let mut digests = Digests::new(Algorithms { crc64nvme: true, ..Algorithms::default() });
    digests.update(&bytes);
    let crc64nvme = digests.finish().crc64nvme.unwrap();
    let blob = Blob { size_bytes: bytes.len() as u64, crc64nvme, copies };
    let ctx = Arc::new(Context {
        epochs: Epochs::new(catalog.clone(), clock.clone(), NodeId(1), 1),
        catalog,
        registry,
        clock,
        settings: Settings::new(Arc::default()),
        budget_in: Arc::new(Semaphore::new(1 << 20)),
        budget_out: Arc::new(Semaphore::new(1 << 20)),
        xml_budget: Semaphore::new(1 << 20),
    });
    World { ctx, bytes, blob }
}

async fn read(world: &World, range: Range<u64>) -> Result<Bytes, String> {
    let segments = vec![Segment { blob: world.blob.clone(), range }];
    let body = body(&world.ctx, segments).await.map_err(|error| error.to_string())?;
    let collected =
        http_body_util::BodyExt::collect(body).await.map_err(|error| error.to_string())?;
    Ok(collected.to_bytes())
}

fn pattern(length: usize) -> Bytes {
    (0..length).map(|place| (place % 251) as u8).collect()
}

fn memory(id: u32) -> Memory {
    Memory::new(BackendId(id), format!("m{id}"))
}

#[tokio::test]
async fn another_copy_goes_on_where_the_first_broke_off() {
    for length in [1000, 900_000] {
        let bytes = pattern(length);
        let breaks: Arc<dyn Backend> = Arc::new(Odd::breaking(memory(1), length / 3));
        let world =
            world(vec![(breaks, bytes.clone()), (Arc::new(memory(2)), bytes.clone())], bytes).await;
        let whole = world.blob.size_bytes;
        assert_eq!(read(&world, 0..whole).await.unwrap(), world.bytes);
        assert_eq!(read(&world, 5..whole - 5).await.unwrap(), world.bytes.slice(5..length - 5));
    }
}

#[tokio::test]
async fn a_damaged_copy_is_replaced_or_cut() {
    let bytes = pattern(1000);
    let mut damaged = bytes.to_vec();
    damaged[999] ^= 1;
    let good: Arc<dyn Backend> = Arc::new(memory(2));
    let world =
        world(vec![(Arc::new(memory(1)), damaged.into()), (good, bytes.clone())], bytes).await;
    assert_eq!(
        read(&world, 0..1000).await.unwrap(),
        world.bytes,
        "one chunk: the other copy is read instead"
    );
    let mut alone = world;
    alone.blob.copies.truncate(1);
    let error = read(&alone, 0..1000).await.unwrap_err();
    assert!(error.contains("corrupt"), "{error}");
}

#[tokio::test]
async fn what_is_gone_everywhere_is_not_found() {
    let bytes = pattern(10);
    let mut world = world(vec![(Arc::new(memory(1)), bytes.clone())], bytes).await;
    world.blob.copies[0].key.seq = 2;
    let segments = vec![Segment { blob: world.blob.clone(), range: 0..10 }];
    assert!(body(&world.ctx, segments).await.unwrap_err().is_not_found());
    world.ctx.registry.remove(BackendId(1)).unwrap();
    assert!(read(&world, 0..10).await.is_err());
}

#[test]
fn ranges_cross_parts() {
    let part = |number: u16, size_bytes: u64| Part {
        number,
        md5: [0; 16],
        checksum: None,
        blob: Blob { size_bytes, crc64nvme: u64::from(number), copies: Vec::new() },
    };
    let parts = vec![part(1, 10), part(3, 5), part(4, 10)];
    let found = of_parts(parts.clone(), &(8..16));
    let found: Vec<_> =
        found.into_iter().map(|segment| (segment.blob.crc64nvme, segment.range)).collect();
    assert_eq!(found, [(1, 8..10), (3, 0..5), (4, 0..1)]);
    assert_eq!(of_parts(parts, &(10..15)).len(), 1);
}

#[tokio::test]
async fn small_answers_hold_their_share_until_they_are_gone() {
    let bytes = Bytes::from(vec![7; 1000]);
    let memory: Arc<dyn Backend> = Arc::new(Memory::new(BackendId(1), "memory"));
    let world = world(vec![(memory, bytes.clone())], bytes).await;
    let budget = &world.ctx.budget_out;
    let before = budget.available_permits();
    let read = read(&world, 0..1000).await.unwrap();
    assert_eq!(budget.available_permits(), before - 1000);
    assert_eq!(read.len(), 1000);
    drop(read);
    assert_eq!(budget.available_permits(), before);
}
