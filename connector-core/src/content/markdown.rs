//! Markdown as a document: CommonMark with the tables, task lists and strikethrough of GitHub.
//!
//! A line end within a paragraph begins a new line, as it does in comments and messages.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag};

use super::document::{address, plain, tidy};
use super::{Block, Document, Inline, Item, escape};

/// Markdown as HTML, for services that take that. HTML in it is text, as everywhere here.
pub fn html_of(markdown: &str) -> String {
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES;
    let events = Parser::new_ext(markdown, options).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::SoftBreak => Event::HardBreak,
        event => event,
    });
    let mut html = String::with_capacity(markdown.len() + markdown.len() / 4);
    pulldown_cmark::html::push_html(&mut html, events);
    html
}

impl Document {
    /// Reads markdown. HTML in it is text.
    pub fn from_markdown(text: &str) -> Self {
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
        Self(Reader { events: Parser::new_ext(text, options), done: None }.blocks())
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
}

impl Reader<'_> {
    /// The blocks up to the end of what they are in.
    fn blocks(&mut self) -> Vec<Block> {
        // A tight item of a list has its text without a paragraph around it.
        let (mut blocks, mut loose) = (Vec::new(), Vec::new());
        while let Some(event) = self.events.next() {
            let block = match event {
                Event::End(_) => break,
                Event::Start(Tag::Paragraph | Tag::HtmlBlock) => Block::Paragraph(self.inlines()),
                Event::Start(Tag::Heading { level, .. }) => Block::Heading(level as u8, self.inlines()),
                Event::Start(Tag::BlockQuote(_)) => Block::Quote(self.blocks()),
                Event::Start(Tag::CodeBlock(kind)) => self.code(&kind),
                Event::Start(Tag::List(start)) => Block::List(start, self.items()),
                Event::Start(Tag::Table(_)) => self.table(),
                Event::Rule => Block::Rule,
                inline => {
                    loose.extend(self.inline(inline));
                    continue;
                }
            };
            blocks.extend(paragraph_of(&mut loose));
            if block != Block::Paragraph(Vec::new()) {
                blocks.push(block);
            }
        }
        blocks.extend(paragraph_of(&mut loose));
        blocks
    }

    fn inlines(&mut self) -> Vec<Inline> {
        let mut inlines = Vec::new();
        while let Some(event) = self.events.next() {
            if matches!(event, Event::End(_)) {
                break;
            }
            inlines.extend(self.inline(event));
        }
        trimmed(inlines)
    }

    fn inline(&mut self, event: Event<'_>) -> Option<Inline> {
        Some(match event {
            Event::Text(text) => Inline::text(&*text),
            Event::InlineHtml(html) | Event::Html(html) => match html.trim() {
                "<br>" | "<br/>" | "<br />" => Inline::Break,
                _ => Inline::text(&*html),
            },
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
                return None;
            }
            _ => return None,
        })
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
                *text = text.trim_start().to_owned();
            }
            if ends {
                text.truncate(text.trim_end().len());
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
            let language = language.as_deref().unwrap_or_default();
            format!("{fence}{language}\n{text}{}{fence}", if text.is_empty() { "" } else { "\n" })
        }
        Block::Table(header, rows) => table(header, rows),
        Block::Rule => "---".to_owned(),
    }
}

/// Running text behind a mark. What reads back as it is needs no escapes; marks that cannot stand where they
/// are, as in the middle of a word, are left out.
fn checked(content: &[Inline], block: &dyn Fn(Vec<Inline>) -> Block, mark: &str) -> String {
    let content = trimmed(lifted(content));
    if content.is_empty() {
        return String::new();
    }
    let wanted = [block(content.clone())];
    // Here HTML is text, but not for everyone who reads markdown.
    let html = plain(&content).contains('<');
    let candidates = [html, true].map(|escaped| mark.to_owned() + &inlines(&content, escaped));
    let found = candidates.into_iter().find(|text| Document::from_markdown(text).0 == wanted);
    found.unwrap_or_else(|| match (content.as_slice(), without_marks(&content)) {
        ([Inline::Text(_)], _) => mark.to_owned() + &inlines(&content, true),
        (_, bare) if bare != content => checked(&bare, block, mark),
        _ => checked(&[Inline::Text(plain(&content))], block, mark),
    })
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
            let rest = text.trim_start().to_owned();
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
            Inline::Text(text) if escaped => out.push_str(&escaped_text(text)),
            Inline::Text(text) => out.push_str(text),
            Inline::Code(text) => out.push_str(&code_span(text)),
            // Other marks than those of the strong text that they touch.
            Inline::Emphasis(content) if content.iter().any(|inline| matches!(inline, Inline::Strong(_))) => {
                out.push_str(&format!("_{}_", inlines(content, escaped)));
            }
            Inline::Emphasis(content) => out.push_str(&format!("*{}*", inlines(content, escaped))),
            Inline::Strong(content) => {
                let inner = inlines(content, escaped);
                let inner = match content.as_slice() {
                    [Inline::Emphasis(content)] => format!("_{}_", inlines(content, escaped)),
                    _ => inner,
                };
                out.push_str(&format!("**{inner}**"));
            }
            Inline::Strikethrough(content) => out.push_str(&format!("~~{}~~", inlines(content, escaped))),
            Inline::Link { url, content } => {
                out.push_str(&format!("[{}]({})", inlines(content, escaped), target(url)));
            }
            Inline::Image { url, alt } => out.push_str(&format!("![{}]({})", escape(alt), target(url))),
            Inline::Break => out.push('\n'),
        }
    }
    out
}

/// Text with escapes; none in addresses, which would be others with them.
fn escaped_text(text: &str) -> String {
    let addresses = text.split(char::is_whitespace).filter_map(|word| address(word).0);
    addresses.fold(escape(text), |text, url| match escape(url) {
        escaped if escaped == url => text,
        escaped => text.replacen(&escaped, &format!("<{url}>"), 1),
    })
}

fn target(url: &str) -> String {
    let simple =
        !url.is_empty() && !url.contains(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '<' | '>' | '\\'));
    if simple { url.to_owned() } else { format!("<{}>", url.replace(['<', '>', '\n'], "").replace('\\', "\\\\")) }
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
        lines.push(indented(&format!("{task}{}", blocks(&item.blocks, tight)), &mark, &indent).trim_end().to_owned());
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

fn table(header: &[Vec<Inline>], rows: &[Vec<Vec<Inline>>]) -> String {
    let cell = |content: &Vec<Inline>| inlines(&one_line(content), true).replace('|', "\\|").replace("\\\\|", "\\|");
    let row = |cells: &[Vec<Inline>]| format!("| {} |", cells.iter().map(cell).collect::<Vec<_>>().join(" | "));
    let rule = format!("|{}", " --- |".repeat(header.len()));
    [row(header), rule].into_iter().chain(rows.iter().map(|cells| row(cells))).collect::<Vec<_>>().join("\n")
}

fn one_line(content: &[Inline]) -> Vec<Inline> {
    let spaced = content.iter().map(|inline| if *inline == Inline::Break { Inline::text(" ") } else { inline.clone() });
    trimmed(spaced.collect())
}
