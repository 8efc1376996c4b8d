//! What `#[derive(Options)]` emits: constant data, and a check for each setting at its token.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::{DefaultValue, Field, Options};
use crate::item::respan;

impl Options {
    pub(super) fn expand(&self, private: &TokenStream) -> TokenStream {
        let name = &self.name;
        let idents: Vec<_> = self.fields.iter().map(|field| &field.ident).collect();
        let types = self.fields.iter().map(|field| &field.ty);
        let constants: Vec<_> = (0..self.fields.len()).map(|index| format_ident!("FIELD_{index}")).collect();
        let values: Vec<_> =
            (0..self.fields.len()).map(|index| format_ident!("field_{index}", span = Span::mixed_site())).collect();
        let data = self.fields.iter().map(|field| field.data(private));
        let checks = self.fields.iter().zip(&constants).map(|(field, constant)| field.checks(constant, private));
        let read = if self.fields.is_empty() {
            quote!(::core::result::Result::Ok(Self {}))
        } else {
            quote! {
                let mut reader = #private::OptionReader::new(values);
                #(let #values = reader.read(&#constants);)*
                match (#(#values,)*) {
                    (#(::core::option::Option::Some(#values),)*) => {
                        ::core::result::Result::Ok(Self { #(#idents: #values),* })
                    }
                    _ => ::core::result::Result::Err(reader.into_errors()),
                }
            }
        };
        let values = if self.fields.is_empty() { quote!(_) } else { quote!(values) };
        quote! {
            const _: () = {
                #(const #constants: #private::TypedField<#types> = #data;)*
                #(#checks)*

                #[automatically_derived]
                impl #private::Options for #name {
                    const DECLARATION: &'static #private::OptionsDeclaration =
                        &#private::OptionsDeclaration { fields: &[#(#constants.field),*] };

                    fn from_values(
                        #values: &#private::serde_json::Map<::std::string::String, #private::serde_json::Value>,
                    ) -> ::core::result::Result<Self, #private::OptionErrors> {
                        #read
                    }
                }
            };
        }
    }
}

impl Field {
    fn data(&self, private: &TokenStream) -> TokenStream {
        let name = self.ident.unraw().to_string();
        let (label, description) = (&self.label, &self.description);
        let mut settings = Vec::new();
        let mut set = |name: &str, value: TokenStream| {
            let name = format_ident!("{name}");
            settings.push(quote!(#name: ::core::option::Option::Some(#value)));
        };
        if let Some(default) = self.default_data(private) {
            set("default", default);
        }
        for (name, number) in [("min", &self.min), ("max", &self.max)] {
            if let Some(number) = number {
                let value = Literal::f64_suffixed(number.value);
                set(name, quote!(#value));
            }
        }
        for (name, text) in [("placeholder", &self.placeholder), ("help", &self.help), ("help_url", &self.help_url)] {
            if let Some(text) = text {
                let value = &text.value;
                set(name, quote!(#value));
            }
        }
        if self.required.is_some() {
            settings.push(quote!(required: true));
        }
        let none = quote!(#private::FieldSettings::NONE);
        let settings =
            if settings.is_empty() { none } else { quote!(#private::FieldSettings { #(#settings,)* ..#none }) };
        // At the span of the type, so that an error about it points there.
        let new = respan(quote!(#private::TypedField::new), self.ty.span());
        quote_spanned!(self.ty.span()=> #new(#name, #label, #description, #settings))
    }

    fn default_data(&self, private: &TokenStream) -> Option<TokenStream> {
        let kind = quote!(#private::FieldDefault);
        Some(match &self.default.as_ref()?.value {
            DefaultValue::Boolean(value) => quote!(#kind::Boolean(#value)),
            DefaultValue::Number(value) => {
                let value = Literal::f64_suffixed(*value);
                quote!(#kind::Number(#value))
            }
            DefaultValue::Text(value) => quote!(#kind::Text(#value)),
            DefaultValue::Choice(variant) => {
                let id = quote_spanned!(variant.span()=> __connector_choice);
                quote!(#kind::Text(#variant.#id()))
            }
        })
    }

    /// What depends on the type, which may be an alias: checked by core, at the token of the setting.
    fn checks(&self, constant: &Ident, private: &TokenStream) -> TokenStream {
        let mut checks = TokenStream::new();
        let mut check = |span: Span, name: &str, argument: Option<TokenStream>| {
            let name = Ident::new(name, span);
            let constant = respan(constant.to_token_stream(), span);
            checks.extend(quote_spanned!(span=> const _: () = #constant.#name(#argument);));
        };
        for number in [&self.min, &self.max].into_iter().flatten() {
            let value = Literal::f64_suffixed(number.value);
            check(number.tokens.span(), "check_limit", Some(quote!(#value)));
        }
        for text in [&self.placeholder, &self.help, &self.help_url].into_iter().flatten() {
            check(text.name.span(), "check_text", None);
        }
        if let Some(span) = self.secure {
            check(span, "check_secure", None);
        }
        if let Some(span) = self.required {
            check(span, "check_required", None);
        }
        if let Some(default) = &self.default {
            check(default.tokens.span(), "check_default", self.default_data(private));
        }
        checks
    }
}
