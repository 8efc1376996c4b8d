//! The form in which values are stored: state, the arguments of callbacks, cursors.
//!
//! The form is binary and describes itself, so that a stored value can be read by a newer
//! version of the type and shown to a person without the type. Whatever serde writes comes
//! back equal: 128-bit integers, every bit of a float, bytes, maps with any keys, nested
//! options. Struct fields and enum variants are written by name, so fields may be added
//! (with a default), removed and reordered between two versions of a connector.
//!
//! Types that have a text form (times, URLs, addresses) use it, since text stays the same
//! between versions of the crates that they come from.
//!
//! A type may change in these ways and still read what was stored before:
//!
//! - fields are added with a default, removed or reordered; a struct without fields gets
//!   some, or loses all;
//! - a `T` becomes an `Option<T>`, or the reverse where a value was present;
//! - an integer type becomes another that the number fits, or a float;
//! - a sequence of bytes becomes a `Vec<u8>`, or the reverse;
//! - a typed value takes the place of a [`serde_json::Value`] of the same shape.
//!
//! One thing cannot come back, and is only found when it is read: serde's own buffer for
//! `untagged`, `flatten` and internally tagged types holds no 128-bit integers.
//!
//! ```
//! use connector_core::value;
//!
//! let cursor = (Some(7_u64), "page-2");
//! let bytes = value::to_bytes(&cursor)?;
//! assert_eq!(value::from_bytes::<(Option<u64>, String)>(&bytes)?, (Some(7), "page-2".to_owned()));
//! assert_eq!(value::to_json(&bytes)?, serde_json::json!([7, "page-2"]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The bytes
//!
//! The first byte is [`FORMAT_VERSION`]; one value follows. A value is a tag byte and what
//! belongs to it. Lengths, counts and larger integers are LEB128 varints; a negative
//! integer is written as its complement, which is as short as zigzag.
//!
//! | tag | value |
//! |---|---|
//! | `00`–`3f` | the integer 0 to 63 |
//! | `40`–`7f` | text of 0 to 63 bytes |
//! | `80`–`9f` | map of 0 to 31 entries, key and value in turn; also a struct |
//! | `a0`–`bf` | sequence of 0 to 31 elements; also a tuple |
//! | `c0`–`cf` | the integer -1 to -16 |
//! | `d0`–`d3` | unit, none, false, true |
//! | `d4` | some, and the value |
//! | `d5` `d6` | non-negative and negative integer of 64 bits |
//! | `d7` `d8` | `u128` and negative `i128` of 16 bytes, little end first |
//! | `d9` `da` | the bits of an `f32` and an `f64`, little end first |
//! | `db` | character, as a varint |
//! | `dc` `dd` | text and bytes, with their length |
//! | `de` `df` | sequence and map, with their count |
//! | `e0` | enum variant without content: its name |
//! | `e1` | enum variant: its name, and its content as one value |

pub(crate) mod arguments;
mod de;
mod error;
mod json;
mod ser;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};

pub use error::{DecodeError, DecodeReason, EncodeError, EncodeReason};

/// The first byte of every stored value. A value with another version is refused.
pub const FORMAT_VERSION: u8 = 1;

/// The most bytes that one stored value may take: 16 MiB, with the version byte.
///
/// State is meant for cursors and small maps. A value near this limit would be rewritten
/// whole at every change, and belongs into records or files instead.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// How deep the sequences, maps, enum variants and options of a value may nest.
///
/// Reading recurses for each level; the limit keeps it within the stack of any thread.
pub const MAX_DEPTH: usize = 128;

mod tag {
    //! The tag bytes of the table above.
    pub(super) const SMALL_UINT_MAX: u64 = 0x3f;
    pub(super) const SMALL_NEGATIVE: u8 = 0xc0;
    pub(super) const SMALL_NEGATIVE_MAX: u64 = 0x0f;
    pub(super) const UNIT: u8 = 0xd0;
    pub(super) const NONE: u8 = 0xd1;
    pub(super) const FALSE: u8 = 0xd2;
    pub(super) const TRUE: u8 = 0xd3;
    pub(super) const SOME: u8 = 0xd4;
    pub(super) const UINT: u8 = 0xd5;
    pub(super) const NEGATIVE: u8 = 0xd6;
    pub(super) const WIDE_UINT: u8 = 0xd7;
    pub(super) const WIDE_NEGATIVE: u8 = 0xd8;
    pub(super) const F32: u8 = 0xd9;
    pub(super) const F64: u8 = 0xda;
    pub(super) const CHAR: u8 = 0xdb;
    pub(super) const TEXT: u8 = 0xdc;
    pub(super) const BYTES: u8 = 0xdd;
    pub(super) const SEQ: u8 = 0xde;
    pub(super) const MAP: u8 = 0xdf;
    pub(super) const UNIT_VARIANT: u8 = 0xe0;
    pub(super) const VARIANT: u8 = 0xe1;

    /// A tag with a length: `short + length` in one byte up to `short_max`, else `long`
    /// and a varint.
    #[derive(Clone, Copy)]
    pub(super) struct Sized {
        pub(super) short: u8,
        pub(super) short_max: u8,
        pub(super) long: u8,
    }

    pub(super) const SIZED_TEXT: Sized = Sized { short: 0x40, short_max: 0x3f, long: TEXT };
    pub(super) const SIZED_MAP: Sized = Sized { short: 0x80, short_max: 0x1f, long: MAP };
    pub(super) const SIZED_SEQ: Sized = Sized { short: 0xa0, short_max: 0x1f, long: SEQ };
}

/// Encodes a value for storage.
///
/// # Errors
///
/// Names the part of the value that cannot be stored, and why: its `Serialize`
/// implementation failed, it nests deeper than [`MAX_DEPTH`], the whole takes more than
/// [`MAX_BYTES`], or a map has a key twice.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    ser::encode(value).map_err(EncodeError::from)
}

/// Decodes a stored value.
///
/// # Errors
///
/// When the bytes are no stored value (cut off, damaged, from a newer format version), or
/// hold one that `T` does not accept. Damaged bytes never panic, and take no more memory
/// than bytes of their length can hold.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    from_bytes_borrowed(bytes)
}

/// Decodes a stored value that may keep references into the bytes, such as `&str`.
///
/// # Errors
///
/// As [`from_bytes`].
pub fn from_bytes_borrowed<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    de::decode(bytes).map_err(DecodeError::from)
}

/// Renders a stored value as JSON for a person to read.
///
/// What JSON has no form for is shown as follows, so the rendering is not for reading back:
///
/// | stored | shown |
/// |---|---|
/// | unit, `None` | `null` |
/// | `Some(x)`, newtype of `x` | `x` |
/// | integer beyond 64 bits | its digits as a string |
/// | `NaN`, infinities | `"NaN"`, `"Infinity"`, `"-Infinity"` |
/// | `f32` | the shortest decimal that is that `f32` |
/// | character | a string |
/// | bytes | `"0x"` and hexadecimal digits |
/// | enum variant | `"Name"`, or `{"Name": content}` |
/// | map key that is no string | its own rendering as JSON text: `"5"`, `"[1,2]"` |
/// | second key with one rendering | `#` and a number appended |
///
/// # Errors
///
/// When the bytes are no stored value.
pub fn to_json(bytes: &[u8]) -> Result<serde_json::Value, DecodeError> {
    json::render(bytes).map_err(DecodeError::from)
}
