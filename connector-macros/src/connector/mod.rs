//! `#[connector]`, in its three places.

mod check;
mod expand;
mod hooks;
mod model;
mod products;
mod provider;
mod quotas;
mod scopes;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::quote;

pub(crate) use expand::{instance, uses_tools};
pub(crate) use hooks::HOOKS;

use crate::attrs::Args;
use crate::callback;
use crate::errors::Errors;
use crate::item::Item;
use crate::paths::Paths;

/// Expands `#[connector(…)]`.
pub(crate) fn expand(attr: TokenStream, item: TokenStream) -> TokenStream {
    let errors = Errors::default();
    let args = Args::parse(attr, &errors);
    let paths = Paths::new(&args, &errors);
    match Item::read(item.clone()) {
        Item::Struct(target) if target.attrs.iter().any(|attr| crate::attrs::is_ours(attr, "connector")) => {
            errors.at(&target.ident, "`#[connector]` is given twice: write all of its arguments into one");
            let errors = errors.into_tokens();
            quote!(#item #errors)
        }
        Item::Struct(target) => {
            let declaration = model::Connector::parse(&args, &target, &errors);
            let expansion = expand::declaration(&declaration, &target, &paths, errors);
            quote!(#item #expansion)
        }
        Item::Impl(block) => {
            args.check("`#[connector]` on an `impl` block", &["crate"], &[], &errors);
            match block.trait_path {
                Some(_) => {
                    let hooks = hooks::expand(&block, &paths, errors);
                    quote!(#item #hooks)
                }
                None => callback::expand_block(*block, &paths, errors),
            }
        }
        Item::Other => misplaced("connector", &item),
    }
}

/// The item, and where the attribute may stand. What is still being typed comes back as it is: the
/// compiler says best what is missing.
pub(crate) fn misplaced(attribute: &str, item: &TokenStream) -> TokenStream {
    if syn::parse2::<syn::Item>(item.clone()).is_err() {
        return item.clone();
    }
    let message = match attribute {
        "tool" => "`#[tool]` only works on a `struct` and on an `impl` block of it".to_owned(),
        _ => format!(
            "`#[{attribute}]` only works on a `struct`, on `impl Connector for` it, and on an `impl` block of it"
        ),
    };
    quote!(#item ::core::compile_error! { #message })
}
