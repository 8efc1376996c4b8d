//! The installed package and the command that runs it.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::node::require_npm;
use super::{EmulatorError, Start};
use crate::workspace::Workspace;

/// The emulators, ready to run.
pub(crate) struct Package {
    /// Our files: launcher, seeds, loaders.
    files: PathBuf,
    /// What npm installed.
    installed: PathBuf,
}

impl Package {
    /// Installs the pinned package unless it is there already. The folder's name is a checksum of the pin, and a
    /// lock keeps two processes from installing at once.
    ///
    /// Errors: npm is missing, or could not install.
    pub(crate) fn install(workspace: &Workspace) -> Result<Self, EmulatorError> {
        let files = workspace.emulator_files();
        let manifests = ["package.json", "package-lock.json"];
        let mut pin = Vec::new();
        for name in manifests {
            let path = files.join(name);
            pin.extend(fs::read(&path).map_err(EmulatorError::file("could not read", path))?);
        }
        let cache = cache_folder(workspace);
        let folder = cache.join(format!("{:016x}", checksum(&pin)));
        let done = folder.join(".done");
        let package = Self { files, installed: folder.join("node_modules/emulate") };
        if done.exists() {
            return Ok(package);
        }

        fs::create_dir_all(&folder).map_err(EmulatorError::file("could not create", &folder))?;
        let lock_path = folder.join(".lock");
        let lock = File::create(&lock_path).map_err(EmulatorError::file("could not create", &lock_path))?;
        lock.lock().map_err(EmulatorError::file("could not lock", &lock_path))?;
        if !done.exists() {
            require_npm()?;
            for name in manifests {
                let path = folder.join(name);
                fs::copy(package.files.join(name), &path).map_err(EmulatorError::file("could not write", &path))?;
            }
            npm_ci(&folder, &cache.join("npm"))?;
            File::create(&done).map_err(EmulatorError::file("could not create", done))?;
        }
        Ok(package)
    }

    /// The command that runs emulators in the foreground; options of the launcher may be appended.
    pub(crate) fn launch_command(&self) -> Vec<String> {
        let file = |path: PathBuf| path.to_string_lossy().into_owned();
        vec![
            "node".to_owned(),
            "--import".to_owned(),
            file(self.files.join("lib/loopback.mjs")),
            file(self.files.join("lib/launch.mjs")),
            "--package".to_owned(),
            file(self.installed.clone()),
        ]
    }

    pub(super) fn detached_command(&self, start: &Start, environment: &Path) -> Vec<String> {
        let mut command = self.launch_command();
        command.extend(["--write-env".to_owned(), environment.to_string_lossy().into_owned()]);
        if !start.services.is_empty() {
            command.extend(["--services".to_owned(), start.services.join(",")]);
        }
        let ports: Vec<_> = start.ports.iter().map(|(service, port)| format!("{service}={port}")).collect();
        command.extend(["--ports".to_owned(), ports.join(",")]);
        for callback in &start.callbacks {
            command.extend(["--callback".to_owned(), callback.clone()]);
        }
        if !start.load {
            command.push("--no-load".to_owned());
        }
        command
    }
}

fn cache_folder(workspace: &Workspace) -> PathBuf {
    let folder = |key| env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("XDG_CACHE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(|| workspace.target())
        .join("connector-emulators")
}

/// Scripts of packages are not run, and npm's own cache goes beside the installed package.
fn npm_ci(folder: &Path, cache: &Path) -> Result<(), EmulatorError> {
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    if env::var_os("npm_config_cache").is_none() {
        npm.env("npm_config_cache", cache);
    }
    let status = npm
        .current_dir(folder)
        .stdin(Stdio::null())
        // Standard output is for the KEY=VALUE lines.
        .stdout(std::io::stderr())
        .status()
        .map_err(EmulatorError::program("npm"))?;
    if status.success() { Ok(()) } else { Err(EmulatorError::Install(status)) }
}

/// FNV-1a, 64 bits: the same on every machine and with every compiler, unlike the standard library's hasher.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of <http://www.isthe.com/chongo/tech/comp/fnv/>.
    #[test]
    fn the_checksum_is_fnv_1a() {
        assert_eq!(checksum(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(checksum(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(checksum(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn what_was_asked_for_reaches_the_launcher() {
        let package = Package { files: "files".into(), installed: "cache/emulate".into() };
        let start = Start {
            services: vec!["github".into(), "slack".into()],
            ports: vec![("github".into(), 4101), ("slack".into(), 4102)],
            callbacks: vec!["http://127.0.0.1:1/a".into()],
            load: false,
            ..Start::default()
        };
        let line = package.detached_command(&start, Path::new("run/env")).join(" ");
        assert_eq!(
            line,
            "node --import files/lib/loopback.mjs files/lib/launch.mjs --package cache/emulate --write-env run/env \
             --services github,slack --ports github=4101,slack=4102 --callback http://127.0.0.1:1/a --no-load"
        );
    }
}
