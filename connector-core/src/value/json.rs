//! The rendering of a stored value for a person.

use serde_json::{Map, Number, Value};

use super::de::{Decoder, Head, Result};
use super::error::{Segment, shorten};

/// The most characters of a key that an error shows.
const SHOWN_KEY_CHARS: usize = 64;
/// The most bytes of a key, other than text, that an error shows.
const SHOWN_KEY_BYTES: usize = 256;

pub(super) fn render(bytes: &[u8]) -> Result<Value> {
    let mut decoder = Decoder::new(bytes)?;
    let value = value(&mut decoder)?;
    decoder.finish()?;
    Ok(value)
}

/// The segment of an error's path for the map key that `bytes` begin with, an encoded value
/// without the version byte.
pub(super) fn key_segment(bytes: &[u8]) -> Segment {
    match Decoder::within(bytes).head() {
        Ok(Head::Text(text) | Head::UnitVariant(text)) => Segment::Name(shorten(text, SHOWN_KEY_CHARS)),
        // A large key is not rendered: keys within keys would make that expensive.
        _ => match value(&mut Decoder::within(bytes.get(..SHOWN_KEY_BYTES).unwrap_or(bytes))) {
            Ok(Value::String(text)) => Segment::Name(shorten(&text, SHOWN_KEY_CHARS)),
            Ok(other) => Segment::Key(shorten(&other.to_string(), SHOWN_KEY_CHARS)),
            Err(_) => Segment::Key("…".to_owned()),
        },
    }
}

/// The text of an encoded map key, in quotes when it is text.
pub(super) fn key_text(bytes: &[u8]) -> String {
    match key_segment(bytes) {
        Segment::Name(text) => format!("{text:?}"),
        Segment::Key(text) => text,
        Segment::Field(_) | Segment::Index(_) | Segment::NthKey(_) => String::new(),
    }
}

fn value(decoder: &mut Decoder<'_>) -> Result<Value> {
    Ok(match decoder.head()? {
        Head::Unit | Head::None => Value::Null,
        Head::Bool(flag) => Value::Bool(flag),
        Head::Uint(number) => number.into(),
        Head::Negative(number) => number.into(),
        Head::WideUint(number) => Value::String(u128::from_le_bytes(*number).to_string()),
        Head::WideNegative(number) => Value::String(i128::from_le_bytes(*number).to_string()),
        // Widening an f32 would show 0.1 as 0.10000000149011612.
        Head::F32(number) => float(number.to_string().parse().unwrap_or(f64::from(number))),
        Head::F64(number) => float(number),
        Head::Char(character) => Value::String(character.to_string()),
        Head::Text(text) => Value::String(text.to_owned()),
        Head::Bytes(bytes) => Value::String(hexadecimal(bytes)),
        Head::UnitVariant(name) => Value::String(name.to_owned()),
        Head::Some => {
            decoder.enter()?;
            let inner = value(decoder)?;
            decoder.leave();
            inner
        }
        Head::Variant(name) => {
            decoder.enter()?;
            let mut entry = Map::new();
            entry.insert(name.to_owned(), value(decoder)?);
            decoder.leave();
            Value::Object(entry)
        }
        Head::Seq(count) => {
            decoder.enter()?;
            let mut elements = Vec::new();
            for _ in 0..count {
                elements.push(value(decoder)?);
            }
            decoder.leave();
            Value::Array(elements)
        }
        Head::Map(count) => {
            decoder.enter()?;
            let mut entries = Map::new();
            for _ in 0..count {
                let key = match value(decoder)? {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                let key = unused(&entries, key);
                entries.insert(key, value(decoder)?);
            }
            decoder.leave();
            Value::Object(entries)
        }
    })
}

/// The key, numbered if a different key of this map has the same text.
fn unused(entries: &Map<String, Value>, key: String) -> String {
    if !entries.contains_key(&key) {
        return key;
    }
    // The number of entries is a suffix that is free except by bad luck, so that a damaged
    // map with one key many times takes no quadratic time.
    (entries.len() + 1..)
        .map(|number| format!("{key}#{number}"))
        .find(|numbered| !entries.contains_key(numbered))
        .unwrap_or(key)
}

fn float(number: f64) -> Value {
    match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => Value::String("NaN".to_owned()),
        None if number > 0.0 => Value::String("Infinity".to_owned()),
        None => Value::String("-Infinity".to_owned()),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('?');
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("0x");
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 0x0f));
    }
    text
}
