//! The attribute macros of `connector-core`, which re-exports them: depend on that crate, not on this one.
//!
//! Each macro reads what is written into a model, checks all of it, and emits the item as it came,
//! then constant data and calls into `connector_core::__private`.

mod attrs;
mod callback;
mod case;
mod choices;
mod connector;
mod did_you_mean;
mod docs;
mod errors;
mod item;
mod link_type;
mod options;
mod paths;
mod reactions;
#[cfg(test)]
mod tests;
mod tool;
mod url_pattern;

use proc_macro::TokenStream;

/// Declares a connector, records its hooks, or collects its callbacks.
///
/// | on | it takes | it makes |
/// |---|---|---|
/// | `struct GitHub` | what is declared, below | `Component`, `Declared`, and the registration |
/// | `impl Connector for GitHub` | `crate` | the record of which hooks there are |
/// | `impl GitHub` | `crate` | a message struct for each callback, and the code that runs them |
///
/// On the struct, each argument is optional:
///
/// | argument | value |
/// |---|---|
/// | `id` | `"github"`; the struct's name in kebab-case |
/// | `name` | `"GitHub"`; the struct's name in words |
/// | `logo` | URL or data URL |
/// | `provider` | `GitHub` or another built-in one, the path of a constant, or `custom(id = "…", authorize_url = "…", token_url = "…", api_url = "…", revoke_url = "…", issuer = "…")` |
/// | `scopes` | `("a", "b")`, or `(required = ["a"], optional(id = "…", label = "…", scopes = ["b"], description = "…", default = true))` |
/// | `key_option` | the name of the secure option that is used in place of OAuth |
/// | `shared`, `single_channel`, `fixed_channels`, `hidden_channels`, `auto_enable_new_channels`, `dynamic_link_types`, `handle_replies`, `multiple_instances` | flags: bare, or `= true` or `= false` |
/// | `channel_noun` | `("repository", "repositories")` |
/// | `link_types` | `[Issue, PullRequest]` |
/// | `reactions` | `(unicode)`, `(unicode, custom)`, `(subset = ["👍"])` or `(fixed = ["👍" = "+1"])` |
/// | `products` | `(calendar(label = "Calendar", scope_group = "calendar"))` |
/// | `access` | `["Reads your issues"]` |
/// | `urls` | `["https://api.github.com/*"]` |
/// | `errors` | a function `fn(&Response) -> Option<Failure>` that says what the answers of the service mean, where the usual rules do not know it |
/// | `quota` | `("writes", 20, per = "10s", of = post("/send"))`, more than once: what the service takes of an account in a window. `of` is one or a list of `any`, `reads`, `writes` or a method, alone or with a path below the API's base, in which `*` stands for a segment; without it all requests count |
/// | `options` | a struct with `#[derive(Options)]` |
/// | `tools` | `[Contacts]` |
/// | `version` | `"1"` |
/// | `crate` | the path of `connector_core`, where it has another name |
///
/// ```text
/// #[connector(urls = ["https://api.example.com/*"])]
/// #[derive(Default)]
/// struct Example;
///
/// #[connector]
/// impl Connector for Example {}
///
/// #[connector]
/// impl Example {
///     #[callback]
///     async fn sync_page(&self, cx: &Context<Self>, channel: ChannelId, page: u32) -> Result<()> { … }
/// }
/// ```
#[proc_macro_attribute]
pub fn connector(attr: TokenStream, item: TokenStream) -> TokenStream {
    connector::expand(attr.into(), item.into()).into()
}

/// Declares a tool, or collects its callbacks; `impl Tool for X` needs no attribute.
///
/// | argument | value |
/// |---|---|
/// | `id` | `"contacts"`; the struct's name in kebab-case |
/// | `urls`, `scopes` | `["…"]` |
/// | `tools` | `[OtherTool]` |
/// | `crate` | the path of `connector_core`, where it has another name |
///
/// ```text
/// #[tool(urls = ["https://people.example.com/*"])]
/// #[derive(Default)]
/// struct Contacts;
///
/// impl Tool for Contacts {}
/// ```
#[proc_macro_attribute]
pub fn tool(attr: TokenStream, item: TokenStream) -> TokenStream {
    tool::expand(attr.into(), item.into()).into()
}

/// Makes a method of a `#[connector] impl` or `#[tool] impl` block a callback: its arguments can be
/// stored, and it runs with them later, also after a restart.
///
/// Beside `async fn sync_page(&self, cx: &Context<Self>, page: u32)` there is then a message
/// `SyncPage { page }`. A parameter may have `#[default]` or `#[default(expression)]`, so that
/// arguments that were stored before there was the parameter still fit; the last one may have
/// `#[input]`: it is given by whoever invokes the callback.
///
/// | argument | value |
/// |---|---|
/// | `name` | the stable name; the method's |
/// | `alias` | a former name, whose stored calls still run; as often as needed |
///
/// ```text
/// #[callback(alias = "sync")]
/// async fn sync_page(&self, cx: &Context<Self>, #[default(1)] page: u32) -> Result<()> { … }
/// ```
#[proc_macro_attribute]
pub fn callback(_: TokenStream, item: TokenStream) -> TokenStream {
    callback::expand_alone("callback", item.into()).into()
}

/// A callback that walks a list with a cursor, which is its last parameter; the host runs it for each
/// enabled channel, or for the connection if it has no parameter `channel`.
///
/// | argument | value |
/// |---|---|
/// | `every` | from one walk to the next: `"500ms"`, `"30s"`, `"15m"`, `"24h"`, `"7d"` |
/// | `product` | in a combined connector: only for channels of this product |
/// | `name`, `alias` | as in `#[callback]` |
///
/// ```text
/// #[sync(every = "15m")]
/// async fn issues(&self, cx: &Context<Self>, channel: ChannelId, after: Option<Cursor>) -> Result<Step<Cursor>> { … }
/// ```
#[proc_macro_attribute]
pub fn sync(_: TokenStream, item: TokenStream) -> TokenStream {
    callback::expand_alone("sync", item.into()).into()
}

/// A callback that takes the ids that were marked dirty, which are its last parameter.
///
/// | argument | value |
/// |---|---|
/// | `batch` | at most this many at a time; 20 |
/// | `delay` | from the first mark to the pass; `"2s"` |
/// | `max_attempts` | an id that was handed over this often becomes a dead letter; 5 |
/// | `product` | in a combined connector: only for channels of this product |
/// | `name`, `alias` | as in `#[callback]` |
///
/// ```text
/// #[drain(batch = 50)]
/// async fn changed(&self, cx: &Context<Self>, channel: ChannelId, ids: Vec<u64>) -> Result<Drained<u64>> { … }
/// ```
#[proc_macro_attribute]
pub fn drain(_: TokenStream, item: TokenStream) -> TokenStream {
    callback::expand_alone("drain", item.into()).into()
}

/// A callback that runs at an interval, which is the argument. Takes `name` and `alias` as `#[callback]` does.
///
/// ```text
/// #[every("24h")]
/// async fn tidy(&self, cx: &Context<Self>) -> Result<()> { … }
/// ```
#[proc_macro_attribute]
pub fn every(_: TokenStream, item: TokenStream) -> TokenStream {
    callback::expand_alone("every", item.into()).into()
}

/// A callback that takes what the service pushes. Its message implements `Subscription`.
///
/// | argument | value |
/// |---|---|
/// | `verify` | required: `hmac_sha256(header = "…", prefix = "…")`, `slack`, `standard_webhooks`, `timestamped(header = "…")`, `secret_url`, `state_field("/pointer")`, `state_header("X-Name")`, `function(path)` or `none("reason")` |
/// | `handshake` | `echo_query("parameter")`, `echo_field("/pointer")` or `echo_header("X-Name")` |
/// | `delivery_id` | the header with an id of the delivery |
/// | `max_body` | the largest body in bytes, up to 26214400 (25 MiB); 1 MiB unless the operator says otherwise |
/// | `product` | in a combined connector: only for channels of this product |
/// | `name`, `alias` | as in `#[callback]` |
///
/// ```text
/// #[webhook(verify = hmac_sha256(header = "X-Hub-Signature-256", prefix = "sha256="))]
/// async fn events(&self, cx: &Context<Self>, channel: ChannelId, #[input] request: Verified<WebhookRequest>) -> Result<()> { … }
/// ```
#[proc_macro_attribute]
pub fn webhook(_: TokenStream, item: TokenStream) -> TokenStream {
    callback::expand_alone("webhook", item.into()).into()
}

/// Declares one kind of external item, on an enum of its statuses or on a unit struct.
///
/// | argument | value |
/// |---|---|
/// | `id`, `label` | the type's name in snake_case, and in words |
/// | `source_name`, `note_label`, `compose_label`, `reply_label` | wording |
/// | `logos` | `(light = "…", dark = "…", mono = "…")` |
/// | `sharing` | `Channel`, `Thread`, `Message` or `None` |
/// | `assignee`, `schedules` | flags |
/// | `contact_roles` | `(to(label = "To", default), cc(label = "Cc"))` |
/// | `supports` | `(contact_changes, links, attachments, forwarding, schedule_changes)` |
/// | `compose` | `(status = Open, target = channels, todo)`; targets: `channels`, `contacts`, `addresses` |
/// | `reactions` | as in `#[connector]` |
/// | `meta` | the type of an item's metadata |
/// | `crate` | the path of `connector_core`, where it has another name |
///
/// A variant takes `#[status(id = "…", label = "…", icon = Todo, todo, done, active, hidden)]`.
///
/// ```text
/// #[link_type(label = "Issue")]
/// enum Issue {
///     #[status(icon = Todo, todo)]
///     Open,
///     #[status(icon = Done, done)]
///     Closed,
/// }
/// ```
#[proc_macro_attribute]
pub fn link_type(attr: TokenStream, item: TokenStream) -> TokenStream {
    link_type::expand(attr.into(), item.into()).into()
}

/// Makes a struct the options of a connector: each field is a field of the settings form.
///
/// `#[option(…)]` on a field takes `label`, `default`, `min`, `max`, `placeholder`, `secure`,
/// `required`, `help` and `help_url`; on the struct `crate`.
///
/// ```text
/// #[derive(Options)]
/// struct ExampleOptions {
///     /// How far back the first sync goes, in days.
///     #[option(label = "History", default = 90, min = 1)]
///     history_days: u32,
/// }
/// ```
#[proc_macro_derive(Options, attributes(option))]
pub fn options(item: TokenStream) -> TokenStream {
    options::derive(item.into()).into()
}

/// Makes an enum a list that an option is chosen from. `#[choice(…)]` on a variant takes `id` and
/// `label`; on the enum `crate`.
///
/// ```text
/// #[derive(Choices)]
/// enum Order {
///     Newest,
///     #[choice(label = "Oldest first")]
///     Oldest,
/// }
/// ```
#[proc_macro_derive(Choices, attributes(choice))]
pub fn choices(item: TokenStream) -> TokenStream {
    choices::derive(item.into()).into()
}
