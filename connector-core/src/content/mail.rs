//! What of a mail its author wrote, apart from what they answer and what stands below every mail of theirs.

/// A mail, taken apart. In plain text or markdown: both quote with `>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// What the author wrote. Quotations that are answered point by point are a part of it.
    pub text: String,
    /// What stands below the line of two hyphens (RFC 3676 4.3).
    pub signature: Option<String>,
    /// The earlier mail at the end, with the line that introduces it.
    pub quoted: Option<String>,
}

impl Mail {
    /// Takes a mail apart. Nothing of it is lost: each line is in one of the parts.
    pub fn parse(mail: &str) -> Self {
        let mail = mail.replace("\r\n", "\n");
        let lines: Vec<_> = mail.split('\n').collect();
        let (own, quoted) = lines.split_at(quotation(&lines));
        // A quotation may have the signature above it or below it.
        let end = quoted.iter().position(|line| is_delimiter(line)).unwrap_or(quoted.len());
        let (quoted, below) = quoted.split_at(end);
        let end = own.iter().rposition(|line| is_delimiter(line)).unwrap_or(own.len());
        let (text, above) = own.split_at(end);
        let signature: Vec<_> = above.iter().skip(1).chain(below.iter().skip(1)).copied().collect();
        Self { text: joined(text).unwrap_or_default(), signature: joined(&signature), quoted: joined(quoted) }
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

fn joined(lines: &[&str]) -> Option<String> {
    let text = lines.join("\n");
    let text = text.trim_matches('\n').trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

fn is_delimiter(line: &str) -> bool {
    matches!(line, "-- " | "--" | "\\-- " | "\\--")
}

/// The line at which the earlier mail begins; the end if there is none.
fn quotation(lines: &[&str]) -> usize {
    if let Some(header) = (0..lines.len()).find(|index| lines.get(*index..).is_some_and(begins_earlier_mail)) {
        return header;
    }
    // The last lines that say something: what stands behind a quotation is an answer to it, or a signature.
    let end = lines.iter().position(|line| is_delimiter(line)).filter(|end| {
        lines.iter().take(*end).rev().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with('>'))
    });
    let end = end.unwrap_or(lines.len());
    let blank_or_quoted = |line: &&&str| line.starts_with('>') || line.trim().is_empty();
    let below = lines.iter().take(end).rev().take_while(blank_or_quoted).count();
    let first = lines.iter().skip(end - below).position(|line| line.starts_with('>'));
    let Some(first) = first.map(|first| first + end - below) else { return lines.len() };
    // It is introduced by a sentence of one line or two.
    let above: Vec<_> =
        lines.iter().take(first).enumerate().rev().filter(|(_, line)| !line.trim().is_empty()).take(2).collect();
    match above.as_slice() {
        [(last, line), ..] if line.trim_end().ends_with(':') => match above.as_slice() {
            [(last, line), (before, start)] if last - before == 1 && !says_when(line) && says_when(start) => *before,
            _ => *last,
        },
        _ => first,
    }
}

/// A line with the day or the time of a mail has digits.
fn says_when(line: &str) -> bool {
    line.chars().filter(char::is_ascii_digit).count() >= 3
}

/// Outlook's way: a ruler or a headline, or the fields of the earlier mail.
fn begins_earlier_mail(lines: &[&str]) -> bool {
    let bare = |line: &str| line.replace(['*', '\\'], "").trim().to_lowercase();
    let Some(first) = lines.first().map(|line| bare(line)) else { return false };
    let rest = || lines.iter().skip(1).filter(|line| !line.trim().is_empty()).map(|line| bare(line));
    let is_field = |line: &str| {
        const FIELDS: [&str; 12] = [
            "from:",
            "sent:",
            "to:",
            "cc:",
            "date:",
            "subject:",
            "von:",
            "gesendet:",
            "an:",
            "betreff:",
            "de:",
            "envoyé:",
        ];
        FIELDS.iter().any(|field| line.starts_with(field))
    };
    let headline = first.starts_with("-----") && first.ends_with("-----") && first.len() > 10;
    let ruler = first.len() >= 20 && first.chars().all(|c| c == '_');
    match (headline, ruler) {
        (true, _) => true,
        (_, true) => rest().next().is_some_and(|next| is_field(&next)),
        _ => is_field(&first) && rest().take(2).filter(|line| is_field(line)).count() == 2,
    }
}
