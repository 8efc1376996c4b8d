//! The table of `docs/lessons.md` names tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use connector_core::testing::conformance::Promise;

/// The names of the functions in the sources below a folder, and of the compile-fail tests.
fn names(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository").flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            if name != "target" && name != "node_modules" && !name.starts_with('.') {
                names(&path, found);
            }
        } else if let Some(stem) = name.strip_suffix(".rs") {
            if folder.ends_with("ui/fail") {
                found.insert(stem.to_owned());
            }
            let source = fs::read_to_string(&path).expect("a source of the repository");
            let word = |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned);
            found.extend(source.split("fn ").skip(1).filter_map(word));
            // The toys of the kit are listed in a macro: `name: Bug breaks 1 …`.
            let bugs = source.lines().filter(|line| line.contains(" breaks "));
            found.extend(bugs.filter_map(|line| line.trim().split_once(':').map(|(name, _)| name.to_owned())));
        }
    }
}

/// Issue 4: each promise has a row, in order, and each test that a row names is there.
#[test]
fn every_promise_names_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let table = fs::read_to_string(root.join("docs/lessons.md")).expect("the table");
    let mut known = BTreeSet::new();
    names(root, &mut known);
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| L")).collect();
    let mut numbers = Vec::new();
    for row in &rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        numbers.push(cells[1].strip_prefix('L').and_then(|number| number.parse::<u8>().ok()).expect("a number"));
        let proofs: Vec<_> = cells[4].split('`').skip(1).step_by(2).collect();
        for proof in &proofs {
            assert!(known.contains(*proof), "{} is proved by `{proof}`, and there is no such test", cells[1]);
        }
        assert!(!proofs.is_empty() || cells[4] == "not proved yet", "{row}");
    }
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    for promise in Promise::all() {
        assert!(numbers.contains(&promise.number()), "{promise} has no row");
    }
}
