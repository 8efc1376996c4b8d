//! Where in a mail the one begins that it answers or forwards.
//!
//! A quotation is known by what mail programs write above it (see `phrases`), not by its shape: a ruler, a list of
//! names with colons or a line that ends with a colon are what people write too. Where only the marks say that
//! something is quoted, it is a quotation that is not certain, which is kept with the text.

use super::phrases::{ATTRIBUTIONS, Attribution, FIELDS, FOOTERS, FORWARDED, Field, Fields, ORIGINAL};
use super::{Line, QuotationKind};

/// Lines that an attribution may have.
const ATTRIBUTION_LINES: usize = 4;

/// The longest attribution, in characters.
const ATTRIBUTION_LENGTH: usize = 400;

/// Lines that the footer of a mailing list may have.
const FOOTER_LINES: usize = 8;

/// The parts of a mail, as indices of lines: text, then what is quoted, then what stands below that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) quoted: usize,
    pub(super) below: usize,
    pub(super) kind: QuotationKind,
}

/// A line as it is compared: without emphasis, escapes and links of markdown, in lower case.
pub(super) fn bare(line: &str) -> String {
    let mut bare = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(character) = rest.chars().next() {
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
        match character {
            '*' | '\\' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {}
            '\u{A0}' | '\u{202F}' | '\t' => bare.push(' '),
            // The target of a link: its text has been read.
            ']' if rest.starts_with('(') => {
                rest = rest.split_once(')').map_or("", |(_, rest)| rest);
            }
            '[' => {}
            other => bare.extend(other.to_lowercase()),
        }
    }
    bare.trim().to_owned()
}

/// Finds the parts. `hint` is the line at which the markup of a mail program says that the quotation begins.
pub(super) fn parts(lines: &[Line<'_>], hint: Option<usize>) -> Parts {
    let bares: Vec<String> = lines.iter().map(|line| bare(&line.text)).collect();
    let end = footer(lines, &bares);
    let search = Search { lines: lines.get(..end).unwrap_or_default(), bares: &bares };
    let found = search.find(hint);
    let (quoted, below, kind) = found.unwrap_or((end, end, QuotationKind::Unsure));
    Parts { quoted, below, kind }
}

/// The line at which the footer of a mailing list begins, below a ruler; the end if there is none.
fn footer(lines: &[Line<'_>], bares: &[String]) -> usize {
    let from = lines.len().saturating_sub(FOOTER_LINES * 2);
    let ruler = (from..lines.len()).rev().find(|index| {
        lines.get(*index).is_some_and(|line| line.depth == 0)
            && bares.get(*index).is_some_and(|line| line.len() >= 40 && line.chars().all(|c| c == '_' || c == '-'))
    });
    let Some(ruler) = ruler else { return lines.len() };
    let below: Vec<_> = bares.iter().skip(ruler + 1).filter(|line| !line.is_empty()).collect();
    let names = below.iter().any(|line| line.contains('@') || line.contains("http"));
    let fields = below.iter().filter(|line| FIELDS.iter().any(|fields| field(line, fields).is_some())).count();
    if names && below.len() <= FOOTER_LINES && fields < 2 { ruler } else { lines.len() }
}

struct Search<'a> {
    lines: &'a [Line<'a>],
    bares: &'a [String],
}

/// An attribution.
struct Attributed {
    /// It begins as one of its language, or with a date.
    begins: bool,
    /// It has the verb of a language.
    verb: bool,
    /// It has an address and a date.
    whole: bool,
}

type Found = (usize, usize, QuotationKind);

impl Search<'_> {
    fn bare(&self, index: usize) -> &str {
        if index < self.lines.len() { self.bares.get(index).map_or("", String::as_str) } else { "" }
    }

    fn is_quoted(&self, index: usize) -> bool {
        self.lines.get(index).is_some_and(|line| line.depth > 0)
    }

    fn is_blank(&self, index: usize) -> bool {
        self.lines.get(index).is_some_and(|line| line.text.trim().is_empty())
    }

    /// The next lines from `index` on that say something.
    fn said(&self, index: usize) -> impl Iterator<Item = usize> {
        (index..self.lines.len()).filter(|index| !self.is_blank(*index))
    }

    fn find(&self, hint: Option<usize>) -> Option<Found> {
        let end = self.lines.len();
        let marked = self.marked();
        if let Some(hint) = hint.filter(|hint| *hint < end) {
            // Below it there may be an answer to single points.
            let answered = self
                .said(hint)
                .skip_while(|index| !self.is_quoted(*index))
                .any(|index| !self.is_quoted(index) && marked.is_none_or(|(_, below, _)| index < below));
            let has_marks = (hint..end).any(|index| self.is_quoted(index));
            if !has_marks || !answered {
                let forwards = self.said(hint).take(3).any(|index| self.is_headline(index, FORWARDED));
                let kind = if forwards { QuotationKind::Forward } else { QuotationKind::Reply };
                let below = if has_marks { marked.map_or(end, |(_, below, _)| below) } else { end };
                return Some((hint, below, kind));
            }
        }
        let limit = marked.map_or(end, |(begin, ..)| begin);
        for index in 0..limit {
            if self.is_quoted(index) || self.is_blank(index) {
                continue;
            }
            if let Some(kind) = self.begins_unmarked(index) {
                return Some((index, end, kind));
            }
        }
        marked
    }

    /// A quotation with marks at the end, and the line that introduces it.
    fn marked(&self) -> Option<Found> {
        let last = (0..self.lines.len()).rev().find(|index| self.is_quoted(*index))?;
        let mut below = last + 1;
        if self.said(below).next().is_some() {
            // What stands behind a quotation is an answer to it, or a signature.
            let first = self.said(below).next()?;
            if !super::is_delimiter(self.lines.get(first).map_or("", |line| &line.text)) {
                return None;
            }
            below = first;
        }
        let begin = (0..=last).rev().take_while(|index| self.is_quoted(*index) || self.is_blank(*index)).last()?;
        let begin = (begin..=last).find(|index| self.is_quoted(*index))?;
        // Apple Mail has the line that introduces the quotation within it.
        let within = (begin..begin + ATTRIBUTION_LINES).find_map(|last| self.attributes(begin, last));
        let kind = if within.is_some_and(|found| found.begins) { QuotationKind::Reply } else { QuotationKind::Unsure };
        let Some(above) = (0..begin).rev().find(|index| !self.is_blank(*index)) else {
            return Some((begin, below, kind));
        };
        // A headline, and the fields below it, may stand above the marks.
        let first = (0..ATTRIBUTION_LINES)
            .filter_map(|more| above.checked_sub(more))
            .take_while(|index| *index == above || !(self.is_blank(*index) || self.is_quoted(*index)));
        let mut named = None;
        for index in first {
            if self.is_headline(index, FORWARDED) {
                return Some((index, below, QuotationKind::Forward));
            }
            if self.is_headline(index, ORIGINAL) {
                return Some((index, below, QuotationKind::Reply));
            }
            match self.attributes(index, above) {
                Some(found) if found.begins => return Some((index, below, QuotationKind::Reply)),
                // One that has both an address and a date says more than one that has one of them.
                Some(found) => {
                    named = match named {
                        Some((known, whole)) if whole || !found.whole => Some((known, whole)),
                        _ => Some((index, found.whole)),
                    }
                }
                None => {}
            }
        }
        if let Some((index, _)) = named {
            // The name stands in the line above the address.
            let name = index.checked_sub(1).filter(|name| self.bare(index).starts_with('<') && !self.is_blank(*name));
            let index = name.unwrap_or(index);
            return Some((index, below, QuotationKind::Reply));
        }
        let colon = |index: usize| self.bare(index).ends_with([':', '：']);
        if !colon(above) {
            return Some((begin, below, kind));
        }
        // A sentence of one line or two that is in no table.
        let before =
            above.checked_sub(1).filter(|before| says_when(self.bare(*before)) && !says_when(self.bare(above)));
        let begin = before.unwrap_or(above);
        Some((begin, below, QuotationKind::Unsure))
    }

    /// A quotation without marks: it goes to the end.
    fn begins_unmarked(&self, index: usize) -> Option<QuotationKind> {
        let line = self.bare(index);
        if self.is_headline(index, FORWARDED) && (has_hyphens(line) || line.ends_with([':', '：'])) {
            let below = self.said(index + 1).next();
            return below
                .is_some_and(|below| self.header(below).is_some() || has_hyphens(line))
                .then_some(QuotationKind::Forward);
        }
        if self.is_headline(index, ORIGINAL) {
            let below = self.said(index + 1).next();
            let certain = below
                .is_some_and(|below| self.header(below).is_some() || self.is_quoted(below) || self.is_field(below));
            return match (certain, has_hyphens(line)) {
                (true, _) => Some(QuotationKind::Reply),
                (false, true) => Some(QuotationKind::Unsure),
                (false, false) => None,
            };
        }
        let ruler = line.len() >= 20 && line.chars().all(|c| c == '_' || c == '-' || c == '—');
        if ruler {
            let below = self.said(index + 1).next()?;
            let many = self.said(below).take(4).filter(|index| self.is_field(*index)).count();
            return self.header(below).or((many >= 3).then_some(QuotationKind::Reply));
        }
        if let Some(kind) = self.header(index) {
            return Some(kind);
        }
        for last in index..(index + ATTRIBUTION_LINES).min(self.lines.len()) {
            if self.is_blank(last) || self.is_quoted(last) {
                break;
            }
            let Some(found) = self.attributes(index, last).filter(|found| found.verb) else { continue };
            let text = self.joined(index, last);
            // Marks below it, and an answer below them: the answer is the author's.
            if self.said(last + 1).any(|index| self.is_quoted(index)) || self.said(last + 1).next().is_none() {
                return None;
            }
            return match (found.begins, text.contains('@')) {
                (true, true) => Some(QuotationKind::Reply),
                (true, false) if says_when(&text) => Some(QuotationKind::Unsure),
                (false, true) if says_when(&text) => Some(QuotationKind::Unsure),
                _ => None,
            };
        }
        None
    }

    fn joined(&self, first: usize, last: usize) -> String {
        (first..=last).map(|index| self.bare(index)).collect::<Vec<_>>().join(" ")
    }

    /// What tells that the lines are an attribution. One without a known verb has an address and a date.
    fn attributes(&self, first: usize, last: usize) -> Option<Attributed> {
        let end = self.bare(last);
        if first.abs_diff(last) >= ATTRIBUTION_LINES
            || !(end.ends_with([':', '：', '>', '»']) || end.ends_with("書きました"))
        {
            return None;
        }
        let depth = |index: usize| self.lines.get(index).map(|line| line.depth);
        if (first..=last).any(|index| self.is_blank(index) || depth(index) != depth(first)) {
            return None;
        }
        let text = self.joined(first, last);
        if text.chars().count() > ATTRIBUTION_LENGTH || !(says_when(&text) || text.contains('@')) {
            return None;
        }
        let by_date = text.starts_with(|c: char| c.is_numeric());
        let known: Vec<_> =
            ATTRIBUTIONS.iter().filter(|row| row.verbs.iter().any(|verb| has_word(&text, verb))).collect();
        let begins = |row: &&Attribution| by_date || row.begins.iter().any(|begin| text.starts_with(begin));
        let verb = !known.is_empty();
        let named = text.contains('@') && says_when(&text);
        let begins = known.iter().any(begins) || (named && by_date);
        (verb || named).then_some(Attributed { begins, verb, whole: named })
    }

    fn is_headline(&self, index: usize, phrases: &[&str]) -> bool {
        let line = self.bare(index);
        let phrase = line.trim_matches(|c: char| {
            matches!(c, '-' | '_' | '=' | '—' | '–' | '>' | ':' | '：' | '.' | '/') || c.is_whitespace()
        });
        !self.is_quoted(index) && phrases.contains(&phrase)
    }

    fn is_field(&self, index: usize) -> bool {
        !self.is_quoted(index) && FIELDS.iter().any(|fields| field(self.bare(index), fields).is_some())
    }

    /// Whether the fields of a quoted mail begin here: those of one language, with what only mails have.
    fn header(&self, index: usize) -> Option<QuotationKind> {
        if self.is_quoted(index) {
            return None;
        }
        // Languages share names of fields: the one that fits best counts.
        let mut kinds = FIELDS.iter().filter_map(|fields| self.header_in(index, fields)).peekable();
        let first = *kinds.peek()?;
        Some(kinds.find(|kind| *kind == QuotationKind::Reply).unwrap_or(first))
    }

    fn header_in(&self, index: usize, fields: &Fields) -> Option<QuotationKind> {
        let first = field(self.bare(index), fields)?.0;
        if !matches!(first, Field::From | Field::Date | Field::Sent | Field::Subject) {
            return None;
        }
        let (mut found, mut address) = (Vec::new(), false);
        let mut misses = 0;
        for index in self.said(index).take(12) {
            match field(self.bare(index), fields) {
                Some((kind, value)) if !found.contains(&kind) || kind == Field::Other => {
                    found.push(kind);
                    address |= value.contains('@');
                    misses = 0;
                }
                // A value may go on in the next line.
                None if misses == 0 && !found.contains(&Field::Subject) => misses += 1,
                _ => break,
            }
        }
        let has = |kind| found.contains(&kind);
        let when = has(Field::Sent) || has(Field::Date);
        let count = [has(Field::From), when, has(Field::To), has(Field::Subject)].iter().filter(|has| **has).count();
        let certain =
            count == 4 || (count == 3 && has(Field::From) && (address || has(Field::Sent) && has(Field::Subject)));
        let likely = count == 3 && has(Field::From) && (has(Field::Sent) || has(Field::Subject));
        match (certain, likely) {
            (true, _) => Some(QuotationKind::Reply),
            (_, true) => Some(QuotationKind::Unsure),
            _ => None,
        }
    }
}

/// The field that a line gives in a language, and its value.
fn field<'a>(line: &'a str, fields: &Fields) -> Option<(Field, &'a str)> {
    let (label, value) = line.split_once([':', '：'])?;
    let label = label.trim().trim_start_matches('>').trim();
    if label.is_empty() || label.chars().count() > 24 {
        return None;
    }
    let kinds = [
        (fields.from, Field::From),
        (fields.sent, Field::Sent),
        (fields.date, Field::Date),
        (fields.to, Field::To),
        (fields.other, Field::Other),
        (fields.subject, Field::Subject),
    ];
    let kind = kinds.into_iter().find(|(labels, _)| labels.contains(&label)).map(|(_, kind)| kind)?;
    Some((kind, value.trim()))
}

/// A line with the day or the time of a mail has digits.
fn says_when(line: &str) -> bool {
    line.chars().filter(|c| c.is_numeric()).count() >= 3
}

fn has_hyphens(line: &str) -> bool {
    line.starts_with("--") || line.starts_with("__") || line.starts_with("==")
}

/// Whether the text has these words, not as a part of others.
fn has_word(text: &str, word: &str) -> bool {
    // Chinese, Japanese, Korean and Thai have no blanks between words.
    let spaced = word.chars().all(|c| u32::from(c) < 0x0E00 || !c.is_alphabetic());
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
        !spaced || (before.is_none_or(|c| !c.is_alphanumeric()) && after.is_none_or(|c| !c.is_alphanumeric()))
    })
}

/// Whether a line is what a phone puts below each mail.
pub(super) fn is_footer(line: &str) -> bool {
    let line = bare(line);
    let line = line.trim_start_matches(['-', '—', '–', ' ']);
    line.chars().count() <= 80 && FOOTERS.iter().any(|footer| line.starts_with(footer))
}
