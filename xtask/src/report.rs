//! What ran, what failed, what was skipped and why.

use std::fmt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

enum Outcome {
    Passed(Duration),
    Failed(String),
    Skipped(String),
}

/// The steps of one call of `cargo xtask`, in the order in which they ran.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<(String, Outcome)>,
}

impl Report {
    /// Runs one step with its output shown. The steps after a failed one run too, so that one run shows everything.
    pub(crate) fn step(&mut self, name: &str, command: &mut Command) {
        println!("\n==> {name}: {}", Shown(command));
        let started = Instant::now();
        let outcome = match command.status() {
            Ok(status) if status.success() => Outcome::Passed(started.elapsed()),
            Ok(status) => Outcome::Failed(status.to_string()),
            Err(error) => Outcome::Failed(format!("could not be started: {error}")),
        };
        self.steps.push((name.to_owned(), outcome));
    }

    /// Runs a command for what it prints; it is no step of its own.
    pub(crate) fn show(&self, title: &str, command: &mut Command) {
        println!("{title}:");
        if !command.status().is_ok_and(|status| status.success()) {
            println!("{} failed", Shown(command));
        }
    }

    pub(crate) fn failed(&mut self, name: &str, reason: impl fmt::Display) {
        println!("\n==> {name}: failed: {reason}");
        self.steps.push((name.to_owned(), Outcome::Failed(reason.to_string())));
    }

    pub(crate) fn skipped(&mut self, name: &str, reason: impl fmt::Display) {
        println!("\n==> {name}: skipped: {reason}");
        self.steps.push((name.to_owned(), Outcome::Skipped(reason.to_string())));
    }

    /// Prints the summary; the exit code is a failure if any step failed.
    pub(crate) fn finish(&self) -> ExitCode {
        print!("\n{self}");
        if self.any_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn any_failed(&self) -> bool {
        self.steps.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "xtask summary")?;
        let width = self.steps.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, outcome) in &self.steps {
            match outcome {
                Outcome::Passed(took) => writeln!(out, "  passed   {name:width$}  {:.1} s", took.as_secs_f64())?,
                Outcome::Failed(reason) => writeln!(out, "  FAILED   {name:width$}  {reason}")?,
                Outcome::Skipped(reason) => writeln!(out, "  skipped  {name:width$}  {reason}")?,
            }
        }
        Ok(())
    }
}

/// A command as one would type it.
struct Shown<'a>(&'a Command);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = std::path::Path::new(self.0.get_program());
        out.write_str(&program.file_name().unwrap_or(self.0.get_program()).to_string_lossy())?;
        for argument in self.0.get_args() {
            let argument = argument.to_string_lossy();
            if argument.contains(' ') { write!(out, " '{argument}'")? } else { write!(out, " {argument}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_whole_and_the_rest_is_still_listed() {
        let mut report = Report::default();
        report.failed("lints", "exit status: 101");
        report.step("tests", &mut Command::new("true"));
        report.skipped("emulators", "node is missing");
        assert!(report.any_failed());
        let text = report.to_string();
        assert!(text.contains("FAILED   lints      exit status: 101"), "{text}");
        assert!(text.contains("passed   tests"), "{text}");
        assert!(text.contains("skipped  emulators  node is missing"), "{text}");
    }

    #[test]
    fn skipping_is_no_failure() {
        let mut report = Report::default();
        report.skipped("emulators", "node is missing");
        assert!(!report.any_failed());
    }

    #[test]
    fn a_program_that_does_not_exist_fails_its_step() {
        let mut report = Report::default();
        report.step("nothing", &mut Command::new("a-program-that-does-not-exist"));
        assert!(report.any_failed());
    }
}
