use serde::Serialize;

use super::Context;
use crate::callback::{BoundTarget, Invocable, InvocationTarget};
use crate::component::Component;
use crate::error::{Error, Result};
use crate::runtime::hooks::{HookTarget, StoredHook, encode, hook_key, hook_url, new_token, secret_context, token_of};
use crate::secret::Secret;
use crate::webhook::WebhookRequest;
use crate::work::Endpoint;

impl<C: Component> Context<C> {
    /// Makes a URL whose requests run a callback that takes a [`WebhookRequest`] (R10.3): each is stored before it
    /// is answered with 200, and handed over at least once. It is valid when this dispatch is stored.
    ///
    /// Nothing is checked but the URL, which cannot be guessed. Give the service the secret beside it, if it signs,
    /// and let the callback [`verify`](WebhookRequest::verify) first. A callback with a `channel` ends with it.
    pub async fn create_webhook(&self, callback: impl Invocable<C, WebhookRequest>) -> Result<Endpoint> {
        self.endpoint(callback, false, None).await
    }

    /// The same, where requests have an id: `delivery_id` is the header that has it, or a JSON pointer into the
    /// body. One that was seen is dropped.
    pub async fn create_webhook_once(
        &self,
        callback: impl Invocable<C, WebhookRequest>,
        delivery_id: &str,
    ) -> Result<Endpoint> {
        self.endpoint(callback, false, Some(delivery_id.to_owned())).await
    }

    /// Makes a URL whose requests run a callback while the service waits: its value is the response, a text as
    /// text, nothing as nothing, and anything else as JSON. Nothing is stored of a request, nor run again.
    pub async fn create_webhook_sync<O: Serialize + Send + 'static>(
        &self,
        callback: impl Invocable<C, WebhookRequest, Output = O>,
    ) -> Result<Endpoint> {
        self.endpoint(callback, true, None).await
    }

    /// Deletes the URL of a webhook: from now on, it is not there. One that is deleted already is no error.
    pub async fn delete_webhook(&self, url: &str) -> Result<()> {
        match token_of(url).and_then(hook_key) {
            Some((connection, key)) if connection == self.connection() => {
                self.dispatch.unit().put(key, None);
                Ok(())
            }
            _ => Err(Error::bug("this is no URL of a webhook of this connection")),
        }
    }

    async fn endpoint(
        &self,
        callback: impl Invocable<C, WebhookRequest>,
        synchronous: bool,
        delivery_id: Option<String>,
    ) -> Result<Endpoint> {
        let ports = &self.dispatch.shared.ports;
        let secret = crate::hex::encode(&ports.vault.random());
        let token = new_token(self.connection(), ports.vault.random());
        let url = hook_url(&self.dispatch.shared.config, &token)?;
        let (_, key) = hook_key(&token).ok_or_else(|| Error::bug("a new webhook has no key"))?;
        let sealed = Some(ports.vault.seal(&secret_context(self.connection(), &key), secret.as_bytes()));
        let (target, channel) = match callback.into_target()? {
            InvocationTarget::Bound(BoundTarget { namespace, name, args, channel }) => {
                let (namespace, name) = (namespace.to_owned(), name.to_owned());
                (HookTarget { namespace, name, args: args.into(), token: None, secret: sealed }, channel)
            }
            InvocationTarget::Token(token) => {
                let bound = self.dispatch.bound(&token).await?;
                let (namespace, name, args) = (bound.namespace, bound.name, bound.args);
                (HookTarget { namespace, name, args, token: Some(token), secret: sealed }, bound.channel)
            }
        };
        let hook = StoredHook { target, channel, synchronous, delivery_id, expects_secret: false };
        self.dispatch.unit().put(key, Some(encode(&hook)?));
        Ok(Endpoint::new(url, Some(Secret::new(secret))))
    }
}
