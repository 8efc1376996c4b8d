//! The copy of the workspace that is changed, built and tested.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::areas::Area;
use super::draw::Mutant;
use super::outcome::Outcome;
use super::{MutantsError, area_of};
use crate::workspace::Workspace;

/// Exit codes of nextest: <https://docs.rs/nextest-metadata/latest/nextest_metadata/enum.NextestExitCode.html>.
const TESTS_FAILED: i32 = 100;
const BUILD_FAILED: i32 = 101;

/// The packages whose tests are run.
const PACKAGES: &[&str] = &["connector-core", "connector-host"];

/// The slowest tests, which come last.
const SLOW: &str = "test(/^conformance::/)";

/// A copy of the workspace.
pub(super) struct Tree<'a> {
    workspace: &'a Workspace,
    root: PathBuf,
    target: PathBuf,
    /// Identifies the files of the workspace.
    files: String,
}

/// What one run of tests says.
enum Ran {
    Passed,
    /// The lines of nextest about the tests that failed.
    Failed(String),
    TimedOut(String),
    NotBuilt(String),
}

impl<'a> Tree<'a> {
    /// Makes the copy like the workspace. Files that are the same are not written, so that the next build is small.
    pub(super) fn sync(workspace: &'a Workspace, folder: &Path) -> Result<Self, MutantsError> {
        let (root, target) = (folder.join("tree"), folder.join("target"));
        let mut tree = Self { workspace, root, target, files: String::new() };
        let listed = Command::new("git")
            .current_dir(workspace.root())
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .output()
            .map_err(MutantsError::file(workspace.root(), "cannot be listed by git"))?;
        let names = String::from_utf8_lossy(&listed.stdout).into_owned();
        let names: Vec<_> = names.split('\0').filter(|name| workspace.root().join(name).is_file()).collect();
        let mut hash = DefaultHasher::new();
        for name in &names {
            let from = workspace.root().join(name);
            let text = fs::read(&from).map_err(MutantsError::file(&from, "cannot be read"))?;
            // The pages of the documentation decide about no test but that of their own names.
            if !name.starts_with("docs/") {
                (name, &text).hash(&mut hash);
            }
            tree.put(name, &text)?;
        }
        tree.files = format!("{:016x}", hash.finish());
        tree.remove_others(&names)?;
        tree.seed_target()?;
        Ok(tree)
    }

    fn put(&self, name: &str, text: &[u8]) -> Result<(), MutantsError> {
        let path = self.root.join(name);
        if fs::read(&path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(MutantsError::file(folder, "cannot be made"))?;
        fs::write(&path, text).map_err(MutantsError::file(&path, "cannot be written"))
    }

    /// Removes files that the workspace does not have any more.
    fn remove_others(&self, names: &[&str]) -> Result<(), MutantsError> {
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).map_err(MutantsError::file(&folder, "cannot be read"))?;
            for entry in entries {
                let path = entry.map_err(MutantsError::file(&folder, "cannot be read"))?.path();
                let name = path.strip_prefix(&self.root).unwrap_or(&path).to_string_lossy().into_owned();
                if path.is_dir() {
                    folders.push(path);
                } else if !names.contains(&name.as_str()) {
                    fs::remove_file(&path).map_err(MutantsError::file(&path, "cannot be removed"))?;
                }
            }
        }
        Ok(())
    }

    /// Begins with what the workspace has built of its dependencies.
    fn seed_target(&self) -> Result<(), MutantsError> {
        let built = self.workspace.target().join("debug");
        if self.target.exists() || !built.exists() {
            return Ok(());
        }
        println!("copying what is built already");
        fs::create_dir_all(&self.target).map_err(MutantsError::file(&self.target, "cannot be made"))?;
        for part in ["deps", ".fingerprint", "build"] {
            let (from, to) = (built.join(part), self.target.join("debug"));
            fs::create_dir_all(&to).map_err(MutantsError::file(&to, "cannot be made"))?;
            let status = Command::new("cp").arg("-a").arg(&from).arg(&to).status();
            let status = status.map_err(MutantsError::file(&from, "cannot be copied"))?;
            if !status.success() {
                return Err(MutantsError::Command { command: "cp -a", reason: status.to_string() });
            }
        }
        Ok(())
    }

    /// Identifies the files of the workspace.
    pub(super) fn files(&self) -> &str {
        &self.files
    }

    /// Refuses code whose tests fail without a change.
    pub(super) fn check_baseline(&self) -> Result<(), MutantsError> {
        match self.nextest(PACKAGES, "all()")? {
            Ran::Passed => Ok(()),
            Ran::Failed(why) | Ran::TimedOut(why) | Ran::NotBuilt(why) => Err(MutantsError::Baseline(why)),
        }
    }

    /// Makes a change, tests it, and takes it back.
    pub(super) fn test(&self, mutant: &Mutant) -> Result<Outcome, MutantsError> {
        let from = self.workspace.root().join(&mutant.file);
        let text = fs::read_to_string(&from).map_err(MutantsError::file(&from, "cannot be read"))?;
        let changed = replaced(&text, mutant).ok_or_else(|| MutantsError::List(mutant.name.clone()))?;
        self.put(&mutant.file, changed.as_bytes())?;
        let outcome = self.outcome(mutant);
        self.put(&mutant.file, text.as_bytes())?;
        outcome
    }

    fn outcome(&self, mutant: &Mutant) -> Result<Outcome, MutantsError> {
        let near = area_of(&mutant.file).map_or("none()", |area: &Area| area.near);
        // A package depends on those before it only, so most changes are noticed without building the others.
        let own = PACKAGES.iter().position(|package| mutant.file.starts_with(&format!("{package}/"))).unwrap_or(0);
        let runs = [
            (PACKAGES.get(own..=own).unwrap_or(PACKAGES), format!("({near}) - {SLOW}")),
            (PACKAGES, format!("all() - {SLOW}")),
            (PACKAGES, SLOW.to_owned()),
        ];
        for (packages, filter) in runs {
            match self.nextest(packages, &filter)? {
                Ran::Passed => {}
                Ran::Failed(_) => return Ok(Outcome::Caught),
                Ran::TimedOut(_) => return Ok(Outcome::Timeout),
                Ran::NotBuilt(_) => return Ok(Outcome::Unviable),
            }
        }
        Ok(Outcome::Missed)
    }

    /// Runs the tests of a filter. A run that ends neither by its tests nor by its build, such as one whose compiler
    /// was killed, is tried a second time.
    fn nextest(&self, packages: &[&str], filter: &str) -> Result<Ran, MutantsError> {
        self.try_nextest(packages, filter).or_else(|_| self.try_nextest(packages, filter))
    }

    fn try_nextest(&self, packages: &[&str], filter: &str) -> Result<Ran, MutantsError> {
        let mut command = self.workspace.cargo();
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target).stdout(Stdio::piped());
        command.env("PROPTEST_CASES", "64").env_remove("CARGO_MANIFEST_DIR");
        command.args(["nextest", "run", "--profile", "mutants", "--no-tests", "pass"]);
        command.args(packages.iter().flat_map(|package| ["-p", package]));
        command.args(["-E", filter]);
        let said = command.output().map_err(MutantsError::file(&self.root, "cannot be tested"))?;
        let errors = String::from_utf8_lossy(&said.stderr).into_owned();
        match said.status.code() {
            Some(0) => Ok(Ran::Passed),
            Some(TESTS_FAILED) => {
                let of_test = |line: &&str| ["FAIL [", "TIMEOUT ["].iter().any(|word| line.contains(word));
                let lines = errors.lines().filter(of_test).map(str::trim).collect::<Vec<_>>().join("\n");
                Ok(if lines.contains("TIMEOUT [") { Ran::TimedOut(lines) } else { Ran::Failed(lines) })
            }
            Some(BUILD_FAILED) => Ok(Ran::NotBuilt(errors)),
            _ => Err(MutantsError::Command { command: "cargo nextest run", reason: errors }),
        }
    }
}

/// The text with the change in it.
fn replaced(text: &str, mutant: &Mutant) -> Option<String> {
    let (start, end) = (offset(text, mutant.start)?, offset(text, mutant.end)?);
    Some(format!("{}{}{}", text.get(..start)?, mutant.replacement, text.get(end..)?))
}

/// The byte at which a line and a column, both from 1, begin. Columns are characters.
fn offset(text: &str, (line, column): (usize, usize)) -> Option<usize> {
    let before: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let line = text.get(before..)?;
    let within = line.char_indices().map(|(at, _)| at).chain([line.len()]).nth(column.checked_sub(1)?)?;
    Some(before + within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_replaces_its_part_and_nothing_else() {
        let mutant = |start, end| Mutant {
            name: String::new(),
            file: String::new(),
            function: String::new(),
            replacement: "-".to_owned(),
            start,
            end,
        };
        let text = "fn f() {\n    ä + b\n}\n";
        assert_eq!(replaced(text, &mutant((2, 7), (2, 8))).as_deref(), Some("fn f() {\n    ä - b\n}\n"));
        assert_eq!(replaced(text, &mutant((1, 8), (3, 2))).as_deref(), Some("fn f() -\n"));
        assert_eq!(replaced(text, &mutant((9, 1), (9, 2))), None);
    }
}
