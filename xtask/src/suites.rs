//! The tests: those of the workspace, the documentation's, and those that talk to emulators.

use std::process::Command;

use crate::emulators::{self, Attached, CONTROL_URL, EmulatorError, Package};
use crate::report::Report;
use crate::workspace::{Workspace, succeeds};

/// A part of the tests that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Suite {
    Workspace,
    Doc,
    /// Tests with `emulator` in their path or in the name of their binary.
    Emulator,
}

impl Suite {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "workspace" => Some(Self::Workspace),
            "doc" => Some(Self::Doc),
            "emulator" => Some(Self::Emulator),
            _ => None,
        }
    }
}

/// Runs the given suites, or all of them.
pub(crate) fn run(workspace: &Workspace, only: &[Suite], report: &mut Report) {
    let wanted = |suite| only.is_empty() || only.contains(&suite);
    let with_tests = wanted(Suite::Workspace) || wanted(Suite::Emulator);
    // Started for the workspace's tests too, so that one without `emulator` in its name is run and not passed over.
    let emulators = with_tests.then(|| TestEmulators::start(workspace));
    let started = emulators.as_ref().and_then(|emulators| emulators.as_ref().ok());
    if with_tests && let Err(reason) = provide_dateutil(workspace) {
        report.skipped("recurrence compared with python-dateutil", reason);
    }
    let nextest = succeeds(workspace.cargo().args(["nextest", "--version"]));

    if nextest && wanted(Suite::Workspace) {
        let filter = format!("not {NEEDS_EMULATOR}");
        report.step("workspace tests", with_emulators(&mut nextest_run(workspace, &filter), started));
    }
    if !nextest && with_tests {
        let mut tests = workspace.cargo();
        tests.args(["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]);
        report.step("workspace and emulator tests", with_emulators(&mut tests, started));
    }
    if wanted(Suite::Doc) {
        let mut tests = workspace.cargo();
        report.step("doc tests", tests.args(["test", "--workspace", "--doc", "--no-fail-fast"]));
    }
    match &emulators {
        Some(Err(reason @ EmulatorError::Unavailable(_))) => {
            report.skipped("emulator tests", reason);
            if nextest {
                report.show("these did not run", &mut nextest_list(workspace, NEEDS_EMULATOR));
            }
        }
        Some(Err(error)) => report.failed("emulator tests", error),
        Some(Ok(_)) if nextest && wanted(Suite::Emulator) => {
            report.step("emulator tests", with_emulators(&mut nextest_run(workspace, NEEDS_EMULATOR), started))
        }
        _ => {}
    }
}

/// Installs python-dateutil below `target/`, for the test that compares recurrence with it.
///
/// Errors: what is missing.
fn provide_dateutil(workspace: &Workspace) -> Result<(), &'static str> {
    let folder = workspace.target().join("dateutil");
    let python = folder.join("bin/python");
    if succeeds(Command::new(&python).args(["-c", "import dateutil"])) {
        return Ok(());
    }
    if !succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)) {
        return Err("this machine has no Python 3 with venv");
    }
    let requirements = workspace.test_files().join("dateutil/requirements.txt");
    let installs = succeeds(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements));
    if installs { Ok(()) } else { Err("pip could not install it") }
}

/// The tests of the emulator suite, as nextest selects them; our own are about emulators but need none. `cargo test`
/// cannot select by the name of a binary, so it runs all in one step.
const NEEDS_EMULATOR: &str = "((test(~emulator) | binary(~emulator)) - package(xtask))";

fn nextest_run(workspace: &Workspace, filter: &str) -> Command {
    let mut cargo = workspace.cargo();
    cargo.args(["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests=warn", "-E", filter]);
    cargo
}

fn nextest_list(workspace: &Workspace, filter: &str) -> Command {
    let mut cargo = workspace.cargo();
    cargo.args(["nextest", "list", "--workspace", "-E", filter]);
    cargo
}

/// A GitHub emulator for tests that can share one, and the command for a test that wants its own.
struct TestEmulators {
    github: Attached,
    /// A JSON array.
    launch: String,
}

impl TestEmulators {
    /// The variables that tests look at beside those that the emulators print.
    const PRESENT: &str = "CONNECTOR_TEST_EMULATORS";
    const LAUNCH: &str = "CONNECTOR_EMULATOR_LAUNCH";

    fn start(workspace: &Workspace) -> Result<Self, EmulatorError> {
        emulators::provide_node()?;
        let command = Attached::command(&Package::install(workspace)?, "github");
        let launch = serde_json::Value::from(command.clone()).to_string();
        Ok(Self { github: Attached::start(&command)?, launch })
    }
}

/// Gives the tests the variables of the emulators. Without emulators they are taken away, as elsewhere they may mean
/// the real service: hosted build machines set `GITHUB_API_URL` and `GITHUB_TOKEN`.
fn with_emulators<'a>(tests: &'a mut Command, emulators: Option<&TestEmulators>) -> &'a mut Command {
    match emulators {
        Some(emulators) => tests
            .envs(emulators.github.environment().iter())
            .env(TestEmulators::PRESENT, "1")
            .env(TestEmulators::LAUNCH, &emulators.launch),
        None => {
            for key in [CONTROL_URL, "GITHUB_API_URL", "GITHUB_TOKEN", TestEmulators::PRESENT, TestEmulators::LAUNCH] {
                tests.env_remove(key);
            }
            tests
        }
    }
}
