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
    let runner = Runner::find(workspace);
    // Started for the workspace's tests too, so that one without `emulator` in its name is run and not passed over.
    let emulators = (wanted(Suite::Workspace) || wanted(Suite::Emulator))
        .then(|| TestEmulators::start(workspace));
    let started = emulators.as_ref().and_then(|started| started.as_ref().ok());

    if wanted(Suite::Workspace) {
        let mut tests = runner.tests(workspace, Suite::Workspace);
        report.step("workspace tests", with_emulators(&mut tests, started));
    }
    if wanted(Suite::Doc) {
        let mut tests = workspace.cargo();
        report.step(
            "doc tests",
            tests.args(["test", "--workspace", "--doc", "--no-fail-fast"]),
        );
    }
    if wanted(Suite::Emulator) {
        const NAME: &str = "emulator tests";
        match &emulators {
            Some(Err(reason @ EmulatorError::Unavailable(_))) => {
                report.skipped(NAME, reason);
                println!("these tests did not run:");
                let mut list = runner.list(workspace);
                if !list.status().is_ok_and(|status| status.success()) {
                    println!("(they could not be listed)");
                }
            }
            Some(Err(error)) => report.failed(NAME, error),
            _ => report.step(
                NAME,
                with_emulators(&mut runner.tests(workspace, Suite::Emulator), started),
            ),
        }
    }
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
        Ok(Self {
            github: Attached::start(&command)?,
            launch,
        })
    }
}

/// Gives the tests the variables of the emulators. Without emulators they are taken away, as elsewhere they may mean
/// the real service: hosted build machines set `GITHUB_API_URL` and `GITHUB_TOKEN`.
fn with_emulators<'a>(
    tests: &'a mut Command,
    emulators: Option<&TestEmulators>,
) -> &'a mut Command {
    match emulators {
        Some(emulators) => tests
            .envs(emulators.github.environment().iter())
            .env(TestEmulators::PRESENT, "1")
            .env(TestEmulators::LAUNCH, &emulators.launch),
        None => {
            for key in [
                CONTROL_URL,
                "GITHUB_API_URL",
                "GITHUB_TOKEN",
                TestEmulators::PRESENT,
                TestEmulators::LAUNCH,
            ] {
                tests.env_remove(key);
            }
            tests
        }
    }
}

/// What runs the tests.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Runner {
    Nextest,
    Cargo,
}

impl Runner {
    fn find(workspace: &Workspace) -> Self {
        if succeeds(workspace.cargo().args(["nextest", "--version"])) {
            Self::Nextest
        } else {
            Self::Cargo
        }
    }

    fn tests(self, workspace: &Workspace, suite: Suite) -> Command {
        let mut cargo = workspace.cargo();
        match self {
            Self::Nextest => {
                cargo.args([
                    "nextest",
                    "run",
                    "--workspace",
                    "--no-fail-fast",
                    "--no-tests=warn",
                    "-E",
                ]);
                cargo.arg(nextest_filter(suite));
            }
            Self::Cargo => {
                cargo.args([
                    "test",
                    "--workspace",
                    "--lib",
                    "--bins",
                    "--tests",
                    "--no-fail-fast",
                    "--",
                ]);
                cargo.args(if suite == Suite::Emulator {
                    &["emulator"][..]
                } else {
                    &["--skip", "emulator"]
                });
            }
        }
        cargo
    }

    /// Prints the names of the tests that need emulators.
    fn list(self, workspace: &Workspace) -> Command {
        let mut cargo = workspace.cargo();
        match self {
            Self::Nextest => cargo.args([
                "nextest",
                "list",
                "--workspace",
                "-E",
                &nextest_filter(Suite::Emulator),
            ]),
            Self::Cargo => {
                cargo.args(["test", "--workspace", "--tests", "--", "--list", "emulator"])
            }
        };
        cargo
    }
}

/// Our own tests are about emulators but need none.
fn nextest_filter(suite: Suite) -> String {
    let emulator = "((test(~emulator) | binary(~emulator)) - package(xtask))";
    if suite == Suite::Emulator {
        emulator.to_owned()
    } else {
        format!("not {emulator}")
    }
}
