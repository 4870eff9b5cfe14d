//! The whole way from a seed to a verdict: right stores pass, and every bug is found.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::checker::judge::Verdict;
use crate::simulate::{self, Args};

use super::*;

async fn judge(seed: u64, calls: u64, bug: Option<Bug>) -> crate::checker::judge::Judgement {
    let directory = tempfile::tempdir().unwrap();
    let args = Args {
        seed,
        bug,
        clients: 21,
        calls,
        workloads: Vec::new(),
        out: directory.path().to_owned(),
    };
    simulate::record(&args).await.unwrap();
    crate::check::judge(directory.path(), 1_000_000).unwrap()
}

#[tokio::test(start_paused = true)]
async fn right_stores_pass() {
    for seed in 0..6 {
        let judgement = judge(seed, 400, None).await;
        assert_eq!(judgement.verdict, Verdict::Pass, "seed {seed}: {judgement}");
        assert!(judgement.operations > 8_000, "{judgement}");
        assert!(judgement.coverage.unknown > 50, "{judgement}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_bug_is_found() {
    for bug in BUGS {
        let judgement = judge(1, 200, Some(bug)).await;
        assert_eq!(judgement.verdict, Verdict::Fail, "{bug:?}: {judgement}");
    }
}
