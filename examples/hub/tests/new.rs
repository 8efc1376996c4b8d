//! `connectors new`: what it makes is a crate whose tests pass.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of a test, empty at its start and gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("connectors-new-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn connectors(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_connectors")).args(arguments).current_dir(&self.0).output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Design 6.1, issue 4: the crate compiles as it is, and passes `conformance!` against the service that comes with it.
#[test]
fn a_new_connector_passes_its_tests() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = Folder::new("passes");
    let made = folder.connectors(&["new", "acme-box2", "--path", workspace.to_str().unwrap(), "--json"]);
    assert!(made.status.success(), "{}", said(&made));
    let told: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!((&told["crate"], &told["type"]), (&"connector-acme-box2".into(), &"AcmeBox2".into()));

    let crate_folder = folder.0.join("connector-acme-box2");
    // The versions of this workspace, so that nothing has to be fetched.
    std::fs::copy(workspace.join("Cargo.lock"), crate_folder.join("Cargo.lock")).unwrap();
    let target = Path::new(env!("CARGO_BIN_EXE_connectors")).ancestors().nth(2).unwrap();
    let tested = Command::new(env!("CARGO"))
        .args(["test", "--offline", "--quiet"])
        .current_dir(&crate_folder)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    assert!(
        tested.status.success() && !said(&tested).contains("warning") && shown(&tested).contains("1 passed"),
        "{}\n{}",
        shown(&tested),
        said(&tested)
    );
}

/// What cannot be made is not, and it is said why.
#[test]
fn what_is_in_the_way_is_named() {
    let folder = Folder::new("refused");
    for (name, better) in
        [("MailBox", "`mail-box`"), ("2do", "`do`"), ("mail--box", "`mail-box`"), ("self", "`acme`"), ("", "`acme`")]
    {
        let refused = folder.connectors(&["new", name]);
        assert_eq!(refused.status.code(), Some(2), "{name}");
        assert!(said(&refused).contains(better), "{}", said(&refused));
    }
    let no_checkout = folder.connectors(&["new", "mail", "--path", "."]);
    assert_eq!(no_checkout.status.code(), Some(2));
    assert!(said(&no_checkout).contains("no connector-core"), "{}", said(&no_checkout));

    assert!(folder.connectors(&["new", "connector-mail"]).status.success());
    let again = folder.connectors(&["new", "mail"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("`connector-mail` is there already"), "{}", said(&again));
    let manifest = std::fs::read_to_string(folder.0.join("connector-mail/Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("connector-core = \"{}\"", env!("CARGO_PKG_VERSION"))), "{manifest}");
}
