//! `#[connector] impl Connector for X`: records which hooks there are.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::Attribute;

use crate::attrs;
use crate::callback::ATTRIBUTES;
use crate::did_you_mean;
use crate::errors::Errors;
use crate::item::{self, Impl, Member, respan};
use crate::paths::Paths;

/// The hooks, and their constants in `Hooks`.
pub(crate) const HOOKS: [(&str, &str); 20] = [
    ("activate", "ACTIVATE"),
    ("upgrade", "UPGRADE"),
    ("deactivate", "DEACTIVATE"),
    ("on_options_changed", "OPTIONS_CHANGED"),
    ("get_account_name", "GET_ACCOUNT_NAME"),
    ("get_account_identity", "GET_ACCOUNT_IDENTITY"),
    ("get_account_tenant", "GET_ACCOUNT_TENANT"),
    ("get_channels", "GET_CHANNELS"),
    ("on_channel_enabled", "CHANNEL_ENABLED"),
    ("on_channel_disabled", "CHANNEL_DISABLED"),
    ("on_link_updated", "LINK_UPDATED"),
    ("on_create_link", "CREATE_LINK"),
    ("on_note_created", "NOTE_CREATED"),
    ("on_note_updated", "NOTE_UPDATED"),
    ("on_thread_read", "THREAD_READ"),
    ("on_thread_to_do", "THREAD_TO_DO"),
    ("on_contacts_changed", "CONTACTS_CHANGED"),
    ("on_schedule_contact_updated", "SCHEDULE_CONTACT_UPDATED"),
    ("on_note_reaction_changed", "NOTE_REACTION_CHANGED"),
    ("download_attachment", "DOWNLOAD_ATTACHMENT"),
];

/// What stands beside the impl.
pub(crate) fn expand(block: &Impl, paths: &Paths, errors: Errors) -> TokenStream {
    let private = paths.private();
    block.check_not_generic("connector", &errors);
    if let Some(path) = &block.trait_path
        && path.segments.last().is_none_or(|last| last.ident != "Connector")
    {
        errors.at(path, "`#[connector]` only works on `impl Connector for X` and on `impl X`");
        return errors.into_tokens();
    }
    let (mut hooks, mut uncalled) = (Vec::new(), TokenStream::new());
    for member in &block.members {
        match member {
            Member::Method(method) => {
                let name = &method.sig.ident;
                let cfgs = attrs::cfgs(&method.attrs);
                match HOOKS.iter().find(|(hook, _)| name == hook) {
                    Some((_, constant)) => {
                        let constant = format_ident!("{constant}");
                        let check = only_if_called(block, name, &constant, &private);
                        uncalled.extend(check.map(|check| quote!(#(#cfgs)* #check)));
                        hooks.push(quote!(#(#cfgs)* { hooks = hooks.with(#private::Hooks::#constant); }));
                    }
                    // What stands there instead says itself that it may not.
                    None if is_callback(&method.attrs) => {}
                    None => {
                        let hint = did_you_mean::hint(&name.to_string(), HOOKS.iter().map(|(hook, _)| *hook));
                        errors.at(name, format!("there is no hook `{name}`: {hint}"));
                    }
                }
            }
            Member::Macro(tokens) => {
                errors.at(tokens, "hooks that a macro makes here would not be seen: write the methods themselves");
            }
            Member::Other(_) => {}
        }
    }
    let self_ty = &block.self_ty;
    let mutability = (!hooks.is_empty()).then(|| quote!(mut));
    let implementation = block.generics.params.is_empty().then(|| {
        quote! {
            #[automatically_derived]
            impl #private::HooksOf for #self_ty {
                const HOOKS: #private::Hooks = {
                    let #mutability hooks = #private::Hooks::NONE;
                    #(#hooks)*
                    hooks
                };
            }
        }
    });
    let uncalled = errors.is_empty().then_some(uncalled);
    let errors = errors.into_tokens();
    quote!(#implementation #uncalled #errors)
}

fn is_callback(attributes: &[Attribute]) -> bool {
    ATTRIBUTES.iter().any(|name| attributes.iter().any(|attribute| attrs::is_ours(attribute, name)))
}

/// What has to be declared for a hook to be called; none for one that is always called.
const CALLED_FOR: [(&str, &str); 10] = [
    ("on_options_changed", "`options = …`"),
    ("on_link_updated", "`link_types = […]`"),
    ("on_thread_read", "`link_types = […]`"),
    ("on_thread_to_do", "`link_types = […]`"),
    ("download_attachment", "`link_types = […]`"),
    ("on_create_link", "a link type with `compose`"),
    ("on_note_created", "`handle_replies`"),
    ("on_note_updated", "`handle_replies`"),
    ("on_contacts_changed", "a link type with `supports(contact_changes)`"),
    ("on_note_reaction_changed", "`reactions(…)`"),
];

/// An assertion that the connector declares what the hook is called for.
fn only_if_called(block: &Impl, hook: &Ident, constant: &Ident, private: &TokenStream) -> Option<TokenStream> {
    let (_, needed) = CALLED_FOR.iter().find(|(name, _)| hook == name)?;
    let name = item::last_word(&block.self_ty).unwrap_or_else(|| "the connector".to_owned());
    let message = format!(
        "nothing calls `{hook}`, as `{name}` does not declare {needed}: add that to its `#[connector(…)]`, or leave the hook out"
    );
    let self_ty = &block.self_ty;
    let check = quote! {
        const _: () = ::core::assert!(
            <#self_ty as #private::Declared>::DECLARATION.calls(#private::Hooks::#constant),
            #message
        );
    };
    Some(respan(check, hook.span()))
}
