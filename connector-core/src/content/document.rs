//! The form that all formats are converted through.

/// A text with structure: what markdown, Slack's mrkdwn and Atlassian's documents have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document(pub Vec<Block>);

/// A part of a document that begins on a line of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Running text.
    Paragraph(Vec<Inline>),
    /// A heading of level 1 to 6.
    Heading(u8, Vec<Inline>),
    /// A quotation.
    Quote(Vec<Block>),
    /// A list; numbered, if it has a number to begin with.
    List(Option<u64>, Vec<Item>),
    /// Preformatted text, in a language if that is known.
    Code(Option<String>, String),
    /// A header and rows of cells.
    Table(Vec<Vec<Inline>>, Vec<Vec<Vec<Inline>>>),
    /// A line between what is above and below.
    Rule,
}

/// An item of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// Whether it is done; none if it is no task.
    pub done: Option<bool>,
    /// What it says.
    pub blocks: Vec<Block>,
}

/// A part of running text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inline {
    /// Text.
    Text(String),
    /// Code.
    Code(String),
    /// Emphasis, as a rule shown in italics.
    Emphasis(Vec<Inline>),
    /// Strong emphasis, as a rule shown in bold.
    Strong(Vec<Inline>),
    /// What does not count any more.
    Strikethrough(Vec<Inline>),
    /// A link.
    Link {
        /// Where to.
        url: String,
        /// What it is shown as.
        content: Vec<Inline>,
    },
    /// A picture within the text.
    Image {
        /// Where it is.
        url: String,
        /// What is read where it cannot be seen.
        alt: String,
    },
    /// The next line begins.
    Break,
}

impl Inline {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// What it reads as without its marks.
    pub fn plain(&self) -> String {
        match self {
            Self::Text(text) | Self::Code(text) | Self::Image { alt: text, .. } => text.clone(),
            Self::Emphasis(content)
            | Self::Strong(content)
            | Self::Strikethrough(content)
            | Self::Link { content, .. } => plain(content),
            Self::Break => "\n".to_owned(),
        }
    }
}

/// What running text reads as without its marks.
pub fn plain(content: &[Inline]) -> String {
    content.iter().map(Inline::plain).collect()
}

/// Running text as each format reads it: neighbouring texts are one, and nothing is empty.
pub(super) fn tidy(content: Vec<Inline>) -> Vec<Inline> {
    let mut tidy: Vec<Inline> = Vec::with_capacity(content.len());
    for inline in content {
        match (tidy.last_mut(), inline) {
            (Some(Inline::Text(before)), Inline::Text(text)) => before.push_str(&text),
            (_, Inline::Text(text)) if text.is_empty() => {}
            (_, Inline::Emphasis(content) | Inline::Strong(content) | Inline::Strikethrough(content))
                if content.is_empty() => {}
            (_, inline) => tidy.push(inline),
        }
    }
    tidy
}

/// Blocks as running text, for a cell of a table: each block, item and line begins a line of its own.
pub(super) fn shown(blocks: &[Block]) -> Vec<Inline> {
    let mut content: Vec<Inline> = Vec::new();
    for lines in blocks.iter().map(lines_of) {
        for line in lines {
            if !content.is_empty() {
                content.push(Inline::Break);
            }
            content.extend(line);
        }
    }
    tidy(content)
}

fn lines_of(block: &Block) -> Vec<Vec<Inline>> {
    match block {
        Block::Paragraph(content) => vec![content.clone()],
        Block::Heading(_, content) => vec![vec![Inline::Strong(content.clone())]],
        Block::Quote(blocks) => blocks.iter().flat_map(lines_of).map(|line| marked_line("> ", line)).collect(),
        Block::List(start, items) => {
            let mut lines = Vec::new();
            for (number, item) in (start.unwrap_or_default()..).zip(items) {
                let mark = match (start, item.done) {
                    (_, Some(true)) => "☑ ".to_owned(),
                    (_, Some(false)) => "☐ ".to_owned(),
                    (Some(_), None) => format!("{number}. "),
                    (None, None) => "• ".to_owned(),
                };
                let mut inner = item.blocks.iter().flat_map(lines_of);
                lines.push(marked_line(&mark, inner.next().unwrap_or_default()));
                lines.extend(inner);
            }
            lines
        }
        Block::Code(_, text) => text
            .split('\n')
            .map(|line| match line.trim() {
                "" => Vec::new(),
                _ => vec![Inline::Code(line.to_owned())],
            })
            .collect(),
        Block::Table(header, rows) => std::iter::once(header)
            .chain(rows)
            .map(|row| {
                let mut line = Vec::new();
                for cell in row {
                    if !line.is_empty() {
                        line.push(Inline::text(" | "));
                    }
                    line.extend(cell.clone());
                }
                line
            })
            .collect(),
        Block::Rule => vec![vec![Inline::text("———")]],
    }
}

fn marked_line(mark: &str, line: Vec<Inline>) -> Vec<Inline> {
    tidy(std::iter::once(Inline::text(mark)).chain(line).collect())
}

/// A mark around text. The order is the one in which marks stand around each other, the outermost first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// A link to this URL.
    Link(String),
    /// Strong emphasis.
    Strong,
    /// Emphasis.
    Emphasis,
    /// Struck through.
    Strikethrough,
}

/// Running text from its pieces, each with the marks that it has in their order: marks stand around the longest
/// runs of pieces that share them.
pub(super) fn nested(leaves: &[(Vec<Mark>, Inline)]) -> Vec<Inline> {
    nested_below(leaves, 0)
}

fn nested_below(leaves: &[(Vec<Mark>, Inline)], depth: usize) -> Vec<Inline> {
    let mut content = Vec::new();
    for run in leaves.chunk_by(|(marks, _), (next, _)| marks.get(depth) == next.get(depth)) {
        let Some(mark) = run.first().and_then(|(marks, _)| marks.get(depth)) else {
            content.extend(run.iter().map(|(_, inline)| inline.clone()));
            continue;
        };
        let inside = nested_below(run, depth + 1);
        content.push(match mark {
            // A URL that links to itself is that URL.
            Mark::Link(url) if plain(&inside) == *url => Inline::text(url),
            Mark::Link(url) => Inline::Link { url: url.clone(), content: inside },
            Mark::Strong => Inline::Strong(inside),
            Mark::Emphasis => Inline::Emphasis(inside),
            Mark::Strikethrough => Inline::Strikethrough(inside),
        });
    }
    tidy(content)
}

/// The blanks that markdown strips at the ends of a line. A no-break space is text.
pub(super) const BLANKS: [char; 2] = [' ', '\t'];

/// A piece of text, or a URL in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text without a URL.
    Text(&'a str),
    /// A URL that begins with `http://` or `https://`.
    Url(&'a str),
}

/// The URLs in a text, with the text between them.
///
/// A URL ends as GitHub's autolinks do (GFM 6.9): at a blank or an angle bracket, without the punctuation that ends
/// a sentence, and without a closing parenthesis that has no opening one in the URL. The punctuation of Chinese and
/// Japanese, which follows without a blank, ends it too.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut begin, mut from) = (Vec::new(), 0, 0);
    while let Some(found) = text.get(from..).and_then(|rest| rest.find("://")) {
        let colon = from + found;
        from = colon + 3;
        let before = text.get(begin..colon).unwrap_or_default();
        let scheme = ["https", "http"].into_iter().find(|scheme| before.ends_with(scheme));
        let Some(scheme) = scheme else { continue };
        let start = colon - scheme.len();
        let boundary = text.get(begin..start).and_then(|before| before.chars().next_back());
        if boundary.is_some_and(char::is_alphanumeric) {
            continue;
        }
        let length = url_length(text.get(from..).unwrap_or_default());
        if length == 0 {
            continue;
        }
        if start > begin {
            pieces.extend(text.get(begin..start).map(Piece::Text));
        }
        (begin, from) = (from + length, from + length);
        pieces.extend(text.get(start..begin).map(Piece::Url));
    }
    pieces.extend(text.get(begin..).filter(|rest| !rest.is_empty()).map(Piece::Text));
    pieces
}

/// The length of a URL behind its scheme, in bytes.
fn url_length(text: &str) -> usize {
    let ends = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '<' | '>' | '|' | '`' | '"' | '\\' | '\u{200B}')
            || matches!(
                c,
                '。' | '，'
                    | '、'
                    | '；'
                    | '：'
                    | '！'
                    | '？'
                    | '）'
                    | '（'
                    | '」'
                    | '「'
                    | '』'
                    | '『'
                    | '】'
                    | '【'
                    | '»'
                    | '“'
                    | '”'
            )
    };
    let mut url = text.split(ends).next().unwrap_or_default();
    let count = |of: char| url.matches(of).count();
    let (mut round, mut square) = ((count('('), count(')')), (count('['), count(']')));
    while let Some(last) = url.chars().next_back() {
        let dropped = match last {
            '.' | ',' | ';' | ':' | '!' | '?' | '*' | '~' | '\'' => true,
            ')' if round.1 > round.0 => {
                round.1 -= 1;
                true
            }
            ']' if square.1 > square.0 => {
                square.1 -= 1;
                true
            }
            _ => false,
        };
        if !dropped {
            break;
        }
        url = url.get(..url.len() - last.len_utf8()).unwrap_or_default();
    }
    url.len()
}

/// Visits all running text, what holds other text before that.
fn each(blocks: &mut [Block], visit: &mut dyn FnMut(&mut Inline)) {
    fn within(content: &mut [Inline], visit: &mut dyn FnMut(&mut Inline)) {
        for inline in content {
            visit(inline);
            match inline {
                Inline::Emphasis(content)
                | Inline::Strong(content)
                | Inline::Strikethrough(content)
                | Inline::Link { content, .. } => within(content, visit),
                Inline::Text(_) | Inline::Code(_) | Inline::Image { .. } | Inline::Break => {}
            }
        }
    }
    for block in blocks {
        match block {
            Block::Paragraph(content) | Block::Heading(_, content) => within(content, visit),
            Block::Quote(blocks) => each(blocks, visit),
            Block::List(_, items) => items.iter_mut().for_each(|item| each(&mut item.blocks, visit)),
            Block::Table(header, rows) => {
                header.iter_mut().chain(rows.iter_mut().flatten()).for_each(|cell| within(cell, visit));
            }
            Block::Code(..) | Block::Rule => {}
        }
    }
}

impl Document {
    /// With other addresses for pictures: where a file of the message itself can be had, in place of its
    /// `cid:` (RFC 2392). Those of which nothing is known stay.
    pub fn with_images(mut self, address_of: &dyn Fn(&str) -> Option<String>) -> Self {
        each(&mut self.0, &mut |inline| {
            if let Inline::Image { url, .. } = inline {
                *url = address_of(url).unwrap_or_else(|| std::mem::take(url));
            }
        });
        self
    }

    /// What it links to and shows, pictures among them: as what each reads, and where it is.
    ///
    /// ```
    /// # use connector_core::content::Document;
    /// let document = Document::from_markdown("See the [plan](https://a.test/1) and ![a map](https://a.test/2)");
    /// let links = document.into_links();
    /// assert_eq!(links[0], ("plan".to_owned(), "https://a.test/1".to_owned()));
    /// assert_eq!(links[1], ("a map".to_owned(), "https://a.test/2".to_owned()));
    /// ```
    pub fn into_links(mut self) -> Vec<(String, String)> {
        let mut links = Vec::new();
        each(&mut self.0, &mut |inline| {
            if let Inline::Link { url, .. } | Inline::Image { url, .. } = &*inline {
                links.push((inline.plain(), url.clone()));
            }
        });
        links
    }

    /// The first line that says something, without its marks: a title for what has none.
    pub fn first_line(&self) -> Option<String> {
        fn lines(blocks: &[Block]) -> Option<String> {
            blocks.iter().find_map(|block| {
                let text = match block {
                    Block::Paragraph(content) | Block::Heading(_, content) => plain(content),
                    Block::Code(_, text) => text.clone(),
                    Block::Quote(blocks) => return lines(blocks),
                    Block::List(_, items) => return items.iter().find_map(|item| lines(&item.blocks)),
                    Block::Table(header, _) => header.iter().map(|cell| plain(cell)).collect::<Vec<_>>().join(" "),
                    Block::Rule => return None,
                };
                text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
            })
        }
        lines(&self.0)
    }
}
