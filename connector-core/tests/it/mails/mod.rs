//! Mails as programs write them, each with the note that it becomes: what a person would say is the author's, with their
//! signature. Half of the mails are made by Python's `email` package (`corpus.py`); a machine without Python skips those.

use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use connector_core::content::mail::{MailPart, is_forwarded};
use serde::Deserialize;

/// Made by hand, after what the programs that the names say write.
const MAILS: &str = include_str!("mails.txt");

#[derive(Deserialize)]
struct Made {
    name: String,
    mail: String,
    note: String,
    files: Vec<String>,
}

/// A case of `mails.txt`: a line `=== name`, the mail, a line `--- note`, and the note.
fn cases() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    MAILS.split("\n=== ").skip(1).map(|case| {
        let (name, case) = case.split_once('\n').expect("a name");
        let (mail, note) = case.split_once("\n--- note\n").expect("a note");
        (name, mail, note.trim_end())
    })
}

fn note(mail: &[u8], forwarded: bool) -> (String, Vec<String>) {
    let read = MailPart::parse(mail).expect("a mail").read();
    let files = read.files.iter().map(|file| file.name.clone()).collect();
    (read.into_note(!forwarded).to_markdown(), files)
}

#[test]
fn mails_of_programs_become_their_text() {
    let mut wrong = Vec::new();
    for (name, mail, wanted) in cases() {
        let subject = mail.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default();
        let (found, _) = note(mail.replace('\n', "\r\n").as_bytes(), is_forwarded(subject));
        if found != wanted {
            wrong.push(format!("=== {name}\n{found}\n--- instead of\n{wanted}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases().count() >= 30, "there are {} mails", cases().count());
}

#[test]
fn mails_of_python_become_their_text() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mails/corpus.py");
    let Ok(made) = Command::new("python3").arg(script).stderr(Stdio::inherit()).output() else {
        eprintln!("skipped: there is no python3 on this machine");
        return;
    };
    assert!(made.status.success(), "the script failed");
    let mails: Vec<Made> = serde_json::from_slice(&made.stdout).expect("what the script prints");
    assert!(mails.len() >= 30, "there are {} mails", mails.len());
    let mut wrong = Vec::new();
    for made in mails {
        let mail = BASE64_STANDARD.decode(&made.mail).expect("base64");
        let (found, files) = note(&mail, false);
        if (&found, &files) != (&made.note, &made.files) {
            wrong.push(format!(
                "=== {}\n{found}\n{files:?}\n--- instead of\n{}\n{:?}",
                made.name, made.note, made.files
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
