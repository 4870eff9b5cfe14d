//! The safety brake over the admin API: what it holds back, and how an operator lets go. What it holds, and why, is
//! told in `workers/brake.rs`.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use vaultaire_proto::wire::admin;
use vaultaire_proto::{RequestId, TimeMs};

use crate::error::Error;
use crate::grpc::{Parts, backends, names};
use crate::propose::request_id;
use crate::workers::brake::{Hold, RELEASE};

/// How many releases are remembered for those who repeat them.
const RELEASES_MAX: usize = 1024;

/// Until when each of the latest requests let deletions go: a repeated one must not let them go for longer. It is
/// forgotten with the process, and so is the release.
#[derive(Debug, Default)]
pub struct Releases(Mutex<VecDeque<(RequestId, TimeMs)>>);

impl Releases {
    fn until(&self, request: RequestId) -> Option<TimeMs> {
        let latest = self.0.lock();
        latest.iter().find(|(id, _)| *id == request).map(|(_, until)| *until)
    }

    fn remember(&self, request: RequestId, until: TimeMs) {
        let mut latest = self.0.lock();
        if latest.len() >= RELEASES_MAX {
            latest.pop_front();
        }
        latest.push_back((request, until));
    }
}

/// Lifts the brake of this node on a backend. Only one that is open here: nothing else could be deleted from here.
pub fn release(
    parts: &Parts,
    request: &admin::ReleaseBackendRequest,
) -> Result<admin::ReleaseBackendResponse, Error> {
    let backend = backends::named(parts, names::within(names::BACKENDS, &request.name)?)?;
    let answer = |until: TimeMs| Ok(admin::ReleaseBackendResponse { released_until_ms: until.0 });
    let until = after(parts, RELEASE);
    if request.validate_only {
        return answer(until);
    }
    let id = request_id("ReleaseBackend", &request.name, &request.request_id);
    if let Some(until) = parts.releases.until(id) {
        return answer(until);
    }
    parts.brake.release(backend.id());
    if !request.request_id.is_empty() {
        parts.releases.remember(id, until);
    }
    answer(until)
}

/// A hold for the wire.
pub fn held(parts: &Parts, hold: Hold) -> admin::HeldDeletions {
    admin::HeldDeletions {
        shards: hold.shards,
        live_bytes: hold.live_bytes,
        allowed_bytes: hold.allowed_bytes,
        deleted_bytes: hold.deleted_bytes,
        until_ms: after(parts, hold.left).0,
    }
}

/// The brake counts on a clock that nobody sets; people read the other.
pub fn after(parts: &Parts, left: Duration) -> TimeMs {
    let ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    parts.proposer.clock().now().plus_ms(ms)
}
