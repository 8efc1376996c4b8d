//! Content lines of iCalendar: RFC 5545 3.1.

/// A content line, taken apart: `name;parameter=value:value`. Names and the names of parameters have no case
/// (RFC 5545 2), and are given in upper case.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) name: String,
    parameters: Vec<(String, &'a str)>,
    pub(super) value: &'a str,
}

impl<'a> Line<'a> {
    /// Takes a line apart; `None` means that it has no value.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let (head, value) = line.split_at_checked(outside_quotes(line, ':').next()?)?;
        let mut parts = Vec::new();
        let mut begins = 0;
        for end in outside_quotes(head, ';').chain([head.len()]) {
            parts.push(head.get(begins..end)?.trim());
            begins = end + 1;
        }
        let mut parts = parts.into_iter();
        let name = parts.next()?.to_ascii_uppercase();
        let parameters = parts.filter_map(|part| part.split_once('='));
        let parameters =
            parameters.map(|(name, value)| (name.trim().to_ascii_uppercase(), value.trim().trim_matches('"')));
        Some(Self { name, parameters: parameters.collect(), value: value.get(1..)? })
    }

    /// The value of a parameter, without quotes.
    pub(super) fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// Where a character is, other than in quoted values of parameters.
fn outside_quotes(text: &str, wanted: char) -> impl Iterator<Item = usize> + '_ {
    let mut quoted = false;
    text.char_indices().filter_map(move |(place, c)| {
        quoted ^= c == '"';
        (c == wanted && !quoted).then_some(place)
    })
}

/// The lines of a text, of which some are folded over several.
pub(super) fn unfolded(text: &str) -> impl Iterator<Item = String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(more), Some(last)) => last.push_str(more),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.into_iter()
}
