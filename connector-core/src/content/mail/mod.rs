//! What of a mail its author wrote, apart from what they answer and what stands below every mail of theirs.
//!
//! [`Mail`] takes a text apart; `MailPart` (with the feature `mail`) finds the text and the files among the parts of a
//! mail, and reads them.

#[cfg(feature = "mail")]
mod parts;
mod phrases;
mod quotation;

#[cfg(feature = "mail")]
pub use parts::{MailFile, MailPart, ReadMail};

/// A mail, taken apart. In plain text or markdown: both quote with `>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// What the author wrote. Quotations that are answered point by point are a part of it.
    pub text: String,
    /// What stands below the line of two hyphens (RFC 3676 4.3), what a phone or a mailing list puts below each mail,
    /// and the armour of a signature (RFC 9580).
    pub signature: Option<String>,
    /// The other mail at the end, with the lines that introduce it.
    pub quoted: Option<String>,
    /// Why `quoted` is taken for another mail. Without meaning if there is none.
    pub kind: QuotationKind,
}

/// Why a part of a mail is taken for another mail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QuotationKind {
    /// The mail that is answered: a mail program says so. Where the answered mail is known, it need not be shown.
    Reply,
    /// A mail that is forwarded: nothing else has its text.
    Forward,
    /// Something that looks like a quotation. It is shown, folded.
    #[default]
    Unsure,
}

/// A line of a mail, with the number of quotations that it is in.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    pub(super) text: std::borrow::Cow<'a, str>,
    pub(super) depth: usize,
}

const ARMOUR_BEGINS: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const ARMOUR_SIGNS: &str = "-----BEGIN PGP SIGNATURE-----";
const ARMOUR_ENDS: &str = "-----END PGP SIGNATURE-----";

impl Mail {
    /// Takes a mail apart. Nothing of it is lost: each line is in one of the parts.
    pub fn parse(mail: &str) -> Self {
        let mail = mail.replace("\r\n", "\n");
        let (lines, mut signed) = without_armour(mail.split('\n').collect());
        let marked: Vec<_> = lines.iter().map(|line| Line { text: (*line).into(), depth: depth_of(line) }).collect();
        let parts = quotation::parts(&marked, None);
        let (own, rest) = lines.split_at(parts.quoted.min(lines.len()));
        let (quoted, below) = rest.split_at(parts.below.saturating_sub(parts.quoted).min(rest.len()));
        let end = signature_of(own);
        let (text, above) = own.split_at(end);
        let below = below.iter().copied();
        let signature = above.iter().copied().chain(below).filter(|line| !is_delimiter(line)).collect::<Vec<_>>();
        let mut signature = signature;
        signature.append(&mut signed);
        Self {
            text: joined(text).unwrap_or_default(),
            signature: joined(&signature),
            quoted: joined(quoted),
            kind: parts.kind,
        }
    }

    /// The mail as it is sent: text, signature, and below both what it answers.
    pub fn write(&self) -> String {
        let signature = self.signature.as_ref().map(|signature| format!("-- \n{signature}"));
        let parts = [Some(self.text.clone()), signature, self.quoted.clone()];
        parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
    }
}

/// A mail as a quotation below an answer, behind a line that says who wrote it when:
/// `On 1 May 2026, Ada wrote:`.
pub fn quotation_of(introduction: &str, mail: &str) -> String {
    let lines = mail.lines().map(|line| match line.starts_with('>') {
        true => format!(">{line}"),
        false => format!("> {line}").trim_end().to_owned(),
    });
    let introduction = introduction.trim_end().trim_end_matches(':');
    std::iter::once(format!("{introduction}:")).chain(lines).collect::<Vec<_>>().join("\n")
}

/// Whether the subject of a mail says that it is forwarded, as `Fwd: Lunch` does.
pub fn is_forwarded(subject: &str) -> bool {
    let prefix = subject.split_once([':', '：']).map(|(prefix, _)| prefix.trim().to_lowercase());
    prefix.is_some_and(|prefix| phrases::FORWARD_PREFIXES.contains(&prefix.as_str()))
}

/// The subject of an answer: `Re:` before it, unless it says that already.
pub fn reply_subject(subject: &str) -> String {
    const PREFIXES: [&str; 16] = [
        "re", "aw", "antw", "antwort", "sv", "vs", "odp", "r", "rif", "ref", "res", "回复", "回覆", "答复", "ynt",
        "отв",
    ];
    let prefix = subject.split_once([':', '：']).map(|(prefix, _)| prefix.trim().to_lowercase());
    match prefix.is_some_and(|prefix| PREFIXES.contains(&prefix.as_str())) {
        true => subject.to_owned(),
        false => format!("Re: {subject}"),
    }
}

fn joined(lines: &[&str]) -> Option<String> {
    let text = lines.join("\n");
    let text = text.trim_matches('\n').trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

pub(super) fn is_delimiter(line: &str) -> bool {
    matches!(line, "-- " | "--" | "\\-- " | "\\--" | "--\u{A0}" | "\\--\u{A0}")
}

/// The number of quotations that a line is in, by its marks.
pub(super) fn depth_of(line: &str) -> usize {
    // Mailboxes escape a line that begins with `From ` so.
    if line.starts_with(">From ") {
        return 0;
    }
    line.chars().take_while(|c| matches!(c, '>' | ' ')).filter(|c| *c == '>').count()
        * usize::from(line.starts_with('>'))
}

/// The line at which the signature begins; the end if there is none.
fn signature_of(lines: &[&str]) -> usize {
    let said = |from: usize| lines.iter().skip(from).filter(|line| !line.trim().is_empty()).count();
    if let Some(end) = lines.iter().rposition(|line| is_delimiter(line)) {
        // Without the blank behind the hyphens, a longer text below them is text.
        let strict = lines.get(end).is_some_and(|line| line.ends_with([' ', '\u{A0}']));
        if strict || said(end + 1) <= 12 {
            return end;
        }
    }
    let last = lines.iter().rposition(|line| !line.trim().is_empty());
    match last {
        Some(last) if last > 0 && lines.get(last).is_some_and(|line| quotation::is_footer(line)) => last,
        _ => lines.len(),
    }
}

/// Where the armour around a signed text is (RFC 9580 7), as numbers of lines.
pub(super) struct Armour {
    begin: usize,
    text: usize,
    signs: usize,
    end: usize,
}

impl Armour {
    pub(super) fn find<'a>(lines: impl Iterator<Item = &'a str> + Clone) -> Option<Self> {
        let at = |wanted: &str| lines.clone().position(|line| line.trim() == wanted);
        let (begin, signs, end) = (at(ARMOUR_BEGINS)?, at(ARMOUR_SIGNS)?, at(ARMOUR_ENDS)?);
        let text = begin + lines.clone().skip(begin).position(|line| line.trim().is_empty())?;
        (text < signs && signs < end).then_some(Self { begin, text, signs, end })
    }

    /// Whether a line is of the armour.
    pub(super) fn has(&self, line: usize) -> bool {
        (self.begin..self.text).contains(&line) || (self.signs..=self.end).contains(&line)
    }

    /// A line of the signed text that is escaped, without the escape.
    pub(super) fn unescaped<'a>(&self, number: usize, line: &'a str) -> Option<&'a str> {
        let signed = (self.text..self.signs).contains(&number);
        line.strip_prefix("- ").filter(|rest| signed && rest.starts_with('-'))
    }
}

/// The lines of a signed text without the armour around it, and the armour.
fn without_armour(lines: Vec<&str>) -> (Vec<&str>, Vec<&str>) {
    let Some(found) = Armour::find(lines.iter().copied()) else { return (lines, Vec::new()) };
    let (armour, own): (Vec<_>, Vec<_>) = lines.into_iter().enumerate().partition(|(number, _)| found.has(*number));
    let own = own.into_iter().map(|(number, line)| found.unescaped(number, line).unwrap_or(line));
    (own.collect(), armour.into_iter().map(|(_, line)| line).collect())
}

#[cfg(test)]
mod tests;
