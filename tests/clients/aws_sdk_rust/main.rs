//! The aws-sdk-rust lane: one step after the other against a running server, one JSON line for each.
//!
//! `tests/clients/lane.py` starts the server, hands the endpoint over in the environment and reads the lines.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a lane fails by saying so on stdout")]

mod report;
mod steps;
mod writes;

use aws_sdk_s3::Client;
use vaultaire_tests::client::{Endpoint, connect};

use report::Report;

/// What every step needs.
pub struct Lane {
    pub client: Client,
    pub endpoint: Endpoint,
    pub bucket: String,
    /// Name and key of each odd key, the same list as every other lane has.
    pub odd_keys: Vec<(String, String)>,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run this lane through tests/clients/lane.py")
    })
}

fn lane() -> Lane {
    let ca_file = std::env::var("VAULTAIRE_LANE_CA_FILE").unwrap_or_default();
    let endpoint = Endpoint {
        url: variable("VAULTAIRE_LANE_ENDPOINT"),
        access_key: variable("AWS_ACCESS_KEY_ID"),
        secret_key: variable("AWS_SECRET_ACCESS_KEY"),
        ca_pem: (!ca_file.is_empty())
            .then(|| std::fs::read(&ca_file).expect("the CA file is readable")),
    };
    let odd_keys: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&variable("VAULTAIRE_LANE_ODD_KEYS"))
            .expect("the odd keys are a JSON object");
    let odd_keys = odd_keys
        .into_iter()
        .map(|(name, key)| (name, key.as_str().expect("an odd key is text").to_owned()))
        .collect();
    Lane {
        client: connect(&endpoint),
        endpoint,
        bucket: variable("VAULTAIRE_LANE_BUCKET"),
        odd_keys,
    }
}

#[tokio::main]
async fn main() {
    let lane = lane();
    let mut report = Report::new();
    steps::run(&lane, &mut report).await;
    std::process::exit(i32::from(report.failed()));
}
