//! What `#[link_type]` emits: one impl with constant data.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;

use super::{LinkType, Status};
use crate::item::respan;
use crate::paths::stored_schema;

impl LinkType {
    pub(super) fn expand(&self, private: &TokenStream) -> TokenStream {
        let name = &self.name;
        let meta = self.meta.as_ref().map_or_else(|| quote!(()), ToTokens::to_token_stream);
        // The bound is asked for at the type, once, and not again by what follows from it.
        let bound = self.meta.as_ref().map(|meta| quote!(where for<'__connector> #meta: #private::LinkMeta));
        let check = self.meta.as_ref().map(|meta| {
            let check = respan(quote!(#private::link_meta), meta.span());
            quote!(const _: () = #check::<#meta>();)
        });
        let (id, label) = (&self.id, &self.label);
        let settings = self.settings(private);
        let new = quote!(#private::LinkTypeDeclaration::new(#id, #label));
        let declaration = if settings.is_empty() {
            quote!(&#new)
        } else {
            quote!(&{ let mut declaration = #new; #settings declaration })
        };
        let (status, from_status) = if self.is_struct {
            (quote!(::core::option::Option::None), quote!(::core::option::Option::None))
        } else {
            self.lookups()
        };
        let id_parameter = if self.is_struct { quote!(_) } else { quote!(id) };
        quote! {
            #check

            #[automatically_derived]
            impl #private::LinkType for #name #bound {
                type Meta = #meta;

                const DECLARATION: &'static #private::LinkTypeDeclaration = #declaration;

                fn status(self) -> ::core::option::Option<&'static str> {
                    #status
                }

                fn from_status(#id_parameter: &str) -> ::core::option::Option<Self> {
                    #from_status
                }
            }
        }
    }

    /// The bodies of `status` and `from_status`.
    fn lookups(&self) -> (TokenStream, TokenStream) {
        let to_id = self.statuses.iter().map(
            |Status {
                 cfgs, variant, id, ..
             }| {
                quote!(#(#cfgs)* Self::#variant { .. } => ::core::option::Option::Some(#id),)
            },
        );
        // What is wrong has been reported; arms for it would be reported again, in words that say less.
        let mut seen: Vec<&str> = Vec::new();
        let new = self.statuses.iter().filter(|status| {
            let new = status.is_unit && !seen.contains(&status.id.as_str());
            seen.push(&status.id);
            new
        });
        let from_id = new.map(
            |Status { cfgs, variant, id, .. }| quote!(#(#cfgs)* #id => ::core::option::Option::Some(Self::#variant),),
        );
        let to_id = quote!(match self { #(#to_id)* });
        (to_id, quote!(match id { #(#from_id)* _ => ::core::option::Option::None, }))
    }

    /// Assigns what is said, and nothing else.
    fn settings(&self, private: &TokenStream) -> TokenStream {
        let mut settings = TokenStream::new();
        let mut set = |field: &str, value: TokenStream| {
            let field = Ident::new(field, Span::call_site());
            settings.extend(quote!(declaration.#field = #value;));
        };
        let some = |value: &TokenStream| quote!(::core::option::Option::Some(#value));
        let option =
            |value: &Option<TokenStream>| value.as_ref().map_or_else(|| quote!(::core::option::Option::None), some);
        if self.description.to_string() != "\"\"" {
            set("description", self.description.clone());
        }
        if let Some(note_label) = &self.note_label {
            set("note_label", note_label.clone());
        }
        for (field, text) in [
            ("source_name", &self.source_name),
            ("compose_label", &self.compose_label),
            ("reply_label", &self.reply_label),
        ] {
            if let Some(text) = text {
                set(field, some(text));
            }
        }
        if self.logos.iter().any(Option::is_some) {
            let [light, dark, mono] = self.logos.each_ref().map(option);
            set("logos", quote!(#private::Logos { light: #light, dark: #dark, mono: #mono }));
        }
        if !self.statuses.is_empty() {
            let statuses = self.statuses.iter().map(|status| status.data(private));
            set("statuses", quote!(&[#(#statuses),*]));
        }
        for (field, said) in [("assignee", self.assignee), ("schedules", self.schedules)] {
            if said {
                set(field, quote!(true));
            }
        }
        if let Some(sharing) = &self.sharing {
            let sharing = Ident::new(&sharing.to_string(), Span::call_site());
            set("sharing", quote!(#private::Sharing::#sharing));
        }
        if !self.contact_roles.is_empty() {
            let roles = self.contact_roles.iter().map(|role| {
                let (id, label, default) = (&role.id, &role.label, role.default);
                quote!(#private::ContactRole { id: #id, label: #label, default: #default })
            });
            set("contact_roles", quote!(&[#(#roles),*]));
        }
        for (field, said) in [
            ("contact_changes", self.supports.contact_changes),
            ("links", self.supports.links),
            ("attachments", self.supports.attachments),
            ("forwarding", self.supports.forwarding),
            ("schedule_changes", self.supports.schedule_changes),
        ] {
            if said {
                let field = Ident::new(field, Span::call_site());
                settings.extend(quote!(declaration.supports.#field = true;));
            }
        }
        if let Some(compose) = &self.compose {
            let target = Ident::new(compose.target, Span::call_site());
            let status = option(&compose.status.as_ref().map(ToTokens::to_token_stream));
            let todo = compose.todo;
            let value =
                quote!(#private::Compose { target: #private::ComposeTarget::#target, status: #status, todo: #todo });
            settings.extend(quote!(declaration.compose = ::core::option::Option::Some(#value);));
        }
        if let Some(meta) = &self.meta {
            let schema = stored_schema(private, &meta.to_token_stream());
            settings.extend(quote!(declaration.meta = ::core::option::Option::Some(#schema);));
        }
        if let Some(reactions) = &self.reactions {
            let value = reactions.expand(private);
            settings.extend(quote!(declaration.reactions = ::core::option::Option::Some(#value);));
        }
        settings
    }
}

impl Status {
    fn data(&self, private: &TokenStream) -> TokenStream {
        let Self { cfgs, id, label, done, todo, active, hidden, .. } = self;
        let icon = match &self.icon {
            Some(icon) => {
                let icon = Ident::new(&icon.to_string(), Span::call_site());
                quote!(::core::option::Option::Some(#private::StatusIcon::#icon))
            }
            None => quote!(::core::option::Option::None),
        };
        quote! {
            #(#cfgs)*
            #private::StatusDeclaration {
                id: #id,
                label: #label,
                icon: #icon,
                done: #done,
                todo: #todo,
                active: #active,
                hidden: #hidden,
            }
        }
    }
}
