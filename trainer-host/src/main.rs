//! The `sextant` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    sextant::cli::main()
}
