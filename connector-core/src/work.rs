//! Declared work: callbacks that also say when they run (R11).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::callback::BoundCallback;
use crate::clock::BoxFuture;
use crate::context::{Context, Dispatch};
use crate::error::{Error, Result};
use crate::model::LinkFilter;
use crate::webhook::WebhookDeclaration;

/// How a `#[sync]` goes on. The cursor is stored in the same commit as the items of the step (L7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "return it: the host goes on from the cursor"]
pub enum Step<C> {
    /// There is more: go on from here at once.
    Next(C),
    /// There is more, but not before then.
    Wait(Timestamp, C),
    /// That is all for now; the next run begins here.
    Done(C),
    /// The walk has met everything at the service that meets the filter; the next run begins here.
    ///
    /// What meets the filter and was not met in the walk, from its first step to this one, is no longer there and is
    /// archived: of the links of the channel those that this sync has saved, or that no sync has saved and that are of a
    /// kind which only this sync saves. A link is met by being [saved](crate::context::Integrations::save_links), whether
    /// or not it has changed, or by [`met`](crate::context::Integrations::met). These are never archived:
    ///
    /// - what anything else saved or changed while the walk was under way: a webhook, a drain, another sync, a user;
    /// - what a user composed or changed, as long as it has not arrived at the service, or no sync has found it there;
    /// - anything, if an item of the walk [could not be read](crate::walk::Items): it may be any of those that are missing.
    ///
    /// The filter says what the walk was over: [`LinkFilter::default`] means everything in the channel. A walk that asks
    /// only for what changed from a time on says so with [`LinkFilter::changed_from`]. The list has to keep its order
    /// while it is walked, by time of creation or by id: in a list whose newest change comes first, what changes during
    /// the walk moves to a page that was passed already.
    Complete(LinkFilter, C),
}

/// What a `#[drain]` has done with the ids that it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "return it: the host keeps the ids that are to be retried"]
pub struct Drained<T> {
    /// To be handed over again, one at a time.
    pub retry: Vec<T>,
}

impl<T> Drained<T> {
    /// All were taken.
    pub fn all() -> Self {
        Self { retry: Vec::new() }
    }

    /// All but these were taken.
    pub fn retry(ids: impl IntoIterator<Item = T>) -> Self {
        Self { retry: ids.into_iter().collect() }
    }
}

/// When a callback runs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Work {
    /// `#[sync]`: walks a list with a cursor, then again at the interval.
    Sync {
        /// From the end of one walk to the beginning of the next.
        every: Duration,
    },
    /// `#[drain]`: takes the ids that were marked dirty.
    Drain {
        /// At most this many at a time.
        batch: u32,
        /// From the first mark to the pass, so that a burst is one pass.
        delay: Duration,
        /// An id that was handed over this often becomes a dead letter.
        max_attempts: u32,
    },
    /// `#[every]`: runs at the interval.
    Every {
        /// From one run to the next.
        interval: Duration,
    },
    /// `#[webhook]`: takes the service's pushes.
    Webhook(WebhookDeclaration),
}

/// The message of a `#[drain]`, with the type of its ids.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a drain", label = "not the message of a `#[drain]` method")]
pub trait DrainCallback: BoundCallback {
    /// What is marked dirty.
    type Id: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static;
}

/// The message of a `#[sync]`.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a sync", label = "not the message of a `#[sync]` method")]
pub trait SyncCallback: BoundCallback {}

/// A live registration at the service, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Registration {
    /// The service's id of it.
    pub id: String,
    /// When it ends by itself; the host renews it before.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Where it pushes to, as the service tells it: in a list, the host finds its own by it.
    #[serde(default)]
    pub url: Option<String>,
}

impl Registration {
    /// A registration that the service knows by this id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), expires_at: None, url: None }
    }

    /// Ends by itself then.
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Pushes to this URL.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }
}

/// What the service is given to push to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// The URL.
    pub url: String,
    /// The secret that the service signs with, for schemes that have one. Stored before it is given away (L13).
    pub secret: Option<crate::secret::Secret>,
}

impl Endpoint {
    /// An endpoint at this URL.
    pub fn new(url: impl Into<String>, secret: Option<crate::secret::Secret>) -> Self {
        Self { url: url.into(), secret }
    }
}

/// How a `#[webhook]` is registered at the service: one API call each. The host calls them so that
/// there is exactly one live registration for each scope (R11.4).
#[diagnostic::on_unimplemented(
    message = "nothing says how `{Self}` is registered at the service",
    label = "has no `impl Subscription`",
    note = "write `impl Subscription for {Self} {{ … }}` with `create` and `delete`, one API call each; or `app(tenant = …)` where the service sends to one URL for the whole app"
)]
#[allow(unused_variables, reason = "the defaults use none of what they get, and the names are documentation")]
pub trait Subscription: BoundCallback {
    /// Registers the endpoint.
    fn create(
        &self,
        cx: &Context<Self::Component>,
        endpoint: &Endpoint,
    ) -> impl std::future::Future<Output = Result<Registration>> + Send;

    /// Takes the registration back. One that is gone is no error.
    fn delete(
        &self,
        cx: &Context<Self::Component>,
        registration: &Registration,
    ) -> impl std::future::Future<Output = Result<()>> + Send;

    /// Makes it live longer; without this the host creates a new one and deletes the old.
    fn renew(
        &self,
        cx: &Context<Self::Component>,
        registration: &Registration,
        endpoint: &Endpoint,
    ) -> impl std::future::Future<Output = Result<Option<Registration>>> + Send {
        async { Ok(None) }
    }

    /// The registrations that the service has for this scope, where it can tell; with their [URLs](Registration::url),
    /// so that the host's own are found among others.
    fn list(
        &self,
        cx: &Context<Self::Component>,
    ) -> impl std::future::Future<Output = Result<Option<Vec<Registration>>>> + Send {
        async { Ok(None) }
    }
}

/// What a subscription is asked to do.
pub(crate) enum SubscriptionCall {
    Create { endpoint: Endpoint },
    Delete { registration: Registration },
    Renew { registration: Registration, endpoint: Endpoint },
    List,
}

/// What it did.
pub(crate) enum SubscriptionReply {
    Done,
    Registered(Option<Registration>),
    Listed(Option<Vec<Registration>>),
}

type RunSubscription =
    for<'a> fn(&'a Arc<Dispatch>, &'a [u8], SubscriptionCall) -> BoxFuture<'a, Result<SubscriptionReply>>;

/// Runs the methods of one [`Subscription`] whose type the host does not know.
#[derive(Clone, Copy)]
pub struct SubscriptionFns {
    pub(crate) run: RunSubscription,
}

impl SubscriptionFns {
    /// Those of `M`.
    pub const fn of<M: Subscription>() -> Self {
        Self { run: run_subscription::<M> }
    }
}

impl std::fmt::Debug for SubscriptionFns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SubscriptionFns")
    }
}

fn run_subscription<'a, M: Subscription>(
    dispatch: &'a Arc<Dispatch>,
    args: &'a [u8],
    call: SubscriptionCall,
) -> BoxFuture<'a, Result<SubscriptionReply>> {
    Box::pin(async move {
        let cx = &Context::<M::Component>::new(dispatch)?;
        let message =
            M::decode(args).map_err(|error| Error::bug("the scope of a webhook cannot be read").with_source(error))?;
        Ok(match call {
            SubscriptionCall::Create { endpoint } => {
                SubscriptionReply::Registered(Some(message.create(cx, &endpoint).await?))
            }
            SubscriptionCall::Delete { registration } => {
                message.delete(cx, &registration).await?;
                SubscriptionReply::Done
            }
            SubscriptionCall::Renew { registration, endpoint } => {
                SubscriptionReply::Registered(message.renew(cx, &registration, &endpoint).await?)
            }
            SubscriptionCall::List => SubscriptionReply::Listed(message.list(cx).await?),
        })
    })
}
