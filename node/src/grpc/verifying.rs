//! A check of catalog against bytes as a stream of the admin API. The check itself is `verify/`.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use vaultaire_proto::wire::admin;
use vaultaire_proto::wire::admin::verify_response::Event as Sent;

use crate::error::Error;
use crate::grpc::{Parts, backends, names, status};
use crate::verify::{Event, Finding, Kind, Options, Phase, Progress, Summary, Verifier};

pub type Events = Pin<Box<dyn Stream<Item = Result<admin::VerifyResponse, Status>> + Send>>;

/// How many events wait for a slow caller before the check waits too.
const EVENTS_MAX: usize = 64;

/// Starts a check that ends when the caller goes away or the node stops.
pub fn stream(parts: &Parts, request: &admin::VerifyRequest) -> Result<Events, Error> {
    let backend = match request.backend.as_str() {
        "" => None,
        name => {
            let own = names::within(names::BACKENDS, name)?;
            Some(backends::named(parts, own)?.id())
        }
    };
    let options = Options { checksums: request.checksums, backend };
    let (events, received) = mpsc::channel(EVENTS_MAX);
    let verifier =
        Verifier::new(parts.proposer.clone(), parts.registry.clone(), options, events.clone());
    let stop = parts.stop.clone();
    tokio::spawn(async move {
        if let Some(Err(error)) = stop.run_until_cancelled(verifier.run()).await {
            // A caller who went away needs no error.
            let _ = events.send(Err(error)).await;
        }
    });
    let shown = |event: Result<Event, Error>| match event {
        Ok(event) => Ok(admin::VerifyResponse { event: Some(event_shown(event)) }),
        Err(error) => Err(status::of(&error)),
    };
    Ok(Box::pin(ReceiverStream::new(received).map(shown)))
}

fn event_shown(event: Event) -> Sent {
    match event {
        Event::Progress(progress) => Sent::Progress(progress_shown(progress)),
        Event::Finding(finding) => Sent::Finding(finding_shown(finding)),
        Event::Summary(summary) => Sent::Summary(summary_shown(summary)),
    }
}

fn progress_shown(progress: Progress) -> admin::VerifyProgress {
    let phase = match progress.phase {
        Phase::Catalog => admin::VerifyPhase::Catalog,
        Phase::Backends => admin::VerifyPhase::Backends,
    };
    admin::VerifyProgress {
        phase: phase.into(),
        objects: progress.objects,
        blobs: progress.blobs,
        checked_bytes: progress.checked_bytes,
        total_objects: progress.total_objects,
        total_bytes: progress.total_bytes,
    }
}

fn finding_shown(finding: Finding) -> admin::VerifyFinding {
    let kind = match finding.kind {
        Kind::Orphan => admin::FindingKind::Orphan,
        Kind::Dangling => admin::FindingKind::Dangling,
        Kind::ChecksumMismatch => admin::FindingKind::ChecksumMismatch,
        Kind::SizeMismatch => admin::FindingKind::SizeMismatch,
        Kind::Unreadable => admin::FindingKind::Unreadable,
        Kind::Inconsistent => admin::FindingKind::Inconsistent,
    };
    let backend = match finding.backend.as_str() {
        "" => String::new(),
        name => format!("{}{name}", names::BACKENDS),
    };
    let bucket = match finding.bucket.as_str() {
        "" => String::new(),
        name => format!("{}{name}", names::BUCKETS),
    };
    admin::VerifyFinding {
        kind: kind.into(),
        backend,
        backend_key: finding.backend_key,
        bucket,
        object_key: finding.object_key,
        version_id: finding.version_id,
        detail: finding.detail,
    }
}

fn summary_shown(summary: Summary) -> admin::VerifySummary {
    admin::VerifySummary {
        objects: summary.objects,
        blobs: summary.blobs,
        checked_bytes: summary.checked_bytes,
        orphans: summary.orphans,
        dangling: summary.dangling,
        checksum_mismatches: summary.checksum_mismatches,
        size_mismatches: summary.size_mismatches,
        unreadable: summary.unreadable,
        inconsistent: summary.inconsistent,
        unswept: summary.unswept,
        duration_ms: summary.duration_ms,
    }
}
