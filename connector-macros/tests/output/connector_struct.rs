/// Issues and pull requests
/// of the repositories you choose.
#[derive(Default)]
pub struct GitHub {
    client: Client,
}
const _: () = {
    #[automatically_derived]
    impl ::connector_core::__private::UsesTool<Contacts> for GitHub {}
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
            declaration.incomplete = true;
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
};
::core::compile_error! {
    "with `fixed_channels` there are no new channels to enable: leave one of the two out"
}
