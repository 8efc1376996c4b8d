//! The parts of a mail: which of them are its text, which its files (RFC 8621 4.1.4), and what they say.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::{Message, MessageParser, MimeHeaders, PartType};

use super::{Armour, Line, QuotationKind, depth_of, is_delimiter, quotation};
use crate::content::document::{BLANKS, plain, tidy};
use crate::content::html::{read, shows_anything};
use crate::content::{Block, Document, Inline, Item};

/// Parts in each other that are looked into.
const MAX_DEPTH: usize = 30;

/// Quotations in each other that are kept apart.
const MAX_QUOTES: usize = 10;

/// A part of a mail (RFC 2045), as a parser of mails or a service gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailPart {
    /// Where it is in the mail: the numbers of the parts around it and its own, from 0, with dots between them. Empty
    /// for the mail as a whole.
    pub id: String,
    /// Media type in lower case, without parameters (RFC 2046).
    pub media_type: String,
    /// Whether the sender wants it to be a file (RFC 2183 2.2).
    pub is_attachment: bool,
    /// File name.
    pub name: Option<String>,
    /// What a `cid:` URL names it by (RFC 2392).
    pub content_id: Option<String>,
    /// Charset of a text.
    pub charset: Option<String>,
    /// Lines that end with a blank go on in the next one (RFC 3676).
    pub flowed: bool,
    /// The blank at the end of such a line is not a part of the text (RFC 3676 4.1, DelSp).
    pub deletes_space: bool,
    /// Text of a part that is one, decoded.
    pub text: Option<String>,
    /// Size of the content in bytes.
    pub size: Option<u64>,
    /// Parts that it contains.
    pub parts: Vec<MailPart>,
}

/// The parts of a mail by what they are for (RFC 8621 4.1.4).
#[derive(Debug, Default)]
struct Structure<'a> {
    text: Vec<&'a MailPart>,
    html: Vec<&'a MailPart>,
    attachments: Vec<&'a MailPart>,
    /// What stands in an alternative has the other form there, not in what follows.
    no_text: bool,
    no_html: bool,
}

/// A mail that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadMail {
    /// The text that the author of the mail wrote, with their signature.
    pub text: Document,
    /// The other mail at its end, with the lines that introduce it.
    pub quoted: Option<(QuotationKind, Document)>,
    /// Its files, those that are shown within its text among them.
    pub files: Vec<MailFile>,
}

/// A file of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailFile {
    /// The [id](MailPart::id) of the part that has it.
    pub part: String,
    /// File name; one that says what it is, where the mail has none.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Size in bytes.
    pub size: Option<u64>,
    /// What a `cid:` URL in the text names it by (RFC 2392).
    pub content_id: Option<String>,
}

impl MailPart {
    /// Parses a mail (RFC 5322). `None` if it has no header.
    ///
    /// ```
    /// # use connector_core::content::mail::MailPart;
    /// let mail = MailPart::parse(b"Subject: Lunch\r\n\r\nAt noon?\r\n").expect("it has a header");
    /// assert_eq!(mail.read().text.to_markdown(), "At noon?");
    /// ```
    pub fn parse(mail: &[u8]) -> Option<Self> {
        let message = MessageParser::new().parse(mail)?;
        Some(of_message(&message, 0, String::new(), 0))
    }

    /// A part with these header lines (RFC 5322 2.2), without its content.
    pub fn from_headers(headers: &str) -> Self {
        let parsed = MessageParser::new().parse_headers(headers.as_bytes());
        parsed.as_ref().and_then(|message| message.parts.first()).map_or_else(Self::plain, described)
    }

    fn plain() -> Self {
        Self { media_type: "text/plain".to_owned(), ..Self::default() }
    }

    /// The text of these bytes, in the charset of the part. Bytes that are UTF-8 are read as that, whatever the part
    /// says, as services convert texts to it; without a charset others are read as Windows-1252.
    pub fn decode(&self, bytes: &[u8]) -> String {
        let charset = self.charset.as_deref().map(str::to_ascii_lowercase);
        let shifted = charset
            .as_deref()
            .is_some_and(|name| name.starts_with("iso-2022") || name == "utf-7" || name == "hz-gb-2312");
        match std::str::from_utf8(bytes) {
            Ok(text) if !shifted => text.to_owned(),
            _ => {
                let named = charset.as_deref().and_then(|name| charset_decoder(name.as_bytes()));
                match named.or_else(|| charset_decoder(b"windows-1252")) {
                    Some(decode) => decode(bytes),
                    None => String::from_utf8_lossy(bytes).into_owned(),
                }
            }
        }
    }

    fn is(&self, kind: &str) -> bool {
        self.media_type.starts_with(kind)
    }

    /// Neither blanks alone, nor markup that shows nothing.
    fn says_anything(&self) -> bool {
        if self.is("multipart/") {
            return self.parts.iter().any(Self::says_anything);
        }
        match &self.text {
            Some(text) if self.media_type == "text/html" => shows_anything(text),
            Some(text) => !text.trim().is_empty(),
            None => true,
        }
    }

    /// Reads the mail: its text, in the richest form that says anything, and its files.
    pub fn read(&self) -> ReadMail {
        let mut structure = Structure::default();
        structure.visit(std::slice::from_ref(self), "mixed", false, 0);
        let files = structure.files();
        let body =
            if structure.html.iter().any(|part| part.says_anything()) { &structure.html } else { &structure.text };
        let (mut text, mut quoted) = (Vec::new(), None::<(QuotationKind, Vec<Block>)>);
        for part in body {
            let (own, other) = match &part.text {
                Some(html) if part.media_type == "text/html" => {
                    let page = read(html);
                    split(page.blocks, page.quotation)
                }
                Some(_) => split_text(part),
                // A picture between texts.
                None => (shown_file(part, &files), None),
            };
            text.extend(own);
            match (&mut quoted, other) {
                (Some((_, all)), Some((_, more))) => all.extend(more),
                (None, Some(other)) => quoted = Some(other),
                (_, None) => {}
            }
        }
        let located = |document: Document| document.with_images(&|url| file_url(url));
        ReadMail {
            text: located(Document(text)),
            quoted: quoted.map(|(kind, blocks)| (kind, located(Document(blocks)))),
            files,
        }
    }
}

/// A `cid:` URL as it names a part: without the encoding of URLs (RFC 2392 2).
fn file_url(url: &str) -> Option<String> {
    let id = url.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("cid:")).and(url.get(4..))?;
    let (mut bytes, mut rest) = (Vec::with_capacity(id.len()), id.as_bytes());
    while let Some((byte, more)) = rest.split_first() {
        let digits = more.get(..2).filter(|_| *byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match digits.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = more.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = more;
            }
        }
    }
    Some(format!("cid:{}", String::from_utf8_lossy(&bytes)))
}

/// A picture that stands between texts.
fn shown_file(part: &MailPart, files: &[MailFile]) -> Vec<Block> {
    let file = files.iter().find(|file| file.part == part.id);
    let Some((file, id)) = file.and_then(|file| Some((file, file.content_id.as_ref()?))) else { return Vec::new() };
    vec![Block::Paragraph(vec![Inline::Image { url: format!("cid:{id}"), alt: file.name.clone() }])]
}

fn of_message(message: &Message<'_>, index: u32, id: String, depth: usize) -> MailPart {
    let Some(part) = message.part(index) else { return MailPart::plain() };
    let mut found = described(part);
    match &part.body {
        PartType::Text(text) | PartType::Html(text) => {
            found.size = Some(text.len() as u64);
            found.text = Some(text.clone().into_owned());
        }
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => found.size = Some(bytes.len() as u64),
        PartType::Message(inner) => found.size = Some(inner.raw_message.len() as u64),
        PartType::Multipart(parts) if depth < MAX_DEPTH => {
            let child = |(number, part): (usize, &u32)| {
                let id = if id.is_empty() { number.to_string() } else { format!("{id}.{number}") };
                of_message(message, *part, id, depth + 1)
            };
            found.parts = parts.iter().enumerate().map(child).collect();
        }
        PartType::Multipart(_) => {}
    }
    found.id = id;
    found
}

/// Describes a part by its header.
fn described(part: &mail_parser::MessagePart<'_>) -> MailPart {
    let kind = part.content_type();
    let media_type = match (kind.map(|kind| kind.ctype()), kind.and_then(|kind| kind.subtype())) {
        (Some(kind), Some(subtype)) => format!("{kind}/{subtype}").to_ascii_lowercase(),
        _ if matches!(part.body, PartType::Html(_)) => "text/html".to_owned(),
        _ => "text/plain".to_owned(),
    };
    let parameter = |name: &str| kind.and_then(|kind| kind.attribute(name)).map(str::to_owned);
    let says = |name: &str, wanted: &str| parameter(name).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
    let disposition = part.content_disposition().map(|disposition| disposition.ctype().to_ascii_lowercase());
    MailPart {
        // A disposition that is not known is that of a file (RFC 2183 2.8).
        is_attachment: disposition.is_some_and(|disposition| disposition != "inline" && !disposition.is_empty()),
        name: part.attachment_name().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned),
        content_id: part.content_id().map(|id| id.trim_matches(['<', '>', ' ']).to_owned()).filter(|id| !id.is_empty()),
        charset: parameter("charset"),
        flowed: says("format", "flowed"),
        deletes_space: says("delsp", "yes"),
        media_type,
        ..MailPart::default()
    }
}

impl<'a> Structure<'a> {
    /// The algorithm of RFC 8621 4.1.4. A part of an alternative that says nothing is no alternative.
    fn visit(&mut self, parts: &'a [MailPart], around: &str, in_alternative: bool, depth: usize) {
        let (texts, htmls) = (self.text.len(), self.html.len());
        let said = parts.iter().any(MailPart::says_anything);
        let parts = parts.iter().filter(|part| around != "alternative" || !said || part.says_anything());
        for (index, part) in parts.enumerate() {
            let media = ["image/", "audio/", "video/"].iter().any(|kind| part.is(kind));
            let is_text = matches!(part.media_type.as_str(), "text/plain" | "text/html") && part.text.is_some();
            let shown = !part.is_attachment
                && (is_text || media)
                && (index == 0 || (around != "related" && (media || part.name.is_none())));
            if let Some(kind) = part.media_type.strip_prefix("multipart/") {
                if depth < MAX_DEPTH {
                    let alternative = in_alternative || kind == "alternative";
                    // What was left out of one alternative is not left out of the next one.
                    let before = (self.no_text, self.no_html);
                    self.visit(&part.parts, kind, alternative, depth + 1);
                    if around != "alternative" && !in_alternative {
                        (self.no_text, self.no_html) = before;
                    }
                }
                continue;
            }
            if !shown {
                self.attachments.push(part);
                continue;
            }
            if around == "alternative" {
                match part.media_type.as_str() {
                    "text/plain" => self.text.push(part),
                    "text/html" => self.html.push(part),
                    _ => self.attachments.push(part),
                }
                continue;
            }
            if in_alternative {
                self.no_html |= part.media_type == "text/plain";
                self.no_text |= part.media_type == "text/html";
            }
            if !self.no_text {
                self.text.push(part);
            }
            if !self.no_html {
                self.html.push(part);
            }
            if media {
                self.attachments.push(part);
            }
        }
        if around == "alternative" {
            // Only one of the forms was found: it is both.
            if self.text.len() == texts && self.html.len() != htmls {
                self.text.extend(self.html.iter().skip(htmls).copied().collect::<Vec<_>>());
            } else if self.html.len() == htmls && self.text.len() != texts {
                self.html.extend(self.text.iter().skip(texts).copied().collect::<Vec<_>>());
            }
        }
    }

    /// The files, with names for those that have none.
    fn files(&self) -> Vec<MailFile> {
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        let mut ordered = self.attachments.clone();
        ordered.sort_by_key(|part| part.id.split('.').map(|number| number.parse().unwrap_or(0)).collect::<Vec<u32>>());
        let file = |part: &&MailPart| {
            let name = part.name.as_deref().and_then(harmless).unwrap_or_else(|| {
                let (stem, extension) = nameless(&part.media_type);
                let number = numbers.entry(format!("{stem}{extension}")).or_default();
                *number += 1;
                if *number == 1 { format!("{stem}.{extension}") } else { format!("{stem}-{number}.{extension}") }
            });
            MailFile {
                part: part.id.clone(),
                name,
                media_type: part.media_type.clone(),
                size: part.size,
                content_id: part.content_id.clone(),
            }
        };
        ordered.iter().map(file).collect()
    }
}

/// The name of a file without a path before it, and without what would be read as something else: quotes, controls
/// and marks that change the direction of writing. `None` if nothing is left.
fn harmless(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_direction =
        |c: char| matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}');
    let name: String = last.chars().filter(|c| !c.is_control() && !is_direction(*c)).collect();
    let name = name.replace('"', "'");
    let name = name.trim();
    (!name.is_empty() && !name.chars().all(|c| c == '.')).then(|| name.to_owned())
}

/// A name for a file of this type, and its extension.
fn nameless(media_type: &str) -> (&'static str, &'static str) {
    match media_type {
        "message/rfc822" | "message/global" => ("message", "eml"),
        "message/delivery-status" | "message/global-delivery-status" => ("delivery-status", "txt"),
        "message/disposition-notification" => ("receipt", "txt"),
        "message/feedback-report" => ("feedback-report", "txt"),
        "text/rfc822-headers" => ("headers", "txt"),
        "text/calendar" | "application/ics" => ("invitation", "ics"),
        "text/vcard" | "text/x-vcard" => ("contact", "vcf"),
        "application/pgp-signature" => ("signature", "asc"),
        "application/pgp-encrypted" => ("encrypted", "asc"),
        "application/pkcs7-signature" | "application/x-pkcs7-signature" => ("smime", "p7s"),
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => ("smime", "p7m"),
        "application/ms-tnef" => ("winmail", "dat"),
        "application/pdf" => ("attachment", "pdf"),
        "application/json" => ("attachment", "json"),
        "application/zip" => ("attachment", "zip"),
        "text/plain" => ("attachment", "txt"),
        "text/html" => ("attachment", "html"),
        "text/csv" => ("attachment", "csv"),
        "image/png" => ("image", "png"),
        "image/jpeg" | "image/jpg" => ("image", "jpg"),
        "image/gif" => ("image", "gif"),
        "image/webp" => ("image", "webp"),
        "image/svg+xml" => ("image", "svg"),
        "audio/mpeg" => ("audio", "mp3"),
        "audio/ogg" => ("audio", "ogg"),
        "video/mp4" => ("video", "mp4"),
        _ => ("attachment", "bin"),
    }
}

/// The own text and the quoted mail in a text.
fn split_text(part: &MailPart) -> (Vec<Block>, Option<(QuotationKind, Vec<Block>)>) {
    let text = part.text.as_deref().unwrap_or_default().replace("\r\n", "\n").replace('\r', "\n");
    let lines = if part.flowed { unflowed(&text, part.deletes_space) } else { fixed(&text) };
    let (lines, armour) = without_armour(lines);
    let parts = quotation::parts(&lines, None);
    let (own, rest) = lines.split_at(parts.quoted.min(lines.len()));
    let (quoted, below) = rest.split_at(parts.below.saturating_sub(parts.quoted).min(rest.len()));
    let mut text = blocks(own, 0);
    text.extend(blocks(below, 0));
    if !armour.trim().is_empty() {
        text.push(Block::Code(None, armour));
    }
    let quoted = blocks(quoted, 0);
    (text, (!quoted.is_empty()).then_some((parts.kind, quoted)))
}

/// The lines of a text that is not to be flowed.
fn fixed(text: &str) -> Vec<Line<'_>> {
    let line = |line| {
        let depth = depth_of(line);
        let mut rest: &str = line;
        for _ in 0..depth {
            rest = rest.trim_start_matches(' ');
            rest = rest.strip_prefix('>').unwrap_or(rest);
        }
        let rest = if depth > 0 { rest.strip_prefix(' ').unwrap_or(rest) } else { rest };
        let rest = rest.strip_prefix(">From ").map_or(Cow::Borrowed(rest), |rest| Cow::Owned(format!("From {rest}")));
        Line { text: rest, depth }
    };
    text.split('\n').map(line).collect()
}

/// The lines of a text whose lines flow (RFC 3676 4): those that end with a blank go on in the next one of the same
/// quotation, and a blank at the begin is stuffed.
fn unflowed(text: &str, deletes_space: bool) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut flows = false;
    for line in text.split('\n') {
        let rest = line.trim_start_matches('>');
        let depth = line.len() - rest.len();
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let is_signature = rest == "-- ";
        let goes_on = rest.ends_with(' ') && !is_signature;
        let kept = if goes_on && deletes_space { rest.strip_suffix(' ').unwrap_or(rest) } else { rest };
        match lines.last_mut().filter(|last| flows && last.depth == depth && !is_signature) {
            Some(last) => last.text.to_mut().push_str(kept),
            None => lines.push(Line { text: kept.into(), depth }),
        }
        flows = goes_on;
    }
    lines
}

/// The lines without the armour of a signature, and the armour.
fn without_armour(lines: Vec<Line<'_>>) -> (Vec<Line<'_>>, String) {
    let found = Armour::find(lines.iter().map(|line| if line.depth == 0 { &*line.text } else { "" }));
    let Some(found) = found else { return (lines, String::new()) };
    let (mut own, mut armour) = (Vec::with_capacity(lines.len()), Vec::new());
    for (index, mut line) in lines.into_iter().enumerate() {
        if found.has(index) {
            armour.push(line.text.into_owned());
            continue;
        }
        if let Some(rest) = found.unescaped(index, &line.text).map(str::to_owned) {
            line.text = rest.into();
        }
        own.push(line);
    }
    (own, armour.join("\n"))
}

/// Lines as blocks: paragraphs, and quotations by their marks.
fn blocks(lines: &[Line<'_>], depth: usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    let deeper = |line: &Line<'_>| line.depth > depth && depth < MAX_QUOTES;
    for run in lines.chunk_by(|line, next| deeper(line) == deeper(next)) {
        if run.first().is_some_and(deeper) {
            let inner = self::blocks(run, depth + 1);
            if !inner.is_empty() {
                blocks.push(Block::Quote(inner));
            }
            continue;
        }
        for paragraph in run.split(|line| line.text.trim().is_empty()) {
            let mut content = Vec::new();
            for (number, line) in paragraph.iter().enumerate() {
                if number > 0 {
                    content.push(Inline::Break);
                }
                content.push(Inline::Text(shown_line(&line.text)));
            }
            let content = tidy(content);
            if !content.is_empty() {
                blocks.push(Block::Paragraph(content));
            }
        }
    }
    blocks
}

/// A line of a text as it is shown: its indentation are blanks that stay.
fn shown_line(line: &str) -> String {
    let text = line.trim_end_matches(BLANKS);
    let rest = text.trim_start_matches(BLANKS);
    let indent = text.get(..text.len() - rest.len()).unwrap_or_default();
    let indent = indent.chars().map(|blank| if blank == '\t' { "\u{A0}\u{A0}\u{A0}\u{A0}" } else { "\u{A0}" });
    indent.chain([rest]).collect::<String>().replace(['\0', '\u{FEFF}'], "")
}

/// Where a line of a document is: its block, and its line in that.
#[derive(Debug, Clone, Copy)]
struct Place {
    block: usize,
    line: usize,
}

/// The own text and the quoted mail in blocks. `hint` is the number of blocks before the quoted mail, if the markup
/// says that.
fn split(blocks: Vec<Block>, hint: Option<usize>) -> (Vec<Block>, Option<(QuotationKind, Vec<Block>)>) {
    let (mut lines, mut places) = (Vec::new(), Vec::new());
    for (number, block) in blocks.iter().enumerate() {
        let first = lines.len();
        if number > 0 {
            lines.push(Line { text: "".into(), depth: 0 });
        }
        match block {
            Block::Paragraph(content) => {
                let each = content.split(|inline| *inline == Inline::Break);
                lines.extend(each.map(|line| Line { text: plain(line).replace('\n', " ").into(), depth: 0 }));
            }
            other => lines_of(other, 0, &mut lines),
        }
        // The line between two blocks is of the one before.
        places.extend(
            (first..lines.len())
                .map(|line| Place { block: number, line: line.saturating_sub(first + usize::from(number > 0)) }),
        );
    }
    let hint = hint.and_then(|block| places.iter().position(|place| place.block == block));
    let parts = quotation::parts(&lines, hint);
    let cut = |index: usize| places.get(index).copied().unwrap_or(Place { block: blocks.len(), line: 0 });
    let (begin, end) = (cut(parts.quoted), cut(parts.below));
    let (mut own, rest) = cut_at(blocks, begin);
    if parts.quoted < lines.len() {
        // The line that some programs draw above what they quote.
        own.truncate(own.iter().rposition(|block| *block != Block::Rule).map_or(0, |last| last + 1));
    }
    let end = Place {
        block: end.block.saturating_sub(begin.block),
        line: if end.block == begin.block { end.line.saturating_sub(begin.line) } else { end.line },
    };
    let (quoted, below) = cut_at(rest, end);
    let quoted = if parts.quoted < parts.below { quoted } else { Vec::new() };
    ([own, below].concat(), (!quoted.is_empty()).then_some((parts.kind, quoted)))
}

/// The blocks before and behind a place.
fn cut_at(mut blocks: Vec<Block>, place: Place) -> (Vec<Block>, Vec<Block>) {
    let mut rest = blocks.split_off(place.block.min(blocks.len()));
    if place.line > 0
        && let Some(Block::Paragraph(content)) = rest.first_mut()
    {
        let breaks = content.iter().enumerate().filter(|(_, inline)| **inline == Inline::Break);
        if let Some(at) = breaks.map(|(index, _)| index).nth(place.line - 1) {
            let mut behind = content.split_off(at);
            behind.remove(0);
            blocks.push(Block::Paragraph(std::mem::replace(content, behind)));
        }
    }
    rest.retain(|block| *block != Block::Paragraph(Vec::new()));
    (blocks, rest)
}

/// The lines of a block, for finding what is quoted.
fn lines_of(block: &Block, depth: usize, lines: &mut Vec<Line<'static>>) {
    let mut push = |text: &str| {
        lines.extend(text.split('\n').map(|line| Line { text: line.to_owned().into(), depth }));
    };
    match block {
        Block::Paragraph(content) | Block::Heading(_, content) => push(&plain(content)),
        Block::Code(_, text) => push(text),
        Block::Table(header, rows) => {
            for row in std::iter::once(header).chain(rows) {
                push(&row.iter().map(|cell| plain(cell)).collect::<Vec<_>>().join(" ").replace('\n', " "));
            }
        }
        Block::Rule => push("________________________________"),
        Block::Quote(blocks) => blocks.iter().for_each(|block| lines_of(block, depth + 1, lines)),
        Block::List(_, items) => {
            let blocks = items.iter().flat_map(|item: &Item| &item.blocks);
            blocks.for_each(|block| lines_of(block, depth, lines));
        }
    }
}

impl ReadMail {
    /// The mail as a note shows it: the own text, and below it a quotation that a program can fold. The quoted mail is
    /// left out where it is one that is answered, and `known`; one that is forwarded, or where it is not certain what
    /// it is, stays.
    pub fn into_note(self, known: bool) -> Document {
        let Some((kind, quoted)) = self.quoted else { return self.text };
        let said = self.text.0.iter().any(|block| match block {
            Block::Paragraph(content) => !is_delimiter(&plain(content)),
            _ => true,
        });
        match (said, kind) {
            (false, _) => Document([self.text.0, quoted.0].concat()),
            (true, QuotationKind::Reply) if known => self.text,
            (true, _) => {
                let mut blocks = self.text.0;
                // The marks of the quotation are those of the whole.
                let mut inner = quoted.0;
                if let Some(Block::Quote(last)) = inner.last_mut() {
                    let last = std::mem::take(last);
                    inner.pop();
                    inner.extend(last);
                }
                blocks.push(Block::Quote(inner));
                Document(blocks)
            }
        }
    }
}
