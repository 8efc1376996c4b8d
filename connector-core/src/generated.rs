//! What generated code needs beside the public items.

use std::future::Future;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::component::DeclaredTool;
use crate::options::{Field, OptionsDeclaration};
use crate::tool::ToolDeclaration;

/// How the message of a callback without arguments is stored: as a map, so that an argument that is
/// added later finds its default in place of a stored value of another form (R4.5).
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct NoArguments {}

/// The future of a callback. A host runs it on any of its threads.
pub fn callback_future_must_be_send<F: Future + Send>(future: F) -> F {
    future
}

/// The declaration of a tool, as a function that constant data can hold.
pub fn tool_declaration<T: DeclaredTool>() -> &'static ToolDeclaration {
    T::DECLARATION
}

/// Whether there is an option with this name.
pub const fn has_option(options: &OptionsDeclaration, name: &str) -> bool {
    option(options, name).is_some()
}

/// Whether there is an option with this name, and it is secure.
pub const fn has_secure_option(options: &OptionsDeclaration, name: &str) -> bool {
    match option(options, name) {
        Some(field) => field.secure(),
        None => false,
    }
}

const fn option(options: &OptionsDeclaration, name: &str) -> Option<&'static Field> {
    let mut fields = options.fields;
    while let Some((field, rest)) = fields.split_first() {
        if same(field.name, name) {
            return Some(field);
        }
        fields = rest;
    }
    None
}

const fn same(left: &str, right: &str) -> bool {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while let (Some((one, left_rest)), Some((other, right_rest))) =
        (left.split_first(), right.split_first())
    {
        if *one != *other {
            return false;
        }
        (left, right) = (left_rest, right_rest);
    }
    left.is_empty() && right.is_empty()
}
