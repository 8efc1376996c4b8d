//! `docs/mutants.md`: what came of the changes, with an explanation of each that no test noticed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::draw::Mutant;
use super::outcome::{Outcome, Tested};
use super::{AREAS, MutantsError, VERSION, area_of};

/// Begins a row with an explanation.
const EXPLAINED: &str = "| missed | ";

/// Writes the table. What it says of a missed change stays, whatever its line is now. The number of missed changes
/// without an explanation.
pub(super) fn write(path: &Path, seed: u64, all: usize, tested: &[(&Mutant, Tested)]) -> Result<usize, MutantsError> {
    let before = fs::read_to_string(path).unwrap_or_default();
    let (text, unexplained) = table(&before, seed, all, tested);
    fs::write(path, text).map_err(MutantsError::file(path, "cannot be written"))?;
    Ok(unexplained)
}

fn table(before: &str, seed: u64, all: usize, tested: &[(&Mutant, Tested)]) -> (String, usize) {
    let explanations = explanations(before);
    let count = |outcome| tested.iter().filter(|(_, one)| one.outcome == outcome).count();
    let noticed = count(Outcome::Caught) + count(Outcome::Timeout);
    let viable = tested.len() - count(Outcome::Unviable);
    let mut text = format!(
        "# Deliberate changes, and the tests that notice them\n\n\
         `cargo xtask mutants` makes this page. `cargo-mutants` {VERSION} lists {all} changes of the code below; the \
         seed {seed} drew {} of them. Tests noticed {noticed} of the {viable} that compile. Explanations are written \
         by hand and kept.\n\n\
         | area | caught | timeout | missed | unviable |\n|---|---|---|---|---|\n",
        tested.len()
    );
    for area in AREAS {
        let of = |outcome| {
            let here = |(mutant, one): &&(&Mutant, Tested)| {
                one.outcome == outcome && area_of(&mutant.file).is_some_and(|found| found.name == area.name)
            };
            tested.iter().filter(here).count()
        };
        let [caught, timeout, missed, unviable] =
            [Outcome::Caught, Outcome::Timeout, Outcome::Missed, Outcome::Unviable].map(of);
        // Writing to a String cannot fail.
        writeln!(text, "| {} | {caught} | {timeout} | {missed} | {unviable} |", area.name).ok();
    }
    let mut unexplained = 0;
    text.push_str("\n## Missed\n\n| outcome | change | code | explanation |\n|---|---|---|---|\n");
    for (mutant, _) in tested.iter().filter(|(_, one)| one.outcome == Outcome::Missed) {
        let key = cell(&mutant.key());
        let explanation = explanations.get(&key).cloned().unwrap_or_default();
        unexplained += usize::from(explanation.is_empty());
        let code = format!("{}:{} → `{}`", mutant.function, mutant.start.0, mutant.replacement);
        writeln!(text, "{EXPLAINED}{key} | {} | {explanation} |", cell(&code)).ok();
    }
    text.push_str("\n## All\n\n| outcome | seconds | change |\n|---|---|---|\n");
    for (mutant, one) in tested {
        writeln!(text, "| {} | {} | {} |", one.outcome.word(), one.seconds, cell(&mutant.name)).ok();
    }
    (text, unexplained)
}

/// A text as it can stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

/// The explanations of a table, by the key of the change.
fn explanations(table: &str) -> BTreeMap<String, String> {
    let rows = table.lines().filter_map(|line| {
        let mut cells = line.strip_prefix(EXPLAINED)?.strip_suffix(" |")?.split(" | ");
        let (key, _, explanation) = (cells.next()?, cells.next()?, cells.next()?);
        Some((key.to_owned(), explanation.trim().to_owned()))
    });
    rows.filter(|(_, explanation)| !explanation.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(line: usize, what: &str) -> Mutant {
        Mutant {
            name: format!("connector-core/src/network/rate.rs:{line}:5: {what}"),
            file: "connector-core/src/network/rate.rs".to_owned(),
            function: "roll".to_owned(),
            replacement: "||".to_owned(),
            start: (line, 5),
            end: (line, 7),
        }
    }

    #[test]
    fn explanations_are_kept_when_the_line_moves() {
        let missed =
            |line| (mutant(line, "replace && with || in roll"), Tested { outcome: Outcome::Missed, seconds: 9 });
        let one = missed(7);
        let (first, unexplained) = table("", 1, 3_000, &[(&one.0, one.1.clone())]);
        assert_eq!(unexplained, 1);
        let empty = first.lines().find(|line| line.starts_with(EXPLAINED)).expect("a row");
        let explained = first.replace(empty, &empty.replace(" |  |", " | It makes no difference. |"));
        assert_ne!(explained, first, "{first}");
        let (moved, caught) = (missed(80), mutant(3, "replace + with -"));
        let caught = (caught, Tested { outcome: Outcome::Caught, seconds: 2 });
        let (second, unexplained) =
            table(&explained, 1, 3_000, &[(&moved.0, moved.1.clone()), (&caught.0, caught.1.clone())]);
        assert_eq!(unexplained, 0);
        assert!(second.contains("It makes no difference.") && second.contains("roll:80"), "{second}");
        assert!(second.contains("| quota | 1 | 0 | 1 | 0 |"), "{second}");
        assert!(second.contains("Tests noticed 1 of the 2 that compile"), "{second}");
    }
}
