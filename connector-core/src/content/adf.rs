//! The Atlassian document format.
//!
//! What has no form here, such as a panel, becomes what it contains; a node that contains nothing becomes the text that
//! it is shown as, and if it has none, its kind in brackets: nothing vanishes.
//!
//! The nodes are described in its reference
//! (<https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/>).

use serde_json::{Value, json};

use super::document::{Mark, nested, shown};
use super::{Block, Document, Inline, Item, plain, shortcode};

/// What a mention of a person is a link to: this and the id of the account.
pub const MENTION: &str = "accountid:";

/// What the URL of a file of Atlassian's media services begins with: then come its collection, a slash and its id.
pub const MEDIA: &str = "adf-media:";

/// Columns that a cell may span.
const MAX_SPAN: usize = 64;

impl Document {
    /// Reads a document. What it has that there is no other form of, such as panels, becomes what it contains.
    pub fn from_adf(document: &Value) -> Self {
        Self(blocks(document))
    }

    /// Writes a document.
    pub fn to_adf(&self) -> Value {
        json!({ "version": 1, "type": "doc", "content": written(&self.0, false) })
    }
}

fn content(node: &Value) -> &[Value] {
    node.get("content").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn kind(node: &Value) -> &str {
    node.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn attribute<'a>(node: &'a Value, name: &str) -> Option<&'a Value> {
    node.get("attrs")?.get(name)
}

fn text_attribute<'a>(node: &'a Value, name: &str) -> Option<&'a str> {
    attribute(node, name)?.as_str()
}

fn blocks(node: &Value) -> Vec<Block> {
    let mut blocks = Vec::new();
    // Running text that stands where blocks do, as in a caption.
    let mut loose = Vec::new();
    for child in content(node) {
        if is_inline(kind(child)) {
            loose.extend(leaf(child));
            continue;
        }
        blocks.extend(paragraph(nested(&std::mem::take(&mut loose))));
        match kind(child) {
            "paragraph" => blocks.extend(paragraph(inlines(child))),
            "heading" => {
                let level = attribute(child, "level").and_then(Value::as_u64).unwrap_or(1).clamp(1, 6);
                blocks.push(Block::Heading(u8::try_from(level).unwrap_or(1), inlines(child)));
            }
            "blockquote" => blocks.push(Block::Quote(self::blocks(child))),
            "bulletList" => blocks.push(Block::List(None, items(child))),
            "orderedList" => {
                let start = attribute(child, "order").and_then(Value::as_u64).unwrap_or(1);
                blocks.push(Block::List(Some(start), items(child)));
            }
            "taskList" => blocks.push(Block::List(None, tasks(child))),
            "decisionList" => blocks.push(Block::List(None, items(child))),
            "codeBlock" => {
                let language = text_attribute(child, "language").map(str::to_owned);
                blocks.push(Block::Code(language, plain(&inlines(child))));
            }
            "rule" => blocks.push(Block::Rule),
            "table" => {
                let mut rows = content(child).iter().map(row);
                blocks.push(Block::Table(rows.next().unwrap_or_default(), rows.collect()));
            }
            "media" => blocks.push(Block::Paragraph(vec![media(child)])),
            "expand" | "nestedExpand" => {
                let title = text_attribute(child, "title").filter(|title| !title.is_empty());
                blocks.extend(title.map(|title| Block::Paragraph(vec![Inline::Strong(vec![Inline::text(title)])])));
                blocks.extend(self::blocks(child));
            }
            // What contains other nodes is what it contains; an empty list of them is nothing.
            _ if child.get("content").is_some() => blocks.extend(self::blocks(child)),
            _ => blocks.extend(paragraph(vec![Inline::text(shown_as(child))])),
        }
    }
    blocks.extend(paragraph(nested(&loose)));
    blocks
}

fn is_inline(kind: &str) -> bool {
    const INLINE: [&str; 11] = [
        "text",
        "hardBreak",
        "mention",
        "emoji",
        "inlineCard",
        "status",
        "date",
        "placeholder",
        "inlineExtension",
        "mediaInline",
        "confluenceUnsupportedInline",
    ];
    INLINE.contains(&kind)
}

/// The text of a node that contains no other: what it says itself, else what it leads to, else its kind.
fn shown_as(node: &Value) -> String {
    let said = |fields: &Value| {
        let names = ["text", "title", "name", "url", "alt", "extensionTitle", "extensionKey"];
        names.iter().find_map(|name| fields.get(*name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
    };
    let attributes = node.get("attrs");
    let data = || attributes?.get("data");
    let url = attributes.and_then(|attributes| attributes.get("url")?.as_str().map(str::to_owned));
    let url = url.or_else(|| Some(data()?.get("url")?.as_str()?.to_owned()));
    let text = url.or_else(|| attributes.and_then(said)).or_else(|| data().and_then(said)).or_else(|| said(node));
    text.unwrap_or_else(|| format!("[{}]", kind(node)))
}

/// A picture or another file.
fn media(node: &Value) -> Inline {
    let id = text_attribute(node, "id").unwrap_or_default();
    let alt = text_attribute(node, "alt").filter(|alt| !alt.is_empty()).unwrap_or("attachment").to_owned();
    let url = text_attribute(node, "url").map_or_else(
        || format!("{MEDIA}{}/{id}", text_attribute(node, "collection").unwrap_or_default()),
        str::to_owned,
    );
    Inline::Image { url, alt }
}

/// The cells of a row. One that is wider than a column is followed by empty ones.
fn row(row: &Value) -> Vec<Vec<Inline>> {
    let mut cells = Vec::new();
    for cell in content(row) {
        let span = attribute(cell, "colspan").and_then(Value::as_u64).and_then(|span| usize::try_from(span).ok());
        cells.push(shown(&blocks(cell)));
        cells.extend(std::iter::repeat_n(Vec::new(), span.unwrap_or(1).clamp(1, MAX_SPAN) - 1));
    }
    cells
}

fn paragraph(content: Vec<Inline>) -> Option<Block> {
    (!content.is_empty()).then_some(Block::Paragraph(content))
}

fn items(list: &Value) -> Vec<Item> {
    content(list).iter().map(|item| Item { done: None, blocks: blocks(item) }).collect()
}

/// The items of a list of tasks; a list in it belongs to the item before.
fn tasks(list: &Value) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for child in content(list) {
        match (kind(child), items.last_mut()) {
            ("taskList", Some(before)) => before.blocks.push(Block::List(None, tasks(child))),
            _ => {
                let done = Some(text_attribute(child, "state") == Some("DONE"));
                items.push(Item { done, blocks: blocks(child) });
            }
        }
    }
    items
}

fn inlines(node: &Value) -> Vec<Inline> {
    let leaves: Vec<_> = content(node).iter().flat_map(leaf).collect();
    nested(&leaves)
}

fn leaf(node: &Value) -> Vec<(Vec<Mark>, Inline)> {
    let text = |text: &str| vec![(Vec::new(), Inline::text(text))];
    match kind(node) {
        "text" => marked(node),
        "hardBreak" => vec![(Vec::new(), Inline::Break)],
        "mention" => {
            let name = text_attribute(node, "text").unwrap_or("@someone");
            let link = text_attribute(node, "id").map(|id| Mark::Link(format!("{MENTION}{id}")));
            vec![(link.into_iter().collect(), Inline::text(name))]
        }
        "emoji" => match text_attribute(node, "text") {
            Some(emoji) if !emoji.is_empty() => text(emoji),
            _ => text(&shortcode::expand(text_attribute(node, "shortName").unwrap_or_default())),
        },
        "date" => {
            let given = text_attribute(node, "timestamp").unwrap_or_default();
            let time = given.parse().ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
            text(&time.map_or_else(|| given.to_owned(), |time| time.strftime("%Y-%m-%d").to_string()))
        }
        "mediaInline" => vec![(Vec::new(), media(node))],
        _ if node.get("content").is_some() => content(node).iter().flat_map(leaf).collect(),
        _ => text(&shown_as(node)),
    }
}

fn marked(node: &Value) -> Vec<(Vec<Mark>, Inline)> {
    let text = node.get("text").and_then(Value::as_str).unwrap_or_default();
    let (mut marks, mut code) = (Vec::new(), false);
    for mark in node.get("marks").and_then(Value::as_array).into_iter().flatten() {
        match kind(mark) {
            "strong" => marks.push(Mark::Strong),
            "em" => marks.push(Mark::Emphasis),
            "strike" => marks.push(Mark::Strikethrough),
            "code" => code = true,
            "link" => marks.extend(text_attribute(mark, "href").map(|href| Mark::Link(href.to_owned()))),
            _ => {}
        }
    }
    // An address that links to itself is that address.
    marks.retain(|mark| !matches!(mark, Mark::Link(url) if url == text));
    marks.sort();
    marks.dedup();
    if code {
        return vec![(marks, Inline::Code(text.to_owned()))];
    }
    let mut leaves = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            leaves.push((Vec::new(), Inline::Break));
        }
        leaves.push((marks.clone(), Inline::text(line)));
    }
    leaves
}

/// The nodes of blocks. Within lists and quotations, which take not everything, the rest becomes text.
fn written(blocks: &[Block], within: bool) -> Vec<Value> {
    blocks.iter().flat_map(|block| node(block, within)).collect()
}

fn node(block: &Block, within: bool) -> Vec<Value> {
    let one = |node| vec![node];
    match block {
        Block::Paragraph(content) => match content.as_slice() {
            [Inline::Image { url, alt }] if !within && url.starts_with("http") => {
                let media = json!({ "type": "media", "attrs": { "type": "external", "url": url, "alt": alt } });
                one(json!({ "type": "mediaSingle", "attrs": { "layout": "center" }, "content": [media] }))
            }
            [Inline::Image { url, alt }] if !within && url.starts_with(MEDIA) => {
                let media = json!({ "type": "media", "attrs": file(url, alt) });
                one(json!({ "type": "mediaSingle", "attrs": { "layout": "center" }, "content": [media] }))
            }
            _ => one(json!({ "type": "paragraph", "content": texts(content) })),
        },
        Block::Heading(_, content) if within => node(&Block::Paragraph(vec![Inline::Strong(content.clone())]), within),
        Block::Heading(level, content) => {
            one(json!({ "type": "heading", "attrs": { "level": level }, "content": texts(content) }))
        }
        Block::Quote(quoted) if within => written(quoted, within),
        Block::Quote(quoted) => one(json!({ "type": "blockquote", "content": written(quoted, true) })),
        Block::List(None, items) if items.iter().any(|item| item.done.is_some()) => one(task_list(items, "0")),
        Block::List(start, items) => {
            let content: Vec<_> =
                items.iter().map(|item| json!({ "type": "listItem", "content": first_text(item) })).collect();
            one(match start {
                None => json!({ "type": "bulletList", "content": content }),
                Some(start) => json!({ "type": "orderedList", "attrs": { "order": start }, "content": content }),
            })
        }
        Block::Code(language, text) => {
            let content: Vec<_> =
                (!text.is_empty()).then(|| json!({ "type": "text", "text": text })).into_iter().collect();
            let attributes = language.as_ref().map_or_else(|| json!({}), |language| json!({ "language": language }));
            one(json!({ "type": "codeBlock", "attrs": attributes, "content": content }))
        }
        Block::Table(header, rows) if within => {
            let table = Block::Table(header.clone(), rows.clone());
            written(&[Block::Paragraph(shown(std::slice::from_ref(&table)))], within)
        }
        Block::Table(header, rows) => {
            let row = |kind: &str, cells: &[Vec<Inline>]| {
                let cells = cells.iter().map(|cell| {
                    json!({ "type": kind, "attrs": {}, "content": [{ "type": "paragraph", "content": texts(cell) }] })
                });
                json!({ "type": "tableRow", "content": cells.collect::<Vec<_>>() })
            };
            let rows = rows.iter().map(|cells| row("tableCell", cells));
            let rows: Vec<_> = std::iter::once(row("tableHeader", header)).chain(rows).collect();
            one(json!({ "type": "table", "content": rows }))
        }
        Block::Rule if within => written(&[Block::Paragraph(vec![Inline::text("———")])], within),
        Block::Rule => one(json!({ "type": "rule" })),
    }
}

/// What an item contains, which begins with text.
fn first_text(item: &Item) -> Vec<Value> {
    let mut nodes = written(&item.blocks, true);
    if !matches!(item.blocks.first(), Some(Block::Paragraph(_) | Block::Heading(..) | Block::Quote(_))) {
        nodes.insert(0, json!({ "type": "paragraph", "content": [] }));
    }
    nodes
}

/// A list of tasks; `path` tells them apart, as each needs an id.
fn task_list(items: &[Item], path: &str) -> Value {
    let mut content = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let (id, mut text) = (format!("{path}.{number}"), Vec::new());
        let mut below = Vec::new();
        for block in &item.blocks {
            match block {
                Block::List(_, items) => below.push(task_list(items, &id)),
                other => {
                    if !text.is_empty() {
                        text.push(json!({ "type": "hardBreak" }));
                    }
                    text.extend(texts(&shown(std::slice::from_ref(other))));
                }
            }
        }
        let state = if item.done == Some(true) { "DONE" } else { "TODO" };
        content.push(json!({ "type": "taskItem", "attrs": { "localId": id, "state": state }, "content": text }));
        content.extend(below);
    }
    json!({ "type": "taskList", "attrs": { "localId": path }, "content": content })
}

fn texts(content: &[Inline]) -> Vec<Value> {
    let mut nodes = Vec::new();
    push_texts(content, &[], &mut nodes);
    nodes
}

fn push_texts(content: &[Inline], marks: &[Value], nodes: &mut Vec<Value>) {
    let with = |kind: &str| {
        let mark = json!({ "type": kind });
        let known = marks.contains(&mark);
        marks.iter().cloned().chain((!known).then_some(mark)).collect::<Vec<_>>()
    };
    let text = |text: &str, marks: &[Value]| {
        let mut node = json!({ "type": "text", "text": text });
        if let Some(fields) = node.as_object_mut().filter(|_| !marks.is_empty()) {
            fields.insert("marks".to_owned(), marks.into());
        }
        node
    };
    for inline in content {
        match inline {
            Inline::Text(empty) | Inline::Code(empty) if empty.is_empty() => {}
            Inline::Text(written) => nodes.push(text(written, marks)),
            Inline::Code(code) => {
                // Code is a link at most.
                let links = marks.iter().filter(|mark| kind(mark) == "link").cloned();
                nodes.push(text(code, &links.chain([json!({ "type": "code" })]).collect::<Vec<_>>()));
            }
            Inline::Emphasis(content) => push_texts(content, &with("em"), nodes),
            Inline::Strong(content) => push_texts(content, &with("strong"), nodes),
            Inline::Strikethrough(content) => push_texts(content, &with("strike"), nodes),
            Inline::Link { url, content } => match url.strip_prefix(MENTION) {
                Some(id) => nodes.push(json!({ "type": "mention", "attrs": { "id": id, "text": plain(content) } })),
                None => push_link(url, content, marks, nodes),
            },
            Inline::Image { url, alt } if url.starts_with(MEDIA) => {
                nodes.push(json!({ "type": "mediaInline", "attrs": file(url, alt) }));
            }
            Inline::Image { url, alt } => push_link(url, &[Inline::text(alt)], marks, nodes),
            Inline::Break => nodes.push(json!({ "type": "hardBreak" })),
        }
    }
}

/// The attributes of a file of Atlassian's media services.
fn file(url: &str, alt: &str) -> Value {
    let (collection, id) = url.strip_prefix(MEDIA).and_then(|file| file.rsplit_once('/')).unwrap_or_default();
    json!({ "type": "file", "id": id, "collection": collection, "alt": alt })
}

fn push_link(url: &str, content: &[Inline], marks: &[Value], nodes: &mut Vec<Value>) {
    let link = json!({ "type": "link", "attrs": { "href": url } });
    let marks: Vec<_> = marks.iter().filter(|mark| kind(mark) != "link").cloned().chain([link]).collect();
    match plain(content).is_empty() {
        true => push_texts(&[Inline::text(url)], &marks, nodes),
        false => push_texts(content, &marks, nodes),
    }
}
