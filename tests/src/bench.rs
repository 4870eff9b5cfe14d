//! How a benchmark's program ends: a line of JSON, or what went wrong.

use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

/// What went wrong, in one sentence.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Prints what was measured.
pub fn printed(found: Result<Value, Error>) -> ExitCode {
    let printed =
        found.and_then(|line| writeln!(std::io::stdout().lock(), "{line}").map_err(Error::from));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell it to when stderr is gone.
            let _ = writeln!(std::io::stderr().lock(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
