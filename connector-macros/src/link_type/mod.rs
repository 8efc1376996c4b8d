//! `#[link_type]`: one kind of external item.

mod expand;
mod parse;

use proc_macro2::{Ident, TokenStream};
use syn::{Attribute, Type};

use crate::attrs::Args;
use crate::errors::Errors;
use crate::paths::Paths;
use crate::reactions::Reactions;

/// The declaration; what was wrong in it has its default.
struct LinkType {
    name: Ident,
    id: String,
    label: TokenStream,
    description: TokenStream,
    source_name: Option<TokenStream>,
    note_label: Option<TokenStream>,
    compose_label: Option<TokenStream>,
    reply_label: Option<TokenStream>,
    /// Light, dark, mono.
    logos: [Option<TokenStream>; 3],
    /// None on a unit struct.
    statuses: Vec<Status>,
    is_struct: bool,
    assignee: bool,
    schedules: bool,
    sharing: Option<Ident>,
    contact_roles: Vec<ContactRole>,
    supports: Supports,
    compose: Option<Compose>,
    reactions: Option<Reactions>,
    meta: Option<Type>,
}

struct Status {
    variant: Ident,
    cfgs: Vec<Attribute>,
    /// It has no data, as it should.
    is_unit: bool,
    id: String,
    label: TokenStream,
    icon: Option<Ident>,
    done: bool,
    todo: bool,
    active: bool,
    hidden: bool,
}

struct ContactRole {
    id: String,
    label: TokenStream,
    default: bool,
}

#[derive(Default)]
struct Supports {
    contact_changes: bool,
    links: bool,
    attachments: bool,
    forwarding: bool,
    schedule_changes: bool,
}

struct Compose {
    /// A variant of core's `ComposeTarget`.
    target: &'static str,
    /// The id.
    status: Option<String>,
    todo: bool,
}

/// Expands `#[link_type(…)]`: the item first and whole, then what is made of it, then what is wrong.
pub(crate) fn expand(attr: TokenStream, item: TokenStream) -> TokenStream {
    let errors = Errors::default();
    let args = Args::parse(attr, &errors);
    let private = Paths::new(&args, &errors).private();
    let (mut tokens, link_type) = parse::item(item, &args, &errors);
    if let Some(link_type) = link_type {
        tokens.extend(link_type.expand(&private));
    }
    tokens.extend(errors.into_tokens());
    tokens
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;
    use crate::tests::{messages, snapshot};

    /// R1.7
    #[test]
    fn an_enum_is_a_kind_with_statuses() {
        let attr = quote!(
            label = "Issue",
            note_label = "Comment",
            sharing = Channel,
            assignee,
            compose(status = Open),
            contact_roles(to(label = "To", default), cc(label = "Cc")),
            supports(links),
            reactions(unicode),
            logos(dark = "https://example.com/dark.svg"),
            meta = IssueMeta
        );
        let item = quote! {
            /// A GitHub issue.
            #[derive(Hash, Debug)]
            pub enum Issue {
                /// It is open.
                #[status(label = "Open", icon = Todo, todo)]
                Open,
                InProgress,
                #[cfg(feature = "closed")]
                #[status(id = "shut", icon = Done, done)]
                Closed,
            }
        };
        snapshot("link_type_enum", expand(attr, item));
    }

    /// R1.7
    #[test]
    fn a_unit_struct_is_a_kind_without_statuses() {
        snapshot(
            "link_type_struct",
            expand(
                quote!(crate = renamed),
                quote!(
                    pub struct ChatMessage;
                ),
            ),
        );
    }

    /// R1.12: everything that is wrong is reported in one compile.
    #[test]
    fn mistakes_in_link_types_are_reported_together() {
        let attr = quote!(
            lable = "Issue",
            sharing = Everyone,
            compose(status = Opne, target = people),
            contact_roles(to(label = "To"), cc),
            supports(editing),
            label = "a",
            label = "b"
        );
        let item = quote! {
            enum Issue {
                #[status(todo)]
                Open,
                #[status(todo, icon = Later)]
                Later(u8),
                #[status(id = "open", colour = "red")]
                Again,
            }
        };
        assert_eq!(
            messages(expand(attr, item)),
            [
                "`#[link_type]` has no argument `lable`: did you mean `label`? there are `id`, `label`, `source_name`, `note_label`, `compose_label`, `reply_label`, `logos`, `sharing`, `assignee`, `schedules`, `contact_roles`, `supports`, `compose`, `reactions`, `meta`, `crate`",
                "`label` is given twice",
                "it is given here first",
                "`Later` has data; a status is no more than its id, so the variant has no fields: what the service says of an item goes into `meta`",
                "there is no icon `Later`: there are `Backlog`, `Todo`, `InProgress`, `Blocked`, `Done`, `Cancelled`, `Confirmed`, `Tentative`",
                "`#[status]` has no argument `colour`: there are `id`, `label`, `icon`, `done`, `todo`, `active`, `hidden`",
                "the status id `open` is used twice",
                "it is used here first",
                "two statuses are `todo`: it is the one that reopening puts an item in, so there is at most one",
                "this one is `todo` too",
                "there is no sharing `Everyone`: there are `Channel`, `Thread`, `Message`, `None`",
                "no role is the `default`: it is what a contact has that is added without a role, so exactly one is: `to(label = \"To\", default)`",
                "`supports` has no argument `editing`: there are `contact_changes`, `links`, `attachments`, `forwarding`, `schedule_changes`",
                "`Issue` has no status `Opne`: did you mean `Open`? there are `Open`, `Later`, `Again`",
                "there is no target `people`: there are `channels`, `contacts`, `addresses`",
            ]
        );
    }

    /// R1.12
    #[test]
    fn only_an_enum_or_a_unit_struct_is_a_link_type() {
        for (item, expected) in [
            (
                quote!(
                    struct Issue {
                        id: u8,
                    }
                ),
                "`Issue` has fields",
            ),
            (
                quote!(
                    enum Issue {}
                ),
                "`Issue` has no variants",
            ),
            (
                quote!(
                    enum Issue<T> {
                        A,
                    }
                ),
                "`Issue` has generic parameters",
            ),
            (
                quote!(
                    fn issue() {}
                ),
                "`#[link_type]` stands on an enum",
            ),
            (quote!(enum Issue { A, B = }), "unexpected end of input"),
        ] {
            let found = messages(expand(quote!(), item.clone()));
            assert!(found.len() <= 2 && found[0].starts_with(expected), "{found:?}");
        }
    }
}
