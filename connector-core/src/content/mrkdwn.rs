//! Slack's mrkdwn (<https://docs.slack.dev/messaging/formatting-message-text>).

use super::document::{Piece, pieces, tidy};
use super::{Block, Document, Inline, Item, plain, shortcode};

/// What stands in a message of a workspace beside its text: people, channels, groups.
pub struct Workspace<'a> {
    /// Its address, as `https://example.slack.com/`.
    pub url: &'a str,
    /// What a user, channel or group with this id is called, where that is known.
    pub name_of: &'a dyn Fn(&str) -> Option<String>,
}

/// A boundary for Slack's marks that is not seen. Slack's marks cannot be escaped: one that would count and shall
/// not is put between two of these, and one that would not count for the letter before or after it is kept off it.
const JOINT: char = '\u{200B}';

const MARKS: [char; 4] = ['*', '_', '~', '`'];

/// Quotations, or marks, in each other that are read as such. What is deeper is text.
const MAX_DEPTH: usize = 12;

/// How far behind a mark its counterpart is looked for, in bytes.
const MAX_SPAN: usize = 4096;

impl Document {
    /// Reads mrkdwn. Mentions become links to what they mention.
    pub fn from_mrkdwn(text: &str, workspace: &Workspace<'_>) -> Self {
        let text = text.replace("\r\n", "\n");
        let mut blocks = Vec::new();
        let mut rest = text.as_str();
        // Preformatted text may begin anywhere, and what is in it is no markup.
        while let Some((before, after)) = rest.split_once("```") {
            let Some((code, after)) = after.split_once("```") else { break };
            blocks.extend(lines(before.strip_suffix('\n').unwrap_or(before), workspace, 0));
            let code = code.strip_prefix('\n').unwrap_or(code);
            blocks.push(Block::Code(None, unescaped(code.strip_suffix('\n').unwrap_or(code))));
            rest = after.strip_prefix('\n').unwrap_or(after);
        }
        blocks.extend(lines(rest, workspace, 0));
        Self(blocks)
    }

    /// Writes mrkdwn: headings are strong, tables preformatted, pictures links.
    pub fn to_mrkdwn(&self) -> String {
        blocks(&self.0, "\n\n")
    }
}

fn lines(text: &str, workspace: &Workspace<'_>, depth: usize) -> Vec<Block> {
    let quoted = |line| if depth < MAX_DEPTH { quoted(line) } else { None };
    let mut blocks = Vec::new();
    let mut lines = text.split('\n').peekable();
    let mut paragraph: Vec<&str> = Vec::new();
    while let Some(line) = lines.next() {
        let block = if let Some(first) = quoted(line) {
            let mut all = vec![first];
            while let Some(next) = lines.next_if(|line| quoted(line).is_some()) {
                all.extend(quoted(next));
            }
            Some(Block::Quote(self::lines(&all.join("\n"), workspace, depth + 1)))
        } else if let Some(first) = Bullet::of(line) {
            let mut all = vec![first];
            while let Some(bullet) = lines.peek().and_then(|line| Bullet::of(line)) {
                all.push(bullet);
                lines.next();
            }
            let mut bullets = all.into_iter().peekable();
            blocks.extend(paragraph_of(&mut paragraph, workspace));
            while let Some(list) = list(&mut bullets, 0, workspace) {
                blocks.push(list);
            }
            continue;
        } else {
            None
        };
        match block {
            Some(block) => {
                blocks.extend(paragraph_of(&mut paragraph, workspace));
                blocks.push(block);
            }
            None if line.trim().is_empty() => blocks.extend(paragraph_of(&mut paragraph, workspace)),
            None => paragraph.push(line),
        }
    }
    blocks.extend(paragraph_of(&mut paragraph, workspace));
    blocks
}

fn quoted(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("&gt;")?;
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

fn paragraph_of(lines: &mut Vec<&str>, workspace: &Workspace<'_>) -> Option<Block> {
    let mut content = Vec::new();
    for (number, line) in std::mem::take(lines).into_iter().enumerate() {
        if number > 0 {
            content.push(Inline::Break);
        }
        content.extend(line_content(line.trim(), workspace));
    }
    (!content.is_empty()).then_some(Block::Paragraph(content))
}

/// A line of a list, as Slack writes it where it has lists: `• one`, `◦ below one`, `1. first`.
struct Bullet<'a> {
    depth: usize,
    number: Option<u64>,
    text: &'a str,
}

impl<'a> Bullet<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let text = line.trim_start_matches(' ');
        let depth = (line.len() - text.len()) / 4;
        if let Some(text) = ["• ", "◦ ", "▪︎ ", "▪ "].into_iter().find_map(|mark| text.strip_prefix(mark)) {
            return Some(Self { depth, number: None, text });
        }
        let (number, text) = text.split_once(". ")?;
        let digits = (1..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| digits)?;
        Some(Self { depth, number: Some(number), text })
    }
}

/// The list that begins here, no less deep than `depth`.
fn list<'a>(
    bullets: &mut std::iter::Peekable<impl Iterator<Item = Bullet<'a>>>,
    depth: usize,
    workspace: &Workspace<'_>,
) -> Option<Block> {
    let first = bullets.peek().filter(|bullet| bullet.depth >= depth)?;
    let (depth, start) = (first.depth, first.number);
    let mut items = Vec::new();
    let of_list = |bullet: &Bullet<'_>| bullet.depth == depth && bullet.number.is_some() == start.is_some();
    while let Some(bullet) = bullets.next_if(of_list) {
        let (done, text) = match bullet.text.split_at_checked(3) {
            Some(("☐", text)) => (Some(false), text.trim_start()),
            Some(("☑", text)) => (Some(true), text.trim_start()),
            _ => (None, bullet.text),
        };
        let content = line_content(text.trim(), workspace);
        let mut blocks: Vec<_> = (!content.is_empty()).then_some(Block::Paragraph(content)).into_iter().collect();
        while let Some(below) = list(bullets, depth + 1, workspace) {
            blocks.push(below);
        }
        items.push(Item { done, blocks });
    }
    Some(Block::List(start, items))
}

/// The text of one line.
fn line_content(text: &str, workspace: &Workspace<'_>) -> Vec<Inline> {
    inlines(text, &masked(text), workspace, 0)
}

/// What stands in a masked line for a character that is no mark where it stands.
const MASK: char = '\u{1}';

/// The line, in which [`MASK`] stands for each `<` and backtick without counterpart, and for each mark within a
/// reference or code: these bind more tightly than the other marks. It has as many bytes as the line.
fn masked(line: &str) -> String {
    let hidden = |part: &str| part.replace(['<', '>', '*', '_', '~', '`'], MASK.encode_utf8(&mut [0; 4]));
    let mut references = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('<') {
        let Some((inside, after)) = after.split_once('>') else { break };
        references.push_str(before);
        match inside {
            "" => references.extend([MASK, MASK]),
            inside => references.extend(["<", &hidden(inside), ">"]),
        }
        rest = after;
    }
    references.push_str(&rest.replace('<', MASK.encode_utf8(&mut [0; 4])));

    let mut out = String::with_capacity(line.len());
    let mut search = Search::new('`');
    for (place, _) in references.match_indices('`') {
        // One within the code before is hidden with it.
        if place < out.len() {
            continue;
        }
        out.push_str(references.get(out.len()..place).unwrap_or_default());
        match search.counterpart(&references, place) {
            Some(end) => out.extend(["`", &hidden(references.get(place + 1..end).unwrap_or_default()), "`"]),
            None => out.push(MASK),
        }
    }
    out.push_str(references.get(out.len()..).unwrap_or_default());
    out
}

/// `mask` is what [`masked`] makes of the text.
fn inlines(text: &str, mask: &str, workspace: &Workspace<'_>, depth: usize) -> Vec<Inline> {
    let mut content = Vec::new();
    let mut plain = String::new();
    let mut searches = ['*', '_', '~'].map(Search::new);
    let mut place = 0;
    while let Some(next) = mask.get(place..).and_then(|rest| rest.chars().next()) {
        let begin = place + next.len_utf8();
        let end = match next {
            '<' => mask.get(begin..).and_then(|rest| rest.find('>')).map(|length| begin + length),
            '`' => mask.get(begin..).and_then(|rest| rest.find('`')).map(|length| begin + length),
            _ => {
                let search = searches.iter_mut().find(|search| search.mark == next && depth < MAX_DEPTH);
                search.and_then(|search| search.counterpart(mask, place))
            }
        };
        let Some(end) = end else {
            plain.push_str(text.get(place..begin).unwrap_or_default());
            place = begin;
            continue;
        };
        let inside = text.get(begin..end).unwrap_or_default();
        let inner = || inlines(inside, mask.get(begin..end).unwrap_or_default(), workspace, depth + 1);
        let inline = match next {
            '<' => reference(inside, workspace),
            '`' => Inline::Code(unescaped(inside).replace(JOINT, "")),
            '*' => Inline::Strong(inner()),
            '_' => Inline::Emphasis(inner()),
            _ => Inline::Strikethrough(inner()),
        };
        content.extend([text_of(&mut plain), inline]);
        place = end + 1;
    }
    content.push(text_of(&mut plain));
    tidy(content)
}

fn text_of(text: &mut String) -> Inline {
    Inline::Text(shortcode::expand(&unescaped(&std::mem::take(text))).replace(JOINT, ""))
}

/// Looks for the counterparts of one mark in one text, from its begin to its end.
struct Search {
    mark: char,
    /// No mark before this byte ends anything that begins after the last one that was looked for.
    from: usize,
}

impl Search {
    fn new(mark: char) -> Self {
        Self { mark, from: 0 }
    }

    /// Where the mark stands that ends what the mark at `place` begins.
    fn counterpart(&mut self, text: &str, place: usize) -> Option<usize> {
        let (before, begin) = (text.get(..place)?.chars().next_back(), place + self.mark.len_utf8());
        if !before.is_none_or(is_boundary) || text.get(begin..)?.starts_with(is_blank) {
            return None;
        }
        let from = self.from.max(begin);
        let mut last = text.get(..from)?.chars().next_back();
        for (end, character) in text.get(from..)?.char_indices().map(|(end, character)| (from + end, character)) {
            if end > begin + MAX_SPAN {
                self.from = end;
                return None;
            }
            if character == self.mark && end > begin && last.is_some_and(|last| !is_blank(last)) {
                let next = text.get(end + 1..)?.chars().next();
                if next.is_none_or(is_boundary) {
                    return Some(end);
                }
            }
            last = Some(character);
        }
        self.from = text.len();
        None
    }
}

fn is_blank(character: char) -> bool {
    character.is_whitespace() || character == JOINT
}

/// Whether a mark may begin or end beside it.
fn is_boundary(character: char) -> bool {
    !character.is_alphanumeric()
}

/// What stands between `<` and `>`.
fn reference(inside: &str, workspace: &Workspace<'_>) -> Inline {
    let (target, label) = match inside.split_once('|') {
        Some((target, label)) => (target, Some(unescaped(label).replace(JOINT, "")).filter(|label| !label.is_empty())),
        None => (inside, None),
    };
    let base = workspace.url.trim_end_matches('/');
    let named = |id: &str| (workspace.name_of)(id).or_else(|| label.clone()).unwrap_or_else(|| id.to_owned());
    let link = |sign: char, id: &str, page: &str| {
        let name = named(id);
        let content = vec![Inline::Text(format!("{sign}{}", name.trim_start_matches(sign)))];
        Inline::Link { url: format!("{base}/{page}/{id}"), content }
    };
    if let Some(user) = target.strip_prefix('@') {
        return link('@', user, "team");
    }
    if let Some(channel) = target.strip_prefix('#') {
        return link('#', channel, "archives");
    }
    if let Some(command) = target.strip_prefix('!') {
        return match command.split('^').collect::<Vec<_>>().as_slice() {
            ["subteam", group, ..] => Inline::Text(format!("@{}", named(group).trim_start_matches('@'))),
            ["date", time, ..] => Inline::Text(label.unwrap_or_else(|| date(time))),
            [name, ..] => Inline::Text(format!("@{}", label.as_deref().unwrap_or(name).trim_start_matches('@'))),
            [] => Inline::Text(String::new()),
        };
    }
    let url = unescaped(target);
    match label.map(|label| shortcode::expand(&label)) {
        Some(shown) if shown != url && format!("mailto:{shown}") != url => {
            Inline::Link { url, content: vec![Inline::Text(shown)] }
        }
        Some(shown) => Inline::Text(shown),
        None => Inline::Text(url),
    }
}

/// A time in seconds, for a date that has no text of its own.
fn date(time: &str) -> String {
    let at = time.parse().ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    at.map_or_else(|| time.to_owned(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn blocks(blocks: &[Block], between: &str) -> String {
    blocks.iter().map(block).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(between)
}

fn block(block: &Block) -> String {
    match block {
        Block::Paragraph(content) => running(content),
        Block::Heading(_, content) => running(&[Inline::Strong(content.clone())]),
        Block::Quote(quoted) => {
            let text = blocks(quoted, "\n\n");
            text.split('\n').map(|line| format!("&gt; {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
        }
        Block::List(start, items) => list_lines(*start, items, 0).join("\n"),
        Block::Code(_, text) => format!("```\n{}\n```", escaped(&text.replace("```", "``\u{200B}`"))),
        Block::Table(header, rows) => preformatted(header, rows),
        Block::Rule => "———".to_owned(),
    }
}

fn list_lines(start: Option<u64>, items: &[Item], depth: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, item) in (start.unwrap_or_default()..).zip(items) {
        let mark = match start {
            Some(_) => format!("{number}. "),
            None => ["• ", "◦ ", "▪︎ "].get(depth.min(2)).copied().unwrap_or_default().to_owned(),
        };
        let task = match item.done {
            Some(true) => "☑ ",
            Some(false) => "☐ ",
            None => "",
        };
        let (mut own, mut below) = (Vec::new(), Vec::new());
        for inner in &item.blocks {
            match inner {
                Block::List(start, items) => below.extend(list_lines(*start, items, depth + 1)),
                other => own.push(block(other)),
            }
        }
        let indent = " ".repeat(4 * depth);
        let text = own.join("\n").replace('\n', &format!("\n{indent}    "));
        lines.push(format!("{indent}{mark}{task}{text}").trim_end().to_owned());
        lines.extend(below);
    }
    lines
}

/// Text in which a link is followed by where it leads, as preformatted text has no links.
fn with_urls(content: &[Inline]) -> String {
    let each = content.iter().map(|inline| match inline {
        Inline::Link { url, content } => format!("{} ({url})", with_urls(content)),
        Inline::Image { url, alt } => format!("{alt} ({url})"),
        Inline::Emphasis(content) | Inline::Strong(content) | Inline::Strikethrough(content) => with_urls(content),
        Inline::Text(_) | Inline::Code(_) | Inline::Break => inline.plain(),
    });
    each.collect::<String>().trim().to_owned()
}

/// A table in columns.
fn preformatted(header: &[Vec<Inline>], rows: &[Vec<Vec<Inline>>]) -> String {
    let cells = |row: &[Vec<Inline>]| row.iter().map(|cell| with_urls(cell).replace('\n', " ")).collect::<Vec<_>>();
    let all: Vec<_> = std::iter::once(cells(header)).chain(rows.iter().map(|row| cells(row))).collect();
    let width = |column: usize| {
        all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let line = |row: &Vec<String>| {
        let padded = row.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let text = all.iter().map(line).collect::<Vec<_>>().join("\n");
    block(&Block::Code(None, text))
}

/// Running text of which no line reads as a quotation or an item of a list.
fn running(content: &[Inline]) -> String {
    let text = written(content, "");
    let lines = text.split('\n').map(|line| {
        let joint = quoted(line).is_some() || Bullet::of(line).is_some();
        if joint { format!("{JOINT}{line}") } else { line.to_owned() }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn written(content: &[Inline], open: &str) -> String {
    let mut out = String::new();
    let mut rest = content.iter().peekable();
    while let Some(inline) = rest.next() {
        let (mark, content) = match inline {
            Inline::Text(text) => {
                write_text(text, rest.peek().is_some_and(|next| **next != Inline::Break), &mut out);
                continue;
            }
            Inline::Link { url, content } => {
                out.push_str(&link(url, content));
                continue;
            }
            Inline::Image { url, alt } => {
                out.push_str(&link(url, &[Inline::text(alt)]));
                continue;
            }
            Inline::Break => {
                out.push('\n');
                continue;
            }
            Inline::Code(text) if text.contains('`') || text.trim() != text => {
                write_text(text, false, &mut out);
                continue;
            }
            Inline::Code(text) => ('`', escaped(text)),
            Inline::Emphasis(content) => ('_', content_of('_', content, open)),
            Inline::Strong(content) => ('*', content_of('*', content, open)),
            Inline::Strikethrough(content) => ('~', content_of('~', content, open)),
        };
        // Strong within strong text is no stronger, and a mark beside a blank does not count.
        let counts = |line: &str| !line.is_empty() && !line.starts_with(is_blank) && !line.ends_with(is_blank);
        if open.contains(mark) || !content.split('\n').all(counts) {
            out.push_str(&content);
            continue;
        }
        if out.chars().next_back().is_some_and(|before| !is_boundary(before) || before == mark) {
            out.push(JOINT);
        }
        out.push(mark);
        // A mark holds on one line only.
        out.push_str(&content.replace('\n', &format!("{mark}\n{mark}")));
        out.push(mark);
        let next = rest.peek().and_then(|next| next.plain().chars().next());
        if next.is_some_and(|next| !is_boundary(next) || MARKS.contains(&next))
            || rest.peek().is_some_and(|next| starts_marked(next))
        {
            out.push(JOINT);
        }
    }
    out
}

fn content_of(mark: char, content: &[Inline], open: &str) -> String {
    written(content, &format!("{open}{mark}"))
}

fn starts_marked(inline: &Inline) -> bool {
    matches!(inline, Inline::Code(_) | Inline::Emphasis(_) | Inline::Strong(_) | Inline::Strikethrough(_))
}

/// Text, with what would count as a mark kept from it.
fn write_text(text: &str, more: bool, out: &mut String) {
    let pieces = pieces(text);
    for (number, piece) in pieces.iter().enumerate() {
        let text = match piece {
            Piece::Url(url) => {
                out.push_str(&format!("<{}>", escaped(url)));
                continue;
            }
            Piece::Text(text) => text,
        };
        let more = more || number + 1 < pieces.len();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let (before, next) = (out.chars().next_back(), characters.peek().copied());
            let inside = before.is_some_and(char::is_alphanumeric) && next.is_some_and(char::is_alphanumeric);
            let alone = before.is_none_or(is_blank) && next.map_or(!more, is_blank);
            if MARKS.contains(&character) && (character == '`' || !(inside || alone)) {
                out.extend([JOINT, character, JOINT]);
            } else {
                out.push_str(&escaped(character.encode_utf8(&mut [0; 4])));
            }
        }
    }
}

/// A link; one to a person or a channel of the workspace mentions it.
fn link(url: &str, content: &[Inline]) -> String {
    let slack = url.strip_prefix("https://").and_then(|rest| rest.split_once(".slack.com/"));
    match slack.and_then(|(_, page)| page.split_once('/')) {
        Some(("team", id)) if is_id(id) => return format!("<@{id}>"),
        Some(("archives", id)) if is_id(id) => return format!("<#{id}>"),
        _ => {}
    }
    let url = escaped(&url.replace('|', "%7C"));
    let label = escaped(&plain(content).replace('|', "¦").replace('\n', " "));
    if label.trim().is_empty() { format!("<{url}>") } else { format!("<{url}|{label}>") }
}

fn is_id(text: &str) -> bool {
    text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}
