//! Errors that name the part of a value they concern.
//!
//! While encoding and decoding, the path is not tracked: an error collects it segment by
//! segment as it passes outward, so that success pays nothing for it.

use std::fmt::{self, Write as _};

use super::{FORMAT_VERSION, MAX_BYTES, MAX_DEPTH};

/// A value that cannot be stored; nothing was stored of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot store {}: {reason}", place(path))]
pub struct EncodeError {
    /// The part of the value that cannot be stored, such as `items[3].owner`; empty when it
    /// is the value itself.
    pub path: String,
    /// Why it cannot be stored.
    pub reason: EncodeReason,
}

/// Why a value cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeReason {
    /// The `Serialize` implementation failed, with this message.
    #[error("{0}")]
    Refused(String),
    /// The value nests deeper than [`MAX_DEPTH`].
    #[error("it nests more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// The value takes more than [`MAX_BYTES`]; the path is where the limit was crossed.
    #[error("the whole value takes more than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// A map or struct has this key twice, so that one of the two would be lost.
    #[error("it has the key {0} twice")]
    DuplicateKey(String),
}

/// A stored value that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {}: {reason}", place(path))]
pub struct DecodeError {
    /// The part of the value that cannot be read, such as `items[3].owner`; empty when it
    /// is the value itself.
    pub path: String,
    /// Why it cannot be read.
    pub reason: DecodeReason,
}

/// Why a stored value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeReason {
    /// The bytes end within the value, or a length in them is larger than what follows.
    #[error("the stored bytes are cut off or damaged")]
    Truncated,
    /// At this distance from the start, in bytes, stands something that no value begins with.
    #[error("the stored bytes are damaged at byte {0}")]
    Damaged(usize),
    /// More bytes follow after the value.
    #[error("{0} more bytes follow the stored value")]
    TrailingBytes(usize),
    /// The value was written in this format version, which is not [`FORMAT_VERSION`].
    #[error("it is stored in format version {0}, and this program reads version {FORMAT_VERSION}")]
    Version(u8),
    /// The value nests deeper than [`MAX_DEPTH`].
    #[error("it nests more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// The type does not accept what is stored, with this message.
    #[error("{0}")]
    Mismatch(String),
}

/// The most characters of a message about a stored value.
const MESSAGE_CHARS: usize = 400;

pub(super) fn shorten(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn place(path: &str) -> String {
    if path.is_empty() { "the value".to_owned() } else { format!("`{path}`") }
}

/// One step from a value to a part of it.
#[derive(Debug)]
pub(super) enum Segment {
    Field(&'static str),
    /// A key or a variant that is text.
    Name(String),
    Index(usize),
    /// A key that is no text, as JSON.
    Key(String),
    /// The nth key itself, when it is the key that fails.
    NthKey(usize),
}

/// The error on its way outward. One pointer wide, because it is part of every result on
/// the path of success.
#[derive(Debug)]
pub(super) struct Failure<R>(Box<Inner<R>>);

#[derive(Debug)]
struct Inner<R> {
    reason: R,
    /// The innermost segment first.
    path: Vec<Segment>,
}

impl<R> Failure<R> {
    #[cold]
    pub(super) fn new(reason: R) -> Self {
        Self(Box::new(Inner { reason, path: Vec::new() }))
    }

    #[cold]
    pub(super) fn within(mut self, segment: Segment) -> Self {
        self.0.path.push(segment);
        self
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.0.path.iter().rev() {
            match segment {
                Segment::Field(name) => push_name(&mut path, name),
                Segment::Name(name) => push_name(&mut path, name),
                Segment::Index(index) => push(&mut path, format_args!("[{index}]")),
                Segment::Key(key) => push(&mut path, format_args!("[{key}]")),
                Segment::NthKey(index) => push(&mut path, format_args!("[key {index}]")),
            }
        }
        path
    }
}

fn push_name(path: &mut String, name: &str) {
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        push(path, format_args!("[{name:?}]"));
    } else if path.is_empty() {
        path.push_str(name);
    } else {
        push(path, format_args!(".{name}"));
    }
}

fn push(path: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a string fails only if a Display implementation does, and these do not.
    if path.write_fmt(text).is_err() {
        path.push('?');
    }
}

impl<R: fmt::Display> fmt::Display for Failure<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        if path.is_empty() { self.0.reason.fmt(f) } else { write!(f, "{path}: {}", self.0.reason) }
    }
}

impl<R: fmt::Display + fmt::Debug> std::error::Error for Failure<R> {}

impl serde::ser::Error for Failure<EncodeReason> {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(EncodeReason::Refused(message.to_string()))
    }
}

impl serde::de::Error for Failure<DecodeReason> {
    fn custom<T: fmt::Display>(message: T) -> Self {
        // Serde quotes the whole of a text that does not fit the type.
        let message = shorten(&message.to_string(), MESSAGE_CHARS);
        Self::new(DecodeReason::Mismatch(message))
    }
}

impl From<Failure<EncodeReason>> for EncodeError {
    fn from(failure: Failure<EncodeReason>) -> Self {
        Self { path: failure.path(), reason: failure.0.reason }
    }
}

impl From<Failure<DecodeReason>> for DecodeError {
    fn from(failure: Failure<DecodeReason>) -> Self {
        Self { path: failure.path(), reason: failure.0.reason }
    }
}
