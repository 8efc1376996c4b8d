use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Context, Dispatch};
use crate::callback::{BoundTarget, Callback, CallbackInput, CalledCallback, Invocable, InvocationTarget};
use crate::component::Component;
use crate::dispatch::{Call, Input, Returned};
use crate::engine::{CallbackRow, Write};
use crate::error::{Error, ErrorKind, Result};
use crate::hex;
use crate::id::{ChannelId, ConnectionId};
use crate::ports::SealContext;
use crate::value;

/// What callback tokens are sealed for.
const PURPOSE: &str = "callback";

/// Longest token that carries its callback within it, in characters. Some services take no more than
/// 256 in a channel's token; a longer callback is stored, and its token names it.
const MAX_SEALED: usize = 240;

/// A callback with its arguments, as a token holds it or names it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bound {
    #[serde(rename = "c")]
    pub(crate) connection: ConnectionId,
    #[serde(rename = "g")]
    pub(crate) generation: i64,
    #[serde(rename = "s", default, skip_serializing_if = "String::is_empty")]
    pub(crate) namespace: String,
    #[serde(rename = "n")]
    pub(crate) name: String,
    #[serde(rename = "a")]
    pub(crate) args: Bytes,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<ChannelId>,
    /// Tells this token from others with the same arguments.
    #[serde(rename = "i")]
    pub(crate) nonce: String,
}

#[derive(Serialize, Deserialize)]
enum Token {
    #[serde(rename = "b")]
    Bound(Bound),
    #[serde(rename = "r")]
    Row { connection: ConnectionId, id: i64 },
}

impl<C: Component> Context<C> {
    /// Makes a token for one of the connector's own callbacks, to keep or give away. It survives
    /// restarts and upgrades, and is valid until it is deleted (R4.3).
    pub async fn callback<M: CalledCallback<Component = C>>(
        &self,
        message: M,
    ) -> Result<Callback<M::Input, M::Output>> {
        let BoundTarget { namespace, name, args, channel } = BoundTarget::of(&message)?;
        let ports = &self.dispatch.shared.ports;
        let mut nonce = hex::encode(&ports.vault.random());
        nonce.truncate(16);
        let token = Token::Bound(Bound {
            connection: self.connection(),
            generation: self.dispatch.connection.row.generation + self.dispatch.unit().generations,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            args: args.into(),
            channel,
            nonce,
        });
        let seal = |token: &Token| -> Result<String> {
            let plain =
                value::to_bytes(token).map_err(|error| Error::bug("a callback cannot be stored").with_source(error))?;
            Ok(ports.vault.seal(&SealContext::token(PURPOSE), &plain))
        };
        let sealed = seal(&token)?;
        let bound = match token {
            Token::Bound(bound) if sealed.len() > MAX_SEALED => bound,
            Token::Bound(_) | Token::Row { .. } => return Ok(Callback::from_token(sealed)),
        };
        let id = ports.engine.take_ids(1);
        let body =
            value::to_bytes(&bound).map_err(|error| Error::bug("a callback cannot be stored").with_source(error))?;
        self.dispatch.unit().push(Write::PutCallback(CallbackRow {
            id,
            connection: bound.connection,
            body: body.into(),
        }));
        seal(&Token::Row { connection: bound.connection, id }).map(Callback::from_token)
    }

    /// Deletes a callback: from now on, running it is an error. One that is deleted already is no error.
    pub async fn delete_callback<I, O>(&self, callback: &Callback<I, O>) -> Result<()> {
        let connection = self.connection();
        let write = match self.dispatch.shared.open_token(callback.token(), connection)? {
            Token::Bound(bound) => Write::RevokeCallback { connection, nonce: bound.nonce },
            Token::Row { id, .. } => Write::DeleteCallback { connection, id },
        };
        self.dispatch.unit().push(write);
        Ok(())
    }

    /// Deletes all callbacks of the connection, also those that were given away.
    pub async fn delete_all_callbacks(&self) -> Result<()> {
        let connection = self.connection();
        let mut unit = self.dispatch.unit();
        // However often it is said before the next commit, that makes one generation.
        unit.generations += i64::from(!unit.callbacks_deleted);
        unit.callbacks_deleted = true;
        unit.push(Write::DeleteCallbacks { connection });
        Ok(())
    }

    /// Runs a callback here and now, in this dispatch, and gives back its value (R4.4).
    pub async fn run<I: CallbackInput, T: Invocable<C, I>>(&self, target: T, input: I) -> Result<T::Output> {
        let input = Input::Typed(Box::new(input));
        let (name, returned) = match target.into_target()? {
            InvocationTarget::Bound(BoundTarget { namespace, name, args, .. }) => {
                (Cow::Borrowed(name), self.dispatch.call(namespace, name, &args, input).await?)
            }
            InvocationTarget::Token(token) => {
                let bound = self.dispatch.bound(&token).await?;
                let returned = self.dispatch.call(&bound.namespace, &bound.name, &bound.args, input).await?;
                (Cow::Owned(bound.name), returned)
            }
        };
        match returned {
            Returned::Value(value) => value
                .downcast()
                .map(|value| *value)
                .map_err(|_| Error::bug(format!("`{name}` gave back a value of another type than its token says"))),
            Returned::Step(_) | Returned::Drained(_) => {
                Err(Error::bug(format!("`{name}` is run by the host: mark its ids dirty, or let it sync")))
            }
        }
    }
}

impl crate::runtime::Shared {
    fn open_token(&self, token: &str, connection: ConnectionId) -> Result<Token> {
        let foreign =
            || Error::gone("the callback token is not valid: it was made by another host or connection, or changed");
        let plain =
            self.ports.vault.open(&SealContext::token(PURPOSE), token).map_err(|error| foreign().with_source(error))?;
        let token: Token = value::from_bytes(&plain).map_err(|error| foreign().with_source(error))?;
        let (Token::Bound(Bound { connection: owner, .. }) | Token::Row { connection: owner, .. }) = &token;
        if *owner == connection { Ok(token) } else { Err(foreign()) }
    }
}

impl Dispatch {
    /// Opens a token of this connection.
    pub(crate) async fn bound(&self, token: &str) -> Result<Bound> {
        let deleted = || Error::gone("the callback was deleted");
        let (connection, engine) = (self.connection_id(), &self.shared.ports.engine);
        let bound = match self.shared.open_token(token, connection)? {
            Token::Bound(bound) => {
                let revoked = self.unit().callback_revoked(&bound.nonce)
                    || engine.callback_revoked(connection, bound.nonce.clone()).await?;
                if revoked {
                    return Err(deleted());
                }
                bound
            }
            Token::Row { id, .. } => {
                let pending = {
                    let unit = self.unit();
                    if unit.callback_deleted(id) {
                        return Err(deleted());
                    }
                    unit.callback(id)
                };
                let body = match pending {
                    Some(body) => body,
                    None => engine.callback(connection, id).await?.map(|row| row.body).ok_or_else(deleted)?,
                };
                value::from_bytes(&body).map_err(|error| {
                    Error::new(ErrorKind::Bug, "a stored callback cannot be read").with_source(error)
                })?
            }
        };
        if bound.generation < self.connection.row.generation + self.unit().generations {
            Err(deleted())
        } else {
            Ok(bound)
        }
    }

    /// Runs a callback by name, in this dispatch.
    pub(crate) async fn call(
        self: &Arc<Self>,
        namespace: &str,
        name: &str,
        args: &[u8],
        input: Input,
    ) -> Result<Returned> {
        let found = self.connection.connector.callback(namespace, name).ok_or_else(|| {
            Error::bug(format!(
                "`{}` has no callback `{name}` (any more): keep the old name with `#[callback(alias = \"{name}\")]`",
                self.connection.connector.declaration.id
            ))
        })?;
        (found.block.run)(Call { dispatch: self, args, input, name: found.entry.name, index: found.index }).await
    }
}
