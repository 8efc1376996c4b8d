/// A GitHub issue.
#[derive(Hash, Debug)]
#[derive(
    ::core::clone::Clone,
    ::core::marker::Copy,
    ::core::cmp::PartialEq,
    ::core::cmp::Eq
)]
pub enum Issue {
    /// It is open.
    Open,
    InProgress,
    #[cfg(feature = "closed")]
    Closed,
}
const _: () = ::connector_core::__private::link_meta::<IssueMeta>();
#[automatically_derived]
impl ::connector_core::__private::LinkType for Issue
where
    for<'__connector> IssueMeta: ::connector_core::__private::LinkMeta,
{
    type Meta = IssueMeta;
    const DECLARATION: &'static ::connector_core::__private::LinkTypeDeclaration = &{
        let mut declaration = ::connector_core::__private::LinkTypeDeclaration::new(
            "issue",
            "Issue",
        );
        declaration.description = "A GitHub issue.";
        declaration.note_label = "Comment";
        declaration.logos = ::connector_core::__private::Logos {
            light: ::core::option::Option::None,
            dark: ::core::option::Option::Some("https://example.com/dark.svg"),
            mono: ::core::option::Option::None,
        };
        declaration.statuses = &[
            ::connector_core::__private::StatusDeclaration {
                id: "open",
                label: "Open",
                icon: ::core::option::Option::Some(
                    ::connector_core::__private::StatusIcon::Todo,
                ),
                done: false,
                todo: true,
                active: false,
                hidden: false,
            },
            ::connector_core::__private::StatusDeclaration {
                id: "in_progress",
                label: "In progress",
                icon: ::core::option::Option::None,
                done: false,
                todo: false,
                active: false,
                hidden: false,
            },
            #[cfg(feature = "closed")]
            ::connector_core::__private::StatusDeclaration {
                id: "shut",
                label: "Closed",
                icon: ::core::option::Option::Some(
                    ::connector_core::__private::StatusIcon::Done,
                ),
                done: true,
                todo: false,
                active: false,
                hidden: false,
            },
        ];
        declaration.assignee = true;
        declaration.sharing = ::connector_core::__private::Sharing::Channel;
        declaration.contact_roles = &[
            ::connector_core::__private::ContactRole {
                id: "to",
                label: "To",
                default: true,
            },
            ::connector_core::__private::ContactRole {
                id: "cc",
                label: "Cc",
                default: false,
            },
        ];
        declaration.supports.links = true;
        declaration.compose = ::core::option::Option::Some(::connector_core::__private::Compose {
            target: ::connector_core::__private::ComposeTarget::Channels,
            status: ::core::option::Option::Some("open"),
            todo: false,
        });
        declaration.meta = ::core::option::Option::Some({
            fn schema() -> ::connector_core::__private::serde_json::Value {
                #[allow(
                    unused_imports,
                    reason = "which of them is used depends on the type"
                )]
                use ::connector_core::__private::{KnownSchema as _, NamedSchema as _};
                (&::connector_core::__private::Stored::<IssueMeta>::new()).schema()
            }
            schema
        });
        declaration.reactions = ::core::option::Option::Some(::connector_core::__private::Reactions::Unicode {
            custom: false,
        });
        declaration
    };
    fn status(self) -> ::core::option::Option<&'static str> {
        match self {
            Self::Open { .. } => ::core::option::Option::Some("open"),
            Self::InProgress { .. } => ::core::option::Option::Some("in_progress"),
            #[cfg(feature = "closed")]
            Self::Closed { .. } => ::core::option::Option::Some("shut"),
        }
    }
    fn from_status(id: &str) -> ::core::option::Option<Self> {
        match id {
            "open" => ::core::option::Option::Some(Self::Open),
            "in_progress" => ::core::option::Option::Some(Self::InProgress),
            #[cfg(feature = "closed")]
            "shut" => ::core::option::Option::Some(Self::Closed),
            _ => ::core::option::Option::None,
        }
    }
}
