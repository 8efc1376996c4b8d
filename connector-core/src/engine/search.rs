//! The text search of threads, with the same results in each engine.
//!
//! A search compares words in one form: compatibility-composed (UAX 15, NFKC) and without case. A text in a script
//! that puts no spaces between words counts as its pairs of neighbouring characters. An engine stores the
//! [`tokens`] of each link and note, looks for candidates by the [`Terms::expression`] of each [`SearchRank`], and
//! leaves the choice and the order of the results to [`Ranking`].

use std::cmp::Reverse;
use std::collections::HashSet;

use icu_normalizer::ComposingNormalizerBorrowed;
use jiff::Timestamp;

use super::LinkRow;
use crate::id::{ChannelId, ConnectionId, LinkId, ThreadId};

/// Rows of one rank that a search looks at, those with the greatest ids: what a frequent word costs is bounded.
const CANDIDATES: usize = 500;

/// Bytes of a text that are indexed. The rest of a longer text is not found.
const MAX_TEXT: usize = 256 * 1024;

/// Characters of a word that are compared.
const MAX_WORD: usize = 64;

/// The least number of characters of a part of a word that is found within a word of a title.
const PART: usize = 3;

/// A search: its words, and the links that it looks in.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SearchQuery {
    /// The words. Each of them has to be in one title with its preview, or in one note.
    pub text: String,
    /// The connections whose links are looked in; `None` means all connections.
    pub connections: Option<Vec<ConnectionId>>,
    /// The channel whose links are looked in; `None` means all channels.
    pub channel: Option<ChannelId>,
    /// The type of the links that are looked in; `None` means all types.
    pub link_type: Option<String>,
    /// The status of the links that are looked in; `None` means all statuses.
    pub status: Option<String>,
    /// Whether archived links are looked in too.
    pub archived: bool,
    /// The place in the order of the results after which to begin; `None` means the beginning.
    pub after: Option<SearchPlace>,
    /// Maximum number of results.
    pub limit: usize,
}

impl SearchQuery {
    /// Maximum number of words in a search. An engine ignores the words after them.
    pub const MAX_WORDS: usize = 16;

    /// Searches for this text in all links that are not archived.
    pub fn new(text: impl Into<String>, limit: usize) -> Self {
        Self { text: text.into(), limit, ..Self::default() }
    }
}

/// How well a thread fits, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SearchRank {
    /// All words are words of the title.
    Title = 0,
    /// All words are words of the title, or parts of them.
    PartOfTitle = 1,
    /// The words are in the title, the preview or a note.
    Text = 2,
}

impl SearchRank {
    /// All ranks, the best first.
    pub const ALL: [Self; 3] = [Self::Title, Self::PartOfTitle, Self::Text];

    /// The rank with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// A place in the order of the results: by rank, then newest change first, then greatest id of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchPlace {
    /// The rank.
    pub rank: SearchRank,
    /// The time of the link's last change.
    pub updated_at: Timestamp,
    /// The link.
    pub link: LinkId,
}

impl SearchPlace {
    fn order(self) -> impl Ord + use<> {
        (self.rank, Reverse((self.updated_at, self.link)))
    }
}

/// A thread that was found, by its best link.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchHit {
    /// How well the thread fits.
    pub rank: SearchRank,
    /// The link: the newest of those with the best rank.
    pub row: LinkRow,
}

impl SearchHit {
    /// The place after which the next page begins.
    pub fn place(&self) -> SearchPlace {
        SearchPlace { rank: self.rank, updated_at: self.row.link.updated_at, link: self.row.link.id }
    }
}

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    /// A word between spaces.
    Word(String),
    /// Two neighbours, or the last character, in a script without spaces between words.
    Pair(String),
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(text) | Self::Pair(text) => text,
        }
    }
}

/// Scripts that put no spaces between words, or join particles to them.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0e00..=0x0eff // Thai, Lao
        | 0x1000..=0x109f // Myanmar
        | 0x1780..=0x17ff // Khmer
        | 0x3005..=0x3007 | 0x3040..=0x30ff | 0x31f0..=0x31ff // Japanese
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff // Chinese characters
        | 0xac00..=0xd7a3) // Korean
}

/// The one form of a text in all of its normal forms and cases.
fn fold(text: &str) -> String {
    let normal = ComposingNormalizerBorrowed::new_nfkc();
    let upper: String = normal.normalize(text).chars().flat_map(char::to_uppercase).collect();
    let lower: String = upper.chars().flat_map(char::to_lowercase).collect();
    normal.normalize(&lower).into_owned()
}

fn start_of(text: &str) -> &str {
    let mut end = MAX_TEXT.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

/// Runs of letters and digits of a folded text, apart where a script without spaces begins or ends.
fn runs(folded: &str) -> impl Iterator<Item = (&str, bool)> {
    folded.split(|c: char| !c.is_alphanumeric()).flat_map(|run| {
        let mut rest = run;
        std::iter::from_fn(move || {
            let unspaced = is_unspaced(rest.chars().next()?);
            let end = rest.find(|c| is_unspaced(c) != unspaced).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            rest = after;
            Some((run, unspaced))
        })
    })
}

fn word(run: &str) -> String {
    run.chars().take(MAX_WORD).collect()
}

fn pairs(run: &str) -> impl Iterator<Item = String> {
    run.chars().zip(run.chars().skip(1)).map(|(one, next)| [one, next].iter().collect())
}

/// The words of a text, each once.
fn words(text: &str) -> Vec<Token> {
    let folded = fold(start_of(text));
    let mut found = Vec::new();
    for (run, unspaced) in runs(&folded) {
        if unspaced {
            found.extend(pairs(run).map(Token::Pair));
            found.extend(run.chars().last().map(|last| Token::Pair(last.to_string())));
        } else {
            found.push(Token::Word(word(run)));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn parts(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    chars.windows(PART).map(|part| part.iter().collect()).collect()
}

/// Marks a word of a title. No word has this character, nor those of the other marks.
const IN_TITLE: char = '\u{b6}';
/// Marks a part of a word of a title.
const PART_OF_TITLE: char = '\u{b7}';
/// Marks the connection.
const OF_CONNECTION: char = '\u{a7}';

/// What an engine stores to find a row by, with spaces between: words, and marked tokens.
///
/// The title and the preview are those of a link; a note has only its text.
pub fn tokens(connection: ConnectionId, title: Option<&str>, text: Option<&str>) -> String {
    let mut found = vec![format!("{OF_CONNECTION}{}", connection.number())];
    for token in title.map(words).unwrap_or_default() {
        found.push(format!("{IN_TITLE}{}", token.text()));
        if let Token::Word(word) = &token {
            found.extend(parts(word).into_iter().map(|part| format!("{PART_OF_TITLE}{part}")));
        }
        found.push(token.text().to_owned());
    }
    found.extend(text.map(words).unwrap_or_default().into_iter().map(|token| token.text().to_owned()));
    found.sort_unstable();
    found.dedup();
    found.join(" ")
}

/// One condition of a search, which a row of the index meets or not.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    /// This word, or in a title a word that has it as its part.
    Word(String),
    /// This pair of characters.
    Pair(String),
    /// A pair that begins with this character.
    Begins(String),
}

impl Term {
    fn is_in(&self, words: &[Token]) -> bool {
        words.iter().any(|token| match (self, token) {
            (Self::Word(wanted), Token::Word(word)) => word == wanted,
            (Self::Pair(wanted), Token::Pair(pair)) => pair == wanted,
            (Self::Begins(wanted), Token::Pair(pair)) => pair.starts_with(wanted),
            _ => false,
        })
    }

    fn is_part_in(&self, words: &[Token]) -> bool {
        match self {
            Self::Word(wanted) if wanted.chars().count() >= PART => {
                words.iter().any(|token| matches!(token, Token::Word(word) if word.contains(wanted)))
            }
            _ => self.is_in(words),
        }
    }

    fn expression(&self, rank: SearchRank) -> String {
        let title = matches!(rank, SearchRank::Title | SearchRank::PartOfTitle);
        let whole = if title { IN_TITLE.to_string() } else { String::new() };
        match self {
            Self::Word(word) => {
                let parts = if rank == SearchRank::Title { Vec::new() } else { parts(word) };
                if parts.is_empty() {
                    return format!("\"{whole}{word}\"");
                }
                let parts: Vec<_> = parts.iter().map(|part| format!("\"{PART_OF_TITLE}{part}\"")).collect();
                format!("(\"{whole}{word}\" OR ({}))", parts.join(" AND "))
            }
            Self::Pair(pair) => format!("\"{whole}{pair}\""),
            Self::Begins(first) => format!("\"{whole}{first}\" *"),
        }
    }
}

/// The words of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms(Vec<Term>);

impl Terms {
    /// The words of this text; none if it has no letter and no digit.
    pub fn of(text: &str) -> Option<Self> {
        let folded = fold(start_of(text));
        let mut terms: Vec<Term> = Vec::new();
        for (run, unspaced) in runs(&folded).take(SearchQuery::MAX_WORDS) {
            let new: Vec<Term> = if !unspaced {
                vec![Term::Word(word(run))]
            } else if run.chars().nth(1).is_none() {
                vec![Term::Begins(run.to_owned())]
            } else {
                pairs(run).take(MAX_WORD).map(Term::Pair).collect()
            };
            terms.extend(new);
        }
        (!terms.is_empty()).then_some(Self(terms))
    }

    /// The number of words in this text.
    pub fn count(text: &str) -> usize {
        runs(&fold(start_of(text))).count()
    }

    /// Which [`tokens`] a row with this rank has, in the query language of SQLite's FTS5. Rows of links have to
    /// [match](Self::in_link) as well: parts of a word may be apart in it.
    pub fn expression(&self, rank: SearchRank, connections: Option<&[ConnectionId]>) -> String {
        let mut all: Vec<_> = self.0.iter().map(|term| term.expression(rank)).collect();
        if let Some(connections) = connections {
            let any: Vec<_> = connections.iter().map(|id| format!("\"{OF_CONNECTION}{}\"", id.number())).collect();
            all.push(format!("({})", any.join(" OR ")));
        }
        all.join(" AND ")
    }

    /// Whether a link with this title and preview has this rank.
    pub fn in_link(&self, rank: SearchRank, title: Option<&str>, preview: Option<&str>) -> bool {
        let title = title.map(words).unwrap_or_default();
        let text = if rank == SearchRank::Text { preview.map(words).unwrap_or_default() } else { Vec::new() };
        self.0.iter().all(|term| match rank {
            SearchRank::Title => term.is_in(&title),
            SearchRank::PartOfTitle => term.is_part_in(&title),
            SearchRank::Text => term.is_part_in(&title) || term.is_in(&text),
        })
    }

    /// Whether a note with this text has this rank.
    pub fn in_note(&self, rank: SearchRank, text: &str) -> bool {
        rank == SearchRank::Text && {
            let words = words(text);
            self.0.iter().all(|term| term.is_in(&words))
        }
    }
}

/// Puts what an engine finds in the order of the results, each thread once.
#[derive(Debug)]
pub struct Ranking<'q> {
    query: &'q SearchQuery,
    seen: HashSet<ThreadId>,
    hits: Vec<SearchHit>,
}

impl<'q> Ranking<'q> {
    /// An empty ranking of the results of this search.
    pub fn new(query: &'q SearchQuery) -> Self {
        Self { query, seen: HashSet::new(), hits: Vec::new() }
    }

    /// Whether the search is among links like this one.
    pub fn admits(&self, row: &LinkRow) -> bool {
        let query = self.query;
        let status = row.link.status.as_ref().map(|status| status.as_str());
        query.connections.as_ref().is_none_or(|wanted| wanted.contains(&row.connection))
            && query.channel.as_ref().is_none_or(|wanted| *wanted == row.link.channel)
            && query.link_type.as_ref().is_none_or(|wanted| wanted == row.link.link_type.as_str())
            && query.status.as_ref().is_none_or(|wanted| status == Some(wanted.as_str()))
            && (query.archived || !row.link.archived)
    }

    /// Whether an engine has given as many rows of a rank as are looked at.
    pub fn suffices(&self, rows: usize) -> bool {
        rows >= CANDIDATES
    }

    /// Adds the rows of a rank that match, in any order: the id of each link or note, and the link that it belongs
    /// to. The ranks are added from the best on. Whether there are as many results as were asked for.
    pub fn add(&mut self, rank: SearchRank, mut rows: Vec<(i64, LinkRow)>) -> bool {
        rows.sort_by_key(|(id, _)| Reverse(*id));
        rows.truncate(CANDIDATES);
        let mut hits: Vec<_> = rows.into_iter().map(|(_, row)| SearchHit { rank, row }).collect();
        hits.sort_by_key(|hit| hit.place().order());
        for hit in hits {
            let later = self.query.after.is_none_or(|after| hit.place().order() > after.order());
            if self.seen.insert(hit.row.link.thread) && later {
                self.hits.push(hit);
            }
        }
        self.hits.len() >= self.query.limit
    }

    /// The results.
    pub fn finish(mut self) -> Vec<SearchHit> {
        self.hits.truncate(self.query.limit);
        self.hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, query: &str) -> bool {
        Terms::of(query).expect("it has words").in_note(SearchRank::Text, text)
    }

    #[test]
    fn words_are_equal_in_all_normal_forms_and_cases() {
        for (text, query) in [
            ("Cafe\u{301}", "CAFÉ"),
            ("STRASSE", "straße"),
            ("ＦＵＬＬ width", "full WIDTH"),
            ("ΟΔΟΣ", "οδος"),
            ("ﬁle", "FILE"),
            ("한국", "\u{1112}\u{1161}\u{11ab}국"),
            ("東京都", "京都"),
            ("東京都", "都"),
        ] {
            assert!(found(text, query), "{query} in {text}");
        }
        assert!(!found("budget", "bud") && !found("東京", "京東"));
    }

    #[test]
    fn a_part_of_a_word_is_found_in_a_title_only() {
        let terms = Terms::of("udge").expect("it has words");
        assert!(terms.in_link(SearchRank::PartOfTitle, Some("The Budget"), None));
        assert!(!terms.in_link(SearchRank::Title, Some("The Budget"), None));
        assert!(!terms.in_link(SearchRank::Text, None, Some("The Budget")));
        assert!(!terms.in_note(SearchRank::Text, "The Budget"));
    }

    #[test]
    fn a_text_without_letters_searches_for_nothing() {
        assert_eq!(Terms::of("\" * ) -- !"), None);
        assert_eq!(Terms::count("one, two"), 2);
    }
}
