//! The Atlassian document format
//! (<https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/>).

use serde_json::{Value, json};

use super::document::tidy;
use super::{Block, Document, Inline, Item, plain, shortcode};

/// What a mention of a person is a link to: this and the id of the account.
pub const MENTION: &str = "accountid:";

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
    for child in content(node) {
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
            "codeBlock" => {
                let language = text_attribute(child, "language").map(str::to_owned);
                blocks.push(Block::Code(language, plain(&inlines(child))));
            }
            "rule" => blocks.push(Block::Rule),
            "table" => {
                let mut rows = content(child).iter().map(|row| content(row).iter().map(cell).collect());
                blocks.push(Block::Table(rows.next().unwrap_or_default(), rows.collect()));
            }
            "media" => {
                let alt = text_attribute(child, "alt").unwrap_or_default().to_owned();
                let url = text_attribute(child, "url").or_else(|| text_attribute(child, "id"));
                blocks.extend(url.map(|url| Block::Paragraph(vec![Inline::Image { url: url.to_owned(), alt }])));
            }
            "expand" | "nestedExpand" => {
                let title = text_attribute(child, "title").filter(|title| !title.is_empty());
                blocks.extend(title.map(|title| Block::Paragraph(vec![Inline::Strong(vec![Inline::text(title)])])));
                blocks.extend(self::blocks(child));
            }
            "blockCard" | "embedCard" => {
                blocks.extend(text_attribute(child, "url").map(|url| Block::Paragraph(vec![Inline::text(url)])));
            }
            _ => blocks.extend(self::blocks(child)),
        }
    }
    blocks
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
                items.push(Item { done, blocks: paragraph(inlines(child)).into_iter().collect() });
            }
        }
    }
    items
}

/// A cell as one line.
fn cell(cell: &Value) -> Vec<Inline> {
    let texts = content(cell).iter().map(inlines).filter(|content| !content.is_empty());
    let mut joined = Vec::new();
    for text in texts {
        if !joined.is_empty() {
            joined.push(Inline::text(" "));
        }
        joined.extend(text);
    }
    tidy(joined)
}

/// A mark of text, in the order in which they are around each other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Link(String),
    Strong,
    Emphasis,
    Strikethrough,
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
        "inlineCard" => text(text_attribute(node, "url").unwrap_or_default()),
        "status" => text(text_attribute(node, "text").unwrap_or_default()),
        "date" => {
            let millis = text_attribute(node, "timestamp").and_then(|millis| millis.parse().ok());
            let time = millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
            text(&time.map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default())
        }
        _ => content(node).iter().flat_map(leaf).collect(),
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

/// The marks around the longest runs of text that share them.
fn nested(leaves: &[(Vec<Mark>, Inline)]) -> Vec<Inline> {
    let mut content = Vec::new();
    for run in leaves.chunk_by(|(marks, _), (next, _)| marks.first() == next.first()) {
        let Some(mark) = run.first().and_then(|(marks, _)| marks.first()) else {
            content.extend(run.iter().map(|(_, inline)| inline.clone()));
            continue;
        };
        let rest: Vec<_> =
            run.iter().map(|(marks, inline)| (marks.iter().skip(1).cloned().collect(), inline.clone())).collect();
        let inside = nested(&rest);
        content.push(match mark {
            Mark::Link(url) => Inline::Link { url: url.clone(), content: inside },
            Mark::Strong => Inline::Strong(inside),
            Mark::Emphasis => Inline::Emphasis(inside),
            Mark::Strikethrough => Inline::Strikethrough(inside),
        });
    }
    tidy(content)
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
            let line = |row: &Vec<Vec<Inline>>| row.iter().map(|cell| plain(cell)).collect::<Vec<_>>().join(" | ");
            let lines = std::iter::once(header).chain(rows).map(|row| Block::Paragraph(vec![Inline::text(line(row))]));
            written(&lines.collect::<Vec<_>>(), within)
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
        Block::Rule if within => Vec::new(),
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
                other => text.extend(
                    written(std::slice::from_ref(other), true).iter().flat_map(|node| self::content(node).to_vec()),
                ),
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
            Inline::Image { url, alt } => push_link(url, &[Inline::text(alt)], marks, nodes),
            Inline::Break => nodes.push(json!({ "type": "hardBreak" })),
        }
    }
}

fn push_link(url: &str, content: &[Inline], marks: &[Value], nodes: &mut Vec<Value>) {
    let link = json!({ "type": "link", "attrs": { "href": url } });
    let marks: Vec<_> = marks.iter().filter(|mark| kind(mark) != "link").cloned().chain([link]).collect();
    match plain(content).is_empty() {
        true => push_texts(&[Inline::text(url)], &marks, nodes),
        false => push_texts(content, &marks, nodes),
    }
}
