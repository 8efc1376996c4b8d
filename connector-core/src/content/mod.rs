//! The content of notes: whatever form a service gives, markdown is stored (R8.6).
//!
//! Formats of services are read into a [`Document`] and written from one (L26).

#[cfg(feature = "formats")]
pub mod adf;
#[cfg(feature = "formats")]
mod document;
#[cfg(all(test, feature = "formats"))]
mod format_tests;
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

/// Escapes what CommonMark would take as markup, and keeps line breaks.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 16);
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            escaped.push('\n');
        }
        let start = line.trim_start();
        // At the start of a line these begin a heading, a list, a quote or a rule.
        let digits = start.bytes().take_while(u8::is_ascii_digit).count();
        let ordered = digits > 0 && start.get(digits..).is_some_and(|rest| rest.starts_with(['.', ')']));
        for (position, character) in line.char_indices() {
            let leading = position + start.len() == line.len();
            let entity = || {
                line.get(position + 1..)
                    .is_some_and(|rest| rest.starts_with(|next: char| next == '#' || next.is_ascii_alphabetic()))
            };
            let special = matches!(character, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '~' | '|')
                || (character == '&' && entity())
                || (leading && matches!(character, '#' | '+' | '-' | '>' | '='))
                || (ordered && matches!(character, '.' | ')') && position + start.len() == line.len() + digits);
            if special {
                escaped.push('\\');
            }
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(feature = "html")]
fn html_to_markdown(html: &str) -> String {
    let converter = htmd::HtmlToMarkdown::builder().skip_tags(vec!["script", "style", "head", "title"]).build();
    converter.convert(html).map(|text| normal_lines(&text)).unwrap_or_else(|_| strip_tags(html))
}

#[cfg(not(feature = "html"))]
fn html_to_markdown(html: &str) -> String {
    strip_tags(html)
}

/// The text between the tags, escaped; for HTML that cannot be converted.
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
