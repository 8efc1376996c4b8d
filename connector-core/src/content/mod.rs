//! The content of notes: whatever form a service gives, markdown is stored (R8.6).
//!
//! Formats of services are read into a [`Document`] and written from one (L26).

#[cfg(feature = "formats")]
pub mod adf;
#[cfg(feature = "formats")]
mod document;
#[cfg(all(test, feature = "formats"))]
mod format_tests;
#[cfg(feature = "html")]
mod html;
pub mod mail;
#[cfg(feature = "formats")]
mod markdown;
#[cfg(feature = "formats")]
pub mod mrkdwn;
#[cfg(feature = "formats")]
pub mod shortcode;

use sha2::{Digest, Sha256};

#[cfg(feature = "formats")]
pub use document::{Block, Document, Inline, Item, plain};
#[cfg(feature = "formats")]
pub use markdown::html_of;

use crate::hex;
use crate::model::Content;

impl Content {
    /// The content as markdown. Plain text is escaped, so that nothing in it becomes markup.
    pub fn to_markdown(&self) -> String {
        match self {
            Self::Markdown(text) => normal_lines(text),
            Self::Text(text) => escape(&normal_lines(text)),
            Self::Html(html) => html_to_markdown(html),
        }
    }

    /// What tells this content from another, for baselines (R9.2): forms that differ only in line
    /// ends or surrounding blanks are the same.
    pub(crate) fn fingerprint(&self) -> String {
        let (form, text) = match self {
            // Services give the same text as markdown or as text; the author of the connector chose one.
            Self::Text(text) | Self::Markdown(text) => ("t", text),
            Self::Html(text) => ("h", text),
        };
        let lines: Vec<_> = text.lines().map(str::trim_end).collect();
        let digest = Sha256::digest(lines.join("\n").trim().as_bytes());
        let mut digits = hex::encode(&digest);
        digits.truncate(32);
        format!("{form}{digits}")
    }
}

fn normal_lines(text: &str) -> String {
    text.replace("\r\n", "\n").trim_end().to_owned()
}

/// Plain text as markdown that shows it: nothing in it is markup, and lines and their indentation stay.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 16);
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            escaped.push('\n');
        }
        escape_line(line, true, &mut escaped);
    }
    escaped
}

/// Escapes a line of text, or the rest of one if something stands before it (`begins` is false).
fn escape_line(line: &str, begins: bool, out: &mut String) {
    let start = line.trim_start_matches([' ', '\t']);
    let indent = line.get(..line.len() - start.len()).unwrap_or_default();
    if begins && !start.is_empty() {
        // Markdown strips blanks at the begin of a line, and makes code of four; no-break spaces are text.
        for blank in indent.chars() {
            out.push_str(if blank == '\t' { "\u{A0}\u{A0}\u{A0}\u{A0}" } else { "\u{A0}" });
        }
    } else if !begins {
        out.push_str(indent);
    }
    // At the begin of a line these begin a heading, a list, a quote or a rule. Behind a no-break space they do not.
    let leads = begins && indent.is_empty();
    let digits = if leads { start.bytes().take_while(u8::is_ascii_digit).count() } else { 0 };
    let mut rest = start;
    while let Some(character) = rest.chars().next() {
        let position = start.len() - rest.len();
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
        let entity = || {
            let name = rest.find(|c: char| !(c == '#' || c.is_ascii_alphanumeric())).unwrap_or(rest.len());
            name > 0 && rest.get(name..).is_some_and(|rest| rest.starts_with(';'))
        };
        let special = matches!(character, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '~' | '|')
            || (character == '&' && entity())
            || (leads && position == 0 && matches!(character, '#' | '+' | '-' | '>' | '='))
            || (digits > 0 && position == digits && matches!(character, '.' | ')'));
        if special {
            out.push('\\');
        }
        out.push(character);
    }
}

#[cfg(feature = "html")]
fn html_to_markdown(html: &str) -> String {
    Document::from_html(html).to_markdown()
}

#[cfg(not(feature = "html"))]
fn html_to_markdown(html: &str) -> String {
    strip_tags(html)
}

/// The text between the tags, escaped.
#[cfg(not(feature = "html"))]
fn strip_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut inside = false;
    for character in html.chars() {
        match character {
            '<' => inside = true,
            '>' if inside => inside = false,
            other if !inside => text.push(other),
            _ => {}
        }
    }
    escape(text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R8.6
    #[test]
    fn plain_text_stays_plain_in_markdown() {
        let text = "# no heading\n1. no list\n*no* emphasis, a_b, [x](y)\n- dash - dash";
        let markdown = Content::text(text).to_markdown();
        assert_eq!(markdown, "\\# no heading\n1\\. no list\n\\*no\\* emphasis, a\\_b, \\[x\\](y)\n\\- dash - dash");
    }

    /// R8.6
    #[test]
    fn html_becomes_markdown() {
        let html = "<p>Hello <b>you</b></p><script>alert(1)</script><ul><li>one</li><li>two</li></ul>";
        let markdown = Content::html(html).to_markdown();
        assert!(markdown.contains("Hello **you**"), "{markdown}");
        assert!(markdown.contains("one") && markdown.contains("two") && !markdown.contains("alert"), "{markdown}");
    }

    /// R9.2
    #[test]
    fn line_ends_do_not_make_another_content() {
        let (unix, windows) = (Content::markdown("a  \nb\n"), Content::markdown("a\r\nb"));
        assert_eq!(unix.fingerprint(), windows.fingerprint());
        assert_ne!(unix.fingerprint(), Content::markdown("a\nc").fingerprint());
    }
}
