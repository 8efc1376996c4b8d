//! Service emulators: the npm package that `tests/emulators` pins, installed once for each machine.

mod attached;
mod control;
mod detached;
mod environment;
mod node;
mod package;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use attached::Attached;
pub(crate) use detached::{start_detached, stop};
pub(crate) use environment::{Environment, MalformedLine};
pub(crate) use node::{provide_node, require_node};
pub(crate) use package::Package;

/// What can be emulated, with data in `tests/emulators`.
pub(crate) const SERVICES: [&str; 5] = ["github", "slack", "linear", "google", "microsoft"];

/// The variable with the address of the control endpoint.
pub(crate) const CONTROL_URL: &str = "EMU_CONTROL_URL";

/// All five services with all their data take about 6 s on two cores.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Emulators to start in the background.
#[derive(Debug, PartialEq)]
pub(crate) struct Start {
    /// Empty: all of them.
    pub(crate) services: Vec<String>,
    /// Where the log and the printed lines go.
    pub(crate) state: PathBuf,
    /// Fixed ports; any free one for a service that is not here.
    pub(crate) ports: Vec<(String, u16)>,
    /// Redirect addresses that the OAuth apps accept; empty: the one of the README.
    pub(crate) callbacks: Vec<String>,
    /// Whether issues and messages are created, beside people and places.
    pub(crate) load: bool,
}

impl Default for Start {
    fn default() -> Self {
        Self { services: Vec::new(), state: PathBuf::new(), ports: Vec::new(), callbacks: Vec::new(), load: true }
    }
}

/// Why there are no emulators.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EmulatorError {
    /// The one reason for which tests are skipped rather than failed.
    #[error("{0}")]
    Unavailable(String),
    #[error("{what} {path}: {source}", path = path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("could not start {program}: {source}")]
    Program { program: &'static str, source: io::Error },
    #[error("npm could not install the emulators ({0}); its messages are above")]
    Install(std::process::ExitStatus),
    #[error("emulators already run from {0}; end them with `cargo xtask emulators stop {0}`")]
    AlreadyRunning(String),
    #[error("the emulators did not start ({status}); their last words:\n{log}")]
    Ended { status: String, log: String },
    #[error("the emulators were not ready after {} s", READY_WITHIN.as_secs())]
    TooSlow,
    #[error("process {0} does not stop; end it with `kill -9 {0}`")]
    Stuck(String),
    #[error(transparent)]
    Malformed(#[from] MalformedLine),
}

impl EmulatorError {
    fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }

    fn program(program: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Program { program, source }
    }
}
