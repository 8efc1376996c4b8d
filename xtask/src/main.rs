//! The project's own commands: `cargo xtask emulators | test | bench | mutants | ci`.
//!
//! They write nothing outside `target/`, the cache folder of the emulators and the folders
//! that they are given; `mutants` writes its table to `docs/mutants.md`.

mod arguments;
mod checks;
mod emulators;
mod mutants;
mod report;
mod suites;
mod workspace;

use std::process::ExitCode;

use arguments::{Command, USAGE};
use emulators::{EmulatorError, Package};
use report::Report;
use workspace::Workspace;

/// Exit code for arguments that make no sense.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let command = match arguments::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("xtask: {error}\n\n{USAGE}");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
    #[error(transparent)]
    Mutants(#[from] mutants::MutantsError),
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    let workspace = Workspace::find();
    match command {
        Command::Help => println!("{USAGE}"),
        Command::StartEmulators(start) => {
            emulators::require_node()?;
            let package = Package::install(&workspace)?;
            print!("{}", emulators::start_detached(&package, &start)?);
        }
        Command::StopEmulators { state } => println!("{}", emulators::stop(&state)?),
        Command::Test { only } => {
            let mut report = Report::default();
            suites::run(&workspace, &only, &mut report);
            return Ok(report.finish());
        }
        Command::Ci => {
            let mut report = Report::default();
            checks::run(&workspace, &mut report);
            suites::run(&workspace, &[], &mut report);
            return Ok(report.finish());
        }
        Command::Mutants(ask) => {
            if !mutants::run(&workspace, &ask)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Bench { arguments } => {
            let mut report = Report::default();
            let mut cargo = workspace.cargo();
            cargo.args(["run", "--release", "--package", "benches", "--"]);
            cargo.args(arguments);
            report.step("bench", &mut cargo);
            return Ok(report.finish());
        }
    }
    Ok(ExitCode::SUCCESS)
}
