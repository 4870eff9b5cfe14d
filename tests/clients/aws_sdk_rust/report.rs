//! How the lane tells what each step did. It judges nothing.

use std::future::Future;
use std::time::Instant;

/// Why a step failed, in words for a person.
pub type Outcome = Result<(), String>;

/// Prints one JSON object for each step, and remembers whether any failed.
#[derive(Debug)]
pub struct Report {
    failed: bool,
}

impl Report {
    pub fn new() -> Self {
        println!("{}", serde_json::json!({ "version": sdk_version() }));
        Self { failed: false }
    }

    pub fn failed(&self) -> bool {
        self.failed
    }

    pub async fn step(&mut self, column: &str, name: &str, step: impl Future<Output = Outcome>) {
        let started = Instant::now();
        let result = step.await;
        self.failed |= result.is_err();
        let line = serde_json::json!({
            "column": column,
            "step": name,
            "outcome": if result.is_ok() { "pass" } else { "fail" },
            "detail": result.err(),
            "seconds": started.elapsed().as_secs_f64(),
        });
        println!("{line}");
    }
}

fn sdk_version() -> &'static str {
    aws_sdk_s3::meta::PKG_VERSION
}

/// Fails the step unless the condition holds.
pub fn check(condition: bool, message: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(message()) }
}

/// Any error of the SDK with its whole chain of causes.
pub fn said<E: std::error::Error>(error: E) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
