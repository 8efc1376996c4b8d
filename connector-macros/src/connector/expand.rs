//! What `#[connector(…)]` on a struct becomes.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};

use crate::connector::check;
use crate::connector::model::Connector;
use crate::errors::Errors;
use crate::item::{Struct, respan};
use crate::paths::Paths;

/// What stands beside the struct. With errors the connector is declared, so that nothing else is
/// reported for want of that, but not registered.
pub(crate) fn declaration(connector: &Connector, target: &Struct, paths: &Paths, errors: Errors) -> TokenStream {
    if !target.generics.params.is_empty() {
        return errors.into_tokens();
    }
    let private = paths.private();
    let ident = &target.ident;
    let options = connector.options.as_ref().map_or_else(|| quote!(()), |options| quote!(#options));
    let instance = instance(target);
    let value = value(connector, !errors.is_empty(), paths);
    let registration = errors.is_empty().then(|| {
        let checks = check::expand(connector, target, paths);
        quote! {
            #private::inventory::submit! { #private::Registration::new::<#ident>() }
            #checks
        }
    });
    let tools = uses_tools(ident, &connector.tools, &private);
    let errors = errors.into_tokens();
    quote! {
        const _: () = {
            #tools

            #[automatically_derived]
            impl #private::Component for #ident {
                type Options = #options;
                const NAMESPACE: &'static str = "";
                #instance
            }

            #[automatically_derived]
            impl #private::Declared for #ident {
                const DECLARATION: &'static #private::Declaration = &#value;
            }

            #registration
        };
        #errors
    }
}

/// What lets a connector or a tool take the contexts of its tools.
pub(crate) fn uses_tools(ident: &syn::Ident, tools: &[syn::Path], private: &TokenStream) -> TokenStream {
    let mut seen = Vec::new();
    let each = tools.iter().filter(|tool| {
        let text = tool.to_token_stream().to_string();
        let new = !seen.contains(&text);
        seen.push(text);
        new
    });
    quote! {
        #(
            #[automatically_derived]
            impl #private::UsesTool<#each> for #ident {}
        )*
    }
}

/// The method `instance` of `Component`.
pub(crate) fn instance(target: &Struct) -> TokenStream {
    let ident = &target.ident;
    // Where there is no `Default`, that is said once, at the name.
    let get = respan(quote!(INSTANCE.get_or_init(<#ident as ::core::default::Default>::default)), ident.span());
    let body = if target.is_unit {
        quote! {
            static INSTANCE: #ident = #ident;
            &INSTANCE
        }
    } else {
        quote! {
            static INSTANCE: ::std::sync::OnceLock<#ident> = ::std::sync::OnceLock::new();
            #get
        }
    };
    quote!(fn instance() -> &'static Self { #body })
}

/// A constant expression of type `Declaration`. What has its default is left out.
fn value(connector: &Connector, incomplete: bool, paths: &Paths) -> TokenStream {
    let private = paths.private();
    let Connector { id, name, .. } = connector;
    let mut set = Vec::new();
    let mut field = |name: &str, value: TokenStream| {
        let name = format_ident!("{name}");
        set.push(quote!(declaration.#name = #value;));
    };
    let some = |value: TokenStream| quote!(::core::option::Option::Some(#value));
    if incomplete {
        field("incomplete", quote!(true));
    }
    field("description", connector.description.clone());
    if let Some(logo) = &connector.logo {
        field("logo", some(quote!(#logo)));
    }
    if let Some(provider) = &connector.provider {
        field("provider", some(provider.expand(paths)));
        field("scopes", connector.scopes.expand(paths));
    }
    if let Some(key) = &connector.key_option {
        field("key_option", some(quote!(#key)));
    }
    for flag in &connector.flags {
        field(flag, quote!(true));
    }
    if !connector.link_types.is_empty() {
        let link_types = &connector.link_types;
        field("link_types", quote!(&[#(<#link_types as #private::LinkType>::DECLARATION),*]));
    }
    if let Some(reactions) = &connector.reactions {
        field("reactions", some(reactions.expand(&private)));
    }
    if !connector.products.is_empty() {
        let products = connector.products.iter().map(|product| product.expand(paths));
        field("products", quote!(&[#(#products),*]));
    }
    let (access, urls) = (&connector.access, &connector.urls);
    if !access.is_empty() {
        field("access", quote!(&[#(#access),*]));
    }
    if !urls.is_empty() {
        field("urls", quote!(&[#(#urls),*]));
    }
    if let Some(errors) = &connector.errors {
        let name = errors.to_token_stream().to_string().replace(' ', "");
        field("errors", some(quote!(#private::FailureFn::new(#name, #errors))));
    }
    if !connector.quotas.is_empty() {
        let quotas = connector.quotas.iter().map(|quota| quota.expand(paths));
        field("quotas", quote!(&[#(#quotas),*]));
    }
    if let Some(options) = &connector.options {
        field("options", quote!(<#options as #private::Options>::DECLARATION));
    }
    if !connector.tools.is_empty() {
        let tools = &connector.tools;
        field("tools", quote!(&[#(#private::tool_declaration::<#tools>),*]));
    }
    if let Some(version) = &connector.version {
        field("version", quote!(#version));
    }
    for flag in &connector.channel_flags {
        let flag = format_ident!("{flag}");
        set.push(quote!(declaration.channels.#flag = true;));
    }
    if let Some((singular, plural)) = &connector.channel_noun {
        set.push(quote!(declaration.channels.noun = #private::Noun { singular: #singular, plural: #plural };));
    }
    quote! {
        {
            let mut declaration = #private::Declaration::new(#id, #name);
            #(#set)*
            declaration
        }
    }
}
