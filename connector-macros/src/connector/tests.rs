//! What `#[connector]` emits, and what it says of mistakes.

use proc_macro2::TokenStream;
use quote::quote;

use super::expand;
use crate::tests::{messages, snapshot};

#[track_caller]
fn assert_messages(attr: TokenStream, expected: &[&str]) {
    let output = expand(
        attr,
        quote!(
            struct Example;
        ),
    );
    assert_eq!(messages(output.clone()), expected);
    assert!(output.to_string().starts_with("struct Example ;"), "the item comes first, as it was");
    assert!(
        output.to_string().contains("impl :: connector_core :: __private :: Declared for Example"),
        "nothing cascades"
    );
    assert!(expected.is_empty() || !output.to_string().contains("submit"), "what is wrong is not registered");
}

/// R1.1
#[test]
fn a_struct_declares_a_connector() {
    let output = expand(
        quote! {
            id = "github",
            name = "GitHub",
            logo = LOGO,
            provider = GitHub,
            scopes(
                required = ["repo"],
                optional(id = "hooks", label = "Live updates", description = "Pushes", scopes = ["admin:repo_hook"], default = true),
            ),
            shared,
            fixed_channels,
            hidden_channels = false,
            channel_noun("repository", "repositories"),
            auto_enable_new_channels = true,
            link_types = [Issue, forge::PullRequest],
            dynamic_link_types,
            reactions(fixed = ["👍" = "+1", "👎" = "-1"]),
            handle_replies,
            multiple_instances,
            products(issues(label = "Issues", scope_group = "hooks")),
            access = ["Reads your issues"],
            urls = ["https://api.github.com/*", "https://*.githubusercontent.com"],
            options = GitHubOptions,
            tools = [Contacts],
            version = "2",
        },
        quote! {
            /// Issues and pull requests
            /// of the repositories you choose.
            #[derive(Default)]
            pub struct GitHub {
                client: Client,
            }
        },
    );
    snapshot("connector_struct", output);
}

/// R1.1
#[test]
fn everything_has_a_default() {
    snapshot(
        "connector_defaults",
        expand(
            TokenStream::new(),
            quote!(
                struct GitHub;
            ),
        ),
    );
}

/// R1.4, R1.5
#[test]
fn a_key_is_used_in_place_of_oauth() {
    let output = expand(
        quote!(key_option = api_key, options = Keys, shared, crate = crate),
        quote!(
            struct Keyed;
        ),
    );
    snapshot("connector_key", output);
}

/// R1.3
#[test]
fn a_provider_is_built_in_or_custom() {
    for (provider, value) in [
        (quote!(GitHub), "Provider :: GitHub)"),
        (quote!(Provider::HubSpot), "Provider :: HubSpot)"),
        (quote!(ACME), "Provider :: Custom (ACME))"),
        (quote!(providers::ACME), "Provider :: Custom (providers :: ACME))"),
        (
            quote!(custom(
                id = "acme",
                authorize_url = "https://a.example/a",
                token_url = "https://a.example/t",
                api_url = "https://a.example"
            )),
            "Provider :: Custom (:: connector_core :: __private :: CustomProvider { id : \"acme\"",
        ),
    ] {
        let output = expand(
            quote!(provider = #provider),
            quote!(
                struct Example;
            ),
        )
        .to_string();
        assert!(output.contains(value), "{value} in {output}");
    }
}

/// R1.12
#[test]
fn a_wrong_provider_says_which_there_are() {
    let all = "there are `Google`, `Microsoft`, `Notion`, `Slack`, `Atlassian`, `Linear`, `Monday`, `GitHub`, `Asana`, `HubSpot`, \
               `Todoist`, `Airtable`, `Trello`";
    let custom =
        "`custom(id = \"…\", authorize_url = \"…\", token_url = \"…\", api_url = \"…\")` and your own constants";
    assert_messages(
        quote!(provider = Githab),
        &[&format!("there is no provider `Githab`: did you mean `GitHub`? {all}, {custom}")],
    );
    assert_messages(
        quote!(provider = "github"),
        &[&format!("`provider` takes a name without quotes: did you mean `GitHub`? {all}")],
    );
    assert_messages(
        quote!(provider = custom(id = "Acme", token_url = "x", api_url = "https://a.example/")),
        &[
            "a custom provider needs `authorize_url`",
            "`Acme` is no id in kebab-case; it is lower-case letters and digits, a letter first, in words joined by `-`: write `\"acme\"`",
            "`x` is no URL: write the whole of it, as in `\"https://auth.example.com/token\"`",
            "`api_url` has no slash at its end: write `\"https://a.example\"`",
        ],
    );
    assert_messages(quote!(provider = custom), &["`custom` takes arguments: `custom(…)`"]);
}

/// R1.12
#[test]
fn unknown_and_repeated_arguments_are_errors_all_at_once() {
    let output = expand(
        quote!(provder = GitHub, shared, shared, urls = ["nowhere"], id = ""),
        quote!(
            struct Example;
        ),
    );
    let messages = messages(output);
    assert_eq!(messages.len(), 5, "{messages:?}");
    assert!(
        messages[0]
            .starts_with("`#[connector]` has no argument `provder`: did you mean `provider`? there are `id`, `name`")
    );
    assert_eq!(messages[1], "`shared` is given twice");
    assert_eq!(messages[2], "it is given here first");
    assert!(messages[3].starts_with("an id may not be empty"));
    assert!(messages[4].starts_with("`nowhere` is no URL pattern: it begins with no scheme"));
}

/// R1.12
#[test]
fn what_does_not_go_together_is_an_error() {
    assert_messages(
        quote!(scopes("a")),
        &["scopes are asked of a provider: add `provider = …`, or leave `scopes` out"],
    );
    assert_messages(
        quote!(provider = Slack, key_option = "key", options = Keys),
        &["a key is used in place of OAuth: keep `key_option` or `provider`, not both"],
    );
    assert_messages(
        quote!(key_option = "key"),
        &["`key_option` names a secure field of the options: add `options = …`"],
    );
    assert_messages(
        quote!(single_channel, auto_enable_new_channels),
        &["with `single_channel` there are no new channels to enable: leave one of the two out"],
    );
}

/// R1.2
#[test]
fn scopes_are_flat_or_in_groups() {
    let output = expand(
        quote!(provider = Slack, scopes("a", "b")),
        quote!(
            struct Example;
        ),
    )
    .to_string();
    let other = expand(
        quote!(provider = Slack, scopes = ["a", "b"]),
        quote!(
            struct Example;
        ),
    )
    .to_string();
    assert_eq!(output, other);
    assert!(output.contains(r#"required : & ["a" , "b"] , optional : & []"#));
    assert_messages(
        quote!(
            provider = Slack,
            scopes(
                required = ["a", "a"],
                optional(id = "x", scopes = []),
                optional(id = "A b", label = "B", scopes = ["b"])
            )
        ),
        &[
            "an optional group of scopes needs `label`",
            "an optional group has at least one scope",
            "`A b` is no id in kebab-case; it is lower-case letters and digits, a letter first, in words joined by `-`",
            "the scope `a` is used twice",
            "it is used here first",
        ],
    );
    assert_messages(
        quote!(
            provider = Slack,
            scopes(optional(id = "x", label = "X", scopes = ["a"]), optional(id = "x", label = "Y", scopes = ["b"]))
        ),
        &["the scope group id `x` is used twice", "it is used here first"],
    );
}

/// R1.10, R1.12
#[test]
fn a_product_has_a_scope_group_of_its_own() {
    let groups = quote!(
        provider = Google,
        scopes(
            optional(id = "calendar", label = "Calendar", scopes = ["c"]),
            optional(id = "mail", label = "Mail", scopes = ["m"]),
        )
    );
    assert_messages(quote!(#groups, products(calendar(scope_group = "calendar"), mail(scope_group = "mail"))), &[]);
    assert_messages(
        quote!(#groups, products(mail, calendar(), calender(scope_group = "calender"))),
        &[
            "`mail` takes arguments: `mail(…)`",
            "the product `calendar` needs the optional group of scopes that grants it, `scope_group = \"…\"`: did you mean `calendar`? there are `calendar`, `mail`",
            "there is no optional group of scopes `calender`: did you mean `calendar`? there are `calendar`, `mail`",
        ],
    );
    assert_messages(
        quote!(#groups, products(a(scope_group = "mail"), a(scope_group = "mail"))),
        &[
            "`a` is given twice",
            "it is given here first",
            "the scope group of a product `mail` is used twice",
            "it is used here first",
        ],
    );
}

/// R1.9
#[test]
fn reactions_have_three_forms() {
    assert_messages(quote!(reactions(unicode)), &[]);
    let messages = messages(expand(
        quote!(reactions),
        quote!(
            struct Example;
        ),
    ));
    assert!(messages[0].starts_with("write `reactions(unicode)`"), "{messages:?}");
}

/// R1.12
#[test]
fn a_generic_connector_is_refused_where_it_is_generic() {
    let output = expand(
        TokenStream::new(),
        quote!(
            struct Example<T>(T);
        ),
    );
    assert_eq!(
        messages(output),
        [
            "a connector cannot be generic, because it is registered by itself as one type: declare a struct for each type that you need"
        ]
    );
}

/// R1.11
#[test]
fn the_hooks_are_recorded() {
    let output = expand(
        TokenStream::new(),
        quote! {
            impl Connector for GitHub {
                async fn get_channels(&self, cx: &Context<Self>, account: &Account) -> Result<Vec<Channel>> { half typed ; }
                #[cfg(feature = "write")]
                async fn on_create_link(&self, cx: &Context<Self>, draft: LinkDraft) -> Result<Option<NewLink>> { Ok(None) }
            }
        },
    );
    let text = output.to_string();
    assert!(text.contains("{ half typed ; }"), "the body is as it was");
    assert!(text.contains("const HOOKS"));
    let output = expand(
        TokenStream::new(),
        quote! {
            impl Connector for GitHub {
                async fn get_channels(&self) {}
                #[cfg(feature = "write")]
                async fn on_create_link(&self) {}
            }
        },
    );
    snapshot("connector_hooks", output);
    snapshot("connector_no_hooks", expand(TokenStream::new(), quote!(impl Connector for GitHub {})));
}

/// R1.12
#[test]
fn an_unknown_hook_is_an_error() {
    let output = expand(TokenStream::new(), quote!(impl Connector for X { async fn on_note_create(&self) {} }));
    let messages = messages(output.clone());
    assert_eq!(messages.len(), 1);
    assert!(
        messages[0]
            .starts_with("there is no hook `on_note_create`: did you mean `on_note_created`? there are `activate`")
    );
    assert!(output.to_string().contains("HooksOf for X"), "nothing cascades");
}

/// R1.12
#[test]
fn in_other_places_it_is_an_error() {
    let only = "`#[connector]` only works on `impl Connector for X` and on `impl X`";
    assert_eq!(messages(expand(TokenStream::new(), quote!(impl Clone for X {}))), [only]);
    let only = "`#[connector]` only works on a `struct`, on `impl Connector for` it, and on an `impl` block of it";
    assert_eq!(
        messages(expand(
            TokenStream::new(),
            quote!(
                enum X {}
            )
        )),
        [only]
    );
    let output = expand(quote!(id = "x"), quote!(impl X {}));
    assert_eq!(messages(output), ["`#[connector]` on an `impl` block has no argument `id`: there are `crate`"]);
}

/// What is still being typed comes back whole.
#[test]
fn incomplete_input_is_given_back() {
    for item in [quote!(struct), quote!(impl Connector for), quote!(impl X), quote!(pub), quote!()] {
        let output = expand(TokenStream::new(), item.clone());
        assert_eq!(output.to_string(), item.to_string());
    }
    let output = expand(
        quote!(provider = , scopes("a"), ur),
        quote!(
            struct Example;
        ),
    );
    snapshot("connector_incomplete", output);
}
