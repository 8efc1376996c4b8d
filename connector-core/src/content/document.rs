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

/// The address that a word begins with, and the rest of it.
pub(super) fn address(word: &str) -> (Option<&str>, &str) {
    let is_address = (word.starts_with("https://") || word.starts_with("http://"))
        && !word.contains(['|', '<', '>'])
        && word.matches("://").count() == 1;
    let end = word.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '*', '~']).len();
    match word.split_at_checked(end) {
        Some((url, rest)) if is_address => (Some(url), rest),
        _ => (None, word),
    }
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
