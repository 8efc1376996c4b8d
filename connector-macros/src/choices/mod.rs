//! `#[derive(Choices)]`: an enum that an option is chosen from.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput, Expr, Fields, Ident};

use crate::attrs::{self, Args};
use crate::case;
use crate::errors::Errors;
use crate::paths::Paths;

/// The enum, once it is known to be right.
struct Choices {
    name: Ident,
    choices: Vec<Choice>,
}

struct Choice {
    variant: Ident,
    id: String,
    id_span: Span,
    label: TokenStream,
    /// It has no data, as it should.
    is_unit: bool,
}

/// Expands the derive.
pub(crate) fn derive(item: TokenStream) -> TokenStream {
    let item: DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    let errors = Errors::default();
    let mut args = Args::default();
    for attr in item.attrs.iter().filter(|attr| attrs::is_ours(attr, "choice")) {
        args = Args::of(attr, &errors);
        args.check("`#[choice]` on an enum", &["crate"], &[], &errors);
    }
    let private = Paths::new(&args, &errors).private();
    let choices = parse(item, &errors);
    let mut tokens = choices.map(|choices| choices.expand(&private)).unwrap_or_default();
    tokens.extend(errors.into_tokens());
    tokens
}

/// Reads the enum; nothing if there is no telling what its choices are.
fn parse(item: DeriveInput, errors: &Errors) -> Option<Choices> {
    let name = item.ident;
    let Data::Enum(data) = item.data else {
        errors
            .at(&name, format!("`{name}` is no enum: `#[derive(Choices)]` makes a choice of each variant of an enum"));
        return None;
    };
    if !item.generics.params.is_empty() {
        errors.at(
            &item.generics,
            format!("`{name}` has generic parameters; a list of choices is one list, so it has none"),
        );
        return None;
    }
    if data.variants.is_empty() {
        errors.at(&name, format!("`{name}` has no variants, so there is nothing to choose"));
    }
    let mut choices = Vec::new();
    for variant in data.variants {
        let is_unit = matches!(variant.fields, Fields::Unit);
        if !is_unit {
            let problem =
                format!("`{}` has data; a choice is no more than its id, so the variant has no fields", variant.ident);
            errors.at(&variant.fields, problem);
        }
        let mut args = Args::default();
        for attr in variant.attrs.iter().filter(|attr| attrs::is_ours(attr, "choice")) {
            args = Args::of(attr, errors);
            args.check("`#[choice]`", &["id", "label"], &[], errors);
        }
        let given = args.string("id", errors);
        if let Some(id) = &given {
            attrs::check_word_id(id, errors);
        }
        let words = case::sentence(&variant.ident.to_string());
        choices.push(Choice {
            id: given.as_ref().map_or_else(|| case::snake(&variant.ident.to_string()), syn::LitStr::value),
            id_span: given.map_or_else(|| variant.ident.span(), |id| id.span()),
            label: args
                .text("label", errors)
                .map_or_else(|| words.to_token_stream(), |label: Expr| label.to_token_stream()),
            variant: variant.ident,
            is_unit,
        });
    }
    attrs::check_distinct(choices.iter().map(|choice| (choice.id.clone(), choice.id_span)), "id of a choice", errors);
    Some(Choices { name, choices })
}

impl Choices {
    fn expand(&self, private: &TokenStream) -> TokenStream {
        let name = &self.name;
        // What is wrong has been reported; arms for it would be reported again, in words that say less.
        let mut seen: Vec<&str> = Vec::new();
        let first = self.choices.iter().filter(|choice| {
            let new = choice.is_unit && !seen.contains(&choice.id.as_str());
            seen.push(&choice.id);
            new
        });
        let (ids, variants): (Vec<_>, Vec<_>) = first.map(|choice| (&choice.id, &choice.variant)).unzip();
        let all_ids: Vec<_> = self.choices.iter().map(|choice| &choice.id).collect();
        let all_variants: Vec<_> = self.choices.iter().map(|choice| &choice.variant).collect();
        let labels = self.choices.iter().map(|choice| &choice.label);
        quote! {
            #[automatically_derived]
            impl #private::Choices for #name {
                const CHOICES: &'static [#private::Choice] = &[#(#private::Choice { id: #all_ids, label: #labels }),*];

                fn from_id(id: &str) -> ::core::option::Option<Self> {
                    match id {
                        #(#ids => ::core::option::Option::Some(Self::#variants),)*
                        _ => ::core::option::Option::None,
                    }
                }

                fn id(&self) -> &'static str {
                    self.__connector_choice()
                }
            }

            #[automatically_derived]
            impl #name {
                #[doc(hidden)]
                pub const fn __connector_choice(&self) -> &'static str {
                    match *self {
                        #(Self::#all_variants { .. } => #all_ids,)*
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R2.1
    #[test]
    fn an_enum_is_a_list_of_choices() {
        let item = quote! {
            enum Window {
                Day,
                #[choice(id = "seven-days", label = "A week")]
                Week,
                AllTime,
            }
        };
        crate::tests::snapshot("choices", derive(item));
    }

    /// R1.12
    #[test]
    fn mistakes_in_choices_are_reported_together() {
        let item = quote! {
            enum Window {
                #[choice(id = "A b")]
                Day(u8),
                Week,
                #[choice(id = "week", lable = "x")]
                Other,
            }
        };
        assert_eq!(
            crate::tests::messages(derive(item)),
            [
                "`Day` has data; a choice is no more than its id, so the variant has no fields",
                "`A b` is no id: it is lower-case letters and digits, a letter first, in words joined by `_` or by `-`",
                "`#[choice]` has no argument `lable`: did you mean `label`? there are `id`, `label`",
                "the id of a choice `week` is used twice",
                "it is used here first",
            ]
        );
        assert_eq!(
            crate::tests::messages(derive(quote!(
                struct Window;
            )))
            .len(),
            1
        );
        assert_eq!(
            crate::tests::messages(derive(quote!(
                enum Window {}
            )))
            .len(),
            1
        );
        assert_eq!(
            crate::tests::messages(derive(quote!(
                enum Window<T> {
                    A,
                }
            )))
            .len(),
            1
        );
    }
}
