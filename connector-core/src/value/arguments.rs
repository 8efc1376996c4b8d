//! The arguments of callbacks, stored as the struct that they are: what derives would write anew for each message.

use serde::de::{self, DeserializeOwned, Visitor};
use serde::{Serialize, forward_to_deserialize_any};

use super::de::{Decoder, Head};
use super::error::{DecodeError, DecodeReason, EncodeError, EncodeReason, Failure, Segment};
use super::ser::Encoder;

/// Stored arguments.
pub type Encoded = Result<Vec<u8>, EncodeError>;

/// What was read of stored arguments.
pub type Decoded<T> = Result<T, DecodeError>;

/// Writes the arguments of a callback.
pub struct ArgumentWriter {
    encoder: Encoder,
    written: Result<(), Failure<EncodeReason>>,
}

impl ArgumentWriter {
    /// For so many.
    pub fn new(count: usize) -> Self {
        let mut encoder = Encoder::new();
        let written = encoder.begin_map(count);
        Self { encoder, written }
    }

    /// With the next one; none after one that cannot be stored.
    #[must_use]
    pub fn put<T: Serialize + ?Sized>(mut self, name: &'static str, argument: &T) -> Self {
        if self.written.is_ok() {
            let encoder = &mut self.encoder;
            let put = encoder.text(name).and_then(|()| argument.serialize(encoder));
            self.written = put.map_err(|failure| failure.within(Segment::Field(name)));
        }
        self
    }

    /// What was written.
    pub fn finish(self) -> Encoded {
        let Self { encoder, written } = self;
        Ok(written.and_then(|()| encoder.finish())?)
    }
}

/// An argument as it is stored.
pub struct StoredArgument<'a, 'de>(&'a mut Decoder<'de>);

/// Why an argument cannot be read.
pub struct Unreadable(Failure<DecodeReason>);

/// Where an argument comes to that is read.
pub trait ArgumentSlot {
    /// Reads it.
    fn read(&mut self, stored: StoredArgument<'_, '_>) -> Result<(), Unreadable>;
}

impl<T: DeserializeOwned> ArgumentSlot for Option<T> {
    fn read(&mut self, stored: StoredArgument<'_, '_>) -> Result<(), Unreadable> {
        *self = Some(T::deserialize(&mut *stored.0).map_err(Unreadable)?);
        Ok(())
    }
}

/// The place of an argument that is yet to be read.
pub const fn no_argument<T: DeserializeOwned>() -> Option<T> {
    None
}

/// Reads the arguments with these names into their places, as far as they are stored; others are passed over.
pub fn read_arguments(bytes: &[u8], slots: &mut [(&'static str, &mut dyn ArgumentSlot)]) -> Result<(), DecodeError> {
    let mut decoder = Decoder::new(bytes)?;
    decoder.fields(|name, decoder| {
        let Some((name, slot)) = slots.iter_mut().find(|(known, _)| *known == name) else { return Ok(false) };
        let read = slot.read(StoredArgument(decoder));
        read.map_err(|Unreadable(failure)| failure.within(Segment::Field(name)))?;
        Ok(true)
    })?;
    Ok(decoder.finish()?)
}

/// An argument that has no default: one that is not stored can only be an option.
pub fn argument<T: DeserializeOwned>(read: Option<T>, name: &'static str) -> Result<T, DecodeError> {
    match read {
        Some(argument) => Ok(argument),
        None => Ok(T::deserialize(Missing(name))?),
    }
}

/// Whether it can be read where nothing is stored.
pub(crate) fn can_be_missing<T: DeserializeOwned>() -> bool {
    T::deserialize(Missing("")).is_ok()
}

/// What is read of an argument that is not stored.
struct Missing(&'static str);

impl<'de> de::Deserializer<'de> for Missing {
    type Error = Failure<DecodeReason>;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::missing_field(self.0))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> Decoder<'de> {
    /// Passes through the fields of a struct: `read` reads the value of one that it knows.
    fn fields(
        &mut self,
        mut read: impl FnMut(&'de str, &mut Self) -> Result<bool, Failure<DecodeReason>>,
    ) -> Result<(), Failure<DecodeReason>> {
        let count = match self.head_in_option()? {
            Head::Map(count) => count,
            Head::Unit => 0,
            other => return Err(other.mismatch(&"arguments with their names")),
        };
        self.open(count.saturating_mul(2))?;
        for _ in 0..count {
            self.begin_value();
            let name = match self.head()? {
                Head::Text(name) => name,
                other => return Err(other.mismatch(&"the name of an argument")),
            };
            self.begin_value();
            if !read(name, self)? {
                self.skip()?;
            }
        }
        self.leave();
        Ok(())
    }
}
