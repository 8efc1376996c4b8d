//! The reason that a service gives for an error, found in the usual places of JSON, XML, HTML and plain text.
//!
//! What is shown is one line of at most [`MAX_CHARS`] characters without control characters. The secrets of the
//! request are taken out of it: services repeat what they were sent.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value};

use super::client::names_a_credential;
use super::{Request, Response};
use crate::secret::Secret;

/// Characters of a reason that are shown.
const MAX_CHARS: usize = 300;

/// Bytes of a body that are searched.
const MAX_BODY: usize = 64 << 10;

/// Parts of a list of reasons that are shown.
const MAX_PARTS: usize = 5;

/// Levels of nesting that are searched.
const MAX_DEPTH: usize = 4;

/// The shortest secret that is taken out, in characters: a shorter one would tear words apart.
const MIN_SECRET: usize = 6;

/// Fields that hold a sentence, the best first, in lower case without separators.
const SENTENCES: [&str; 14] = [
    "detail",
    "message",
    "errordescription",
    "errormessage",
    "errormsg",
    "description",
    "msg",
    "errorsummary",
    "faultstring",
    "title",
    "summary",
    "reason",
    "value",
    "text",
];

/// Fields that hold more errors.
const NESTED: [&str; 10] = [
    "errors",
    "errormessages",
    "error",
    "messages",
    "fault",
    "odata.error",
    "invalidparams",
    "fielderrors",
    "validationerrors",
    "details",
];

/// Fields that say which field of the request an error is about.
const FIELDS: [&str; 7] = ["field", "loc", "name", "path", "parameter", "pointer", "property"];

/// The reason that an answer gives, on one line; `None` if it gives none.
pub(super) fn of(response: &Response) -> Option<String> {
    let whole = response.body.len() <= MAX_BODY;
    let body = response.body.get(..MAX_BODY).unwrap_or(&response.body);
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body).trim_ascii();
    let found = match body.first()? {
        b'{' | b'[' | b'"' if whole => text_of(&serde_json::from_slice(body).ok()?, 0),
        b'{' | b'[' => None,
        b'<' => marked_up(&String::from_utf8_lossy(body)),
        _ => plain(&String::from_utf8_lossy(body)),
    };
    let line = one_line(&found?, &response.context.hidden);
    (!line.is_empty()).then_some(line)
}

/// The beginning of what a service says, on one line, without secrets, as it goes into logs.
pub(super) fn one_line(said: &str, hidden: &[Secret]) -> String {
    let shown = hide(said, hidden);
    let mut line = String::new();
    let words = shown.split(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c));
    for word in words.filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.chars().take(MAX_CHARS).collect()
}

/// Characters that change how the text around them is shown, or are not shown at all.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text without these secrets.
pub(super) fn hide(text: &str, hidden: &[Secret]) -> String {
    hidden.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), "[hidden]"))
}

/// What of a request may be in no log: values of sensitive headers and their parts, and query parameters and passwords
/// whose names say so.
pub(super) fn secrets_of(request: &Request) -> Vec<Secret> {
    let mut found = Vec::new();
    let sensitive = request.headers.values().filter(|value| value.is_sensitive());
    for value in sensitive.filter_map(|value| value.to_str().ok()) {
        found.push(value.to_owned());
        // `Bearer token`, `OAuth key="a", token="b"`, `a=b; c=d`.
        found.extend(value.split([' ', ',', ';', '"', '=']).skip(1).map(str::to_owned));
        let basic = value.strip_prefix("Basic ").and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
        let pair = basic.and_then(|pair| String::from_utf8(pair).ok());
        found.extend(pair.and_then(|pair| Some(pair.split_once(':')?.1.to_owned())));
    }
    found.extend(request.url.password().map(str::to_owned));
    let named = request.url.query_pairs().filter(|(name, _)| names_a_credential(name));
    found.extend(named.map(|(_, value)| value.into_owned()));
    found.retain(|secret| secret.chars().count() >= MIN_SECRET);
    // The longest first, or what is left of it would be shown.
    found.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    found.dedup();
    found.into_iter().map(Secret::new).collect()
}

fn text_of(value: &Value, depth: usize) -> Option<String> {
    if depth > MAX_DEPTH {
        return None;
    }
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Array(parts) => joined(parts.iter().filter_map(|part| text_of(part, depth + 1))),
        Value::Object(fields) => object(fields, depth),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn object(fields: &Map<String, Value>, depth: usize) -> Option<String> {
    let field = |wanted: &str| fields.iter().find(|(name, _)| normal(name) == wanted).map(|(_, value)| value);
    let sentence = SENTENCES.iter().find_map(|name| text_of(field(name)?, depth + 1));
    let more = NESTED.iter().find_map(|name| {
        let value = field(name)?;
        match value {
            // A word for programs, beside the sentence for people.
            Value::String(_) if sentence.is_some() => None,
            Value::Object(map) if *name != "error" && *name != "fault" && *name != "odata.error" => {
                object(map, depth + 1).or_else(|| by_field(map, depth + 1))
            }
            _ => text_of(value, depth + 1),
        }
    });
    let code = || field("code").or_else(|| field("type")).and_then(Value::as_str).map(str::to_owned);
    let found = match (sentence, more) {
        (Some(sentence), Some(more)) if !sentence.contains(&more) && !more.contains(&sentence) => {
            Some(format!("{sentence}: {more}"))
        }
        (Some(sentence), Some(more)) if more.len() > sentence.len() => Some(more),
        (Some(sentence), _) => Some(sentence),
        (None, Some(more)) => Some(more),
        (None, None) if depth > 0 => code(),
        (None, None) => deeper(fields, depth).or_else(|| by_field(fields, depth)).or_else(code),
    };
    let about = (depth > 0).then(|| FIELDS.iter().find_map(|name| place(field(name)?))).flatten();
    match (about, found) {
        (Some(about), Some(found)) if !found.contains(&about) => Some(format!("{about}: {found}")),
        (_, found) => found,
    }
}

/// The reason in a part of the body that has a name of its own: `{"response": {"message": "…"}}`.
fn deeper(fields: &Map<String, Value>, depth: usize) -> Option<String> {
    let parts = fields.values().filter_map(Value::as_object);
    parts.filter(|_| depth < 2).find_map(|part| object(part, depth + 1))
}

/// Reasons by the field of the request: `{"title": ["may not be blank"]}`.
fn by_field(fields: &Map<String, Value>, depth: usize) -> Option<String> {
    let lists = depth > 0 || fields.values().all(|value| matches!(value, Value::Array(_)));
    let texts = fields.iter().filter(|_| lists).filter_map(|(name, value)| {
        let text = text_of(value, depth + 1)?;
        Some(if normal(name) == "nonfielderrors" || normal(name) == "base" { text } else { format!("{name}: {text}") })
    });
    joined(texts)
}

fn joined(texts: impl Iterator<Item = String>) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    for text in texts {
        if !parts.contains(&text) {
            parts.push(text);
        }
        if parts.len() == MAX_PARTS {
            break;
        }
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Where in the request the error is: a name, or a path of names.
fn place(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(names) => {
            let names = names.iter().filter_map(|name| match name {
                Value::String(name) => Some(name.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
            Some(names.collect::<Vec<_>>().join(".")).filter(|path| !path.is_empty())
        }
        _ => None,
    }
}

/// A name without separators and case: `errorMessages`, `error_messages` and `error-messages` are one.
fn normal(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// The reason in XML, or the title of a page in HTML.
fn marked_up(text: &str) -> Option<String> {
    const ELEMENTS: [&str; 9] = [
        "message",
        "detail",
        "error_description",
        "faultstring",
        "responsedescription",
        "description",
        "reason",
        "error",
        "title",
    ];
    let html = text.get(..200.min(text.len())).unwrap_or(text).to_ascii_lowercase();
    if html.contains("<html") || html.contains("<!doctype html") || html.contains("<head") {
        let tags = tags(text);
        return ["title", "h1"].iter().find_map(|name| element(&tags, name));
    }
    let tags = tags(text);
    ELEMENTS.iter().find_map(|name| element(&tags, name)).or_else(|| {
        // A precondition of WebDAV (RFC 4918 16): the name of the element in `error` is all there is.
        let (_, within) = tags.split_at(tags.iter().position(|tag| tag.name == "error")? + 1);
        within.first().filter(|tag| !tag.closes).map(|tag| tag.name.clone())
    })
}

struct Tag {
    /// The name in lower case, without the prefix of its namespace.
    name: String,
    closes: bool,
    /// The text between this tag and the next.
    text: String,
}

/// The tags of a text, and the texts between them. What is no well-formed XML is read as far as it goes.
fn tags(text: &str) -> Vec<Tag> {
    let mut tags: Vec<Tag> = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        if let Some(last) = tags.last_mut() {
            last.text.push_str(&unescaped(before));
        }
        if let Some(data) = after.strip_prefix("![CDATA[") {
            let (data, next) = data.split_once("]]>").unwrap_or((data, ""));
            if let Some(last) = tags.last_mut() {
                last.text.push_str(data);
            }
            rest = next;
            continue;
        }
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, next)| next);
            continue;
        }
        let Some((tag, next)) = after.split_once('>') else { break };
        rest = next;
        let (closes, name) = tag.strip_prefix('/').map_or((false, tag), |name| (true, name));
        let name = name.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        let name = name.rsplit(':').next().unwrap_or_default().to_ascii_lowercase();
        if !name.starts_with(['?', '!']) {
            tags.push(Tag { name, closes, text: String::new() });
        }
    }
    tags
}

/// The texts of the elements with this name.
fn element(tags: &[Tag], name: &str) -> Option<String> {
    let found = tags.iter().filter(|tag| !tag.closes && tag.name == name);
    joined(found.map(|tag| tag.text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// The five entities of XML, and characters by their number.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let entity = after.split_once(';').filter(|(name, _)| name.len() <= 8);
        let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let character = entity.and_then(|(name, _)| match name {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => match (name.strip_prefix("#x"), name.strip_prefix('#')) {
                (Some(digits), _) => number(digits, 16),
                (None, Some(digits)) => number(digits, 10),
                (None, None) => None,
            },
        });
        match (character, entity) {
            (Some(character), Some((_, next))) => {
                plain.push(character);
                rest = next;
            }
            _ => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// A text that people wrote; `None` for what is binary.
fn plain(text: &str) -> Option<String> {
    let beginning = || text.chars().take(MAX_CHARS);
    let odd = beginning().filter(|c| (c.is_control() && !c.is_whitespace()) || *c == '\u{fffd}').count();
    (odd * 10 < beginning().count()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
