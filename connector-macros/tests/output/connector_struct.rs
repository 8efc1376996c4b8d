/// Issues and pull requests
/// of the repositories you choose.
#[derive(Default)]
pub struct GitHub {
    client: Client,
}
const _: () = {
    #[automatically_derived]
    impl ::connector_core::__private::Component for GitHub {
        type Options = GitHubOptions;
        const NAMESPACE: &'static str = "";
        fn instance() -> &'static Self {
            static INSTANCE: ::std::sync::OnceLock<GitHub> = ::std::sync::OnceLock::new();
            INSTANCE.get_or_init(<GitHub as ::core::default::Default>::default)
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::Declared for GitHub {
        const DECLARATION: &'static ::connector_core::__private::Declaration = &{
            let mut declaration = ::connector_core::__private::Declaration::new(
                "github",
                "GitHub",
            );
            declaration.description = "Issues and pull requests\nof the repositories you choose.";
            declaration.logo = ::core::option::Option::Some(LOGO);
            declaration.provider = ::core::option::Option::Some(
                ::connector_core::__private::Provider::GitHub,
            );
            declaration.scopes = ::connector_core::__private::Scopes {
                required: &["repo"],
                optional: &[
                    ::connector_core::__private::ScopeGroup {
                        id: "hooks",
                        label: "Live updates",
                        description: "Pushes",
                        scopes: &["admin:repo_hook"],
                        default: true,
                    },
                ],
            };
            declaration.shared = true;
            declaration.dynamic_link_types = true;
            declaration.handle_replies = true;
            declaration.multiple_instances = true;
            declaration.link_types = &[
                <Issue as ::connector_core::__private::LinkType>::DECLARATION,
                <forge::PullRequest as ::connector_core::__private::LinkType>::DECLARATION,
            ];
            declaration.reactions = ::core::option::Option::Some(::connector_core::__private::Reactions::Fixed {
                set: &[("👍", "+1"), ("👎", "-1")],
            });
            declaration.products = &[
                ::connector_core::__private::Product {
                    key: "issues",
                    label: "Issues",
                    scope_group: "hooks",
                },
            ];
            declaration.access = &["Reads your issues"];
            declaration.urls = &[
                "https://api.github.com/*",
                "https://*.githubusercontent.com",
            ];
            declaration.options = <GitHubOptions as ::connector_core::__private::Options>::DECLARATION;
            declaration.tools = &[
                ::connector_core::__private::tool_declaration::<Contacts>,
            ];
            declaration.version = "2";
            declaration.channels.fixed = true;
            declaration.channels.auto_enable_new = true;
            declaration.channels.noun = ::connector_core::__private::Noun {
                singular: "repository",
                plural: "repositories",
            };
            declaration
        };
    }
    ::connector_core::__private::inventory::submit! {
        ::connector_core::__private::Registration::new:: < GitHub > ()
    }
    const __CONNECTOR_HOOKS: ::connector_core::__private::Hooks = <GitHub as ::connector_core::__private::HooksOf>::HOOKS;
    const _: () = ::core::assert!(
        __CONNECTOR_HOOKS.has(::connector_core::__private::Hooks::NOTE_CREATED),
        "`GitHub` handles replies, so it needs the hook `on_note_created`: add it to `impl Connector for GitHub`"
    );
    const _: () = ::core::assert!(
        __CONNECTOR_HOOKS.has(::connector_core::__private::Hooks::NOTE_REACTION_CHANGED),
        "`GitHub` takes reactions, so it needs the hook `on_note_reaction_changed`: add it to `impl Connector for GitHub`"
    );
    const _: () = ::core::assert!(
        < Issue as ::connector_core::__private::LinkType > ::DECLARATION.compose
        .is_none() || __CONNECTOR_HOOKS
        .has(::connector_core::__private::Hooks::CREATE_LINK),
        "`Issue` has `compose`, so `GitHub` needs the hook `on_create_link`: add it to `impl Connector for GitHub`"
    );
    const _: () = ::core::assert!(
        ! < Issue as ::connector_core::__private::LinkType > ::DECLARATION.supports
        .contact_changes || __CONNECTOR_HOOKS
        .has(::connector_core::__private::Hooks::CONTACTS_CHANGED),
        "`Issue` supports contact changes, so `GitHub` needs the hook `on_contacts_changed`: add it to `impl Connector for GitHub`"
    );
    const _: () = ::core::assert!(
        ! < Issue as ::connector_core::__private::LinkType > ::DECLARATION.supports
        .schedule_changes || __CONNECTOR_HOOKS
        .has(::connector_core::__private::Hooks::LINK_UPDATED),
        "`Issue` supports schedule changes, so `GitHub` needs the hook `on_link_updated`: add it to `impl Connector for GitHub`"
    );
    const _: () = ::core::assert!(
        < Issue as ::connector_core::__private::LinkType > ::DECLARATION.reactions
        .is_none() || __CONNECTOR_HOOKS
        .has(::connector_core::__private::Hooks::NOTE_REACTION_CHANGED),
        "`Issue` takes reactions, so `GitHub` needs the hook `on_note_reaction_changed`: add it to `impl Connector for GitHub`"
    );
    const _: () = ::core::assert!(
        < forge::PullRequest as ::connector_core::__private::LinkType > ::DECLARATION
        .compose.is_none() || __CONNECTOR_HOOKS
        .has(::connector_core::__private::Hooks::CREATE_LINK),
        "`forge::PullRequest` has `compose`, so `GitHub` needs the hook `on_create_link`: add it to `impl Connector for GitHub`"
    );
    const _: () = ::core::assert!(
        ! < forge::PullRequest as ::connector_core::__private::LinkType > ::DECLARATION
        .supports.contact_changes || __CONNECTOR_HOOKS
        .has(::connector_core::__private::Hooks::CONTACTS_CHANGED),
        "`forge::PullRequest` supports contact changes, so `GitHub` needs the hook `on_contacts_changed`: add it to `impl Connector for GitHub`"
    );
    const _: () = ::core::assert!(
        ! < forge::PullRequest as ::connector_core::__private::LinkType > ::DECLARATION
        .supports.schedule_changes || __CONNECTOR_HOOKS
        .has(::connector_core::__private::Hooks::LINK_UPDATED),
        "`forge::PullRequest` supports schedule changes, so `GitHub` needs the hook `on_link_updated`: add it to `impl Connector for GitHub`"
    );
    const _: () = ::core::assert!(
        < forge::PullRequest as ::connector_core::__private::LinkType > ::DECLARATION
        .reactions.is_none() || __CONNECTOR_HOOKS
        .has(::connector_core::__private::Hooks::NOTE_REACTION_CHANGED),
        "`forge::PullRequest` takes reactions, so `GitHub` needs the hook `on_note_reaction_changed`: add it to `impl Connector for GitHub`"
    );
};
