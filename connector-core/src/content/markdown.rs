//! Markdown as a document: CommonMark with the tables, task lists and strikethrough of GitHub.
//!
//! A line end within a paragraph begins a new line, as it does in comments and messages.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::document::{BLANKS, Piece, pieces, plain, tidy};
use super::{Block, Document, Inline, Item, escape, escape_line};

/// Quotations, lists and marks in each other that are read as such. What is deeper is read without the structure.
const MAX_DEPTH: usize = 40;

/// Largest number of an item of a list: CommonMark reads nine digits.
const MAX_NUMBER: u64 = 999_999_999;

/// Markdown as HTML, for services that take that. HTML in it is text, as everywhere here.
pub fn html_of(markdown: &str) -> String {
    let events = Parser::new_ext(markdown, options()).flat_map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => text_events(&html),
        Event::SoftBreak => vec![Event::HardBreak],
        Event::Start(Tag::HtmlBlock) => vec![Event::Start(Tag::Paragraph)],
        Event::End(TagEnd::HtmlBlock) => vec![Event::End(TagEnd::Paragraph)],
        // Mail programs do not show the elements of forms.
        Event::TaskListMarker(done) => vec![Event::Text(if done { "☑ " } else { "☐ " }.into())],
        event => vec![event],
    });
    let mut html = String::with_capacity(markdown.len() + markdown.len() / 4);
    pulldown_cmark::html::push_html(&mut html, events);
    html
}

fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS
}

/// HTML as text. A `<br>` is a line break: markdown has no other in the cell of a table.
fn text_events(html: &str) -> Vec<Event<'static>> {
    if is_break(html) {
        return vec![Event::HardBreak];
    }
    let mut events = Vec::new();
    for (number, line) in html.trim_end_matches('\n').split('\n').enumerate() {
        if number > 0 {
            events.push(Event::HardBreak);
        }
        events.push(Event::Text(line.to_owned().into()));
    }
    if html.ends_with('\n') && !html.trim().is_empty() {
        events.push(Event::HardBreak);
    }
    events
}

fn is_break(html: &str) -> bool {
    matches!(html.trim(), "<br>" | "<br/>" | "<br />")
}

impl Document {
    /// Reads markdown. HTML in it is text.
    pub fn from_markdown(text: &str) -> Self {
        Self(Reader { events: Parser::new_ext(text, options()), done: None, depth: 0 }.blocks())
    }

    /// Writes markdown. Escapes are where something would be read as markup otherwise, and only there.
    pub fn to_markdown(&self) -> String {
        blocks(&self.0, false)
    }
}

struct Reader<'a> {
    events: Parser<'a>,
    /// Of the item of a list that is being read.
    done: Option<bool>,
    /// Elements that are open around what is being read.
    depth: usize,
}

impl<'a> Reader<'a> {
    /// The next event, without the begin and the end of what is too deep. `None` at the end of what is open.
    fn next(&mut self, deep: &mut usize) -> Option<Event<'a>> {
        loop {
            let event = self.events.next()?;
            let too_deep = self.depth >= MAX_DEPTH;
            match event {
                Event::Start(
                    Tag::BlockQuote(_)
                    | Tag::List(_)
                    | Tag::Item
                    | Tag::Emphasis
                    | Tag::Strong
                    | Tag::Strikethrough
                    | Tag::Link { .. }
                    | Tag::Image { .. },
                ) if too_deep => *deep += 1,
                Event::End(_) if *deep > 0 => {
                    *deep -= 1;
                    return Some(Event::SoftBreak);
                }
                Event::End(_) => return None,
                event => return Some(event),
            }
        }
    }

    /// The blocks up to the end of what they are in.
    fn blocks(&mut self) -> Vec<Block> {
        self.depth += 1;
        // A tight item of a list has its text without a paragraph around it.
        let (mut blocks, mut loose, mut deep) = (Vec::new(), Vec::new(), 0);
        while let Some(event) = self.next(&mut deep) {
            let block = match event {
                Event::Start(Tag::Paragraph | Tag::HtmlBlock) => Block::Paragraph(self.inlines()),
                Event::Start(Tag::Heading { level, .. }) => Block::Heading(level as u8, self.inlines()),
                Event::Start(Tag::BlockQuote(_)) => Block::Quote(self.blocks()),
                Event::Start(Tag::CodeBlock(kind)) => self.code(&kind),
                Event::Start(Tag::List(start)) => Block::List(start, self.items()),
                Event::Start(Tag::Table(_)) => self.table(),
                Event::Rule => Block::Rule,
                inline => {
                    self.inline(inline, &mut loose);
                    continue;
                }
            };
            blocks.extend(paragraph_of(&mut loose));
            if block != Block::Paragraph(Vec::new()) {
                blocks.push(block);
            }
        }
        blocks.extend(paragraph_of(&mut loose));
        self.depth -= 1;
        blocks
    }

    fn inlines(&mut self) -> Vec<Inline> {
        trimmed(self.content())
    }

    fn content(&mut self) -> Vec<Inline> {
        self.depth += 1;
        let (mut inlines, mut deep) = (Vec::new(), 0);
        while let Some(event) = self.next(&mut deep) {
            self.inline(event, &mut inlines);
        }
        self.depth -= 1;
        inlines
    }

    fn inline(&mut self, event: Event<'_>, content: &mut Vec<Inline>) {
        let inline = match event {
            Event::Text(text) => Inline::text(&*text),
            Event::InlineHtml(html) | Event::Html(html) => {
                let events = text_events(&html).into_iter();
                content.extend(events.map(|event| match event {
                    Event::Text(text) => Inline::text(&*text),
                    _ => Inline::Break,
                }));
                return;
            }
            Event::Code(text) => Inline::Code(text.into_string()),
            Event::SoftBreak | Event::HardBreak => Inline::Break,
            Event::Start(Tag::Emphasis) => Inline::Emphasis(self.inlines()),
            Event::Start(Tag::Strong) => Inline::Strong(self.inlines()),
            Event::Start(Tag::Strikethrough) => Inline::Strikethrough(self.inlines()),
            Event::Start(Tag::Image { dest_url, .. }) => {
                Inline::Image { url: dest_url.into_string(), alt: plain(&self.inlines()) }
            }
            Event::Start(Tag::Link { dest_url, .. }) => {
                let content = self.inlines();
                match plain(&content) {
                    address if address == *dest_url => Inline::Text(address),
                    _ => Inline::Link { url: dest_url.into_string(), content },
                }
            }
            Event::TaskListMarker(done) => {
                self.done = Some(done);
                return;
            }
            _ => return,
        };
        content.push(inline);
    }

    fn code(&mut self, kind: &CodeBlockKind<'_>) -> Block {
        let language = match kind {
            CodeBlockKind::Fenced(language) if !language.is_empty() => Some(language.to_string()),
            _ => None,
        };
        let mut text = String::new();
        while let Some(Event::Text(part)) = self.events.next() {
            text.push_str(&part);
        }
        Block::Code(language, text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    fn items(&mut self) -> Vec<Item> {
        let (outer, mut items) = (self.done.take(), Vec::new());
        while let Some(Event::Start(Tag::Item)) = self.events.next() {
            let blocks = self.blocks();
            items.push(Item { done: self.done.take(), blocks });
        }
        self.done = outer;
        items
    }

    fn table(&mut self) -> Block {
        let mut rows = Vec::new();
        while let Some(Event::Start(Tag::TableHead | Tag::TableRow)) = self.events.next() {
            let mut cells = Vec::new();
            while let Some(Event::Start(Tag::TableCell)) = self.events.next() {
                cells.push(self.inlines());
            }
            rows.push(cells);
        }
        let mut rows = rows.into_iter();
        Block::Table(rows.next().unwrap_or_default(), rows.collect())
    }
}

fn paragraph_of(loose: &mut Vec<Inline>) -> Option<Block> {
    let content = trimmed(std::mem::take(loose));
    (!content.is_empty()).then_some(Block::Paragraph(content))
}

/// Without blanks at the ends of lines, which markdown does not keep.
fn trimmed(content: Vec<Inline>) -> Vec<Inline> {
    let mut content = tidy(content);
    let is_break = |inline: Option<&Inline>| inline.is_none_or(|inline| *inline == Inline::Break);
    for index in 0..content.len() {
        let (begins, ends) = (index == 0 || is_break(content.get(index - 1)), is_break(content.get(index + 1)));
        if let Some(Inline::Text(text)) = content.get_mut(index) {
            if begins {
                *text = text.trim_start_matches(BLANKS).to_owned();
            }
            if ends {
                text.truncate(text.trim_end_matches(BLANKS).len());
            }
        }
    }
    content.retain(|inline| !matches!(inline, Inline::Text(text) if text.is_empty()));
    while content.last() == Some(&Inline::Break) {
        content.pop();
    }
    let begin = content.iter().take_while(|inline| **inline == Inline::Break).count();
    content.split_off(begin)
}

fn blocks(blocks: &[Block], tight: bool) -> String {
    let mut out = String::new();
    let mut before: Option<(&Block, bool)> = None;
    for block in blocks {
        // Two lists one after the other are one, unless their marks differ.
        let other = matches!((block, before), (Block::List(start, _), Some((Block::List(last, _), false))) if start.is_some() == last.is_some());
        let text = block_of(block, other);
        if text.is_empty() {
            continue;
        }
        if before.is_some() {
            out.push_str(if tight { "\n" } else { "\n\n" });
        }
        out.push_str(&text);
        before = Some((block, other));
    }
    out
}

fn block_of(block: &Block, other: bool) -> String {
    match block {
        Block::Paragraph(content) => checked(content, &Block::Paragraph, ""),
        Block::Heading(level, content) => {
            let level = (*level).clamp(1, 6);
            let heading = |content| Block::Heading(level, content);
            checked(&one_line(content), &heading, &("#".repeat(level.into()) + " "))
        }
        Block::Quote(quoted) => indented(&blocks(quoted, false), "> ", "> "),
        Block::List(start, items) => list(*start, items, other),
        Block::Code(language, text) => {
            let fence = "`".repeat(longest_run(text, '`').max(2) + 1);
            let language = language.as_deref().unwrap_or_default().replace(['`', '\n', '\r'], "");
            let language = language.trim();
            format!("{fence}{language}\n{text}{}{fence}", if text.is_empty() { "" } else { "\n" })
        }
        Block::Table(header, rows) => table(header, rows),
        Block::Rule => "---".to_owned(),
    }
}

/// Running text behind a mark. What reads back as it is needs no escapes. A mark that cannot stand where it is, as
/// one right beside another of its kind, is left out, and only this one.
fn checked(content: &[Inline], block: &dyn Fn(Vec<Inline>) -> Block, mark: &str) -> String {
    let content = trimmed(lifted(&with_safe_urls(content)));
    if content.is_empty() {
        return String::new();
    }
    if let Some(text) = exact(&content, block, mark) {
        return text;
    }
    let kept = writable(&content, block, mark);
    if let Some(text) = exact(&kept, block, mark) {
        return text;
    }
    let bare = without_marks(&content);
    exact(&bare, block, mark).unwrap_or_else(|| match bare.as_slice() {
        [Inline::Text(_)] => mark.to_owned() + &inlines(&bare, true),
        _ => checked(&[Inline::Text(plain(&bare))], block, mark),
    })
}

/// The first way to write the text that reads back as the same.
fn exact(content: &[Inline], block: &dyn Fn(Vec<Inline>) -> Block, mark: &str) -> Option<String> {
    let wanted = [block(content.to_vec())];
    // Here HTML is text, but not for everyone who reads markdown.
    let html = plain(content).contains('<');
    let mut candidates = [html, true].into_iter().map(|escaped| mark.to_owned() + &inlines(content, escaped));
    candidates.find(|text| Document::from_markdown(text).0 == wanted)
}

/// The text without those marks that cannot be written where they are. Each is tried with what is beside it.
fn writable(content: &[Inline], block: &dyn Fn(Vec<Inline>) -> Block, mark: &str) -> Vec<Inline> {
    let beside = |inline: Option<&Inline>, last: bool| match inline {
        Some(Inline::Text(text)) => {
            let mut words = text.split_inclusive(' ').filter(|word| !word.trim().is_empty());
            let word = if last { words.next_back() } else { words.next() };
            vec![Inline::text(word.unwrap_or(" "))]
        }
        Some(inline) => vec![inline.clone()],
        None => Vec::new(),
    };
    let mut kept: Vec<Inline> = Vec::with_capacity(content.len());
    for (index, inline) in content.iter().enumerate() {
        let bare = match inline {
            Inline::Text(_) | Inline::Break | Inline::Image { .. } => {
                kept.push(inline.clone());
                continue;
            }
            Inline::Emphasis(content) | Inline::Strong(content) | Inline::Strikethrough(content) => {
                without_marks(content)
            }
            Inline::Code(text) => vec![Inline::text(text)],
            Inline::Link { url, content } if plain(content).trim().is_empty() => vec![Inline::text(url)],
            Inline::Link { url, content } => {
                vec![Inline::Link { url: url.clone(), content: vec![Inline::Text(plain(content))] }]
            }
        };
        let next = content.get(index + 1).filter(|next| matches!(next, Inline::Text(_)));
        let sample = [beside(kept.last(), true), vec![inline.clone()], beside(next, false)].concat();
        let sample = trimmed(sample);
        if exact(&sample, block, mark).is_some() {
            kept.push(inline.clone());
        } else {
            kept.extend(bare);
        }
    }
    trimmed(lifted(&kept))
}

/// With the blanks at the ends of what is marked outside of the marks, where markdown can have them.
fn lifted(content: &[Inline]) -> Vec<Inline> {
    let mut out = Vec::new();
    for inline in content {
        let (mark, content): (fn(Vec<Inline>) -> Inline, _) = match inline {
            Inline::Emphasis(content) => (Inline::Emphasis, content),
            Inline::Strong(content) => (Inline::Strong, content),
            Inline::Strikethrough(content) => (Inline::Strikethrough, content),
            other => {
                out.push(other.clone());
                continue;
            }
        };
        let mut content = lifted(content);
        let (mut before, mut after) = (String::new(), String::new());
        if let Some(Inline::Text(text)) = content.first_mut() {
            let rest = text.trim_start_matches(char::is_whitespace).to_owned();
            text.truncate(text.len() - rest.len());
            before = std::mem::replace(text, rest);
        }
        if let Some(Inline::Text(text)) = content.last_mut() {
            after = text.split_off(text.trim_end().len());
        }
        out.extend([Inline::Text(before), mark(tidy(content)), Inline::Text(after)]);
    }
    tidy(out)
}

/// With the characters of URLs that markdown cannot have there in the encoding of URLs (RFC 3986 2.1).
fn with_safe_urls(content: &[Inline]) -> Vec<Inline> {
    let safe = |url: &str| {
        url.trim().replace('<', "%3C").replace('>', "%3E").replace('\n', "%0A").replace('\r', "%0D").replace('\0', "")
    };
    let each = content.iter().map(|inline| match inline {
        Inline::Link { url, content } => Inline::Link { url: safe(url), content: with_safe_urls(content) },
        Inline::Image { url, alt } => Inline::Image { url: safe(url), alt: alt.clone() },
        Inline::Emphasis(content) => Inline::Emphasis(with_safe_urls(content)),
        Inline::Strong(content) => Inline::Strong(with_safe_urls(content)),
        Inline::Strikethrough(content) => Inline::Strikethrough(with_safe_urls(content)),
        Inline::Text(_) | Inline::Code(_) | Inline::Break => inline.clone(),
    });
    each.collect()
}

/// Without emphasis.
fn without_marks(content: &[Inline]) -> Vec<Inline> {
    let bare = content.iter().flat_map(|inline| match inline {
        Inline::Emphasis(content) | Inline::Strong(content) | Inline::Strikethrough(content) => without_marks(content),
        other => vec![other.clone()],
    });
    tidy(bare.collect())
}

fn inlines(content: &[Inline], escaped: bool) -> String {
    let mut out = String::new();
    for inline in content {
        match inline {
            Inline::Text(text) if escaped => escaped_text(text, &mut out),
            Inline::Text(text) => out.push_str(text),
            Inline::Code(text) => out.push_str(&code_span(text)),
            // Other marks than those of the strong text that they touch.
            Inline::Emphasis(content) if content.iter().any(|inline| matches!(inline, Inline::Strong(_))) => {
                out.push_str(&format!("_{}_", inlines(content, escaped)));
            }
            Inline::Emphasis(content) => out.push_str(&format!("*{}*", inlines(content, escaped))),
            Inline::Strong(content) => {
                let inner = match content.as_slice() {
                    [Inline::Emphasis(content)] => format!("_{}_", inlines(content, escaped)),
                    _ => inlines(content, escaped),
                };
                out.push_str(&format!("**{inner}**"));
            }
            Inline::Strikethrough(content) => out.push_str(&format!("~~{}~~", inlines(content, escaped))),
            Inline::Link { url, content } => {
                out.push_str(&format!("[{}]({})", inlines(content, escaped), target(url)));
            }
            Inline::Image { url, alt } => {
                out.push_str(&format!("![{}]({})", escape(&alt.replace('\n', " ")), target(url)));
            }
            Inline::Break => out.push('\n'),
        }
    }
    out
}

/// Text with escapes; none in URLs, which would be others with them.
fn escaped_text(text: &str, out: &mut String) {
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => {
                for (number, line) in text.split('\n').enumerate() {
                    if number > 0 {
                        out.push('\n');
                    }
                    let begins = out.is_empty() || out.ends_with('\n');
                    escape_line(line, begins, out);
                }
            }
            Piece::Url(url) if escape(url) == url => out.push_str(url),
            Piece::Url(url) => out.push_str(&format!("<{url}>")),
        }
    }
}

/// The target of a link, as it is written between parentheses.
fn target(url: &str) -> String {
    let special = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '(' | ')' | '<' | '>' | '\\' | '&');
    if !url.is_empty() && !url.contains(special) {
        return url.to_owned();
    }
    let mut out = String::with_capacity(url.len() + 8);
    let mut rest = url;
    while let Some(character) = rest.chars().next() {
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
        match character {
            '\\' => out.push_str("\\\\"),
            // What would be read as an entity.
            '&' if is_entity(rest) => out.push_str("&amp;"),
            other => out.push(other),
        }
    }
    if !out.is_empty() && !out.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '(' | ')')) {
        return out;
    }
    format!("<{out}>")
}

fn is_entity(rest: &str) -> bool {
    let name = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '#'));
    name.is_some_and(|end| end > 0 && rest.get(end..).is_some_and(|rest| rest.starts_with(';')))
}

fn code_span(text: &str) -> String {
    let text = text.replace('\n', " ");
    let fence = "`".repeat(longest_run(&text, '`') + 1);
    let blank = !text.trim().is_empty() && text.starts_with(' ') && text.ends_with(' ');
    let pad = if blank || text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

fn longest_run(text: &str, of: char) -> usize {
    text.split(|c| c != of).map(str::len).max().unwrap_or_default()
}

fn list(start: Option<u64>, items: &[Item], other: bool) -> String {
    let simple = |item: &Item| match item.blocks.as_slice() {
        [] | [Block::Paragraph(_)] => true,
        // A list that does not begin with 1 cannot follow text at once.
        [Block::Paragraph(_), Block::List(start, _)] => start.is_none_or(|start| start == 1),
        _ => false,
    };
    let tight = items.iter().all(simple);
    let mut lines = Vec::with_capacity(items.len());
    for (number, item) in (start.unwrap_or_default()..).zip(items) {
        let number = number.min(MAX_NUMBER);
        let mark = match (start, other) {
            (None, false) => "- ".to_owned(),
            (None, true) => "* ".to_owned(),
            (Some(_), false) => format!("{number}. "),
            (Some(_), true) => format!("{number}) "),
        };
        let task = match item.done {
            Some(true) => "[x] ",
            Some(false) => "[ ] ",
            None => "",
        };
        let indent = " ".repeat(mark.len());
        let mut text = blocks(&item.blocks, tight);
        if item.done.is_none() && ["[ ]", "[x]", "[X]"].iter().any(|task| text.starts_with(task)) {
            text.insert(0, '\\');
        }
        lines.push(indented(&format!("{task}{text}"), &mark, &indent).trim_end().to_owned());
    }
    lines.join(if tight { "\n" } else { "\n\n" })
}

/// With `first` before the first line and `rest` before the others.
fn indented(text: &str, first: &str, rest: &str) -> String {
    let lines = text.split('\n').enumerate().map(|(number, line)| {
        let mark = if number == 0 { first } else { rest };
        if line.is_empty() { mark.trim_end().to_owned() } else { format!("{mark}{line}") }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A table. Each row has as many cells as the widest: what is beyond the header is not shown (GFM 4.10).
fn table(header: &[Vec<Inline>], rows: &[Vec<Vec<Inline>>]) -> String {
    let width = rows.iter().map(Vec::len).chain([header.len()]).max().unwrap_or_default();
    if width == 0 {
        return String::new();
    }
    let row = |cells: &[Vec<Inline>]| {
        let cells = cells.iter().map(|content| cell(content)).chain(std::iter::repeat(String::new()));
        format!("| {} |", cells.take(width).collect::<Vec<_>>().join(" | "))
    };
    let rule = format!("|{}", " --- |".repeat(width));
    [row(header), rule].into_iter().chain(rows.iter().map(|cells| row(cells))).collect::<Vec<_>>().join("\n")
}

/// The content of a cell, whose lines are kept apart as they can be in one line.
fn cell(content: &[Inline]) -> String {
    let content = trimmed(lifted(&with_safe_urls(content)));
    let written = |content: &[Inline]| {
        let text = inlines(content, true).replace('|', "\\|").replace("\\\\|", "\\|");
        text.replace('\n', "<br>")
    };
    let reads = |text: &String, content: &Vec<Inline>| {
        let read = Document::from_markdown(&format!("| {text} |\n| --- |")).0;
        matches!(read.as_slice(), [Block::Table(header, _)] if matches!(header.as_slice(), [cell] if cell == content))
    };
    let bare = without_marks(&content);
    let mut candidates = [&content, &bare].into_iter().map(|content| (written(content), content));
    let found = candidates.find(|(text, content)| reads(text, content)).map(|(text, _)| text);
    found.unwrap_or_else(|| written(&one_line(&[Inline::Text(plain(&content))])))
}

fn one_line(content: &[Inline]) -> Vec<Inline> {
    let spaced = content.iter().map(|inline| if *inline == Inline::Break { Inline::text(" ") } else { inline.clone() });
    trimmed(spaced.collect())
}
