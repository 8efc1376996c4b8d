//! What can be asked of `cargo xtask`.

use std::path::PathBuf;

use crate::emulators::{SERVICES, Start};
use crate::mutants::Ask;
use crate::suites::Suite;

pub(crate) const USAGE: &str = "\
cargo xtask emulators start [SERVICE…] --state DIR [--port SERVICE=N]… [--callback URL]… [--no-load]
    Starts service emulators in the background, on loopback. Prints KEY=VALUE lines, which
    are in DIR/env as well. Services: github, slack, linear, google, microsoft (default: all).
cargo xtask emulators stop DIR
cargo xtask test [--only workspace|doc|emulator]…
    Runs the tests; with emulators for those that need them.
cargo xtask bench [NAME]…
cargo xtask mutants [--count N] [--seed S] [--only TEXT]
    Makes N deliberate changes (default: 200), which the seed draws, and runs the tests that should notice them.
    Goes on where it was stopped. The table is docs/mutants.md. Takes hours.
cargo xtask ci
    Formatting, lints, documentation, then all tests.";

#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    StartEmulators(Start),
    StopEmulators {
        state: PathBuf,
    },
    Test {
        /// Empty: all of them.
        only: Vec<Suite>,
    },
    Bench {
        arguments: Vec<String>,
    },
    Mutants(Ask),
    Ci,
}

/// Arguments that make no sense, in words for the person who typed them.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum UsageError {
    #[error("a command is missing")]
    NoCommand,
    #[error("`{0}` is not a command")]
    UnknownCommand(String),
    #[error("`{0}` is not known here")]
    Unexpected(String),
    #[error("`{0}` needs a value")]
    NoValue(&'static str),
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{name}` is not a service; there are: {}", SERVICES.join(", "))]
    UnknownService { name: String },
    #[error("`--port` takes SERVICE=NUMBER, not `{0}`")]
    BadPort(String),
    #[error("`{name}` takes a whole number, not `{value}`")]
    BadNumber { name: &'static str, value: String },
    #[error("`{0}` is not a suite; there are: workspace, doc, emulator")]
    UnknownSuite(String),
}

pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, UsageError> {
    let mut arguments = arguments.into_iter();
    let command = arguments.next().ok_or(UsageError::NoCommand)?;
    match command.as_str() {
        "help" | "--help" | "-h" => nothing_more(arguments, Command::Help),
        "emulators" => match arguments.next().as_deref() {
            Some("start") => parse_start(arguments).map(Command::StartEmulators),
            Some("stop") => {
                let state = arguments.next().ok_or(UsageError::Missing("DIR"))?.into();
                nothing_more(arguments, Command::StopEmulators { state })
            }
            Some(other) => Err(UsageError::UnknownCommand(format!("emulators {other}"))),
            None => Err(UsageError::Missing("start or stop")),
        },
        "test" => parse_test(arguments),
        "mutants" => parse_mutants(arguments),
        "bench" => Ok(Command::Bench { arguments: arguments.collect() }),
        "ci" => nothing_more(arguments, Command::Ci),
        _ => Err(UsageError::UnknownCommand(command)),
    }
}

fn nothing_more(mut rest: impl Iterator<Item = String>, command: Command) -> Result<Command, UsageError> {
    rest.next().map_or(Ok(command), |extra| Err(UsageError::Unexpected(extra)))
}

fn parse_start(mut arguments: impl Iterator<Item = String>) -> Result<Start, UsageError> {
    let mut state = None;
    let mut start = Start::default();
    while let Some(argument) = arguments.next() {
        let mut value = |option| arguments.next().ok_or(UsageError::NoValue(option));
        match argument.as_str() {
            "--state" => state = Some(value("--state")?),
            "--port" => start.ports.push(parse_port(&value("--port")?)?),
            "--callback" => start.callbacks.push(value("--callback")?),
            "--no-load" => start.load = false,
            option if option.starts_with('-') => return Err(UsageError::Unexpected(argument)),
            service => start.services.push(known_service(service)?),
        }
    }
    start.state = state.ok_or(UsageError::Missing("--state DIR"))?.into();
    Ok(start)
}

fn parse_port(text: &str) -> Result<(String, u16), UsageError> {
    let bad = || UsageError::BadPort(text.to_owned());
    let (service, port) = text.split_once('=').ok_or_else(bad)?;
    Ok((known_service(service)?, port.parse().map_err(|_| bad())?))
}

fn known_service(name: &str) -> Result<String, UsageError> {
    if SERVICES.contains(&name) {
        Ok(name.to_owned())
    } else {
        Err(UsageError::UnknownService { name: name.to_owned() })
    }
}

fn parse_mutants(mut arguments: impl Iterator<Item = String>) -> Result<Command, UsageError> {
    let mut ask = Ask::default();
    while let Some(argument) = arguments.next() {
        let mut value = |name| arguments.next().ok_or(UsageError::NoValue(name));
        match argument.as_str() {
            "--count" => ask.count = number("--count", value("--count")?)?,
            "--seed" => ask.seed = Some(number("--seed", value("--seed")?)?),
            "--only" => ask.only = Some(value("--only")?),
            _ => return Err(UsageError::Unexpected(argument)),
        }
    }
    Ok(Command::Mutants(ask))
}

fn number<T: std::str::FromStr>(name: &'static str, value: String) -> Result<T, UsageError> {
    value.parse().map_err(|_| UsageError::BadNumber { name, value })
}

fn parse_test(mut arguments: impl Iterator<Item = String>) -> Result<Command, UsageError> {
    let mut only = Vec::new();
    while let Some(argument) = arguments.next() {
        if argument != "--only" {
            return Err(UsageError::Unexpected(argument));
        }
        let name = arguments.next().ok_or(UsageError::NoValue("--only"))?;
        only.push(Suite::named(&name).ok_or(UsageError::UnknownSuite(name))?);
    }
    Ok(Command::Test { only })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn emulators_start_takes_services_and_options_in_any_order() {
        let command = parsed(
            "emulators start github --port github=4101 --state run slack --callback http://127.0.0.1:1/a \
             --callback http://127.0.0.1:1/b --no-load",
        );
        assert_eq!(
            command,
            Ok(Command::StartEmulators(Start {
                services: vec!["github".into(), "slack".into()],
                state: "run".into(),
                ports: vec![("github".into(), 4101)],
                callbacks: vec!["http://127.0.0.1:1/a".into(), "http://127.0.0.1:1/b".into()],
                load: false,
            }))
        );
    }

    #[test]
    fn emulators_start_loads_the_data_unless_told_otherwise() {
        let Ok(Command::StartEmulators(start)) = parsed("emulators start --state run") else {
            panic!("not a start");
        };
        assert!(start.load);
        assert!(start.services.is_empty());
    }

    #[test]
    fn emulators_stop_takes_one_folder() {
        assert_eq!(parsed("emulators stop run"), Ok(Command::StopEmulators { state: "run".into() }));
        assert_eq!(parsed("emulators stop"), Err(UsageError::Missing("DIR")));
        assert_eq!(parsed("emulators stop a b"), Err(UsageError::Unexpected("b".into())));
    }

    #[test]
    fn test_takes_suites() {
        assert_eq!(parsed("test"), Ok(Command::Test { only: vec![] }));
        assert_eq!(
            parsed("test --only doc --only emulator"),
            Ok(Command::Test { only: vec![Suite::Doc, Suite::Emulator] })
        );
        assert_eq!(parsed("test --only none"), Err(UsageError::UnknownSuite("none".into())));
        assert_eq!(parsed("test --only"), Err(UsageError::NoValue("--only")));
        assert_eq!(parsed("test doc"), Err(UsageError::Unexpected("doc".into())));
    }

    #[test]
    fn mutants_takes_a_count_a_seed_and_a_part_of_the_names() {
        assert_eq!(parsed("mutants"), Ok(Command::Mutants(Ask { count: 200, seed: None, only: None })));
        let ask = Ask { count: 5, seed: Some(7), only: Some("rate.rs".into()) };
        assert_eq!(parsed("mutants --seed 7 --count 5 --only rate.rs"), Ok(Command::Mutants(ask)));
    }

    #[test]
    fn bench_hands_its_arguments_on() {
        assert_eq!(
            parsed("bench dispatch --quick"),
            Ok(Command::Bench { arguments: vec!["dispatch".into(), "--quick".into()] })
        );
    }

    #[test]
    fn wrong_usage_names_what_is_wrong() {
        for (line, error) in [
            ("", UsageError::NoCommand),
            ("tset", UsageError::UnknownCommand("tset".into())),
            ("ci now", UsageError::Unexpected("now".into())),
            ("emulators", UsageError::Missing("start or stop")),
            ("emulators pause", UsageError::UnknownCommand("emulators pause".into())),
            ("emulators start github", UsageError::Missing("--state DIR")),
            ("emulators start --state", UsageError::NoValue("--state")),
            ("emulators start gitlab --state run", UsageError::UnknownService { name: "gitlab".into() }),
            ("emulators start --state run --detach", UsageError::Unexpected("--detach".into())),
            ("emulators start --state run --port github", UsageError::BadPort("github".into())),
            ("emulators start --state run --port github=x", UsageError::BadPort("github=x".into())),
            ("mutants --count many", UsageError::BadNumber { name: "--count", value: "many".into() }),
            ("mutants --seed", UsageError::NoValue("--seed")),
            ("emulators start --state run --port gitlab=1", UsageError::UnknownService { name: "gitlab".into() }),
        ] {
            assert_eq!(parsed(line), Err(error), "{line}");
        }
    }
}
