//! The program with all connectors of this repository.
// Not in a test build: there the dependencies of the integration tests count too.
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

use std::process::ExitCode;

// A connector crate that no source names is not linked, and then it is not in the registry.
use connector_github as _;
use connector_google as _;
use connector_linear as _;
use connector_slack as _;

fn main() -> ExitCode {
    connector_host::cli::main()
}
