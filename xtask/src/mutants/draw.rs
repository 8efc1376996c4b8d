//! All changes of the areas, and those that a seed draws.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::areas::AREAS;
use super::{MutantsError, area_of};
use crate::workspace::Workspace;

/// One change: a part of a file, and what is to stand in its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mutant {
    /// What `cargo mutants` calls it: file, line, column, and what is changed.
    pub(crate) name: String,
    /// From the root of the workspace.
    pub(crate) file: String,
    /// The function that is changed.
    pub(crate) function: String,
    pub(crate) replacement: String,
    /// Line and column where the part begins, from 1, and where it ends.
    pub(crate) start: (usize, usize),
    pub(crate) end: (usize, usize),
}

impl Mutant {
    /// The name without the place, which moves when other code changes.
    pub(crate) fn key(&self) -> String {
        let what = self.name.splitn(4, ':').nth(3).unwrap_or(&self.name).trim();
        format!("{}: {what}", self.file)
    }

    fn of(value: &Value) -> Option<Self> {
        let text = |pointer: &str| Some(value.pointer(pointer)?.as_str()?.to_owned());
        let place = |name: &str| {
            let number = |field: &str| usize::try_from(value.pointer(&format!("/span/{name}/{field}"))?.as_u64()?).ok();
            Some((number("line")?, number("column")?))
        };
        Some(Self {
            name: text("/name")?,
            file: text("/file")?,
            function: text("/function/function_name").unwrap_or_default(),
            replacement: text("/replacement")?,
            start: place("start")?,
            end: place("end")?,
        })
    }
}

/// All changes of the areas, in the order of their names.
pub(super) fn list(workspace: &Workspace, tool: &Path) -> Result<Vec<Mutant>, MutantsError> {
    let mut command = Command::new(tool);
    command.current_dir(workspace.root()).args(["mutants", "--list", "--json", "--workspace", "--no-config"]);
    for glob in AREAS.iter().flat_map(|area| area.globs()) {
        command.args(["--file", &glob]);
    }
    let said = command.output().map_err(MutantsError::file(tool, "cannot be run"))?;
    if !said.status.success() {
        let reason = String::from_utf8_lossy(&said.stderr).into_owned();
        return Err(MutantsError::Command { command: "cargo mutants --list", reason });
    }
    let listed: Vec<Value> =
        serde_json::from_slice(&said.stdout).map_err(|error| MutantsError::List(error.to_string()))?;
    let read = listed.iter().map(|value| Mutant::of(value).ok_or_else(|| MutantsError::List(value.to_string())));
    let mut mutants = read.collect::<Result<Vec<_>, _>>()?;
    mutants.retain(|mutant| area_of(&mutant.file).is_some());
    mutants.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(mutants)
}

/// The changes that a seed draws, each at most once. The first ones of a larger number are those of a smaller. Whether
/// one is drawn depends on the seed and its key, so most are the same ones after other code has changed.
pub(super) fn draw(mut mutants: Vec<Mutant>, seed: u64, count: usize, only: Option<&str>) -> Vec<Mutant> {
    mutants.retain(|mutant| only.is_none_or(|only| mutant.name.contains(only)));
    let mut alike: HashMap<String, u64> = HashMap::new();
    let mut ranked: Vec<_> = mutants
        .into_iter()
        .map(|mutant| {
            let key = mutant.key();
            let number = alike.entry(key.clone()).or_default();
            *number += 1;
            let mut rank = seed.wrapping_add(*number);
            for byte in key.bytes() {
                rank = next(rank ^ u64::from(byte));
            }
            (rank, mutant)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, mutant)| mutant).take(count).collect()
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
fn next(state: u64) -> u64 {
    let mut drawn = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    drawn ^ (drawn >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutants(count: usize) -> Vec<Mutant> {
        let one = |number| Mutant {
            name: format!("a.rs:{number}:5: replace f{number} -> u8 with 0"),
            file: "a.rs".to_owned(),
            function: "f".to_owned(),
            replacement: "0".to_owned(),
            start: (number, 5),
            end: (number, 6),
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn a_seed_draws_the_same_changes_each_time() {
        let drawn = draw(mutants(100), 7, 20, None);
        assert_eq!(drawn, draw(mutants(100), 7, 20, None));
        assert_ne!(drawn, draw(mutants(100), 8, 20, None));
        assert_eq!(draw(mutants(100), 7, 30, None)[..20], drawn, "more of them begin with the same");
        let mut names: Vec<_> = drawn.iter().map(|mutant| &mutant.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 20, "none is drawn twice");
    }

    #[test]
    fn other_code_hardly_changes_what_is_drawn() {
        let drawn = draw(mutants(100), 7, 20, None);
        let mut more = mutants(100);
        more.remove(3);
        more.iter_mut().for_each(|mutant| mutant.name = mutant.name.replacen(":5:", ":9:", 1));
        let keys = |drawn: &[Mutant]| drawn.iter().map(|mutant| mutant.start.0).collect::<Vec<_>>();
        let (before, after) = (keys(&drawn), keys(&draw(more, 7, 20, None)));
        assert!(before.iter().filter(|line| after.contains(line)).count() >= 10, "{before:?} {after:?}");
    }

    #[test]
    fn no_more_changes_are_drawn_than_there_are() {
        assert_eq!(draw(mutants(3), 1, 200, None).len(), 3);
        assert_eq!(draw(mutants(12), 1, 200, Some(":11:")).len(), 1);
    }

    #[test]
    fn the_key_of_a_change_has_no_place() {
        assert_eq!(mutants(1)[0].key(), "a.rs: replace f0 -> u8 with 0");
    }
}
