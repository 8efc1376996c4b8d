//! HTML as a document.
//!
//! The markup is parsed by `html5ever`, as browsers parse it. What it shows becomes a [`Document`], so that one writer
//! of markdown serves all formats. A converter straight from HTML to markdown was tried first (`htmd`): it takes
//! `<pre>` without `<code>` for running text, and does not say where a mail program put its quotation.
//!
//! What is not shown (scripts, styles, hidden elements, pictures of one pixel) is left out.

use std::cell::RefCell;

use html5ever::LocalName;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

use super::document::{BLANKS, Mark, nested, shown};
use super::{Block, Document, Inline, Item, plain};

/// Elements in each other that are read as structure; what is deeper is read as text.
const MAX_DEPTH: usize = 60;

/// Blocks in each other that a document has; what is deeper has the structure of what it is in.
const MAX_BLOCKS: usize = 12;

/// Columns of a table that are kept apart. What is behind stands in the last one.
const MAX_COLUMNS: usize = 64;

impl Document {
    /// Reads HTML.
    pub fn from_html(html: &str) -> Self {
        Self(read(html).blocks)
    }
}

/// Elements that may be open at once. The parser looks at all of them for many of the tags, so without an end to them
/// its time would grow with the square of the input.
const MAX_OPEN: usize = 250;

/// Leaves out what is nested too deeply: the text stays, without the elements around it.
struct Flat {
    tree: TreeBuilder<Handle, RcDom>,
    open: RefCell<Vec<LocalName>>,
}

impl TokenSink for Flat {
    type Handle = Handle;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<Handle> {
        match &token {
            Token::TagToken(tag) if !self.takes(tag) => TokenSinkResult::Continue,
            _ => self.tree.process_token(token, line),
        }
    }

    fn end(&self) {
        self.tree.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.tree.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

impl Flat {
    fn takes(&self, tag: &Tag) -> bool {
        let mut open = self.open.borrow_mut();
        if tag.kind == TagKind::EndTag {
            if let Some(begin) = open.iter().rposition(|name| *name == tag.name) {
                // Those that the parser opens again behind the element are open still.
                let again: Vec<_> = open.drain(begin..).skip(1).filter(is_formatting).collect();
                open.extend(again);
            }
            return true;
        }
        // Some have no end, or end where the next one begins; the text of others is no markup.
        const SHORT: [&str; 40] = [
            "area",
            "base",
            "br",
            "col",
            "embed",
            "hr",
            "img",
            "input",
            "link",
            "meta",
            "param",
            "source",
            "track",
            "wbr",
            "p",
            "li",
            "dt",
            "dd",
            "tr",
            "td",
            "th",
            "tbody",
            "thead",
            "tfoot",
            "option",
            "optgroup",
            "colgroup",
            "html",
            "head",
            "body",
            "script",
            "style",
            "textarea",
            "title",
            "xmp",
            "iframe",
            "noembed",
            "noframes",
            "plaintext",
            "caption",
        ];
        if tag.self_closing || SHORT.contains(&&*tag.name) {
            return true;
        }
        let takes = open.len() < MAX_OPEN;
        if takes {
            open.push(tag.name.clone());
        }
        takes
    }
}

fn is_formatting(name: &LocalName) -> bool {
    const NAMES: [&str; 14] =
        ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];
    NAMES.contains(&&**name)
}

/// HTML that was read.
pub(super) struct Page {
    pub(super) blocks: Vec<Block>,
    /// Where the markup of a mail program says that the quoted mail begins: the number of blocks before it.
    pub(super) quotation: Option<usize>,
}

pub(super) fn read(html: &str) -> Page {
    let options = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let tree = TreeBuilder::new(RcDom::default(), options);
    let tokenizer = Tokenizer::new(Flat { tree, open: RefCell::default() }, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(html));
    // A script that was read makes the tokenizer come back: it is not run.
    while !input.is_empty() {
        drop(tokenizer.feed(&input));
    }
    tokenizer.end();
    let dom = &tokenizer.sink.tree.sink;
    let mut reader = Reader { top: true, ..Reader::default() };
    reader.children(&dom.document, 0);
    reader.end_paragraph();
    Page { blocks: reader.blocks, quotation: reader.quotation }
}

/// Reads the elements of one block, such as a page, a quotation or an item of a list.
#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    /// Lines of the paragraph that is being read; the last one is not at its end.
    lines: Vec<Vec<(Vec<Mark>, Inline)>>,
    /// Marks around what is read now.
    marks: Vec<Mark>,
    /// Blocks that this one is in.
    within: usize,
    /// Not within another block.
    top: bool,
    quotation: Option<usize>,
}

impl Reader {
    fn children(&mut self, node: &Handle, depth: usize) {
        for child in node.children.borrow().iter() {
            self.node(child, depth + 1);
        }
    }

    fn node(&mut self, node: &Handle, depth: usize) {
        let NodeData::Element { name, .. } = &node.data else {
            match &node.data {
                NodeData::Text { contents } => self.text(&contents.borrow()),
                NodeData::Document => self.children(node, depth),
                _ => {}
            }
            return;
        };
        if is_hidden(node, &name.local) {
            return;
        }
        if depth > MAX_DEPTH {
            self.text(&text_of(node));
            return;
        }
        if self.top && self.quotation.is_none() && begins_quotation(node) {
            self.end_paragraph();
            self.quotation = Some(self.blocks.len());
        }
        match &*name.local {
            "br" => self.lines.push(Vec::new()),
            "p" | "dl" | "figure" | "summary" | "fieldset" => {
                self.end_paragraph();
                self.children(node, depth);
                self.end_paragraph();
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.heading(node, &name.local, depth),
            "blockquote" => {
                let quoted = self.inner(node, depth);
                self.block_of(quoted, Block::Quote);
            }
            "ul" | "ol" | "menu" | "dir" => self.list(node, &name.local, depth),
            "pre" | "listing" | "xmp" | "plaintext" => self.preformatted(node),
            "table" => self.table(node, depth),
            "hr" => {
                self.end_paragraph();
                self.blocks.push(Block::Rule);
            }
            "img" => self.image(node),
            "code" | "tt" | "kbd" | "samp" => self.code(node, depth),
            "b" | "strong" if !is_light(node) => self.marked(node, Mark::Strong, depth),
            "i" | "em" | "cite" | "dfn" | "var" => self.marked(node, Mark::Emphasis, depth),
            "s" | "del" | "strike" => self.marked(node, Mark::Strikethrough, depth),
            "a" => match attribute(node, "href").map(|url| url.trim().to_owned()).filter(|url| is_target(url)) {
                // An address that leads to itself is that address.
                Some(url) if url.strip_prefix("mailto:") == Some(text_of(node).trim()) => self.children(node, depth),
                Some(url) => self.marked(node, Mark::Link(url), depth),
                None => self.children(node, depth),
            },
            "q" => {
                self.text("“");
                self.children(node, depth);
                self.text("”");
            }
            "input" => self.checkbox(node),
            "td" | "th" | "tr" | "li" | "dt" | "dd" | "div" | "section" | "article" | "header" | "footer" | "main"
            | "nav" | "aside" | "address" | "center" | "form" | "figcaption" | "details" | "legend" | "option"
            | "tbody" | "thead" | "tfoot" | "caption" | "body" | "html" | "hgroup" | "optgroup" | "video" | "audio"
            | "iframe" | "object" => {
                self.end_line();
                self.children(node, depth);
                self.end_line();
            }
            _ => self.children(node, depth),
        }
    }

    /// Text as HTML shows it: a run of blanks is one, and none begins a line.
    fn text(&mut self, text: &str) {
        let mut shown = String::with_capacity(text.len());
        let mut blank = self.lines.last().is_none_or(|line| match line.last() {
            None => true,
            Some((_, inline)) => matches!(inline, Inline::Text(text) if text.ends_with(' ')),
        });
        for character in text.chars() {
            if matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{c}') {
                if !blank {
                    shown.push(' ');
                }
                blank = true;
            } else if !matches!(character, '\u{200C}' | '\u{AD}' | '\u{34F}' | '\u{FEFF}' | '\0') {
                // The others are what newsletters hide their preview behind.
                shown.push(character);
                blank = false;
            }
        }
        if !shown.is_empty() {
            self.push(Inline::Text(shown));
        }
    }

    fn push(&mut self, inline: Inline) {
        if self.lines.is_empty() {
            self.lines.push(Vec::new());
        }
        let mut marks = self.marks.clone();
        marks.sort();
        marks.dedup();
        if let Some(line) = self.lines.last_mut() {
            match (line.last_mut(), inline) {
                (Some((before, Inline::Text(text))), Inline::Text(more)) if *before == marks => text.push_str(&more),
                (_, inline) => line.push((marks, inline)),
            }
        }
    }

    fn end_line(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(Vec::new());
        }
    }

    /// Ends the paragraph. A line without text ends one too.
    fn end_paragraph(&mut self) {
        let blank = |inline: &Inline| match inline {
            Inline::Text(text) => text.chars().all(char::is_whitespace),
            _ => false,
        };
        for lines in std::mem::take(&mut self.lines).split(|line| line.iter().all(|(_, inline)| blank(inline))) {
            let mut leaves = Vec::new();
            for (number, line) in lines.iter().enumerate() {
                if number > 0 {
                    // Marks end with their line, and begin again in the next one.
                    leaves.push((Vec::new(), Inline::Break));
                }
                leaves.extend(line.iter().cloned());
            }
            let content = nested(&leaves);
            if !content.is_empty() {
                self.blocks.push(Block::Paragraph(content));
            }
        }
    }

    /// The blocks of an element, read on their own.
    fn inner(&mut self, node: &Handle, depth: usize) -> Vec<Block> {
        self.end_paragraph();
        let mut inner = Self { marks: self.marks.clone(), within: self.within + 1, ..Self::default() };
        inner.children(node, depth);
        inner.end_paragraph();
        inner.blocks
    }

    fn block_of(&mut self, inner: Vec<Block>, block: impl FnOnce(Vec<Block>) -> Block) {
        if self.within >= MAX_BLOCKS {
            self.blocks.extend(inner);
        } else if !inner.is_empty() {
            self.blocks.push(block(inner));
        }
    }

    fn heading(&mut self, node: &Handle, name: &str, depth: usize) {
        let level = name.bytes().last().map_or(1, |digit| digit.saturating_sub(b'0')).clamp(1, 6);
        let inner = self.inner(node, depth);
        match <[Block; 1]>::try_from(inner) {
            Ok([Block::Paragraph(content)]) => self.blocks.push(Block::Heading(level, content)),
            Ok(other) => self.blocks.extend(other),
            Err(more) => self.blocks.extend(more),
        }
    }

    fn marked(&mut self, node: &Handle, mark: Mark, depth: usize) {
        self.marks.push(mark);
        self.children(node, depth);
        self.marks.pop();
    }

    fn code(&mut self, node: &Handle, depth: usize) {
        let text = text_of(node);
        if text.contains('\n') || text.trim().is_empty() || has_blocks(node) {
            return self.children(node, depth);
        }
        self.push(Inline::Code(text.split_whitespace().collect::<Vec<_>>().join(" ")));
    }

    fn image(&mut self, node: &Handle) {
        let size = |name| attribute(node, name).and_then(|size| size.trim_end_matches("px").trim().parse::<u32>().ok());
        if size("width").is_some_and(|size| size <= 1) || size("height").is_some_and(|size| size <= 1) {
            return;
        }
        let alt = attribute(node, "alt").unwrap_or_default();
        let alt = alt.split_whitespace().collect::<Vec<_>>().join(" ");
        match attribute(node, "src").map(|url| url.trim().to_owned()) {
            Some(url) if ["http://", "https://", "cid:"].iter().any(|scheme| has_scheme(&url, scheme)) => {
                self.push(Inline::Image { url, alt });
            }
            _ if alt.is_empty() => {}
            _ => self.push(Inline::Text(alt)),
        }
    }

    fn checkbox(&mut self, node: &Handle) {
        if attribute(node, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("checkbox")) {
            self.text(if attribute(node, "checked").is_some() { "☑ " } else { "☐ " });
        }
    }

    fn preformatted(&mut self, node: &Handle) {
        self.end_paragraph();
        let text = text_of(node).replace("\r\n", "\n");
        let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
        let is_code = node.children.borrow().iter().any(|child| element(child).as_deref() == Some("code"));
        if text.trim().is_empty() && !is_code {
            return;
        }
        let children = node.children.borrow();
        let language = std::iter::once(node).chain(children.iter()).find_map(|node| {
            let classes = attribute(node, "class")?;
            classes.split_whitespace().find_map(|class| class.strip_prefix("language-").map(str::to_owned))
        });
        self.blocks.push(Block::Code(language, text));
    }

    fn list(&mut self, node: &Handle, name: &str, depth: usize) {
        self.end_paragraph();
        let start = (name == "ol").then(|| attribute(node, "start").and_then(|start| start.trim().parse().ok()));
        let mut items: Vec<Item> = Vec::new();
        for child in node.children.borrow().iter() {
            let local = element(child);
            let mut inner = Self { marks: self.marks.clone(), within: self.within + 1, ..Self::default() };
            match local.as_deref() {
                Some("li") if !is_hidden(child, "li") => inner.children(child, depth + 1),
                _ => inner.node(child, depth + 1),
            }
            inner.end_paragraph();
            match (local.as_deref(), items.last_mut()) {
                (Some("li"), _) => items.push(item(inner.blocks)),
                (_, Some(last)) => last.blocks.extend(inner.blocks),
                (_, None) if inner.blocks.is_empty() => {}
                (_, None) => items.push(item(inner.blocks)),
            }
        }
        items.retain(|item| !item.blocks.is_empty() || item.done.is_some());
        if self.within >= MAX_BLOCKS {
            self.blocks.extend(items.into_iter().flat_map(|item| item.blocks));
        } else if !items.is_empty() {
            self.blocks.push(Block::List(start.map(|start| start.unwrap_or(1)), items));
        }
    }

    /// A table of data; one that only places what it contains is read as that.
    fn table(&mut self, node: &Handle, depth: usize) {
        self.end_paragraph();
        let (mut rows, mut captions) = (Vec::new(), Vec::new());
        rows_of(node, &mut rows, &mut captions);
        for caption in captions {
            let inner = self.inner(&caption, depth);
            self.blocks.extend(inner);
        }
        let cells = |row: &Handle| -> Vec<Handle> {
            let cells = row.children.borrow();
            cells.iter().filter(|cell| matches!(element(cell).as_deref(), Some("td" | "th"))).cloned().collect()
        };
        let rows: Vec<Vec<Handle>> = rows.iter().map(cells).filter(|row| !row.is_empty()).collect();
        let headed = rows.iter().flatten().any(|cell| element(cell).as_deref() == Some("th"));
        let wide = rows.iter().filter(|row| row.len() > 1).count();
        let places = attribute(node, "role").is_some_and(|role| matches!(&*role, "presentation" | "none"));
        let data = !places && (headed || (wide > 1 && rows.len() > 1)) && self.within < MAX_BLOCKS;
        let mut read: Vec<Vec<(usize, Vec<Block>)>> = Vec::with_capacity(rows.len());
        for row in &rows {
            read.push(
                row.iter()
                    .map(|cell| {
                        let span = attribute(cell, "colspan").and_then(|span| span.trim().parse().ok());
                        (span.unwrap_or(1).clamp(1, MAX_COLUMNS), self.inner(cell, depth + 3))
                    })
                    .collect(),
            );
        }
        let simple = read.iter().flatten().all(|(_, blocks)| !blocks.iter().any(is_wide));
        if !data || !simple {
            // Cells of one line stand in one line, as names and values do.
            for row in read {
                let short = row.len() > 1
                    && row.iter().all(|(_, blocks)| matches!(blocks.as_slice(), [] | [Block::Paragraph(_)]))
                    && wide > 1;
                if short {
                    let line = row.into_iter().flat_map(|(_, blocks)| blocks).filter_map(|block| match block {
                        Block::Paragraph(content) => Some(content),
                        _ => None,
                    });
                    let mut content = Vec::new();
                    for cell in line {
                        if !content.is_empty() {
                            content.push(Inline::text(" "));
                        }
                        content.extend(cell);
                    }
                    if !content.is_empty() {
                        self.blocks.push(Block::Paragraph(content));
                    }
                } else {
                    self.blocks.extend(row.into_iter().flat_map(|(_, blocks)| blocks));
                }
            }
            return;
        }
        let mut rows = read.into_iter().map(|row| {
            let mut cells: Vec<Vec<Inline>> = Vec::new();
            for (span, blocks) in row {
                if cells.len() >= MAX_COLUMNS {
                    if let Some(last) = cells.last_mut() {
                        last.push(Inline::text(" "));
                        last.extend(shown(&blocks));
                    }
                    continue;
                }
                cells.push(shown(&blocks));
                let free = MAX_COLUMNS - cells.len();
                cells.extend(std::iter::repeat_n(Vec::new(), (span - 1).min(free)));
            }
            cells
        });
        let header = rows.next().unwrap_or_default();
        let rows: Vec<_> = rows.collect();
        if !header.is_empty() || !rows.is_empty() {
            self.blocks.push(Block::Table(header, rows));
        }
    }
}

/// An item of a list, whose text may begin with a check mark.
fn item(mut blocks: Vec<Block>) -> Item {
    let mut done = None;
    if let Some(Block::Paragraph(content)) = blocks.first_mut()
        && let Some(Inline::Text(text)) = content.first_mut()
    {
        let marks = [("☐", false), ("☑", true), ("☒", true)];
        if let Some((rest, mark)) = marks.iter().find_map(|(mark, done)| Some((text.strip_prefix(mark)?, *done))) {
            done = Some(mark);
            *text = rest.trim_start_matches(BLANKS).to_owned();
        }
        content.retain(|inline| !matches!(inline, Inline::Text(text) if text.is_empty()));
    }
    blocks.retain(|block| *block != Block::Paragraph(Vec::new()));
    Item { done, blocks }
}

/// A block that does not fit into a cell of a table.
fn is_wide(block: &Block) -> bool {
    matches!(block, Block::Table(..) | Block::Rule | Block::Quote(_) | Block::Heading(..))
}

/// The rows and captions of a table, not those of a table in it.
fn rows_of(node: &Handle, rows: &mut Vec<Handle>, captions: &mut Vec<Handle>) {
    for child in node.children.borrow().iter() {
        match element(child).as_deref() {
            Some("tr") if !is_hidden(child, "tr") => rows.push(child.clone()),
            Some("caption") => captions.push(child.clone()),
            Some("tbody" | "thead" | "tfoot") => rows_of(child, rows, captions),
            _ => {}
        }
    }
}

/// The name of an element.
fn element(node: &Handle) -> Option<String> {
    match &node.data {
        NodeData::Element { name, .. } => Some(name.local.to_string()),
        _ => None,
    }
}

fn attribute(node: &Handle, name: &str) -> Option<String> {
    let NodeData::Element { attrs, .. } = &node.data else { return None };
    attrs.borrow().iter().find(|attribute| &*attribute.name.local == name).map(|found| found.value.to_string())
}

/// The text in a node, as it stands there. No recursion: the nodes may be in each other at any depth.
fn text_of(node: &Handle) -> String {
    let (mut text, mut open) = (String::new(), vec![node.clone()]);
    while let Some(node) = open.pop() {
        match &node.data {
            NodeData::Text { contents } => text.push_str(&contents.borrow()),
            NodeData::Element { name, .. } if &*name.local == "br" => text.push('\n'),
            NodeData::Element { name, .. } if is_hidden(&node, &name.local) => continue,
            _ => {}
        }
        open.extend(node.children.borrow().iter().rev().cloned());
    }
    text
}

fn has_blocks(node: &Handle) -> bool {
    node.children.borrow().iter().any(|child| {
        matches!(element(child).as_deref(), Some("br" | "img" | "a" | "p" | "div" | "table" | "ul" | "ol" | "pre"))
    })
}

/// Nothing of it is shown.
fn is_hidden(node: &Handle, name: &str) -> bool {
    if matches!(
        name,
        "script" | "style" | "head" | "title" | "template" | "meta" | "link" | "base" | "svg" | "datalist"
    ) {
        return true;
    }
    if attribute(node, "hidden").is_some() {
        return true;
    }
    attribute(node, "style").is_some_and(|style| {
        let style: String = style.to_ascii_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
        style.split(';').any(|rule| matches!(rule, "display:none" | "display:none!important" | "visibility:hidden"))
            || style.contains("mso-hide:all")
    })
}

/// Google's editor puts all that is copied from it into a `<b>` that is none.
fn is_light(node: &Handle) -> bool {
    attribute(node, "style").is_some_and(|style| style.replace(' ', "").contains("font-weight:normal"))
}

fn has_scheme(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
}

/// A URL that a link may lead to.
fn is_target(url: &str) -> bool {
    let url = url.trim();
    !url.is_empty() && !["javascript:", "vbscript:", "data:", "file:"].iter().any(|scheme| has_scheme(url, scheme))
}

/// Where mail programs say that what they quote begins: by a class, an id or another attribute of the element.
const QUOTATIONS: [(&str, &str); 24] = [
    // Gmail, and what it quotes from mobile.
    ("class", "gmail_quote"),
    ("class", "gmail_quote_container"),
    ("class", "gmail_extra"),
    // Outlook: on the web and mobile, for Mac, for Windows.
    ("id", "appendonsend"),
    ("id", "divRplyFwdMsg"),
    ("id", "ms-outlook-mobile-reference-message"),
    ("class", "ms-outlook-mobile-reference-message"),
    ("id", "OLK_SRC_BODY_SECTION"),
    ("name", "messageReplySection"),
    ("id", "mail-editor-reference-message-container"),
    // Apple Mail, Thunderbird and others: the line above the quotation is not always marked.
    ("class", "moz-cite-prefix"),
    ("class", "moz-email-headers-table"),
    ("class", "yahoo_quoted"),
    ("class", "yahoo-quoted-begin"),
    ("class", "protonmail_quote"),
    ("class", "tutanota_quote"),
    ("class", "zmail_extra"),
    ("class", "WordSection1Quote"),
    ("class", "front-blockquote"),
    ("class", "OutlookMessageHeader"),
    ("class", "hs_reply_quote"),
    ("id", "isForwardContent"),
    ("id", "isReplyContent"),
    ("id", "zwchr"),
];

fn begins_quotation(node: &Handle) -> bool {
    QUOTATIONS.iter().any(|(name, value)| {
        attribute(node, name).is_some_and(|found| found.split_whitespace().any(|word| word == *value))
    })
}

/// Whether HTML shows anything: a text or a picture.
pub(super) fn shows_anything(html: &str) -> bool {
    fn says(content: &[Inline]) -> bool {
        content.iter().any(|inline| match inline {
            Inline::Image { .. } => true,
            other => !plain(std::slice::from_ref(other)).trim().is_empty(),
        })
    }
    read(html).blocks.iter().any(|block| match block {
        Block::Paragraph(content) | Block::Heading(_, content) => says(content),
        Block::Rule => false,
        _ => true,
    })
}
