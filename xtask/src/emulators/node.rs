//! Whether the machine has what the emulators run on.

use std::process::{Command, Stdio};

use super::EmulatorError;
use crate::workspace::succeeds;

/// The oldest major version of Node that the emulators run on.
const OLDEST_NODE: u32 = 20;

/// Errors: [`EmulatorError::Unavailable`] with what is missing.
pub(crate) fn require_node() -> Result<(), EmulatorError> {
    let node = version_of("node").ok_or_else(|| missing(&format!("Node {OLDEST_NODE} or newer")))?;
    match major(&node) {
        Some(major) if major >= OLDEST_NODE => Ok(()),
        _ => Err(EmulatorError::Unavailable(format!(
            "the emulators need Node {OLDEST_NODE} or newer, and this machine has {node}"
        ))),
    }
}

/// Errors: [`EmulatorError::Unavailable`] if there is no npm.
pub(super) fn require_npm() -> Result<(), EmulatorError> {
    version_of("npm").map(drop).ok_or_else(|| missing("npm"))
}

/// Node and npm; if one is missing and we are root on a machine with apt-get, they are installed first.
///
/// Errors: [`EmulatorError::Unavailable`] with what is missing and what was tried.
pub(crate) fn provide_node() -> Result<(), EmulatorError> {
    let both = || require_node().and_then(|()| require_npm());
    let Err(reason) = both() else { return Ok(()) };
    let tried = if !succeeds(Command::new("apt-get").arg("--version")) {
        "there is no apt-get to install it with"
    } else if !is_root() {
        "only root can install it"
    } else {
        println!("==> {reason}; installing nodejs and npm with apt-get");
        if install().is_ok() { "apt-get installed what it has" } else { "apt-get could not install it" }
    };
    both().map_err(|reason| EmulatorError::Unavailable(format!("{reason}; {tried}")))
}

/// A fresh container has no package lists, so a first failure is followed by one more try with new lists.
fn install() -> Result<(), ()> {
    let apt = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let packages = ["install", "-y", "nodejs", "npm"];
    if apt(&packages) || (apt(&["update"]) && apt(&packages)) { Ok(()) } else { Err(()) }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn missing(what: &str) -> EmulatorError {
    EmulatorError::Unavailable(format!("the emulators need {what}, which is not installed"))
}

fn version_of(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v').unwrap_or(version).split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_with_and_without_v() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("18.0.0-pre"), Some(18));
        assert_eq!(major("unknown"), None);
    }
}
