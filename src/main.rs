//! The `ekstore` program; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(ekstore::cli::run(std::env::args_os()))
}
