//! The checks that come before the tests: formatting, lints, documentation.

use crate::report::Report;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, report: &mut Report) {
    report.step("format", workspace.cargo().args(["fmt", "--all", "--check"]));
    report.step("lints", workspace.cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    report.step(
        "documentation",
        workspace.cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
    );
}
