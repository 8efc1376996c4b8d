//! `products`: the parts of a combined connector.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Expr, LitStr};

use crate::attrs::{self, Arg};
use crate::case;
use crate::connector::scopes::Scopes;
use crate::did_you_mean;
use crate::errors::Errors;
use crate::paths::Paths;

/// A valid product.
pub(crate) struct Product {
    key: String,
    label: Option<Expr>,
    scope_group: LitStr,
}

impl Product {
    /// Reads the argument `products`.
    pub(crate) fn parse_all(arg: &Arg, scopes: &Scopes, errors: &Errors) -> Vec<Self> {
        let args = arg.args(errors);
        args.check_unique(errors);
        let products: Vec<_> = args.iter().filter_map(|product| Self::parse(product, scopes, errors)).collect();
        let groups = products.iter().map(|product| (product.scope_group.value(), product.scope_group.span()));
        attrs::check_distinct(groups, "scope group of a product", errors);
        products
    }

    fn parse(arg: &Arg, scopes: &Scopes, errors: &Errors) -> Option<Self> {
        let key = arg.name();
        let args = arg.some_args(errors)?;
        args.check("a product", &["label", "scope_group"], &[], errors);
        let groups: Vec<_> = scopes.optional.iter().map(|group| group.id.value()).collect();
        if args.get("scope_group").is_none() {
            let hint = did_you_mean::hint(&key, groups.iter().map(String::as_str));
            errors.at(
                arg.tokens(),
                format!("the product `{key}` needs the optional group of scopes that grants it, `scope_group = \"…\"`: {hint}"),
            );
        }
        let label = args.text("label", errors);
        let scope_group = args.string("scope_group", errors)?;
        if !groups.contains(&scope_group.value()) {
            let hint = did_you_mean::hint(&scope_group.value(), groups.iter().map(String::as_str));
            errors.at(&scope_group, format!("there is no optional group of scopes `{}`: {hint}", scope_group.value()));
        }
        Some(Self { key, label, scope_group })
    }

    /// A value of `Product`.
    pub(crate) fn expand(&self, paths: &Paths) -> TokenStream {
        let private = paths.private();
        let Self { key, label, scope_group } = self;
        let words = case::sentence(key);
        let label = label.as_ref().map_or_else(|| quote!(#words), |label| quote!(#label));
        quote!(#private::Product { key: #key, label: #label, scope_group: #scope_group })
    }
}
