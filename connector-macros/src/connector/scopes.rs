//! `scopes`: what is asked of the provider.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Expr, LitStr};

use crate::attrs::{self, Arg};
use crate::errors::Errors;
use crate::paths::Paths;

/// Valid scopes.
#[derive(Default)]
pub(crate) struct Scopes {
    required: Vec<LitStr>,
    /// The groups that a user may decline.
    pub(crate) optional: Vec<Group>,
}

/// Scopes that are granted or declined together.
pub(crate) struct Group {
    /// Stable id.
    pub(crate) id: LitStr,
    label: Expr,
    description: Option<Expr>,
    scopes: Vec<LitStr>,
    default: bool,
}

impl Scopes {
    /// Reads the argument `scopes`.
    pub(crate) fn parse(arg: &Arg, errors: &Errors) -> Self {
        let grouped = arg.raw_list().is_some_and(|list| {
            attrs::split(list.clone()).into_iter().next().is_some_and(|first| syn::parse2::<LitStr>(first).is_err())
        });
        let scopes = if grouped {
            let args = arg.args(errors);
            args.check("`scopes`", &["required", "optional"], &["optional"], errors);
            Self {
                required: args.strings("required", errors),
                optional: args.all("optional").filter_map(|group| Group::parse(group, errors)).collect(),
            }
        } else {
            Self { required: arg.strings(errors), optional: Vec::new() }
        };
        let all = scopes.required.iter().map(|scope| (scope.value(), scope.span()));
        attrs::check_distinct(all, "scope", errors);
        attrs::check_distinct(
            scopes.optional.iter().map(|group| (group.id.value(), group.id.span())),
            "scope group id",
            errors,
        );
        scopes
    }

    /// A value of `Scopes`.
    pub(crate) fn expand(&self, paths: &Paths) -> TokenStream {
        let private = paths.private();
        let Self { required, optional } = self;
        let optional = optional.iter().map(|group| {
            let Group { id, label, description, scopes, default } = group;
            let description = description.as_ref().map_or_else(|| quote!(""), |description| quote!(#description));
            quote! {
                #private::ScopeGroup {
                    id: #id,
                    label: #label,
                    description: #description,
                    scopes: &[#(#scopes),*],
                    default: #default,
                }
            }
        });
        quote!(#private::Scopes { required: &[#(#required),*], optional: &[#(#optional),*] })
    }
}

impl Group {
    fn parse(arg: &Arg, errors: &Errors) -> Option<Self> {
        let args = arg.some_args(errors)?;
        args.check("`optional`", &["id", "label", "description", "scopes", "default"], &[], errors);
        for required in ["id", "label", "scopes"] {
            if args.get(required).is_none() {
                errors.at(arg.tokens(), format!("an optional group of scopes needs `{required}`"));
            }
        }
        let id = args.string("id", errors);
        id.iter().for_each(|id| check_word(id, errors));
        let label = args.text("label", errors);
        let scopes = args.strings("scopes", errors);
        if let Some(arg) = args.get("scopes").filter(|_| scopes.is_empty()) {
            errors.at(arg.tokens(), "an optional group has at least one scope");
        }
        let description = args.text("description", errors);
        Some(Self { id: id?, label: label?, description, scopes, default: args.flag("default", errors) })
    }
}

/// Reports an id that is neither in kebab-case nor in snake_case.
fn check_word(id: &LitStr, errors: &Errors) {
    if !crate::case::is_joined(&id.value(), '_') {
        attrs::check_id(id, '-', errors);
    }
}
