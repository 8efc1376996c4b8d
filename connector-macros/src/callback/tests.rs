//! What callbacks become, and what is said of mistakes.

use proc_macro2::TokenStream;
use quote::quote;

use crate::connector::expand;
use crate::tests::{messages, snapshot};

fn block(methods: TokenStream) -> TokenStream {
    expand(TokenStream::new(), quote!(impl GitHub { #methods }))
}

#[track_caller]
fn assert_messages(methods: TokenStream, expected: &[&str]) {
    assert_eq!(messages(block(methods)), expected);
}

/// R4.1
#[test]
fn a_callback_is_a_message() {
    let output = block(quote! {
        const PAGE: u32 = 50;

        /// One page of a repository.
        #[callback(name = "page", alias = "sync_page", alias = "pages")]
        #[allow(unused)]
        pub async fn sync_page(
            &self,
            cx: &Context<Self>,
            channel: ChannelId,
            /// From one.
            #[default(Self::PAGE)] mut page: u32,
            #[default] _labels: Vec<String>,
            #[input] request: Verified<WebhookRequest>,
        ) -> Result<Vec<Issue>> { half typed ; }

        #[connector_core::callback]
        async fn tidy(&self, cx: &Context<Self>) -> Result<()> { Ok(()) }

        fn helper(&self) -> u32 { 1 }
    });
    let text = output.to_string();
    assert!(text.contains("{ half typed ; }"), "the body is as it was");
    snapshot(
        "callback",
        block(quote! {
            const PAGE: u32 = 50;

            /// One page of a repository.
            #[callback(name = "page", alias = "sync_page", alias = "pages")]
            #[allow(unused)]
            pub async fn sync_page(
                &self,
                cx: &Context<Self>,
                channel: ChannelId,
                /// From one.
                #[default(Self::PAGE)] mut page: u32,
                #[default] _labels: Vec<String>,
                #[input] request: Action,
            ) -> Result<Vec<Issue>> { Ok(Vec::new()) }

            #[connector_core::callback]
            async fn tidy(&self, cx: &Context<Self>) -> Result<()> { Ok(()) }

            fn helper(&self) -> u32 { 1 }
        }),
    );
}

/// R11.1, R11.2, R11.3, R11.4
#[test]
fn work_is_a_callback_that_says_when_it_runs() {
    snapshot(
        "work",
        block(quote! {
            #[sync(every = "15m")]
            async fn issues(&self, cx: &Context<Self>, channel: ChannelId, after: Option<Cursor>) -> Result<Step<Cursor>> { self.answer().await }

            #[drain(batch = 50, delay = "500ms", alias = "changes")]
            async fn changed(&self, cx: &Context<Self>, ids: Vec<u64>) -> Result<Drained<u64>> { self.answer().await }

            #[every("24h", name = "daily")]
            async fn refresh(&self, _: &Context<Self>, _channel: ChannelId) -> Result<()> { self.answer().await }

            #[webhook(
                verify = hmac_sha256(header = "X-Hub-Signature-256", prefix = "sha256="),
                handshake = echo_query("validationToken"),
                delivery_id = "X-GitHub-Delivery",
            )]
            async fn events(&self, cx: &Context<Self>, channel: ChannelId, #[input] request: Verified<WebhookRequest>) -> Result<()> { self.answer().await }
        }),
    );
}

/// R4.1: a callback behind a `#[cfg]` is there in all of its pieces or in none.
#[test]
fn a_cfg_is_on_every_piece() {
    let output = block(quote! {
        #[callback]
        async fn always(&self, cx: &Context<Self>) -> Result<()> { Ok(()) }

        #[cfg(feature = "extra")]
        #[callback]
        async fn sometimes(&self, cx: &Context<Self>, #[default(1)] page: u32) -> Result<()> { Ok(()) }
    });
    snapshot("callback_cfg", output);
}

/// R1.12
#[test]
fn a_signature_that_cannot_be_a_callback_is_an_error() {
    let shape = "`async fn run(&self, cx: &Context<Self>, …) -> Result<…>`";
    assert_messages(
        quote!(
            #[callback]
            fn run(&self, cx: &Context<Self>) -> Result<()> {}
        ),
        &[&format!("a `#[callback]` is an `async fn`: {shape}")],
    );
    assert_messages(
        quote!(
            #[callback]
            async fn run(cx: &Context<Self>) -> Result<()> {}
        ),
        &[&format!("`run` needs `&self` first: {shape}")],
    );
    assert_messages(
        quote!(
            #[callback]
            async fn run(&mut self, cx: &Context<Self>) -> Result<()> {}
        ),
        &["a `#[callback]` takes `&self`: the connector is shared by all connections"],
    );
    assert_messages(
        quote!(
            #[callback]
            async fn run(&self) -> Result<()> {}
        ),
        &[&format!("`run` needs the context, as `cx: &Context<Self>`: {shape}")],
    );
    assert_messages(
        quote!(
            #[callback]
            async fn run(&self, page: u32) -> Result<()> {}
        ),
        &[&format!("the context comes first, as `cx: &Context<Self>`: {shape}")],
    );
    assert_messages(
        quote!(
            #[callback]
            async fn run(&self, cx: &Context<Self>) {}
        ),
        &["`run` returns nothing: return `Result<()>`, so that what goes wrong reaches the host"],
    );
    assert_messages(
        quote!(
            #[callback]
            async fn run<T: Any>(&self, cx: &Context<Self>, value: T) -> Result<()> {}
        ),
        &["a `#[callback]` cannot be generic: its arguments are stored, so their types are known"],
    );
    assert_messages(
        quote!(
            #[callback]
            async fn run(
                &self,
                cx: &Context<Self>,
                (a, b): (u8, u8),
                name: &str,
                ids: &[u64],
                next: impl Iterator,
            ) -> Result<()> {
            }
        ),
        &[
            "a callback's arguments are stored with it, so it cannot borrow: take `String`",
            "a callback's arguments are stored with it, so it cannot borrow: take `Vec<u64>`",
            "a callback's arguments are stored with it: write the type itself",
            "a callback's arguments are stored by name: write a plain name here, and take it apart in the body",
        ],
    );
    assert_messages(
        quote!(
            #[callback]
            async fn run(&self, cx: &Context<Self>, #[input] action: Action, page: u32) -> Result<()> {}
        ),
        &["the input comes last: it is given when the callback is invoked, the others are bound before"],
    );
    assert_messages(
        quote!(
            #[callback]
            async fn run(&self, cx: &Context<Self>, #[cfg(unix)] page: u32) -> Result<()> {}
        ),
        &["a parameter of a callback is stored, so it cannot come and go: put `#[cfg]` on the method"],
    );
}

/// R1.12, R11
#[test]
fn work_takes_no_other_argument_than_its_channel() {
    let scope = |kind| {
        format!(
            "a `#[{kind}]` takes no other argument than `channel: ChannelId`: the host starts it once for each scope, \
             which is a channel, or the connection where there is no `channel`"
        )
    };
    assert_messages(
        quote!(
            #[sync(every = "1h")]
            async fn run(&self, cx: &Context<Self>, page: u32, after: Option<u32>) -> Result<Step<u32>> {}
        ),
        &[&scope("sync")],
    );
    assert_messages(
        quote!(
            #[every("1h")]
            async fn run(&self, cx: &Context<Self>, channel: ChannelId, page: u32) -> Result<()> {}
        ),
        &[&scope("every")],
    );
    assert_messages(
        quote!(
            #[every("1h")]
            async fn run(&self, cx: &Context<Self>, #[input] page: u32) -> Result<()> {}
        ),
        &["a `#[every]` takes no input: the host starts it by itself"],
    );
    assert_messages(
        quote!(
            #[every("1h")]
            async fn run(&self, cx: &Context<Self>, room: ChannelId) -> Result<()> {}
        ),
        &["the parameter with the channel is named `channel`"],
    );
    assert_messages(
        quote! {
            #[sync(every = "1h")] async fn a(&self, cx: &Context<Self>, channel: ChannelId) -> Result<Step<u32>> {}
            #[drain] async fn b(&self, cx: &Context<Self>) -> Result<Drained<u32>> {}
            #[webhook(verify = secret_url)] async fn c(&self, cx: &Context<Self>) -> Result<()> {}
        },
        &[
            "a `#[sync]` takes its cursor last: `after: Option<Cursor>`",
            "a `#[drain]` takes the ids last: `ids: Vec<Id>`",
            "a `#[webhook]` takes the request last: `#[input] request: Verified<WebhookRequest>`",
        ],
    );
}

/// R11.1, R11.2, R11.3
#[test]
fn durations_and_counts_are_checked() {
    let number = "write a whole number and `ms`, `s`, `m`, `h` or `d`, as in `\"15m\"`";
    assert_messages(
        quote! {
            #[sync(every = "15")] async fn a(&self, cx: &Context<Self>, after: Option<u32>) -> Result<Step<u32>> {}
            #[sync] async fn b(&self, cx: &Context<Self>, after: Option<u32>) -> Result<Step<u32>> {}
            #[every] async fn c(&self, cx: &Context<Self>) -> Result<()> {}
            #[every("0s")] async fn d(&self, cx: &Context<Self>) -> Result<()> {}
            #[drain(batch = 0, max_attempts = "x", delay = 2)] async fn e(&self, cx: &Context<Self>, ids: Vec<u32>) -> Result<Drained<u32>> {}
        },
        &[
            &format!("`15` is no duration: {number}"),
            "`#[sync]` needs the time from one walk to the next: `#[sync(every = \"15m\")]`",
            "`#[every]` takes the interval first: `#[every(\"24h\")]`",
            "a duration may not be zero",
            "`batch` takes a whole number from 1",
            "`delay` takes a duration in quotes, as in `\"15m\"`: `delay = …`",
            "`max_attempts` takes a whole number from 1: `max_attempts = …`",
        ],
    );
}

/// R11.4
#[test]
fn a_webhook_says_how_it_is_verified() {
    let method = quote!(
        async fn run(&self, cx: &Context<Self>, request: Verified<WebhookRequest>) -> Result<()> {}
    );
    for good in [
        quote!(slack),
        quote!(secret_url),
        quote!(timestamped(header = "Stripe-Signature")),
        quote!(state_field("/clientState")),
        quote!(state_header("X-Goog-Channel-Token")),
        quote!(function(crate::signatures::ed25519)),
        quote!(slack, delivery_id = "/event_id"),
        quote!(slack, app(tenant = "/team_id")),
        quote!(slack, app(tenant = team_of)),
        quote!(none("the service has no scheme, and the ids are looked up")),
    ] {
        assert_messages(quote!(#[webhook(verify = #good)] #method), &[]);
    }
    let forms = "`hmac_sha256(header = \"…\", prefix = \"…\")`, `slack`, `standard_webhooks`, `timestamped(header = \"…\")`, `secret_url`, \
                 `state_field(\"/pointer\")`, `state_header(\"X-Name\")`, `function(path)` or `none(\"reason\")`";
    for (arguments, message) in [
        (quote!(), format!("`#[webhook]` needs `verify`, so that nobody but the service can push: {forms}")),
        (
            quote!(verify = hmac),
            "`hmac` is no way to verify a webhook: there are `hmac_sha256`, `slack`, `standard_webhooks`, `timestamped`, `secret_url`, `state_field`, `state_header`, `function`, `none`".to_owned(),
        ),
        (quote!(verify = none), "`none` takes the reason why that is safe in quotes: `none(\"…\")`".to_owned()),
        (quote!(verify = slack(1)), "`slack` takes no arguments".to_owned()),
        (quote!(verify = hmac_sha256()), "`hmac_sha256` needs the header that has the signature: `header = \"…\"`".to_owned()),
        (quote!(verify = state_field("x")), "a JSON pointer begins with `/`: write `\"/x\"`".to_owned()),
        (quote!(verify = state_header("a b")), "`a b` is no name of a header: it is letters, digits and `-`".to_owned()),
        (quote!(verify = slack, delivery_id = "a b"), "`a b` is no name of a header: it is letters, digits and `-`".to_owned()),
        (quote!(verify = function), "`function` takes the path of a function: `function(path)`".to_owned()),
        (
            quote!(verify = slack, app),
            "`app` takes arguments: `app(…)`".to_owned(),
        ),
        (
            quote!(verify = slack, app()),
            "`app` needs what tells whom a request concerns: `app(tenant = \"/pointer\")`, or a function".to_owned(),
        ),
        (quote!(verify = slack, app(tenant = "team_id")), "a JSON pointer begins with `/`: write `\"/team_id\"`".to_owned()),
        (
            quote!(verify = slack, app(tenant = 1)),
            "`tenant` takes a JSON pointer in quotes, or the path of a function".to_owned(),
        ),
        (
            quote!(verify = slack, handshake = echo),
            "`echo` is no handshake: there are `echo_query`, `echo_field`, `echo_header`".to_owned(),
        ),
    ] {
        assert_messages(quote!(#[webhook(#arguments)] #method), &[&message]);
    }
}

/// R1.10: work of a product is work of its channels.
#[test]
fn work_of_a_product_has_a_channel() {
    let body = quote!(-> Result<Step<u64>> {});
    let sync = quote!(#[sync(every = "1m", product = "mail")]);
    assert_messages(
        quote!(#sync async fn run(&self, cx: &Context<Self>, channel: ChannelId, after: Option<u64>) #body),
        &[],
    );
    assert_messages(
        quote!(#sync async fn run(&self, cx: &Context<Self>, after: Option<u64>) #body),
        &["`product` says whose channels it runs for: it takes a `channel: ChannelId`"],
    );
}

/// Design 6.2: a service that sends to one URL for the whole app says nothing of our channels.
#[test]
fn a_webhook_of_the_whole_app_has_no_channel() {
    assert_messages(
        quote! {
            #[webhook(verify = slack, app(tenant = "/team_id"))]
            async fn run(&self, cx: &Context<Self>, channel: ChannelId, request: Verified<WebhookRequest>) -> Result<()> {}
        },
        &["a webhook of the whole app knows no channel: read it from the request"],
    );
}

/// R1.13
#[test]
fn names_are_used_once() {
    assert_messages(
        quote! {
            #[callback(name = "x")] async fn a(&self, cx: &Context<Self>) -> Result<()> {}
            #[callback(alias = "x")] async fn b(&self, cx: &Context<Self>) -> Result<()> {}
        },
        &["the callback name `x` is used twice", "it is used here first"],
    );
    assert_messages(
        quote! {
            #[callback] async fn a_b(&self, cx: &Context<Self>) -> Result<()> {}
            #[callback] async fn a__b(&self, cx: &Context<Self>) -> Result<()> {}
        },
        &["the message name `AB` is used twice", "it is used here first"],
    );
    assert_messages(
        quote! {
            #[callback] async fn thread(&self, cx: &Context<Self>) -> Result<()> {}
            #[callback] async fn activate(&self, cx: &Context<Self>) -> Result<()> {}
            #[callback] async fn git_hub(&self, cx: &Context<Self>) -> Result<()> {}
        },
        &[
            "the message of `thread` would be `Thread`, in place of the `Thread` of the prelude: give the method another name",
            "`activate` is a hook: write it in `impl Connector`, or give the callback another name",
            "the message of `git_hub` would be `GitHub`, as the struct is: give the method another name",
        ],
    );
}

/// R1.12: the names that a message may not have are those of the prelude.
#[test]
fn no_message_stands_in_place_of_the_prelude() {
    fn names(tree: &syn::UseTree, found: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => names(&path.tree, found),
            syn::UseTree::Name(name) => found.push(name.ident.to_string()),
            syn::UseTree::Rename(rename) => found.push(rename.rename.to_string()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| names(tree, found)),
            _ => panic!("the prelude names what it has"),
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../connector-core/src/prelude.rs");
    let file = syn::parse_file(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut found = Vec::new();
    for item in &file.items {
        if let syn::Item::Use(item) = item {
            names(&item.tree, &mut found);
        }
    }
    found.retain(|name| name.starts_with(char::is_uppercase));
    let missing: Vec<_> = found.iter().filter(|name| !super::block::PRELUDE.contains(&name.as_str())).collect();
    assert!(found.len() > 50 && missing.is_empty(), "{missing:?}");
}

/// R1.12
#[test]
fn a_method_is_one_kind_of_callback() {
    assert_messages(
        quote!(
            #[callback]
            #[callback]
            #[every("1h")]
            async fn a(&self, cx: &Context<Self>) -> Result<()> {}
        ),
        &["`#[callback]` is given twice", "a method is one kind of callback: keep `#[callback]` or `#[every]`"],
    );
}

/// R1.12
#[test]
fn what_cannot_be_seen_is_an_error() {
    assert_messages(
        quote!(make_callbacks!();),
        &["callbacks that a macro makes here would not be seen: write the methods themselves, or move the macro to \
             another `impl` block, without `#[connector]`"],
    );
    let output = expand(
        TokenStream::new(),
        quote!(
            impl<T> GitHub<T> {}
        ),
    );
    assert_eq!(
        messages(output),
        [
            "a connector or tool cannot be generic, because it is registered by itself as one type: declare a struct for each type that you need"
        ]
    );
}

/// R1.12: next to errors there is still the whole item, without our attributes, and the messages.
#[test]
fn next_to_errors_the_item_is_whole() {
    let output = block(quote! {
        #[callback(nam = "x")]
        async fn sync_page(&self, cx: &Context<Self>, #[default] page: u32) -> Result<()> { self.helper() }
        fn helper(&self) {}
    });
    snapshot("callback_errors", output);
}

/// R1.12
#[test]
fn alone_it_is_an_error() {
    let item = quote!(
        async fn run() {}
    );
    let output = super::expand_alone("callback", item.clone());
    assert!(output.to_string().starts_with(&item.to_string()));
    assert_eq!(
        messages(output),
        [
            "`#[callback]` only works in a block `#[connector] impl X` (or `#[tool] impl X`), which is apart from the hooks"
        ]
    );
}

/// What is still being typed comes back whole, and what can be read beside it works.
#[test]
fn incomplete_input_is_given_back() {
    let output = block(quote! {
        #[callback]
        async fn tidy(&self, cx: &Context<Self>) -> Result<()> { self. }
        #[callback]
        async fn
    });
    let text = output.to_string();
    assert!(text.contains("{ self . }") && text.contains("async fn }"), "{text}");
    assert!(text.contains("BoundCallback for Tidy"), "{text}");
    assert!(messages(output).is_empty(), "the compiler says what is missing");
}
