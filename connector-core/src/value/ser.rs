//! Encoding: one pass into one buffer, without a tree in between.

use std::collections::HashSet;
use std::fmt::{self, Display, Write as _};
use std::ops::Range;

use serde::ser::{self, Serialize};

use super::error::{EncodeReason, Failure, Segment};
use super::{FORMAT_VERSION, MAX_BYTES, MAX_DEPTH, json, tag};

type Result<T = ()> = std::result::Result<T, Failure<EncodeReason>>;

/// Up to this many keys, comparing each with each is quicker than hashing them.
const FEW_KEYS: usize = 8;

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let mut encoder = Encoder::new();
    value.serialize(&mut encoder)?;
    encoder.finish()
}

fn refused(message: &str) -> Failure<EncodeReason> {
    Failure::new(EncodeReason::Refused(message.to_owned()))
}

pub(super) struct Encoder {
    bytes: Vec<u8>,
    depth: usize,
    /// Where the keys of the maps that are being written stand in `bytes`. Shared by all
    /// maps: each adds on top and takes its own off at its end, so that none allocates.
    keys: Vec<Range<usize>>,
    /// Set when a part failed, so that a `Serialize` implementation that goes on regardless
    /// does not get half a part stored.
    failed: bool,
}

impl Encoder {
    pub(super) fn new() -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(FORMAT_VERSION);
        Self { bytes, depth: 0, keys: Vec::new(), failed: false }
    }

    /// The whole that was written.
    pub(super) fn finish(self) -> Result<Vec<u8>> {
        if self.failed {
            return Err(refused("a part failed, and the Serialize implementation around it went on"));
        }
        if self.bytes.len() > MAX_BYTES {
            return Err(Failure::new(EncodeReason::TooLarge));
        }
        Ok(self.bytes)
    }

    /// Begins a map that is the whole: so many keys and values are written in turn.
    pub(super) fn begin_map(&mut self, count: usize) -> Result {
        self.begin(tag::SIZED_MAP, count).map(drop)
    }

    /// Checks that this many more bytes may be written, before they are copied.
    fn fits(&self, more: usize) -> Result {
        if more > MAX_BYTES.saturating_sub(self.bytes.len()) {
            return Err(Failure::new(EncodeReason::TooLarge));
        }
        Ok(())
    }

    fn tag(&mut self, tag: u8) -> Result {
        self.fits(1)?;
        self.bytes.push(tag);
        Ok(())
    }

    fn tagged<const N: usize>(&mut self, tag: u8, content: [u8; N]) -> Result {
        self.tag(tag)?;
        self.bytes.extend_from_slice(&content);
        Ok(())
    }

    pub(super) fn text(&mut self, text: &str) -> Result {
        self.fits(text.len().saturating_add(1))?;
        push_sized(&mut self.bytes, tag::SIZED_TEXT, text.len());
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn uint(&mut self, number: u64) -> Result {
        if number <= tag::SMALL_UINT_MAX {
            return self.tag(number as u8);
        }
        self.tag(tag::UINT)?;
        push_varint(&mut self.bytes, number);
        Ok(())
    }

    fn int(&mut self, number: i64) -> Result {
        if number >= 0 {
            return self.uint(number as u64);
        }
        let complement = !number as u64;
        if complement <= tag::SMALL_NEGATIVE_MAX {
            return self.tag(tag::SMALL_NEGATIVE + complement as u8);
        }
        self.tag(tag::NEGATIVE)?;
        push_varint(&mut self.bytes, complement);
        Ok(())
    }

    /// Begins something with a length; returns where, for [`Self::end`].
    fn begin(&mut self, kind: tag::Sized, announced: usize) -> Result<usize> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Failure::new(EncodeReason::TooDeep));
        }
        self.fits(1)?;
        let start = self.bytes.len();
        push_sized(&mut self.bytes, kind, announced);
        Ok(start)
    }

    fn end(&mut self, start: usize, kind: tag::Sized, announced: usize, actual: usize) {
        self.depth -= 1;
        self.correct(start, kind, announced, actual);
    }

    /// Corrects the length of what began at `start`, when it was not known before or is not
    /// as announced. Only a length that needs more bytes moves the content.
    fn correct(&mut self, start: usize, kind: tag::Sized, announced: usize, actual: usize) {
        if announced == actual {
            return;
        }
        let mut header = Vec::with_capacity(sized_len(kind, actual));
        push_sized(&mut header, kind, actual);
        let old = start..start + sized_len(kind, announced);
        drop(self.bytes.splice(old, header));
    }

    fn variant(&mut self, name: &'static str) -> Result {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Failure::new(EncodeReason::TooDeep));
        }
        self.tag(tag::VARIANT)?;
        self.text(name)
    }

    #[cold]
    fn fail(&mut self, failure: Failure<EncodeReason>) -> Failure<EncodeReason> {
        self.failed = true;
        failure
    }

    fn key_bytes(&self, key: &Range<usize>) -> &[u8] {
        self.bytes.get(key.clone()).unwrap_or_default()
    }

    /// A key that stands twice among those from `first` on.
    ///
    /// A map with a key twice would be read as an error or, worse, lose one of the values,
    /// so it is refused whatever its size. Keys are compared as encoded. The standard maps
    /// cannot have one twice unless two keys serialize alike, but `flatten` beside a field of
    /// that name, and hand-written implementations, can.
    fn duplicate_key(&self, first: usize) -> Option<&[u8]> {
        let keys = self.keys.get(first..).unwrap_or_default();
        // A sorted map of texts is the frequent case. Without the tag, since that has the length.
        let content = |key| self.key_bytes(key).get(1..);
        if keys.is_sorted_by(|one, next| content(one) < content(next)) {
            return None;
        }
        if keys.len() <= FEW_KEYS {
            let mut rest = keys;
            while let Some((key, others)) = rest.split_first() {
                let key = self.key_bytes(key);
                if others.iter().any(|other| self.key_bytes(other) == key) {
                    return Some(key);
                }
                rest = others;
            }
            return None;
        }
        let mut seen = HashSet::with_capacity(keys.len());
        keys.iter().map(|key| self.key_bytes(key)).find(|key| !seen.insert(*key))
    }
}

fn push_varint(bytes: &mut Vec<u8>, number: u64) {
    let mut rest = number;
    while rest > 0x7f {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

fn push_sized(bytes: &mut Vec<u8>, kind: tag::Sized, length: usize) {
    if length <= usize::from(kind.short_max) {
        bytes.push(kind.short | length as u8);
    } else {
        bytes.push(kind.long);
        push_varint(bytes, length as u64);
    }
}

fn sized_len(kind: tag::Sized, length: usize) -> usize {
    if length <= usize::from(kind.short_max) {
        return 1;
    }
    let bits = usize::BITS - length.leading_zeros();
    1 + bits.div_ceil(7) as usize
}

impl<'a> ser::Serializer for &'a mut Encoder {
    type Ok = ();
    type Error = Failure<EncodeReason>;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Elements<'a>;
    type SerializeTupleStruct = Elements<'a>;
    type SerializeTupleVariant = Elements<'a>;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    fn is_human_readable(&self) -> bool {
        true
    }

    fn serialize_bool(self, v: bool) -> Result {
        self.tag(if v { tag::TRUE } else { tag::FALSE })
    }

    fn serialize_i8(self, v: i8) -> Result {
        self.int(v.into())
    }

    fn serialize_i16(self, v: i16) -> Result {
        self.int(v.into())
    }

    fn serialize_i32(self, v: i32) -> Result {
        self.int(v.into())
    }

    fn serialize_i64(self, v: i64) -> Result {
        self.int(v)
    }

    fn serialize_i128(self, v: i128) -> Result {
        if let Ok(small) = i64::try_from(v) {
            self.int(small)
        } else if let Ok(positive) = u128::try_from(v) {
            self.serialize_u128(positive)
        } else {
            self.tagged(tag::WIDE_NEGATIVE, v.to_le_bytes())
        }
    }

    fn serialize_u8(self, v: u8) -> Result {
        self.uint(v.into())
    }

    fn serialize_u16(self, v: u16) -> Result {
        self.uint(v.into())
    }

    fn serialize_u32(self, v: u32) -> Result {
        self.uint(v.into())
    }

    fn serialize_u64(self, v: u64) -> Result {
        self.uint(v)
    }

    fn serialize_u128(self, v: u128) -> Result {
        match u64::try_from(v) {
            Ok(small) => self.uint(small),
            Err(_) => self.tagged(tag::WIDE_UINT, v.to_le_bytes()),
        }
    }

    fn serialize_f32(self, v: f32) -> Result {
        self.tagged(tag::F32, v.to_bits().to_le_bytes())
    }

    fn serialize_f64(self, v: f64) -> Result {
        self.tagged(tag::F64, v.to_bits().to_le_bytes())
    }

    fn serialize_char(self, v: char) -> Result {
        self.tag(tag::CHAR)?;
        push_varint(&mut self.bytes, u32::from(v).into());
        Ok(())
    }

    fn serialize_str(self, v: &str) -> Result {
        self.text(v)
    }

    fn serialize_bytes(self, v: &[u8]) -> Result {
        self.fits(v.len().saturating_add(1))?;
        self.bytes.push(tag::BYTES);
        push_varint(&mut self.bytes, v.len() as u64);
        self.bytes.extend_from_slice(v);
        Ok(())
    }

    fn serialize_none(self) -> Result {
        self.tag(tag::NONE)
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Failure::new(EncodeReason::TooDeep));
        }
        self.tag(tag::SOME)?;
        value.serialize(&mut *self)?;
        self.depth -= 1;
        Ok(())
    }

    fn serialize_unit(self) -> Result {
        self.tag(tag::UNIT)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result {
        self.tag(tag::UNIT)
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result {
        self.tag(tag::UNIT_VARIANT)?;
        self.text(variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _name: &'static str, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        self.variant(variant)?;
        value.serialize(&mut *self).map_err(|failure| self.fail(failure).within(Segment::Field(variant)))?;
        self.depth -= 1;
        Ok(())
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Elements<'a>> {
        Elements::begin(self, len.unwrap_or(0), None)
    }

    fn serialize_tuple(self, len: usize) -> Result<Elements<'a>> {
        Elements::begin(self, len, None)
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Elements<'a>> {
        Elements::begin(self, len, None)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Elements<'a>> {
        self.variant(variant)?;
        Elements::begin(self, len, Some(variant))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Entries<'a>> {
        let announced = len.unwrap_or(0);
        let start = self.begin(tag::SIZED_MAP, announced)?;
        let first_key = self.keys.len();
        Ok(Entries { encoder: self, start, announced, count: 0, first_key })
    }

    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<Fields<'a>> {
        Fields::begin(self, len, None)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields<'a>> {
        self.variant(variant)?;
        Fields::begin(self, len, Some(variant))
    }

    fn collect_str<T: ?Sized + Display>(self, value: &T) -> Result {
        let start = self.bytes.len();
        self.fits(1)?;
        push_sized(&mut self.bytes, tag::SIZED_TEXT, 0);
        let mut writer = TextWriter { encoder: self, full: false };
        if write!(writer, "{value}").is_err() {
            return Err(if writer.full {
                Failure::new(EncodeReason::TooLarge)
            } else {
                refused("its Display implementation failed")
            });
        }
        let length = self.bytes.len() - start - 1;
        self.correct(start, tag::SIZED_TEXT, 0, length);
        Ok(())
    }
}

/// Writes what a `Display` implementation gives, without a string in between.
struct TextWriter<'a> {
    encoder: &'a mut Encoder,
    full: bool,
}

impl fmt::Write for TextWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.encoder.fits(text.len()).is_err() {
            self.full = true;
            return Err(fmt::Error);
        }
        self.encoder.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// A sequence or tuple that is being written.
pub(super) struct Elements<'a> {
    encoder: &'a mut Encoder,
    start: usize,
    announced: usize,
    count: usize,
    variant: Option<&'static str>,
}

impl<'a> Elements<'a> {
    fn begin(encoder: &'a mut Encoder, announced: usize, variant: Option<&'static str>) -> Result<Self> {
        let start = encoder.begin(tag::SIZED_SEQ, announced).map_err(|failure| in_variant(failure, variant))?;
        Ok(Self { encoder, start, announced, count: 0, variant })
    }

    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result {
        match value.serialize(&mut *self.encoder) {
            Ok(()) => {
                self.count += 1;
                Ok(())
            }
            Err(failure) => Err(self.fail(failure)),
        }
    }

    #[cold]
    fn fail(&mut self, failure: Failure<EncodeReason>) -> Failure<EncodeReason> {
        let failure = self.encoder.fail(failure).within(Segment::Index(self.count));
        in_variant(failure, self.variant)
    }

    fn end(self) -> Result {
        self.encoder.end(self.start, tag::SIZED_SEQ, self.announced, self.count);
        if self.variant.is_some() {
            self.encoder.depth -= 1;
        }
        Ok(())
    }
}

#[cold]
fn in_variant(failure: Failure<EncodeReason>, variant: Option<&'static str>) -> Failure<EncodeReason> {
    match variant {
        Some(name) => failure.within(Segment::Field(name)),
        None => failure,
    }
}

impl ser::SerializeSeq for Elements<'_> {
    type Ok = ();
    type Error = Failure<EncodeReason>;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result {
        self.element(value)
    }

    fn end(self) -> Result {
        self.end()
    }
}

impl ser::SerializeTuple for Elements<'_> {
    type Ok = ();
    type Error = Failure<EncodeReason>;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result {
        self.element(value)
    }

    fn end(self) -> Result {
        self.end()
    }
}

impl ser::SerializeTupleStruct for Elements<'_> {
    type Ok = ();
    type Error = Failure<EncodeReason>;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, value: &T) -> Result {
        self.element(value)
    }

    fn end(self) -> Result {
        self.end()
    }
}

impl ser::SerializeTupleVariant for Elements<'_> {
    type Ok = ();
    type Error = Failure<EncodeReason>;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, value: &T) -> Result {
        self.element(value)
    }

    fn end(self) -> Result {
        self.end()
    }
}

/// A struct that is being written, as a map whose keys are text.
pub(super) struct Fields<'a> {
    encoder: &'a mut Encoder,
    start: usize,
    announced: usize,
    count: usize,
    /// The name of the first field. Derived structs have no name twice, except that serde
    /// writes the tag of an internally tagged enum as a first field, without knowing whether
    /// the content has one of that name. So only the first name is compared with the others.
    first: &'static str,
    variant: Option<&'static str>,
}

impl<'a> Fields<'a> {
    fn begin(encoder: &'a mut Encoder, announced: usize, variant: Option<&'static str>) -> Result<Self> {
        let start = encoder.begin(tag::SIZED_MAP, announced).map_err(|failure| in_variant(failure, variant))?;
        Ok(Self { encoder, start, announced, count: 0, first: "", variant })
    }

    fn field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result {
        if self.count == 0 {
            self.first = name;
        } else if name == self.first {
            let failure = Failure::new(EncodeReason::DuplicateKey(format!("{name:?}")));
            return Err(in_variant(self.encoder.fail(failure), self.variant));
        }
        let written = match self.encoder.text(name) {
            Ok(()) => value.serialize(&mut *self.encoder),
            Err(failure) => Err(failure),
        };
        match written {
            Ok(()) => {
                self.count += 1;
                Ok(())
            }
            Err(failure) => {
                let failure = self.encoder.fail(failure).within(Segment::Field(name));
                Err(in_variant(failure, self.variant))
            }
        }
    }

    fn end(self) -> Result {
        self.encoder.end(self.start, tag::SIZED_MAP, self.announced, self.count);
        if self.variant.is_some() {
            self.encoder.depth -= 1;
        }
        Ok(())
    }
}

impl ser::SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = Failure<EncodeReason>;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result {
        self.field(name, value)
    }

    fn end(self) -> Result {
        self.end()
    }
}

impl ser::SerializeStructVariant for Fields<'_> {
    type Ok = ();
    type Error = Failure<EncodeReason>;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result {
        self.field(name, value)
    }

    fn end(self) -> Result {
        self.end()
    }
}

/// A map that is being written.
pub(super) struct Entries<'a> {
    encoder: &'a mut Encoder,
    start: usize,
    announced: usize,
    /// How many values were written; one less than the keys while a value is due.
    count: usize,
    /// Where the keys of this map begin in the encoder's list.
    first_key: usize,
}

impl Entries<'_> {
    fn value_is_due(&self) -> bool {
        self.encoder.keys.len() - self.first_key != self.count
    }

    /// The segment for the key that was written last.
    #[cold]
    fn segment(&self) -> Segment {
        match self.encoder.keys.last() {
            Some(key) => json::key_segment(self.encoder.key_bytes(key)),
            None => Segment::NthKey(self.count),
        }
    }
}

impl ser::SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Failure<EncodeReason>;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result {
        if self.value_is_due() {
            let failure = refused("its Serialize implementation gives a key without a value");
            return Err(self.encoder.fail(failure).within(self.segment()));
        }
        let start = self.encoder.bytes.len();
        if let Err(failure) = key.serialize(&mut *self.encoder) {
            return Err(self.encoder.fail(failure).within(Segment::NthKey(self.count)));
        }
        let end = self.encoder.bytes.len();
        self.encoder.keys.push(start..end);
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result {
        if !self.value_is_due() {
            let failure = refused("its Serialize implementation gives a value without a key");
            return Err(self.encoder.fail(failure));
        }
        if let Err(failure) = value.serialize(&mut *self.encoder) {
            // A map within the value that failed has left its keys on top of ours.
            self.encoder.keys.truncate(self.first_key + self.count + 1);
            let segment = self.segment();
            return Err(self.encoder.fail(failure).within(segment));
        }
        self.count += 1;
        Ok(())
    }

    fn end(self) -> Result {
        if self.value_is_due() {
            let failure = refused("its Serialize implementation gives a key without a value");
            return Err(failure.within(self.segment()));
        }
        if let Some(key) = self.encoder.duplicate_key(self.first_key) {
            return Err(Failure::new(EncodeReason::DuplicateKey(json::key_text(key))));
        }
        self.encoder.keys.truncate(self.first_key);
        self.encoder.end(self.start, tag::SIZED_MAP, self.announced, self.count);
        Ok(())
    }
}
