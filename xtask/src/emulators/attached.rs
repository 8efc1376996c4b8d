//! Emulators that live as long as the process that started them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use super::{EmulatorError, Environment, Package, READY_WITHIN};

/// The line after which everything is ready.
const READY: &str = "READY=1";

/// Running emulators. They end when this is dropped, and, as they watch their standard input, also when we are killed.
pub(crate) struct Attached {
    child: Child,
    environment: Environment,
}

impl Attached {
    /// The command for [`Attached::start`], and for a test that wants emulators of its own.
    pub(crate) fn command(package: &Package, service: &str) -> Vec<String> {
        let mut command = package.launch_command();
        command.extend(["--until-stdin-ends", "--services", service].map(str::to_owned));
        command
    }

    /// Starts `command` and waits until its emulators are ready.
    ///
    /// Errors: it ended, or was not ready in time.
    pub(crate) fn start(command: &[String]) -> Result<Self, EmulatorError> {
        let (program, arguments) = command.split_first().ok_or(EmulatorError::TooSlow)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(EmulatorError::program("node"))?;
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                let printed = BufReader::new(stdout).lines().map_while(Result::ok).take_while(|line| line != READY);
                let text: String = printed.map(|line| line + "\n").collect();
                // Nobody listens any more when the time was up.
                sender.send(text).ok();
            });
        }
        let mut attached = Self { child, environment: Environment::default() };
        let text = lines.recv_timeout(READY_WITHIN).map_err(|_| EmulatorError::TooSlow)?;
        if let Some(status) = attached.child.try_wait().map_err(EmulatorError::program("node"))? {
            return Err(EmulatorError::Ended { status: status.to_string(), log: text });
        }
        attached.environment = Environment::parse(&text)?;
        Ok(attached)
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("xtask: the emulators could not be ended: {error}");
        }
    }
}
