//! Emulators that stay when the command that started them returns.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::control::Control;
use super::{EmulatorError, Environment, Package, READY_WITHIN, Start};

const POLL: Duration = Duration::from_millis(50);
const STOPPED_WITHIN: Duration = Duration::from_secs(5);
/// How much of the log is shown when they do not start.
const LAST_LINES: usize = 20;

/// Starts emulators in the background and waits until they are ready; what they print is in `DIR/env` as well.
///
/// Errors: emulators already run from that folder, or these did not start.
pub(crate) fn start_detached(package: &Package, start: &Start) -> Result<Environment, EmulatorError> {
    let state = std::path::absolute(&start.state).map_err(EmulatorError::file("could not find", &start.state))?;
    fs::create_dir_all(&state).map_err(EmulatorError::file("could not create", &state))?;
    let environment = state.join("env");
    if environment.exists() {
        if Control::of(&read(&environment)?)?.answers() {
            return Err(EmulatorError::AlreadyRunning(start.state.display().to_string()));
        }
        fs::remove_file(&environment).map_err(EmulatorError::file("could not remove", &environment))?;
    }
    let log_path = state.join("log");
    let log = File::create(&log_path).map_err(EmulatorError::file("could not create", &log_path))?;
    let command = package.detached_command(start, &environment);
    let (program, arguments) = command.split_first().ok_or(EmulatorError::TooSlow)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // Away from the terminal's Ctrl-C.
        .process_group(0)
        .spawn()
        .map_err(EmulatorError::program("node"))?;
    if let Err(error) = wait_for(&environment, &mut child, &log_path) {
        child.kill().and_then(|()| child.wait()).map_err(EmulatorError::program("node"))?;
        return Err(error);
    }
    let mut printed = read(&environment)?;
    printed.push("EMU_STATE", state.to_string_lossy());
    Ok(printed)
}

/// Ends what [`start_detached`] left running, and says what it did; that nothing runs is no error.
///
/// Errors: the process neither answers nor ends.
pub(crate) fn stop(state: &Path) -> Result<String, EmulatorError> {
    let path = state.join("env");
    if !path.exists() {
        return Ok(format!("nothing runs from {}", state.display()));
    }
    let control = Control::of(&read(&path)?)?;
    let running = control.answers();
    if running {
        let stuck = || EmulatorError::Stuck(control.pid.clone());
        control.stop().map_err(|_| stuck())?;
        let started = Instant::now();
        while control.listens() {
            if started.elapsed() > STOPPED_WITHIN {
                return Err(stuck());
            }
            thread::sleep(POLL);
        }
    }
    fs::remove_file(&path).map_err(EmulatorError::file("could not remove", path))?;
    Ok(if running { "stopped".to_owned() } else { format!("nothing runs from {}", state.display()) })
}

/// The environment file is written, in one step, when everything is ready.
fn wait_for(environment: &Path, child: &mut Child, log: &Path) -> Result<(), EmulatorError> {
    let started = Instant::now();
    while !environment.exists() {
        if let Some(status) = child.try_wait().map_err(EmulatorError::program("node"))? {
            let text = fs::read_to_string(log).map_err(EmulatorError::file("could not read", log))?;
            let lines: Vec<_> = text.lines().collect();
            let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n");
            return Err(EmulatorError::Ended { status: status.to_string(), log: last });
        }
        if started.elapsed() > READY_WITHIN {
            return Err(EmulatorError::TooSlow);
        }
        thread::sleep(POLL);
    }
    Ok(())
}

fn read(path: &PathBuf) -> Result<Environment, EmulatorError> {
    let text = fs::read_to_string(path).map_err(EmulatorError::file("could not read", path))?;
    Ok(Environment::parse(&text)?)
}
