//! What generated code needs beside the public items.

use std::future::Future;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::callback::{CallbackArgument, CallbackInput};
use crate::component::DeclaredTool;
use crate::link_type::LinkMeta;
use crate::tool::ToolDeclaration;

/// How the message of a callback without arguments is stored: as a map, so that an argument that is
/// added later finds its default in place of a stored value of another form (R4.5).
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct NoArguments {}

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
