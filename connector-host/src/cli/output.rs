//! What is printed: JSON for programs, tables for people.

use std::io::{self, Write};

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::{CliError, Done};

/// Widest column of a table that is cut, in cells of the terminal.
const WIDEST: usize = 60;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
}

impl Output {
    /// Prints a value as JSON, or in the form that it has for people.
    pub(super) fn print(self, value: &Value, people: impl FnOnce(&Value) -> String) -> Done {
        if self.json { json(value) } else { text(&people(value)) }
    }
}

/// Prints a value as JSON, with what would do something to a terminal escaped.
pub(super) fn json(value: &Value) -> Done {
    let text = serde_json::to_string_pretty(value).map_err(CliError::failed)?;
    // Line ends within texts are escaped by now: what is left of them is between the fields.
    write_out(&escaped(&text, |character| character == '\n'))
}

/// Prints lines, without characters that do something to a terminal.
pub(super) fn text(text: &str) -> Done {
    write_out(&clean_text(text))
}

fn write_out(text: &str) -> Done {
    let mut stdout = io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let written = write!(stdout, "{text}{end}").and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::Closed,
        _ => CliError::Failed(format!("the output cannot be written: {error}")),
    })
}

/// Writes a line to the standard error output.
pub(super) fn complain(line: &str) {
    // Where it cannot be written, nobody is there to be told so.
    writeln!(io::stderr().lock(), "{}", clean_text(line)).ok();
}

/// Whether a character does something to a terminal (C0 and C1 controls), ends a line (U+2028, U+2029), or reorders
/// what stands beside it (the bidirectional controls of Unicode UAX #9).
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// The text with harmful characters as JSON escapes them, but for those that are kept.
fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match is_harmful(character) && !is_kept(character) {
            // All of them are in the Basic Multilingual Plane.
            true => escaped.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => escaped.push(character),
        }
    }
    escaped
}

/// Writes the log: one line for each event, without characters that do something to a terminal. An event comes in one
/// write.
pub(super) struct LogWriter<W> {
    inner: W,
    /// The log has colors. Its own escape characters stay then; those of the events are escaped before.
    colored: bool,
}

impl<W> LogWriter<W> {
    pub(super) fn new(inner: W, colored: bool) -> Self {
        Self { inner, colored }
    }
}

impl<W: Write> Write for LogWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        let line = escaped(line, |character| self.colored && character == '\u{1b}');
        self.inner.write_all(line.as_bytes())?;
        self.inner.write_all(end.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A text of a service in one line, without characters that do something to a terminal.
pub(super) fn clean(text: &str) -> String {
    let spaced: String =
        text.chars().map(|character| if character.is_whitespace() { ' ' } else { character }).collect();
    spaced.chars().filter(|character| !is_harmful(*character)).collect()
}

/// The same in several lines.
pub(super) fn clean_text(text: &str) -> String {
    text.lines().map(|line| clean(line).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// A part of a value; null if there is none.
pub(super) fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// The things of a list in a value.
pub(super) fn each<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    at(value, pointer).as_array().into_iter().flatten()
}

/// A text field of a value, in one line.
pub(super) fn field(value: &Value, pointer: &str) -> String {
    match at(value, pointer) {
        Value::String(text) => clean(text),
        Value::Null => String::new(),
        other => clean(&other.to_string()),
    }
}

/// The name of whoever an author is.
pub(super) fn author(author: &Value) -> String {
    match author.get("kind").and_then(Value::as_str) {
        Some("owner") => "the owner".to_owned(),
        Some("system") => format!("({})", field(author, "/reason")),
        _ => ["/handle", "/name", "/email", "/id"]
            .iter()
            .map(|pointer| field(author, pointer))
            .find(|name| !name.is_empty())
            .unwrap_or_default(),
    }
}

/// A table; columns are as wide as they have to be, the last is not filled up.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let cut: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| shorten(cell)).collect()).collect();
    let mut widths: Vec<_> = headings.iter().map(|heading| heading.width()).collect();
    for row in &cut {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width()) + 2));
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    };
    let mut table = line(&mut headings.iter().copied());
    for row in &cut {
        table.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    table
}

fn shorten(cell: &str) -> String {
    if cell.width() <= WIDEST {
        return cell.to_owned();
    }
    let mut shorter = String::new();
    for character in cell.chars() {
        if shorter.width() + 2 > WIDEST {
            break;
        }
        shorter.push(character);
    }
    shorter + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Design 7: what a service says is not trusted.
    #[test]
    fn what_a_service_says_does_nothing_to_a_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\u{7}\u{9b}c\r\nd\te"), "a[2Jbc  d e");
        assert_eq!(clean("user\u{202e}txt.exe\u{2069}"), "usertxt.exe");
        assert_eq!(clean("a\u{61c}b\u{2028}c\u{85}d"), "ab c d");
        assert_eq!(clean_text("one\u{1b}]0;x\u{7}\n  two\n"), "one]0;x\n  two");
    }

    /// Design 7: programs get what the service said, terminals get nothing that acts.
    #[test]
    fn json_escapes_controls_and_keeps_the_value() {
        let value = serde_json::json!({"title\u{9d}": "a\u{9b}31m\u{202e}b\u{7f}\u{1b}\n\u{a0}ä"});
        let text = escaped(&serde_json::to_string_pretty(&value).expect("JSON"), |character| character == '\n');
        assert!(text.lines().all(|line| !line.chars().any(is_harmful)), "{text:?}");
        assert!(text.contains("\\u009b31m\\u202eb\\u007f\\u001b\\n\u{a0}ä"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
    }

    /// Design 7
    #[test]
    fn an_event_of_the_log_is_one_line_without_controls() {
        let event = "\u{1b}[32mINFO\u{1b}[0m said a\u{9b}b\u{202e}c\nINFO forged\n";
        for (colored, expected) in [
            (true, "\u{1b}[32mINFO\u{1b}[0m said a\\u009bb\\u202ec\\u000aINFO forged\n"),
            (false, "\\u001b[32mINFO\\u001b[0m said a\\u009bb\\u202ec\\u000aINFO forged\n"),
        ] {
            let mut written = Vec::new();
            LogWriter::new(&mut written, colored).write_all(event.as_bytes()).expect("it is written");
            assert_eq!(String::from_utf8(written).expect("text"), expected);
        }
    }

    #[test]
    fn columns_stand_below_each_other_in_any_script() {
        let rows = [vec!["日本".to_owned(), "x".to_owned()], vec!["abc".to_owned(), "y".repeat(100)]];
        let shown = table(&["A", "B"], &rows);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[0], "A     B");
        assert_eq!(lines[1], "日本  x");
        assert!(lines[2].starts_with("abc   yyy") && lines[2].ends_with("y…"), "{}", lines[2]);
    }
}
