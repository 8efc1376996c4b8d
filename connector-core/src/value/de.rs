//! Decoding, straight from the stored bytes.

use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer};
use serde::de::{self, Deserialize, DeserializeSeed, Error as _, Expected, Unexpected, Visitor};

use super::error::{DecodeReason, Failure, Segment};
use super::{FORMAT_VERSION, MAX_DEPTH, json, tag};

pub(super) type Result<T = ()> = std::result::Result<T, Failure<DecodeReason>>;

/// The name by which `serde_json::value::RawValue` asks for a struct, although it says newtype.
const RAW_JSON: &str = "$serde_json::private::RawValue";

pub(super) fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T> {
    let mut decoder = Decoder::new(bytes)?;
    let value = T::deserialize(&mut decoder)?;
    decoder.finish()?;
    Ok(value)
}

/// What a value begins with; for all but the containers it is the whole value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Head<'de> {
    Unit,
    None,
    /// A value follows.
    Some,
    Bool(bool),
    Uint(u64),
    Negative(i64),
    WideUint(&'de [u8; 16]),
    WideNegative(&'de [u8; 16]),
    F32(f32),
    F64(f64),
    Char(char),
    Text(&'de str),
    Bytes(&'de [u8]),
    UnitVariant(&'de str),
    /// The content follows as one value.
    Variant(&'de str),
    /// So many values follow.
    Seq(usize),
    /// So many keys and values follow in turn.
    Map(usize),
}

impl Head<'_> {
    #[cold]
    pub(super) fn mismatch(self, expected: &dyn Expected) -> Failure<DecodeReason> {
        let unexpected = match self {
            Self::Unit => Unexpected::Unit,
            Self::None | Self::Some => Unexpected::Option,
            Self::Bool(flag) => Unexpected::Bool(flag),
            Self::Uint(number) => Unexpected::Unsigned(number),
            Self::Negative(number) => Unexpected::Signed(number),
            Self::WideUint(_) | Self::WideNegative(_) => Unexpected::Other("integer of 128 bits"),
            Self::F32(number) => Unexpected::Float(number.into()),
            Self::F64(number) => Unexpected::Float(number),
            Self::Char(character) => Unexpected::Char(character),
            Self::Text(text) => Unexpected::Str(text),
            Self::Bytes(bytes) => Unexpected::Bytes(bytes),
            Self::UnitVariant(_) => Unexpected::UnitVariant,
            Self::Variant(_) => Unexpected::NewtypeVariant,
            Self::Seq(_) => Unexpected::Seq,
            Self::Map(_) => Unexpected::Map,
        };
        Failure::invalid_type(unexpected, expected)
    }
}

#[cold]
fn truncated() -> Failure<DecodeReason> {
    Failure::new(DecodeReason::Truncated)
}

pub(super) struct Decoder<'de> {
    /// What was not read yet.
    input: &'de [u8],
    /// The length of the whole, with the version byte.
    total: usize,
    depth: usize,
    /// How many bytes the open sequences and maps still need at least. What an inner one
    /// announces must fit beside that, so that all announced counts together, which readers
    /// allocate by, stay below the length of the input.
    reserved: usize,
}

impl<'de> Decoder<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((&FORMAT_VERSION, input)) => Ok(Self { input, total: bytes.len(), depth: 0, reserved: 0 }),
            Some((&version, _)) => Err(Failure::new(DecodeReason::Version(version))),
            None => Err(truncated()),
        }
    }

    /// For an encoded value within others, which has no version byte.
    pub(super) fn within(input: &'de [u8]) -> Self {
        Self { input, total: input.len(), depth: 0, reserved: 0 }
    }

    pub(super) fn finish(&self) -> Result {
        match self.input.len() {
            0 => Ok(()),
            more => Err(Failure::new(DecodeReason::TrailingBytes(more))),
        }
    }

    pub(super) fn enter(&mut self) -> Result {
        if self.depth == MAX_DEPTH {
            return Err(Failure::new(DecodeReason::TooDeep));
        }
        self.depth += 1;
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    #[cold]
    fn damaged(&self) -> Failure<DecodeReason> {
        // The byte in question was read already.
        Failure::new(DecodeReason::Damaged(self.total - self.input.len() - 1))
    }

    #[inline]
    fn byte(&mut self) -> Result<u8> {
        let (&byte, rest) = self.input.split_first().ok_or_else(truncated)?;
        self.input = rest;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<&'de [u8; N]> {
        let (array, rest) = self.input.split_first_chunk().ok_or_else(truncated)?;
        self.input = rest;
        Ok(array)
    }

    fn slice(&mut self, length: usize) -> Result<&'de [u8]> {
        let (slice, rest) = self.input.split_at_checked(length).ok_or_else(truncated)?;
        self.input = rest;
        Ok(slice)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64> {
        let mut number = 0;
        let mut shift = 0;
        // The tenth byte has room for one bit.
        while shift < u64::BITS {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
            shift += 7;
        }
        Err(self.damaged())
    }

    /// A length or count, of things that take at least `width` bytes each.
    fn length(&mut self, width: usize) -> Result<usize> {
        let length = usize::try_from(self.varint()?).map_err(|_| truncated())?;
        if length > self.input.len() / width {
            return Err(truncated());
        }
        Ok(length)
    }

    fn text(&mut self, length: usize) -> Result<&'de str> {
        let bytes = self.slice(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged())
    }

    fn name(&mut self) -> Result<&'de str> {
        match self.byte()? {
            short @ 0x40..=0x7f => self.text(usize::from(short & 0x3f)),
            tag::TEXT => {
                let length = self.length(1)?;
                self.text(length)
            }
            _ => Err(self.damaged()),
        }
    }

    #[inline]
    pub(super) fn head(&mut self) -> Result<Head<'de>> {
        Ok(match self.byte()? {
            small @ 0x00..=0x3f => Head::Uint(small.into()),
            short @ 0x40..=0x7f => Head::Text(self.text(usize::from(short & 0x3f))?),
            short @ 0x80..=0x9f => Head::Map(usize::from(short & 0x1f)),
            short @ 0xa0..=0xbf => Head::Seq(usize::from(short & 0x1f)),
            tag::UINT => Head::Uint(self.varint()?),
            long => return self.long_head(long),
        })
    }

    /// The rest of [`Self::head`], apart so that the frequent short forms are inlined.
    fn long_head(&mut self, tag: u8) -> Result<Head<'de>> {
        Ok(match tag {
            small @ 0xc0..=0xcf => Head::Negative(!i64::from(small & 0x0f)),
            tag::UNIT => Head::Unit,
            tag::NONE => Head::None,
            tag::FALSE => Head::Bool(false),
            tag::TRUE => Head::Bool(true),
            tag::SOME => Head::Some,
            tag::NEGATIVE => {
                let complement = self.varint()?;
                Head::Negative(!i64::try_from(complement).map_err(|_| self.damaged())?)
            }
            tag::WIDE_UINT => Head::WideUint(self.array()?),
            tag::WIDE_NEGATIVE => Head::WideNegative(self.array()?),
            tag::F32 => Head::F32(f32::from_bits(u32::from_le_bytes(*self.array()?))),
            tag::F64 => Head::F64(f64::from_bits(u64::from_le_bytes(*self.array()?))),
            tag::CHAR => {
                let code = u32::try_from(self.varint()?).map_err(|_| self.damaged())?;
                Head::Char(char::from_u32(code).ok_or_else(|| self.damaged())?)
            }
            tag::TEXT => {
                let length = self.length(1)?;
                Head::Text(self.text(length)?)
            }
            tag::BYTES => {
                let length = self.length(1)?;
                Head::Bytes(self.slice(length)?)
            }
            tag::SEQ => Head::Seq(self.length(1)?),
            tag::MAP => Head::Map(self.length(2)?),
            tag::UNIT_VARIANT => Head::UnitVariant(self.name()?),
            tag::VARIANT => Head::Variant(self.name()?),
            _ => return Err(self.damaged()),
        })
    }

    /// The head of a value where the type is no option: a field that was one when it was
    /// stored is read as what was in it.
    #[inline]
    pub(super) fn head_in_option(&mut self) -> Result<Head<'de>> {
        loop {
            match self.head()? {
                Head::Some => {}
                head => return Ok(head),
            }
        }
    }

    /// Passes over one value, without recursion.
    pub(super) fn skip(&mut self) -> Result {
        self.skip_many(1)
    }

    fn skip_many(&mut self, count: usize) -> Result {
        let mut due = count;
        while due > 0 {
            due -= 1;
            due = due.saturating_add(match self.head()? {
                Head::Some | Head::Variant(_) => 1,
                Head::Seq(count) => count,
                Head::Map(count) => count.saturating_mul(2),
                _ => 0,
            });
        }
        Ok(())
    }

    /// Opens a container of so many values.
    pub(super) fn open(&mut self, values: usize) -> Result {
        if values > self.input.len().saturating_sub(self.reserved) {
            return Err(truncated());
        }
        self.enter()?;
        self.reserved += values;
        Ok(())
    }

    /// One of the values of the innermost open container begins.
    #[inline]
    pub(super) fn begin_value(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    fn visit_seq<V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Result<V::Value> {
        self.open(count)?;
        let mut elements = Elements { decoder: self, left: count, count };
        let value = visitor.visit_seq(&mut elements)?;
        if elements.left > 0 {
            let expected = format!("{} elements", count - elements.left);
            return Err(Failure::invalid_length(count, &expected.as_str()));
        }
        self.leave();
        Ok(value)
    }

    fn visit_map<V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Result<V::Value> {
        self.open(count.saturating_mul(2))?;
        let mut entries = Entries { decoder: self, left: count, key_at: &[], key_length: 0 };
        let value = visitor.visit_map(&mut entries)?;
        if entries.left > 0 {
            let expected = format!("{} entries", count - entries.left);
            return Err(Failure::invalid_length(count, &expected.as_str()));
        }
        self.leave();
        Ok(value)
    }

    fn visit_byte_elements<V: Visitor<'de>>(&mut self, bytes: &'de [u8], visitor: V) -> Result<V::Value> {
        let mut elements = SeqDeserializer::new(bytes.iter().copied());
        let value = visitor.visit_seq(&mut elements)?;
        elements.end()?;
        Ok(value)
    }

    fn visit_variant_as_map<V: Visitor<'de>>(&mut self, name: &'de str, visitor: V) -> Result<V::Value> {
        self.enter()?;
        let mut entry = VariantEntry { decoder: self, name, stage: Stage::Name };
        let value = visitor.visit_map(&mut entry)?;
        if !matches!(entry.stage, Stage::Done) {
            return Err(Failure::invalid_length(1, &"0 entries"));
        }
        self.leave();
        Ok(value)
    }

    fn visit_any<V: Visitor<'de>>(&mut self, head: Head<'de>, visitor: V) -> Result<V::Value> {
        match head {
            Head::Unit => visitor.visit_unit(),
            Head::None => visitor.visit_none(),
            Head::Some => self.visit_some(visitor),
            Head::Bool(flag) => visitor.visit_bool(flag),
            Head::Uint(number) => visitor.visit_u64(number),
            Head::Negative(number) => visitor.visit_i64(number),
            Head::WideUint(number) => visitor.visit_u128(u128::from_le_bytes(*number)),
            Head::WideNegative(number) => visitor.visit_i128(i128::from_le_bytes(*number)),
            Head::F32(number) => visitor.visit_f32(number),
            Head::F64(number) => visitor.visit_f64(number),
            Head::Char(character) => visitor.visit_char(character),
            // Serde's own buffer for untagged and flattened types takes no enum, but reads
            // one back from the form it has in JSON.
            Head::Text(text) | Head::UnitVariant(text) => visitor.visit_borrowed_str(text),
            Head::Variant(name) => self.visit_variant_as_map(name, visitor),
            Head::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Head::Seq(count) => self.visit_seq(count, visitor),
            Head::Map(count) => self.visit_map(count, visitor),
        }
    }

    fn visit_some<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.enter()?;
        let value = visitor.visit_some(&mut *self)?;
        self.leave();
        Ok(value)
    }

    /// Every integer type reads every integer; the visitor checks that the number fits.
    fn visit_integer<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        match self.head_in_option()? {
            Head::Uint(number) => visitor.visit_u64(number),
            Head::Negative(number) => visitor.visit_i64(number),
            Head::WideUint(number) => visitor.visit_u128(u128::from_le_bytes(*number)),
            Head::WideNegative(number) => visitor.visit_i128(i128::from_le_bytes(*number)),
            other => Err(other.mismatch(&visitor)),
        }
    }

    fn visit_float<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        match self.head_in_option()? {
            Head::F32(number) => visitor.visit_f32(number),
            Head::F64(number) => visitor.visit_f64(number),
            Head::Uint(number) => visitor.visit_u64(number),
            Head::Negative(number) => visitor.visit_i64(number),
            Head::WideUint(number) => visitor.visit_f64(u128::from_le_bytes(*number) as f64),
            Head::WideNegative(number) => visitor.visit_f64(i128::from_le_bytes(*number) as f64),
            other => Err(other.mismatch(&visitor)),
        }
    }

    fn visit_text<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        match self.head_in_option()? {
            Head::Text(text) | Head::UnitVariant(text) => visitor.visit_borrowed_str(text),
            Head::Char(character) => visitor.visit_char(character),
            Head::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            other => Err(other.mismatch(&visitor)),
        }
    }

    fn visit_bytes<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        match self.head_in_option()? {
            Head::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Head::Text(text) => visitor.visit_borrowed_str(text),
            Head::Seq(count) => self.visit_seq(count, visitor),
            other => Err(other.mismatch(&visitor)),
        }
    }

    fn visit_elements<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        match self.head_in_option()? {
            Head::Seq(count) => self.visit_seq(count, visitor),
            Head::Bytes(bytes) => self.visit_byte_elements(bytes, visitor),
            other => Err(other.mismatch(&visitor)),
        }
    }
}

impl<'de> de::Deserializer<'de> for &mut Decoder<'de> {
    type Error = Failure<DecodeReason>;

    fn is_human_readable(&self) -> bool {
        true
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let head = self.head()?;
        self.visit_any(head, visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.head_in_option()? {
            Head::Bool(flag) => visitor.visit_bool(flag),
            other => Err(other.mismatch(&visitor)),
        }
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_float(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_float(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_text(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_text(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_bytes(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let before = self.input;
        match self.head()? {
            Head::Some => self.visit_some(visitor),
            Head::None => visitor.visit_none(),
            // What a JSON null was stored as.
            Head::Unit => visitor.visit_unit(),
            // The field was no option when this was stored.
            _ => {
                self.input = before;
                visitor.visit_some(self)
            }
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.head_in_option()? {
            Head::Unit => visitor.visit_unit(),
            other => Err(other.mismatch(&visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        match self.head_in_option()? {
            Head::Unit => visitor.visit_unit(),
            // The struct had fields when this was stored.
            Head::Map(count) => {
                self.skip_many(count.saturating_mul(2))?;
                visitor.visit_unit()
            }
            other => Err(other.mismatch(&visitor)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        if name == RAW_JSON {
            return self.deserialize_any(visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_elements(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.visit_elements(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.visit_elements(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.head_in_option()? {
            Head::Map(count) => self.visit_map(count, visitor),
            Head::Variant(name) => self.visit_variant_as_map(name, visitor),
            other => Err(other.mismatch(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.head_in_option()? {
            Head::Map(count) => self.visit_map(count, visitor),
            // The struct had no fields when this was stored.
            Head::Unit => self.visit_map(0, visitor),
            Head::Seq(count) => self.visit_seq(count, visitor),
            other => Err(other.mismatch(&visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.head_in_option()? {
            Head::UnitVariant(name) | Head::Text(name) => visitor.visit_enum(BareVariant(name)),
            Head::Variant(name) => {
                self.enter()?;
                let value = visitor.visit_enum(FullVariant { decoder: self, name })?;
                self.leave();
                Ok(value)
            }
            // The form that a variant has in JSON.
            Head::Map(1) => {
                self.open(2)?;
                self.begin_value();
                let name = match self.head()? {
                    Head::Text(name) => name,
                    other => return Err(other.mismatch(&"the name of a variant")),
                };
                self.begin_value();
                let value = visitor.visit_enum(FullVariant { decoder: self, name })?;
                self.leave();
                Ok(value)
            }
            other => Err(other.mismatch(&visitor)),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let head = self.head()?;
        self.visit_any(head, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.skip()?;
        visitor.visit_unit()
    }
}

/// A sequence that is being read.
struct Elements<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
    count: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Failure<DecodeReason>;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.decoder.begin_value();
        match seed.deserialize(&mut *self.decoder) {
            Ok(element) => Ok(Some(element)),
            Err(failure) => Err(failure.within(Segment::Index(self.count - self.left - 1))),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A map or struct that is being read.
struct Entries<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
    /// The input where the last key began, and the length of that key: an error in its
    /// value names it.
    key_at: &'de [u8],
    key_length: usize,
}

impl<'de> de::MapAccess<'de> for Entries<'_, 'de> {
    type Error = Failure<DecodeReason>;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.decoder.begin_value();
        self.key_at = self.decoder.input;
        match seed.deserialize(&mut *self.decoder) {
            Ok(key) => {
                self.key_length = self.key_at.len() - self.decoder.input.len();
                Ok(Some(key))
            }
            Err(failure) => Err(failure.within(json::key_segment(self.key_at))),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        self.decoder.begin_value();
        seed.deserialize(&mut *self.decoder).map_err(|failure| {
            let key = self.key_at.get(..self.key_length).unwrap_or_default();
            failure.within(json::key_segment(key))
        })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// An enum variant with content, read as a map of one entry.
struct VariantEntry<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    name: &'de str,
    stage: Stage,
}

enum Stage {
    Name,
    Content,
    Done,
}

impl<'de> de::MapAccess<'de> for VariantEntry<'_, 'de> {
    type Error = Failure<DecodeReason>;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        match self.stage {
            Stage::Name => {
                self.stage = Stage::Content;
                seed.deserialize(BorrowedStrDeserializer::new(self.name)).map(Some)
            }
            Stage::Content | Stage::Done => Ok(None),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        self.stage = Stage::Done;
        seed.deserialize(&mut *self.decoder).map_err(|failure| failure.within(Segment::Name(self.name.to_owned())))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(usize::from(matches!(self.stage, Stage::Name)))
    }
}

/// An enum variant without content.
struct BareVariant<'de>(&'de str);

impl<'de> de::EnumAccess<'de> for BareVariant<'de> {
    type Error = Failure<DecodeReason>;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let name = seed.deserialize(BorrowedStrDeserializer::new(self.0))?;
        Ok((name, self))
    }
}

impl BareVariant<'_> {
    #[cold]
    fn mismatch<T>(self, expected: &'static str) -> Result<T> {
        Err(Failure::invalid_type(Unexpected::UnitVariant, &expected).within(Segment::Name(self.0.to_owned())))
    }
}

impl<'de> de::VariantAccess<'de> for BareVariant<'de> {
    type Error = Failure<DecodeReason>;

    fn unit_variant(self) -> Result {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value> {
        self.mismatch("newtype variant")
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value> {
        self.mismatch("tuple variant")
    }

    fn struct_variant<V: Visitor<'de>>(self, _fields: &'static [&'static str], _visitor: V) -> Result<V::Value> {
        self.mismatch("struct variant")
    }
}

/// An enum variant with content, which the decoder stands before.
struct FullVariant<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    name: &'de str,
}

impl<'a, 'de> FullVariant<'a, 'de> {
    fn content<T>(self, read: impl FnOnce(&mut Decoder<'de>) -> Result<T>) -> Result<T> {
        read(self.decoder).map_err(|failure| failure.within(Segment::Name(self.name.to_owned())))
    }
}

impl<'a, 'de> de::EnumAccess<'de> for FullVariant<'a, 'de> {
    type Error = Failure<DecodeReason>;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let name = seed.deserialize(BorrowedStrDeserializer::new(self.name))?;
        Ok((name, self))
    }
}

impl<'de> de::VariantAccess<'de> for FullVariant<'_, 'de> {
    type Error = Failure<DecodeReason>;

    fn unit_variant(self) -> Result {
        self.content(|decoder| <()>::deserialize(decoder))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        self.content(|decoder| seed.deserialize(decoder))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.content(|decoder| decoder.visit_elements(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.content(|decoder| de::Deserializer::deserialize_struct(decoder, "", fields, visitor))
    }
}
