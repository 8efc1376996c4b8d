//! What generated code needs beside the public items.

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::callback::{CallbackArgument, CallbackInput};
use crate::component::DeclaredTool;
use crate::error::{Error, Result};
use crate::link_type::LinkMeta;
use crate::schema::{name_of, schema_of};
use crate::tool::ToolDeclaration;

/// The future of a callback. A host runs it on any of its threads.
pub fn callback_future_must_be_send<F: Future + Send>(future: F) -> F {
    future
}

/// Asks that `T` can be stored with a callback.
pub const fn callback_argument<T: CallbackArgument>() {}

/// Asks that `T` can be given to a callback.
pub const fn callback_input<T: CallbackInput>() {}

/// Asks that `T` can be stored with a link.
pub const fn link_meta<T: LinkMeta>() {}

/// The declaration of a tool, as a function that constant data can hold.
pub fn tool_declaration<T: DeclaredTool>() -> &'static ToolDeclaration {
    T::DECLARATION
}

/// Asks whether a type can be shown as JSON, by which of two methods the compiler finds.
pub struct Output<T>(PhantomData<fn() -> T>);

impl<T> Output<T> {
    /// Asks for `T`.
    #[allow(clippy::new_without_default, reason = "only generated code makes one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Asks for the schema of a type that is stored, by which of two methods the compiler finds.
pub struct Stored<T>(PhantomData<fn() -> T>);

impl<T> Stored<T> {
    /// Asks for `T`.
    #[allow(clippy::new_without_default, reason = "only generated code makes one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Found for a type that is `JsonSchema`.
pub trait KnownSchema {
    /// Its schema.
    fn schema(&self) -> Value;
}

impl<T: JsonSchema> KnownSchema for Stored<T> {
    fn schema(&self) -> Value {
        schema_of::<T>()
    }
}

/// Found for every other.
pub trait NamedSchema {
    /// A schema with the name of the type.
    fn schema(&self) -> Value;
}

impl<T> NamedSchema for &Stored<T> {
    fn schema(&self) -> Value {
        name_of::<T>()
    }
}

/// Found for an output that is `Serialize`.
pub trait JsonOutput {
    /// The value as JSON.
    fn show(&self, value: &dyn Any) -> Result<Value>;
}

impl<T: Serialize + 'static> JsonOutput for Output<T> {
    fn show(&self, value: &dyn Any) -> Result<Value> {
        let Some(value) = value.downcast_ref::<T>() else {
            return Err(Error::bug("a callback gave back a value of another type than it says"));
        };
        serde_json::to_value(value).map_err(|error| Error::bug("the value is no JSON").with_source(error))
    }
}

/// Found for every other.
pub trait OtherOutput {
    /// Why there is no JSON.
    fn show(&self, value: &dyn Any) -> Result<Value>;
}

impl<T> OtherOutput for &Output<T> {
    fn show(&self, _: &dyn Any) -> Result<Value> {
        Err(Error::bug("the value of the callback cannot be shown: derive `Serialize` for it"))
    }
}
