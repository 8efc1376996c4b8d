//! Nothing that the macros emit relies on the prelude, on an import, or on the meaning of a common name.

#![no_implicit_prelude]
#![allow(dead_code, reason = "the names are there to be mistaken for others")]

struct Option;
struct None;
struct Result;
struct Ok;
struct Err;
struct String;
struct Vec;
struct Box;
struct Default;
struct Clone;
struct Context;
struct Connector;
struct Send;
struct Sync;

/// Emitted code in bare surroundings.
#[::connector_core::connector(
    id = "no-prelude",
    provider = GitHub,
    scopes(required = ["a"], optional(id = "b", label = "B", scopes = ["b"])),
    link_types = [Item, Message],
    options = Settings,
    reactions(unicode, custom),
)]
#[derive(::core::default::Default)]
pub struct NoPrelude;

#[::connector_core::link_type(meta = Meta, contact_roles(to(default)), compose(status = Open))]
pub enum Item {
    #[status(icon = Todo, todo)]
    Open,
    Closed,
}

#[::connector_core::link_type]
pub struct Message;

#[derive(::connector_core::serde::Serialize, ::connector_core::serde::Deserialize)]
#[serde(crate = "::connector_core::serde")]
pub struct Meta {
    number: u64,
}

#[derive(::connector_core::Options)]
pub struct Settings {
    #[option(default = 3, min = 1)]
    days: u32,
    #[option(default = Day)]
    window: Window,
    key: ::core::option::Option<::connector_core::secret::Secret>,
}

#[derive(::connector_core::Choices)]
pub enum Window {
    Day,
    Week,
}

#[::connector_core::connector]
impl ::connector_core::connector::Connector for NoPrelude {
    async fn on_create_link(
        &self,
        _: &::connector_core::context::Context<Self>,
        _: ::connector_core::model::LinkDraft,
    ) -> ::connector_core::Result<::core::option::Option<::connector_core::model::NewLink>> {
        ::core::result::Result::Ok(::core::option::Option::None)
    }

    async fn on_note_reaction_changed(
        &self,
        _: &::connector_core::context::Context<Self>,
        _: &::connector_core::model::Note,
        _: &::connector_core::model::Thread,
        _: &::connector_core::model::Actor,
        _: &::connector_core::model::Emoji,
        _: bool,
    ) -> ::connector_core::Result<()> {
        ::core::result::Result::Ok(())
    }
}

#[::connector_core::connector]
impl NoPrelude {
    #[::connector_core::callback(alias = "old")]
    async fn page(
        &self,
        cx: &::connector_core::context::Context<Self>,
        channel: ::connector_core::id::ChannelId,
        #[default(1)] page: u32,
        #[input] input: bool,
    ) -> ::connector_core::Result<u32> {
        let message = Page { channel, page };
        cx.run(message, input).await
    }

    #[sync(every = "1h")]
    async fn walk(
        &self,
        _: &::connector_core::context::Context<Self>,
        after: ::core::option::Option<u64>,
    ) -> ::connector_core::Result<::connector_core::work::Step<u64>> {
        ::core::result::Result::Ok(::connector_core::work::Step::Done(after.unwrap_or(0)))
    }

    #[drain]
    async fn changed(
        &self,
        _: &::connector_core::context::Context<Self>,
        _ids: ::std::vec::Vec<u64>,
    ) -> ::connector_core::Result<::connector_core::work::Drained<u64>> {
        ::core::result::Result::Ok(::connector_core::work::Drained::all())
    }

    #[webhook(verify = secret_url, handshake = echo_field("/challenge"))]
    async fn pushed(
        &self,
        _: &::connector_core::context::Context<Self>,
        #[input] _request: ::connector_core::webhook::Verified<::connector_core::webhook::WebhookRequest>,
    ) -> ::connector_core::Result<()> {
        ::core::result::Result::Ok(())
    }
}

impl ::connector_core::work::Subscription for Pushed {
    async fn create(
        &self,
        _: &::connector_core::context::Context<NoPrelude>,
        _: &::connector_core::work::Endpoint,
    ) -> ::connector_core::Result<::connector_core::work::Registration> {
        ::core::result::Result::Ok(::connector_core::work::Registration::new("1"))
    }

    async fn delete(
        &self,
        _: &::connector_core::context::Context<NoPrelude>,
        _: &::connector_core::work::Registration,
    ) -> ::connector_core::Result<()> {
        ::core::result::Result::Ok(())
    }
}

#[::connector_core::tool]
#[derive(::core::default::Default)]
pub struct Helper;

impl ::connector_core::tool::Tool for Helper {}

#[::connector_core::tool]
impl Helper {
    #[callback]
    async fn help(&self, _: &::connector_core::context::Context<Self>) -> ::connector_core::Result<()> {
        ::core::result::Result::Ok(())
    }
}
