//! Mutation tests: deliberate changes of the code, each of which some test should notice.
//!
//! `cargo-mutants` lists the changes of the areas below; a printed seed draws some of them. They are not run by
//! `cargo mutants` itself, which builds and tests the whole workspace for each. Here, one copy of the workspace is
//! changed, built incrementally, and tested by the tests that are nearest first; the first failure ends the run of a
//! change. What came of each change is kept in `docs/mutants.json`, so a run can be stopped and goes on, also on another
//! machine, and `docs/mutants.md` has the table. This is no part of CI: 200 changes take hours.

mod areas;
mod draw;
mod outcome;
mod table;
mod tree;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use areas::{AREAS, Area};
use outcome::{Results, Tested};
use tree::Tree;

use crate::workspace::{Workspace, succeeds};

/// The version of `cargo-mutants` that lists the changes. Another version may list others.
const VERSION: &str = "27.1.0";

/// Number of changes that are drawn if the arguments do not say.
pub(crate) const COUNT: usize = 200;

/// What `cargo xtask mutants` is asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Ask {
    /// Number of changes.
    pub(crate) count: usize,
    /// Seed of the drawing; `None` means that of the run before, or a new one.
    pub(crate) seed: Option<u64>,
    /// Only changes whose name contains this text.
    pub(crate) only: Option<String>,
}

impl Default for Ask {
    fn default() -> Self {
        Self { count: COUNT, seed: None, only: None }
    }
}

/// Why the changes cannot be tested.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MutantsError {
    #[error("{} {doing}: {source}", path.display())]
    File { path: PathBuf, doing: &'static str, source: io::Error },
    #[error("`{command}` failed: {reason}")]
    Command { command: &'static str, reason: String },
    #[error("the list of `cargo mutants` is not in the form of version {VERSION}: {0}")]
    List(String),
    #[error("no change is called like `{0}`")]
    None(String),
    #[error("the tests fail without a change, so they tell nothing: {0}")]
    Baseline(String),
}

impl MutantsError {
    fn file(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, doing, source }
    }
}

/// Draws changes, tests those that were not tested yet, and writes the table. Whether all of them were noticed, could
/// not be built, or have an explanation in the table.
pub(crate) fn run(workspace: &Workspace, ask: &Ask) -> Result<bool, MutantsError> {
    let folder = workspace.target().join("mutants");
    fs::create_dir_all(&folder).map_err(MutantsError::file(&folder, "cannot be made"))?;
    let mut results = Results::read(&workspace.root().join("docs/mutants.json"), workspace.root(), ask.seed)?;
    println!("seed {}", results.seed());
    let tool = install(workspace)?;
    let mutants = draw::list(workspace, &tool)?;
    let all = mutants.len();
    let chosen = draw::draw(mutants, results.seed(), ask.count, ask.only.as_deref());
    if let Some(only) = ask.only.as_ref().filter(|_| chosen.is_empty()) {
        return Err(MutantsError::None(only.clone()));
    }
    let tree = Tree::sync(workspace, &folder)?;
    results.forget_missed(tree.files());
    let mut tested = Vec::new();
    for (number, mutant) in chosen.iter().enumerate() {
        let known = results.get(mutant)?;
        let one = match known {
            Some(known) => known,
            None => {
                if !results.is_sound(tree.files()) {
                    println!("testing the code without a change");
                    tree.check_baseline()?;
                    results.keep_sound(tree.files().to_owned())?;
                }
                let began = Instant::now();
                let outcome = tree.test(mutant)?;
                let one = Tested { outcome, seconds: began.elapsed().as_secs() };
                results.keep(mutant, &one)?;
                one
            }
        };
        let (count, name, outcome) = (chosen.len(), &mutant.name, one.outcome.word());
        println!("{:>3}/{count} {outcome:<8} {:>4} s  {name}", number + 1, one.seconds);
        tested.push((mutant, one));
    }
    let path = workspace.root().join("docs/mutants.md");
    let unexplained = table::write(&path, results.seed(), all, &tested)?;
    println!("{} has the table", path.display());
    Ok(unexplained == 0)
}

/// Installs `cargo-mutants` below the folder that builds write to, if it is not there.
fn install(workspace: &Workspace) -> Result<PathBuf, MutantsError> {
    let root = workspace.target().join("tools");
    let tool = root.join("bin/cargo-mutants");
    let marker = root.join(format!("cargo-mutants-{VERSION}"));
    if marker.exists() && tool.exists() {
        return Ok(tool);
    }
    println!("installing cargo-mutants {VERSION} into {}", root.display());
    let mut install = workspace.cargo();
    // Its list is all that is used of it, so it needs no optimized build.
    install.args(["install", "--locked", "--debug", "--version", VERSION, "cargo-mutants", "--root"]).arg(&root);
    let status = install.status().map_err(MutantsError::file(&tool, "cannot be installed"))?;
    if !status.success() {
        return Err(MutantsError::Command { command: "cargo install cargo-mutants", reason: status.to_string() });
    }
    if !succeeds(std::process::Command::new(&tool).args(["mutants", "--version"])) {
        return Err(MutantsError::Command { command: "cargo mutants --version", reason: "it does not run".to_owned() });
    }
    fs::write(&marker, "").map_err(MutantsError::file(&marker, "cannot be written"))?;
    Ok(tool)
}

/// The area that a file belongs to.
fn area_of(file: &str) -> Option<&'static Area> {
    AREAS.iter().find(|area| area.has(file))
}
