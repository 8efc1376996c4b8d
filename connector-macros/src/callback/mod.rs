//! `#[callback]`, `#[sync]`, `#[drain]`, `#[every]` and `#[webhook]`: the methods of an impl block
//! that can be called later.

mod block;
pub(crate) mod duration;
mod expand;
mod model;
mod signature;
#[cfg(test)]
mod tests;
mod webhook;
mod work;

use proc_macro2::TokenStream;
use quote::quote;

pub(crate) use block::expand as expand_block;

/// The attributes of methods.
pub(crate) const ATTRIBUTES: [&str; 5] = ["callback", "sync", "drain", "every", "webhook"];

/// Expands one of the attributes where no `#[connector] impl` has taken it away: the item, and why that is wrong.
pub(crate) fn expand_alone(attribute: &str, item: TokenStream) -> TokenStream {
    let message = format!(
        "`#[{attribute}]` only works in a block `#[connector] impl X` (or `#[tool] impl X`), which is apart from the hooks"
    );
    quote!(#item ::core::compile_error! { #message })
}
