//! The binary. Everything is in the library, so that tests run the same node in their own process.

use std::process::ExitCode;

fn main() -> ExitCode {
    vaultaire::cli::main()
}
