//! The `hardway` tool: brings the one-machine cluster up, down and to its knees.

use std::process::ExitCode;

fn main() -> ExitCode {
    hardway_deploy::cli::main()
}
