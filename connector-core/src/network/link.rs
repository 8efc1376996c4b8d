/// The links of a `Link` header (RFC 8288 3): target, and the relations with spaces between them.
/// Targets and quoted parameters may contain commas and semicolons.
pub(super) fn parse(header: &str) -> Vec<(String, String)> {
    let mut links = Vec::new();
    let mut rest = header;
    while let Some((target, after)) = rest.split_once('<').and_then(|(_, link)| link.split_once('>')) {
        let (parameters, next) = after.split_at(end_of_link(after));
        let relations = split(parameters, ';').into_iter().find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("rel").then(|| value.trim().trim_matches('"').to_owned())
        });
        links.extend(relations.map(|relations| (target.trim().to_owned(), relations)));
        rest = next;
    }
    links
}

/// Where the first comma outside quotes stands.
fn end_of_link(text: &str) -> usize {
    split(text, ',').first().map_or(text.len(), |first| first.len())
}

/// The parts between separators that stand outside quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|c: char| {
        let escapes = escaped;
        escaped = quoted && !escapes && c == '\\';
        quoted ^= c == '"' && !escapes;
        c == separator && !quoted
    })
    .collect()
}
