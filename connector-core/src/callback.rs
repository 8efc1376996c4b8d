//! Persistent callbacks: typed references to methods, with bound arguments, that survive restarts (R4).

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::component::Component;
use crate::error::{Error, Result};
use crate::id::ChannelId;
use crate::value::{DecodeError, EncodeError};

/// A method with its arguments: the struct that `#[callback]` makes beside `async fn sync_page(…)` is
/// `SyncPage { … }`. Pass it where a callback is wanted.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a callback",
    label = "not the message of a `#[callback]` method",
    note = "a method `#[callback] async fn sync_page(…)` in a `#[connector] impl` block makes the message `SyncPage {{ … }}`"
)]
pub trait BoundCallback: Sized + Send + Sync + 'static {
    /// The connector or tool whose method it is.
    type Component: Component;
    /// What whoever invokes it gives; `()` for nothing.
    type Input: CallbackInput;
    /// What it gives back.
    type Output: Send + 'static;
    /// The stable name.
    const NAME: &'static str;

    /// The channel that it concerns, which is its lane (design 4).
    fn channel(&self) -> Option<&ChannelId> {
        None
    }

    /// The arguments in the form in which they are [stored](crate::value).
    fn encode(&self) -> Result<Vec<u8>, EncodeError>;

    /// The message with these stored arguments.
    fn decode(arguments: &[u8]) -> Result<Self, DecodeError>;
}

/// What a callback can be invoked with.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the input of a callback",
    label = "is not `Serialize + DeserializeOwned + Send`",
    note = "the input of a queued callback is stored: derive `Serialize` and `Deserialize` for it"
)]
pub trait CallbackInput: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> CallbackInput for T {}

/// What can be an argument of a callback.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a callback",
    label = "is not `Serialize + DeserializeOwned + JsonSchema + Clone + Send + Sync`",
    note = "arguments are stored with the callback: derive `Serialize`, `Deserialize`, `JsonSchema` and `Clone` for the type, or pass its id"
)]
pub trait CallbackArgument: Serialize + DeserializeOwned + JsonSchema + Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + JsonSchema + Clone + Send + Sync + 'static> CallbackArgument for T {}

/// What a callback method returns: a `Result` whose error can become an [`Error`].
#[diagnostic::on_unimplemented(
    message = "a callback cannot return `{Self}`",
    label = "is not a `Result`",
    note = "return `Result<()>` or `Result<T>`: what goes wrong must reach the host"
)]
pub trait CallbackReturn {
    /// What it gives back.
    type Output: Send + 'static;

    /// The result, with the framework's error.
    fn into_result(self) -> Result<Self::Output>;
}

impl<T: Send + 'static, E: Into<Error>> CallbackReturn for Result<T, E> {
    type Output = T;

    fn into_result(self) -> Result<T> {
        self.map_err(Into::into)
    }
}

/// A storable reference to a callback with its arguments: opaque, unguessable, valid until deleted (R4.3).
///
/// The types say what it is invoked with and what it gives back, so a webhook accepts only one that
/// takes a request.
pub struct Callback<I = (), O = ()> {
    token: String,
    types: PhantomData<fn(I) -> O>,
}

impl<I, O> Callback<I, O> {
    /// Reads a token that was stored as text. The types are checked when it runs.
    pub fn from_token(token: impl Into<String>) -> Self {
        Self { token: token.into(), types: PhantomData }
    }

    /// The token as text. Whoever has it can invoke the callback.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl<I, O> Clone for Callback<I, O> {
    fn clone(&self) -> Self {
        Self::from_token(self.token.clone())
    }
}

impl<I, O> PartialEq for Callback<I, O> {
    fn eq(&self, other: &Self) -> bool {
        self.token == other.token
    }
}

impl<I, O> Eq for Callback<I, O> {}

impl<I, O> fmt::Debug for Callback<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback(…)")
    }
}

impl<I, O> Serialize for Callback<I, O> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.token)
    }
}

impl<'de, I, O> Deserialize<'de> for Callback<I, O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from_token)
    }
}

impl<I, O> JsonSchema for Callback<I, O> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Callback".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "a callback token"})
    }
}

/// A callback that runs when it is called, and not only when the host has a cursor, ids or a request for it.
pub trait CalledCallback: BoundCallback {}

/// What `run`, `run_task` and the schedules take: a message of `C`, or a token.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be run here",
    label = "not a callback of `{C}` that takes this input",
    note = "pass a message such as `SyncPage {{ … }}` of this connector, or a `Callback` token with the same input",
    note = "declared work runs by itself: ask a `#[sync]` to look with `cx.sync_now(…)`, and give ids to a `#[drain]` with `cx.mark_dirty(…)`"
)]
pub trait Invocable<C: Component, I = ()> {
    /// What it gives back.
    type Output: Send + 'static;

    /// The target, in the form in which it is queued.
    #[doc(hidden)]
    fn into_target(self) -> Result<InvocationTarget>;
}

/// A message in the form in which it is queued.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct BoundTarget {
    /// Empty for the connector, else the tool.
    pub namespace: &'static str,
    /// The callback.
    pub name: &'static str,
    /// Its encoded arguments.
    pub args: Vec<u8>,
    /// Its lane.
    pub channel: Option<ChannelId>,
}

impl BoundTarget {
    pub(crate) fn of<M: BoundCallback>(message: &M) -> Result<Self> {
        Ok(Self {
            namespace: <M::Component as Component>::NAMESPACE,
            name: M::NAME,
            args: message.encode().map_err(|error| {
                Error::bug(format!("the arguments of `{}` cannot be stored", M::NAME)).with_source(error)
            })?,
            channel: message.channel().cloned(),
        })
    }
}

/// A callback that is to be invoked: by its name with its encoded arguments, or by a token that is yet to be opened.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub enum InvocationTarget {
    /// A message of the component itself.
    Bound(BoundTarget),
    /// A token.
    Token(String),
}

#[diagnostic::do_not_recommend]
impl<C: Component, M: CalledCallback<Component = C>> Invocable<C, M::Input> for M {
    type Output = M::Output;

    fn into_target(self) -> Result<InvocationTarget> {
        BoundTarget::of(&self).map(InvocationTarget::Bound)
    }
}

impl<C: Component, I, O: Send + 'static> Invocable<C, I> for Callback<I, O> {
    type Output = O;

    fn into_target(self) -> Result<InvocationTarget> {
        Ok(InvocationTarget::Token(self.token))
    }
}

impl<C: Component, I, O: Send + 'static> Invocable<C, I> for &Callback<I, O> {
    type Output = O;

    fn into_target(self) -> Result<InvocationTarget> {
        Ok(InvocationTarget::Token(self.token.clone()))
    }
}
