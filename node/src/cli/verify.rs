//! `vaultaire verify`: does the catalog agree with the bytes? Progress on a terminal, findings as they
//! come, a summary at the end, and exit code 1 where anything is wrong.

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use vaultaire_proto::wire::admin;
use vaultaire_proto::wire::admin::verify_response::Event;

use crate::cli::client::{Target, refused};
use crate::cli::output::{Output, bare, bytes, line};
use crate::error::Error;
use crate::grpc::names::BACKENDS;

/// How many findings are listed; all are counted.
const FINDINGS_MAX: usize = 1000;

const BAR: &str = "{msg} {wide_bar} {pos}/{len} blobs, {per_sec}, {eta} left";

/// Compare the catalog with the bytes on every backend.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Compare presence and size only, without reading the bytes.
    #[arg(long)]
    no_checksums: bool,
    /// Only this backend.
    #[arg(long)]
    backend: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub async fn run(args: Args, output: Output) -> Result<(), Error> {
    let mut client = args.target.connect().await?;
    let request = admin::VerifyRequest {
        checksums: !args.no_checksums,
        backend: args.backend.map(|name| format!("{BACKENDS}{name}")).unwrap_or_default(),
    };
    let mut stream = client.verify(request).await.map_err(refused)?.into_inner();
    let bar = bar(output);
    let mut findings = Vec::new();
    let mut summary = None;
    while let Some(response) = stream.message().await.map_err(refused)? {
        match response.event {
            Some(Event::Progress(progress)) => show(&bar, &progress),
            Some(Event::Finding(finding)) if findings.len() < FINDINGS_MAX => {
                findings.push(finding)
            }
            Some(Event::Finding(_)) | None => {}
            Some(Event::Summary(last)) => summary = Some(last),
        }
    }
    bar.finish_and_clear();
    let Some(summary) = summary else {
        return Err(Error::Admin("the check ended before its summary; run it again".to_owned()));
    };
    report(output, &summary, &findings)?;
    match wrong(&summary) {
        0 => Ok(()),
        wrong => {
            Err(Error::Found(format!("{wrong} finding(s): the catalog and the bytes do not agree")))
        }
    }
}

fn bar(output: Output) -> ProgressBar {
    if !output.is_watched() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: &admin::VerifyProgress) {
    match progress.phase() {
        admin::VerifyPhase::Catalog => bar.set_message("rows"),
        admin::VerifyPhase::Backends => bar.set_message("keys"),
        admin::VerifyPhase::Unspecified => {}
    }
    bar.set_length(progress.total_objects.max(progress.blobs));
    bar.set_position(progress.blobs);
}

fn report(
    output: Output,
    summary: &admin::VerifySummary,
    findings: &[admin::VerifyFinding],
) -> Result<(), Error> {
    if output == Output::People {
        for finding in findings {
            line(&finding_text(finding))?;
        }
    }
    output.print(&shown(summary, findings), || text(summary))
}

fn text(summary: &admin::VerifySummary) -> String {
    let verdict = match wrong(summary) {
        0 => "sound",
        _ => "NOT SOUND",
    };
    format!(
        "{verdict}: {} object(s), {} blob(s), {} read in {:.1} s
orphans {}, dangling {}, wrong checksums {}, wrong sizes {}, unreadable {}, inconsistent {}
{} unreferenced key(s) wait for the sweep of their write epoch",
        summary.objects,
        summary.blobs,
        bytes(summary.checked_bytes),
        std::time::Duration::from_millis(summary.duration_ms).as_secs_f64(),
        summary.orphans,
        summary.dangling,
        summary.checksum_mismatches,
        summary.size_mismatches,
        summary.unreadable,
        summary.inconsistent,
        summary.unswept,
    )
}

fn finding_text(finding: &admin::VerifyFinding) -> String {
    let object = match finding.object_key.as_str() {
        "" => String::new(),
        key => format!(" s3://{}/{key} ({})", bare(&finding.bucket), finding.version_id),
    };
    format!(
        "{:<10} {} {}{object}: {}",
        kind(finding),
        bare(&finding.backend),
        finding.backend_key,
        finding.detail
    )
}

fn shown(summary: &admin::VerifySummary, findings: &[admin::VerifyFinding]) -> Value {
    json!({
        "ok": wrong(summary) == 0,
        "objects": summary.objects,
        "blobs": summary.blobs,
        "checked_bytes": summary.checked_bytes,
        "orphans": summary.orphans,
        "dangling": summary.dangling,
        "checksum_mismatches": summary.checksum_mismatches,
        "size_mismatches": summary.size_mismatches,
        "unreadable": summary.unreadable,
        "inconsistent": summary.inconsistent,
        "unswept": summary.unswept,
        "duration_ms": summary.duration_ms,
        "findings": findings.iter().map(finding_shown).collect::<Vec<_>>(),
    })
}

fn finding_shown(finding: &admin::VerifyFinding) -> Value {
    json!({
        "kind": kind(finding),
        "backend": bare(&finding.backend),
        "backend_key": finding.backend_key,
        "bucket": bare(&finding.bucket),
        "object_key": finding.object_key,
        "version_id": finding.version_id,
        "detail": finding.detail,
    })
}

fn kind(finding: &admin::VerifyFinding) -> &'static str {
    match finding.kind() {
        admin::FindingKind::Orphan => "orphan",
        admin::FindingKind::Dangling => "dangling",
        admin::FindingKind::ChecksumMismatch => "checksum_mismatch",
        admin::FindingKind::SizeMismatch => "size_mismatch",
        admin::FindingKind::Unreadable => "unreadable",
        admin::FindingKind::Inconsistent => "inconsistent",
        admin::FindingKind::Unspecified => "unknown",
    }
}

/// Everything but what a sweep will still find.
fn wrong(summary: &admin::VerifySummary) -> u64 {
    [
        summary.orphans,
        summary.dangling,
        summary.checksum_mismatches,
        summary.size_mismatches,
        summary.unreadable,
        summary.inconsistent,
    ]
    .into_iter()
    .fold(0, u64::saturating_add)
}
