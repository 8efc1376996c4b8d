//! What can only be checked where all halves of a connector are known: assertions that the compiler runs,
//! each on the word that is wrong.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::spanned::Spanned;

use crate::connector::model::Connector;
use crate::item::{Struct, respan};
use crate::paths::Paths;

/// The assertions.
pub(crate) fn expand(connector: &Connector, target: &Struct, paths: &Paths) -> TokenStream {
    let private = paths.private();
    let name = &target.ident;
    let mut checks = TokenStream::new();
    if let (Some(key), Some(options)) = (&connector.key_option, &connector.options) {
        let declaration = quote!(<#options as #private::Options>::DECLARATION);
        let words = options.to_token_stream().to_string().replace(' ', "");
        let missing =
            format!("`{words}` has no field `{}`: `key_option` names a secure field of the options", key.value());
        let public = format!("`{0}` of `{words}` is not secure: make it a `{0}: Secret`", key.value());
        checks.extend(check(quote!(#declaration.has(#key)), &missing, key));
        checks.extend(check(quote!(!#declaration.has(#key) || #declaration.has_secure(#key)), &public, key));
        let empty = format!(
            "`{0}` of `{words}` may be empty, and without a key nobody is authorized: make it a `{0}: Secret`",
            key.value()
        );
        let given = quote!(!#declaration.has_secure(#key) || #declaration.has_required(#key));
        checks.extend(check(given, &empty, key));
    }
    for (index, second) in connector.link_types.iter().enumerate() {
        for first in connector.link_types.iter().take(index) {
            let declaration = |of: &syn::Path| quote!(<#of as #private::LinkType>::DECLARATION);
            let (other, this) = (declaration(first), declaration(second));
            let message = format!(
                "`{}` has the id of `{}`, and stored links name their type by it: give one of them another `id`",
                second.to_token_stream(),
                first.to_token_stream()
            );
            checks.extend(check(quote!(!#this.has_id_of(#other)), &message, second));
        }
    }
    let mut needs: Vec<(Option<TokenStream>, &str, String, TokenStream)> = Vec::new();
    if let Some(word) = &connector.handle_replies
        && connector.flags.contains(&"handle_replies")
    {
        let message = format!(
            "`{name}` handles replies, so it needs the hook `on_note_created`: add it to `impl Connector for {name}`"
        );
        needs.push((None, "NOTE_CREATED", message, word.to_token_stream()));
    }
    if let Some(word) = &connector.reactions_name {
        let message = format!(
            "`{name}` takes reactions, so it needs the hook `on_note_reaction_changed`: add it to `impl Connector for {name}`"
        );
        needs.push((None, "NOTE_REACTION_CHANGED", message, word.to_token_stream()));
    }
    for link_type in &connector.link_types {
        let words = link_type.to_token_stream().to_string().replace(' ', "");
        let declaration = quote!(<#link_type as #private::LinkType>::DECLARATION);
        for (excused, constant, does, hook) in [
            (quote!(#declaration.compose.is_none()), "CREATE_LINK", "has `compose`", "on_create_link"),
            (
                quote!(!#declaration.supports.contact_changes),
                "CONTACTS_CHANGED",
                "supports contact changes",
                "on_contacts_changed",
            ),
            (
                quote!(!#declaration.supports.schedule_changes),
                "LINK_UPDATED",
                "supports schedule changes",
                "on_link_updated",
            ),
            (
                quote!(#declaration.reactions.is_none()),
                "NOTE_REACTION_CHANGED",
                "takes reactions",
                "on_note_reaction_changed",
            ),
        ] {
            let message =
                format!("`{words}` {does}, so `{name}` needs the hook `{hook}`: add it to `impl Connector for {name}`");
            needs.push((Some(excused), constant, message, link_type.to_token_stream()));
        }
    }
    if needs.is_empty() {
        return checks;
    }
    let needs = needs.into_iter().map(|(excused, constant, message, word)| {
        let excused = excused.map(|excused| quote!(#excused ||));
        let constant = quote::format_ident!("{constant}");
        check(quote!(#excused __CONNECTOR_HOOKS.has(#private::Hooks::#constant)), &message, word)
    });
    quote! {
        #checks
        const __CONNECTOR_HOOKS: #private::Hooks = <#name as #private::HooksOf>::HOOKS;
        #(#needs)*
    }
}

/// An assertion that is shown at `word`.
fn check(condition: TokenStream, message: &str, word: impl Spanned) -> TokenStream {
    respan(
        quote!(
            const _: () = ::core::assert!(#condition, #message);
        ),
        word.span(),
    )
}
